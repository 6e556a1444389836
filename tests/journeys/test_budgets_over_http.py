"""Money over HTTP: what is spent is what the model's server counted, and caps lower the rung."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.cloud.service import FUEL, llm, service
from tests.fakes.openai import FakeOpenAI, running_fake_openai

from foliotrace.settings import BudgetSettings, PriceSettings

pytestmark = pytest.mark.anyio
QUESTION = "What does unleaded cost per litre?"
IN_USD, OUT_USD = Decimal(3), Decimal(12)  # for a million tokens
PRICES = {
    "gpt-4o-mini": PriceSettings(input_usd_per_million=IN_USD, output_usd_per_million=OUT_USD)
}


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


def price_usd(tokens: tuple[int, int]) -> Decimal:
    return (tokens[0] * IN_USD + tokens[1] * OUT_USD) / 1_000_000


async def test_an_answer_costs_the_tokens_of_the_server_times_the_price(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(prices=PRICES)
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(QUESTION)
        assert (asked.level, asked.body["degradation"]["answer"]) == (0, "generated")
        usage = asked.body["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == model.tokens()
        assert Decimal(str(usage["cost_usd"])) == price_usd(model.tokens()) > 0


@pytest.mark.parametrize(
    "budget",
    [
        BudgetSettings(prices=PRICES, max_cost_per_query_usd=Decimal("0.000001")),
        BudgetSettings(prices=PRICES, daily_usd_per_tenant=Decimal("0.000001")),
    ],
    ids=["of-the-question", "of-the-day"],
)
async def test_a_question_past_a_cap_is_answered_one_rung_lower_and_asks_no_model(
    model: FakeOpenAI, tmp_path: Path, budget: BudgetSettings
) -> None:
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(QUESTION)
        assert (asked.level, asked.path) == (2, ("keyword", "extractive"))
        assert asked.reasons == ["budget_exceeded"]
        assert "2.31" in asked.body["answer"]
        assert Decimal(str(asked.body["usage"]["cost_usd"])) == 0
        assert asked.marks is not None
        assert asked.marks.complete, asked.marks
    assert model.count() == 0


async def test_a_day_is_spent_up_to_its_cap_and_no_further(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    cap_usd = Decimal("0.012")
    budget = BudgetSettings(prices=PRICES, daily_usd_per_tenant=cap_usd)
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        for _ in range(30):
            last = await running.ask(QUESTION, bypass_cache=True)
            if last.reasons:
                break
        assert (last.level, last.reasons) == (2, ["budget_exceeded"])
    assert 0 < price_usd(model.tokens()) <= cap_usd
