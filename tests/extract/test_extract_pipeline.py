"""The durable journey: jobs, audit, windows, fallback, resumption and cancellation."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.extract.extract_stack import OWNER, ExtractStack, Parrot, Spy, finding
from tests.ingest.pages import serve
from tests.lazy_sdk import lazy_call
from workflows.context.serializers import JsonSerializer

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.budget import CallKind, UnknownPrice
from foliotrace.errors import Conflict, ExtractorUnavailable, InvalidSchema
from foliotrace.extract.services import Rung
from foliotrace.extract.workflow import ExtractRecord, ExtractWorkflow
from foliotrace.jobs import JobReporter, Progress
from foliotrace.model import ExtractionMethod, JobStatus, Level
from foliotrace.ports import BudgetLedger
from foliotrace.resilient import Meter, MeteredGenerator

LLMExtractor = lazy_call("foliotrace.adapters.llamaindex.extractor:LLMExtractor")

pytestmark = pytest.mark.anyio

RULES = Rung(method=ExtractionMethod.RULES, extractor=RulesExtractor(SystemClock()))
SCHEMA = {
    "type": "object",
    "required": ["number"],
    "properties": {
        "number": {"type": "string", "aliases": ["Invoice No"]},
        "total": {"type": "number"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"item": {"type": "string"}, "price": {"type": "number"}},
            },
        },
    },
}
FIRST = "Invoice No: R-1\n\nItem\tPrice\nTyre\t318.00"
LAST = "Item\tPrice\nOil\t131.40\n\nTotal: 449.40"

MakeDesk = Callable[..., ExtractStack]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[MakeDesk]:
    made: list[ExtractStack] = []

    def make(*rungs: Rung, window_pages: int = 2) -> ExtractStack:
        made.append(ExtractStack(tmp_path, rungs or (RULES,), window_pages=window_pages))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_a_record_is_made_kept_and_told_of(stack: MakeDesk) -> None:
    here = stack(window_pages=1)
    document = await here.add(FIRST, "nothing here", LAST)
    done = await here.run(document, SCHEMA)
    schema, made = await here.jobs.extraction("t1", "job_1")
    assert made.record == {
        "number": "R-1",
        "total": 449.4,
        "lines": [{"item": "Tyre", "price": 318}, {"item": "Oil", "price": 131.4}],
    }
    assert (made.valid, done.valid, made.errors, schema["type"]) == (True, True, (), "object")
    assert made.degradation.level is Level.NONE
    job = await here.jobs.job("t1", "job_1")
    assert (job.status, job.pages_done, job.pages_total) == (JobStatus.COMPLETED, 3, 3)
    events = [(entry.event, entry.success) for entry in here.audit.entries]
    assert events == [("extract_received", None), ("extract_completed", True)]


async def test_progress_is_told_after_every_window(stack: MakeDesk) -> None:
    here = stack(window_pages=1)
    document = await here.add(FIRST, LAST)
    handler = ExtractWorkflow(here.services).run(
        start_event=ExtractRecord(document_id=document.id, record_schema=SCHEMA)
    )
    told = [e.pages_done async for e in handler.stream_events() if isinstance(e, Progress)]
    await handler
    assert told == [0, 1, 2]


async def test_an_invalid_record_is_kept_with_its_errors(stack: MakeDesk) -> None:
    made = await stack().extract(SCHEMA, "Total: 5")
    assert (made.valid, made.record["total"]) == (False, 5)
    assert made.errors == ("/: 'number' is a required property",)


def no_ledger() -> BudgetLedger:
    raise AssertionError("a free model needs no ledger")


async def test_a_model_that_is_away_leaves_the_window_to_the_rules_and_says_so(
    stack: MakeDesk,
) -> None:
    parrot = Parrot([{"findings": [finding("/number", "R-1", "Invoice No: R-1")]}, "away"])
    meter = Meter(CallKind.LLM, ledger=no_ledger, unknown=UnknownPrice.FREE)
    metered = MeteredGenerator(parrot, meter, clock=SystemClock())
    llm = Rung(method=ExtractionMethod.LLM, extractor=LLMExtractor(metered))
    made = await stack(llm, RULES, window_pages=1).extract(SCHEMA, FIRST, LAST)
    methods = {f.pointer: f.method for f in made.fields if f.value is not None}
    assert methods["/number"] is ExtractionMethod.LLM
    assert methods["/total"] is ExtractionMethod.RULES
    assert (made.degradation.level, made.degradation.reasons) == (
        Level.LOWER_PATH,
        ("llm_llm_down",),
    )
    assert made.usage.llm_calls == 1


async def test_a_rung_for_whole_documents_sees_all_pages_once(stack: MakeDesk) -> None:
    cloud = Spy(RulesExtractor(SystemClock()))
    whole = Rung(method=ExtractionMethod.CLOUD, extractor=cloud, window_pages=None)
    made = await stack(whole, RULES, window_pages=1).extract(SCHEMA, FIRST, LAST)
    assert cloud.seen == [[1, 2]]
    assert made.record["total"] == 449.4
    assert made.degradation.level is Level.NONE


async def test_a_cloud_that_is_away_is_replaced_window_by_window(stack: MakeDesk) -> None:
    def away(_: object) -> None:
        raise ExtractorUnavailable("away", reason="down")

    cloud = Spy(RulesExtractor(SystemClock()), before=away)
    whole = Rung(method=ExtractionMethod.CLOUD, extractor=cloud, window_pages=None)
    made = await stack(whole, RULES, window_pages=1).extract(SCHEMA, FIRST, LAST)
    assert made.record["number"] == "R-1"
    assert (made.degradation.level, made.degradation.reasons) == (
        Level.LOWER_PATH,
        ("cloud_down",),
    )


async def test_pages_that_nobody_could_read_are_marked(stack: MakeDesk) -> None:
    made = await stack().extract(SCHEMA, FIRST, "(scan)")
    assert made.degradation.reasons == ("pages_unreadable",)
    assert made.record["number"] == "R-1"


async def test_a_bad_schema_fails_the_job_with_its_code(stack: MakeDesk) -> None:
    here = stack()
    document = await here.add(FIRST)
    with pytest.raises(InvalidSchema):
        await here.run(document, {"type": "object", "properties": {"a": {"$ref": "#"}}})
    job = await here.jobs.job("t1", "job_1")
    assert (job.status, job.problem) == (JobStatus.FAILED, "invalid_schema")
    assert [entry.event for entry in here.audit.entries] == ["extract_received", "extract_failed"]


async def test_no_rung_left_fails_the_job_with_the_reason(stack: MakeDesk) -> None:
    here = stack(Rung(method=ExtractionMethod.LLM, extractor=LLMExtractor(Parrot(["away"]))))
    with pytest.raises(ExtractorUnavailable):
        await here.extract(SCHEMA, FIRST)
    assert (await here.jobs.job("t1", "job_1")).problem == "llm_llm_down"


async def test_a_run_that_is_repeated_adds_nothing_twice(stack: MakeDesk) -> None:
    crashes = iter([False, True, False, False, False, False])

    def crash(_: object) -> None:
        if next(crashes):
            raise KeyboardInterrupt

    spy = Spy(RulesExtractor(SystemClock()), before=crash)
    here = stack(Rung(method=ExtractionMethod.RULES, extractor=spy), window_pages=1)
    document = await here.add(FIRST, LAST)
    workflow = ExtractWorkflow(here.services)
    start = ExtractRecord(document_id=document.id, record_schema=SCHEMA, job_id="job_1")
    first = await workflow.begin(Quiet(), start)  # type: ignore[arg-type]
    again = await workflow.window(Quiet(), first)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):  # killed in the second window
        await workflow.window(Quiet(), again)  # type: ignore[arg-type]
    assert (await here.jobs.job("t1", "job_1")).status is JobStatus.RUNNING
    await workflow.window(Quiet(), first)  # type: ignore[arg-type]  # the first one, once more
    done = await here.run(document, SCHEMA)
    _, made = await here.jobs.extraction("t1", done.job_id)
    assert [line["item"] for line in made.record["lines"]] == ["Tyre", "Oil"]


class Quiet:
    """A context whose stream nobody reads."""

    def write_event_to_stream(self, event: object) -> None:
        """Forget it."""


async def test_a_cancelled_job_ends_at_its_next_step(stack: MakeDesk) -> None:
    here = stack(window_pages=1)
    document = await here.add(FIRST, LAST)
    workflow = ExtractWorkflow(here.services)
    start = ExtractRecord(document_id=document.id, record_schema=SCHEMA, job_id="job_1")
    due = await workflow.begin(Quiet(), start)  # type: ignore[arg-type]
    await JobReporter(here.services, OWNER.tenant, "job_1").cancelled()
    with pytest.raises(Conflict):
        await workflow.window(Quiet(), due)  # type: ignore[arg-type]
    assert (await here.jobs.job("t1", "job_1")).status is JobStatus.CANCELLED


async def test_only_the_stop_event_carries_text_of_a_page(stack: MakeDesk) -> None:
    here = stack(window_pages=1)
    document = await here.add("Invoice No: canary-1", LAST)
    handler = ExtractWorkflow(here.services).run(
        start_event=ExtractRecord(document_id=document.id, record_schema=SCHEMA)
    )
    told = [event async for event in handler.stream_events()]
    *before, last = [event.model_dump_json() for event in told]
    assert before
    assert not any("canary" in event for event in before)
    assert last == (await handler).model_dump_json()
    assert (await handler).record["number"] == "canary-1"


def test_the_start_event_takes_the_name_schema_and_survives_a_journal() -> None:
    start = ExtractRecord.model_validate({"document_id": "doc_1", "schema": SCHEMA})
    assert start.record_schema == SCHEMA
    kept = JsonSerializer().serialize(start)
    assert JsonSerializer().deserialize(kept).record_schema == SCHEMA


async def test_other_documents_of_the_collection_tell_the_order_of_dates(stack: MakeDesk) -> None:
    here = stack()
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"date": {"type": "string", "format": "date"}},
    }
    await serve(here.library, "Sent on 25/6/2026.", name="other.txt")
    await serve(here.library, "Sent on 6/25/2026.", name="elsewhere.txt", collection="american")
    made = await here.extract(schema, "Date: 5/6/2026")
    assert made.record == {"date": "2026-06-05"}
