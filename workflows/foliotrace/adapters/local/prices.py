"""Prices of models, offline: the table of genai-prices, overridden by the operator's own."""

from collections.abc import Mapping
from decimal import Decimal

from foliotrace.budget import Price
from foliotrace.events import span

_SAMPLE_TOKENS = 1000  # below every tier's threshold


class PriceTable:
    """A `PriceOf` that looks each model up once. The first use loads the table (0.3 s)."""

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._prices: dict[str, Price | None] = dict(overrides or {})

    def replace(self, overrides: Mapping[str, Price]) -> None:
        """Use other prices of the operator from now on."""
        self._prices = dict(overrides)

    def __call__(self, model: str) -> Price | None:
        """US dollars a token for `model` ("gpt-4o-2024-08-06"), or None if the price is unknown."""
        if model not in self._prices:
            with span("load prices", model=model) as call:  # the first question waits for it
                self._prices[model] = _look_up(model)
                call.result = "known" if self._prices[model] else "unknown"
        return self._prices[model]


def _look_up(model: str) -> Price | None:
    from genai_prices import Usage, calc_price  # 1.7 MB of prices: not before it is needed

    try:
        input_usd = calc_price(Usage(input_tokens=_SAMPLE_TOKENS), model_ref=model).total_price
        output_usd = calc_price(Usage(output_tokens=_SAMPLE_TOKENS), model_ref=model).total_price
        cached = Usage(input_tokens=_SAMPLE_TOKENS, cache_read_tokens=_SAMPLE_TOKENS)
        cached_usd = calc_price(cached, model_ref=model).total_price
    except LookupError:
        return None
    return Price(
        input_usd=Decimal(input_usd) / _SAMPLE_TOKENS,
        output_usd=Decimal(output_usd) / _SAMPLE_TOKENS,
        cached_input_usd=Decimal(cached_usd) / _SAMPLE_TOKENS,
    )
