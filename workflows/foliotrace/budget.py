"""Budget rules: worst-case and actual cost of a model call, and what may still be spent. Pure.

Prices are injected (`PriceOf`). A call is reserved at its worst case and settled at its actual
cost, so a cap is exceeded by the estimation error of one call at most.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import TypeAlias

from foliotrace.errors import BudgetExceeded
from foliotrace.model import Usage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per token."""

    input_usd: Decimal
    output_usd: Decimal


PriceOf: TypeAlias = Callable[[str], Price | None]
"""Model name -> its price, or None if no table lists it."""


class UnknownPrice(StrEnum):
    """How to price a model that no table lists."""

    DENY = "deny"
    DEAREST = "dearest"  # as the most expensive known model: safe, and still usable
    FREE = "free"


DEAREST = Price(input_usd=Decimal("0.00015"), output_usd=Decimal("0.0006"))
"""150 and 600 US dollars per million tokens: no listed model costs more (genai-prices, 2026-11)."""

DEAREST_EMBEDDING = Price(input_usd=Decimal("0.000001"), output_usd=ZERO)
"""1 US dollar per million tokens: no listed embedding model costs more (genai-prices, 2026-11)."""

NOTHING = Price(input_usd=ZERO, output_usd=ZERO)
"""For models that the operator runs."""

SET_A_PRICE = (
    "Set its price in budget.prices, or `free = true` for a model that runs on your own machines;"
    " budget.unknown_price decides about the others."
)


def price_for(
    model: str, price_of: PriceOf, policy: UnknownPrice, *, dearest: Price = DEAREST
) -> Price:
    """The price to use. Raises BudgetExceeded if it is unknown and the policy denies that."""
    price = price_of(model)
    if price is not None:
        return price
    if policy is UnknownPrice.FREE:
        return NOTHING
    if policy is UnknownPrice.DEAREST:
        return dearest
    raise BudgetExceeded(
        f"The price of model {model} is unknown.",
        hint=SET_A_PRICE,
    )


def to_micro_usd(amount_usd: Decimal) -> int:
    """Whole micro-dollars, rounded up, so that rounding never exceeds a cap."""
    return int((amount_usd * 1_000_000).to_integral_value(rounding=ROUND_CEILING))


def tokens_at_most(text: str) -> int:
    """An upper bound for ordinary text: one token per 3 bytes of UTF-8 (English has about 4)."""
    return len(text.encode()) // 3 + 8


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """The cost of `usage`."""
    return usage.prompt_tokens * price.input_usd + usage.completion_tokens * price.output_usd


def worst_case_usd(prompt_tokens: int, max_tokens: int, price: Price) -> Decimal:
    """The cost of a call that uses every token it may."""
    return prompt_tokens * price.input_usd + max_tokens * price.output_usd


def affordable_tokens(
    left_usd: Decimal, *, prompt_tokens: int, max_tokens: int, price: Price
) -> int:
    """How many of `max_tokens` output tokens `left_usd` pays for; 0 if not even the prompt."""
    left_usd -= prompt_tokens * price.input_usd
    if left_usd < 0:
        return 0
    if price.output_usd == 0:
        return max_tokens
    return min(max_tokens, int(left_usd / price.output_usd))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What one query may spend, has spent and has reserved, in US dollars."""

    cap_usd: Decimal
    spent_usd: Decimal = ZERO
    reserved_usd: Decimal = ZERO

    @property
    def left_usd(self) -> Decimal:
        """What may still be reserved; never negative."""
        return max(ZERO, self.cap_usd - self.spent_usd - self.reserved_usd)

    def reserve(self, amount_usd: Decimal) -> "BudgetState":
        """Reserve an amount. Raises BudgetExceeded if less is left."""
        if amount_usd > self.left_usd:
            raise BudgetExceeded(
                f"The next call could exceed the {self.cap_usd} USD that this query may spend.",
                hint="Raise budget.max_cost_per_query_usd, or use a cheaper model.",
            )
        return replace(self, reserved_usd=self.reserved_usd + amount_usd)

    def settle(self, reserved_usd: Decimal, actual_usd: Decimal) -> "BudgetState":
        """Replace a reservation by what was spent."""
        return replace(
            self,
            reserved_usd=self.reserved_usd - reserved_usd,
            spent_usd=self.spent_usd + actual_usd,
        )
