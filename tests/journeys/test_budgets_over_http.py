"""Money over HTTP: what is spent is what the model's server counted, and caps lower the rung."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.audit.log_reading import audit_records
from tests.cloud.service import FUEL, llm, service
from tests.fakes.openai import FakeOpenAI, Fault, LLMFault, running_fake_openai
from tests.fakes.openai.service import CHAT

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


async def test_a_quoted_answer_says_that_the_budget_was_the_reason_and_the_refusal_is_counted(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(prices=PRICES, daily_usd_per_tenant=Decimal("0.000001"))
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(QUESTION)
        assert asked.body["notice"].startswith("The budget does not allow")
        metrics = (await running.client.get("/metrics")).text
    assert 'foliotrace_budget_refused_total{reason="tenant_day"} 1.0' in metrics


async def test_a_call_that_times_out_costs_the_same_in_answer_run_audit_record_and_metric(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    model.fail(CHAT, Fault.hang, times=1)
    budget = BudgetSettings(prices=PRICES)
    async with service(tmp_path, llm=llm(model, timeout_s=0.3), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(QUESTION)
        cost = Decimal(str(asked.body["usage"]["cost_usd"]))
        run = (await running.client.get(f"/v1/runs/{asked.body['run_id']}")).json()
        record = next(
            record
            for record in audit_records(tmp_path / "audit")
            if record["event"] == "query_completed"
        )
        metrics = (await running.client.get("/metrics")).text
    assert cost > price_usd(model.tokens())
    assert Decimal(str(run["usage"]["cost_usd"])) == cost == Decimal(record["cost_usd"])
    counted = re.findall(r"^foliotrace_cost_usd_total\{.*\} (\S+)$", metrics, re.M)
    assert sum(map(float, counted)) == pytest.approx(float(cost))


async def test_paid_calls_without_a_usable_answer_stand_on_the_extraction_and_its_audit_record(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    model.fail(CHAT, LLMFault.invalid_json)
    budget = BudgetSettings(prices=PRICES)
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        done = await running.put("fuel.txt", FUEL)
        schema = {"type": "object", "properties": {"price": {"type": "number"}}}
        sent = await running.client.post(
            "/v1/extractions", json={"document_id": done["document_id"], "schema": schema}
        )
        job = await running.finished(sent.json()["job"]["id"])
        found = (await running.client.get(f"/v1/extractions/{job['id']}")).json()
    records = [r for r in audit_records(tmp_path / "audit") if r.get("run_id") == job["id"]]
    cost = price_usd(model.tokens())
    assert cost > 0
    assert found["usage"]["llm_calls"] == model.count()
    for shown in (job["usage"]["cost_usd"], found["usage"]["cost_usd"], records[-1]["cost_usd"]):
        assert Decimal(str(shown)) == cost
