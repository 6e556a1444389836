from decimal import Decimal

from foliotrace.adapters.local.prices import PriceTable
from foliotrace.budget import HIGHEST_LLM_PRICE, Price


def test_a_dated_model_name_has_a_price_without_a_network() -> None:
    price = PriceTable()("gpt-4o-2024-08-06")
    assert price == Price(
        input_usd=Decimal("0.0000025"),
        output_usd=Decimal("0.00001"),
        cached_input_usd=Decimal("0.00000125"),
    )


def test_a_model_nobody_knows_has_none() -> None:
    assert PriceTable()("our-own-model-7b") is None


def test_the_operators_price_wins() -> None:
    ours = Price(input_usd=Decimal(0), output_usd=Decimal("0.000001"))
    assert PriceTable({"gpt-4o-2024-08-06": ours})("gpt-4o-2024-08-06") is ours


def test_no_listed_model_is_dearer_than_the_price_assumed_for_unknown_ones() -> None:
    table = PriceTable()
    for model in ("o1-pro-2025-03-19", "gpt-4.5-preview", "claude-opus-4-1", "gpt-4-32k"):
        price = table(model)
        assert price is None or price.input_usd <= HIGHEST_LLM_PRICE.input_usd, model
        assert price is None or price.output_usd <= HIGHEST_LLM_PRICE.output_usd, model
