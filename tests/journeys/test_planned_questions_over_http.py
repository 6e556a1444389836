"""Comparisons and summaries over HTTP: calls on one ledger, within the cap, audited."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.audit.log_reading import audit_records
from tests.cloud.service import QUICK, llm, service
from tests.fakes.openai import FakeOpenAI, Fault, LLMFault, running_fake_openai
from tests.fakes.openai.service import CHAT

from foliotrace.settings import BudgetSettings, PlanningSettings, PriceSettings, QuerySettings

pytestmark = pytest.mark.anyio

PRICES = {
    "gpt-4o-mini": PriceSettings(
        input_usd_per_million=Decimal(3), output_usd_per_million=Decimal(12)
    )
}
CHAPTERS = ("Refunds", "Shipping", "Vacation", "Parking")
FILLER = "Nothing else is in this chapter, which goes on for a good while all the same. " * 18
HANDBOOK = "\n\n".join(
    f"# {chapter}\n\nThis handbook explains {chapter.lower()} in chapter {n}. {FILLER}"
    for n, chapter in enumerate(CHAPTERS, 1)
)
ASK = "Summarise handbook.md"


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


def limits(calls: int = 8) -> QuerySettings:
    planning = PlanningSettings(tokens_per_call=600, summary_calls=calls)
    return QuerySettings(deadline_s=8.0, cache_ttl_s=0, planning=planning)


async def test_every_call_of_a_summary_is_on_the_answer_and_in_the_audit_log(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(prices=PRICES)
    async with service(tmp_path, llm=llm(model), budget=budget, query=limits()) as running:
        await running.put("handbook.md", HANDBOOK)
        asked = await running.ask(ASK)
        record = next(
            record
            for record in audit_records(tmp_path / "audit")
            if record["event"] == "query_completed"
        )
    assert (asked.level, asked.path[1]) == (0, "generated")
    usage = asked.body["usage"]
    assert usage["llm_calls"] == model.count() > len(CHAPTERS)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == model.tokens()
    assert Decimal(record["cost_usd"]) == Decimal(str(usage["cost_usd"])) > 0
    assert record["tokens"] == sum(model.tokens())
    assert asked.body["citations"]


@pytest.mark.parametrize("fault", [LLMFault.context_length, LLMFault.hallucinated])
async def test_a_part_that_fails_or_is_invented_is_left_out_and_the_answer_says_so(
    model: FakeOpenAI, tmp_path: Path, fault: Fault
) -> None:
    model.fail(CHAT, fault, skip=1, times=1)
    async with service(tmp_path, llm=llm(model), query=limits()) as running:
        await running.put("handbook.md", HANDBOOK)
        asked = await running.ask(ASK)
    assert (asked.level, asked.path[1]) == (2, "generated")
    assert len(asked.reasons) == 1
    assert "987654321" not in asked.body["answer"]
    assert "Read for this summary" in asked.body["notice"]
    assert asked.marks is not None
    assert asked.marks.complete, asked.marks


async def test_a_model_that_is_down_leaves_the_headings(model: FakeOpenAI, tmp_path: Path) -> None:
    model.fail(CHAT, Fault.http(503, "overloaded"))
    resilience = QUICK.model_copy(update={"breaker_failures": 100})
    async with service(tmp_path, llm=llm(model), query=limits(), resilience=resilience) as running:
        await running.put("handbook.md", HANDBOOK)
        asked = await running.ask(ASK)
    assert (asked.level, asked.path[1]) == (2, "extractive")
    assert asked.body["notice"].startswith("No language model could answer")
    assert [c["quote"] for c in asked.body["citations"]] == list(CHAPTERS)


async def test_a_summary_costs_no_more_than_its_cap_and_names_what_it_read(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    cap_usd = Decimal("0.019")
    budget = BudgetSettings(prices=PRICES, max_cost_per_query_usd=cap_usd)
    async with service(tmp_path, llm=llm(model), budget=budget, query=limits(20)) as running:
        await running.put("handbook.md", HANDBOOK * 4)
        asked = await running.ask(ASK)
    assert "budget_exceeded" in asked.reasons
    assert "The budget allows no more calls" in asked.body["notice"]
    assert 0 < Decimal(str(asked.body["usage"]["cost_usd"])) <= cap_usd
    assert 0 < model.count() == asked.body["usage"]["llm_calls"]


async def test_without_a_model_a_summary_is_the_headings_and_says_so(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.put("handbook.md", HANDBOOK)
        asked = await running.ask(ASK)
    assert (asked.level, asked.path[1]) == (0, "extractive")
    assert "nothing is summarised" in asked.body["notice"]
    assert [c["quote"] for c in asked.body["citations"]] == list(CHAPTERS)


async def test_a_comparison_is_one_call_that_cites_each_document(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    async with service(tmp_path, llm=llm(model)) as running:
        for name, price in (("Northgas", "2.31"), ("Southgas", "2.47")):
            await running.put(f"{name}.txt", f"{name} unleaded fuel costs {price} EUR per litre.")
        asked = await running.ask("Compare what unleaded fuel costs at Northgas and Southgas")
        named = [s for s in running.seen.spans if s.name == "retrieve"]
    assert model.count() == 1
    assert {c["document_name"] for c in asked.body["citations"]} == {"Northgas.txt", "Southgas.txt"}
    assert asked.body["sub_questions"] == [
        "Compare what unleaded fuel costs at Northgas",
        "Compare what unleaded fuel costs at Southgas",
    ]
    events = [event for span in named for event in span.events]
    assert any(
        (event.attributes or {}).get("foliotrace.question.plan") == "comparison" for event in events
    ), events
