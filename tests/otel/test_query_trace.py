"""The trace of a real question: few spans that a person wants to read, small, without content."""

from contextlib import suppress
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from tests.lazy_sdk import lazy, lazy_call
from tests.otel.recorded_spans import RecordedSpans, recording
from tests.query import query_stack
from tests.query.test_query_pipeline import HANDBOOK

from foliotrace.errors import InvalidQuery
from foliotrace.model import RetrievalMode
from foliotrace.query.services import RetrievalPath
from foliotrace.query.workflow import AskQuestion, QueryWorkflow
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.export.trace_ascii import draw_trace

LlamaIndexGenerator = lazy_call("foliotrace.adapters.llamaindex.generator:LlamaIndexGenerator")

programs = lazy("tests.otel.llamaindex_programs")
pytestmark = pytest.mark.anyio


def encoded(seen: RecordedSpans) -> bytes:
    return SpanEncoder(SpanRedactor(Redactor(b"k"), content=False)).request(seen.spans)


async def test_a_question_is_few_spans_in_three_kilobytes_with_nothing_of_what_was_asked(
    tmp_path: Path,
) -> None:
    async with query_stack.open_query_stack(tmp_path) as stack:
        await stack.serve(*HANDBOOK, name="handbook.txt")
        stack.use(generators=(LlamaIndexGenerator(programs.Tiny(), clock=stack.clock),))
        with recording() as seen:
            await stack.ask("When are refunds paid to xylophone@example.org?")
    raw = encoded(seen)
    print(draw_trace(seen.spans))
    print(len(seen.spans), len(raw))
    ExportTraceServiceRequest.FromString(raw)
    assert 6 <= len(seen.spans) <= 10
    assert len(raw) <= 3_000
    assert len({span.context.trace_id for span in seen.spans}) == 1
    assert not seen.orphans()
    for content in (b"refunds", b"xylophone", b"handbook", b"canary", b"30 days"):
        assert content not in raw
    run = seen.one("invoke_workflow QueryWorkflow")
    assert run.parent is None
    assert seen.parent_name(seen.one("retrieve")) == run.name


async def test_a_degraded_answer_says_so_on_its_run_and_where_the_path_failed(
    tmp_path: Path,
) -> None:
    async with query_stack.open_query_stack(tmp_path) as stack:
        await stack.serve(*HANDBOOK)
        stack.use_paths(
            RetrievalPath(RetrievalMode.MANAGED, query_stack.Down("managed_timeout")),
            stack.keyword(),
        )
        with recording() as seen:
            await stack.ask("When are refunds paid?")
    run = seen.one("invoke_workflow QueryWorkflow")
    assert run.attributes["foliotrace.degraded"] is True
    assert run.attributes["foliotrace.degradation.level"] == 2
    assert run.attributes["foliotrace.degradation.reasons"] == "managed_timeout"
    (failed,) = seen.one("retrieve").events
    assert failed.name == "foliotrace.retrieval_path_failed"
    assert failed.attributes["foliotrace.retrieval.failed_path"] == "managed"
    degraded = {"level": "2", "reason": "managed_timeout"}
    counted = seen.metrics.registry.get_sample_value("foliotrace_degraded_answers_total", degraded)
    assert counted == 1


@pytest.mark.parametrize("query", ["When are refunds paid?", ""])
async def test_an_answer_without_the_engine_leaves_the_engines_own_trace(
    tmp_path: Path, query: str
) -> None:
    async with query_stack.open_query_stack(tmp_path) as stack:
        await stack.serve(*HANDBOOK)
        workflow = QueryWorkflow(stack.services)
        trees = []
        for asked in (workflow.answer_directly, lambda ev: workflow.run(start_event=ev)):
            with recording(detail="all") as seen, suppress(InvalidQuery):
                await asked(AskQuestion(query=query))
            trees.append([_told(span, seen) for span in seen.spans])
    assert trees[0] == trees[1]
    assert [name for name, *_ in trees[0]][:3] == [
        "invoke_workflow QueryWorkflow",
        "step answer",
        "validate",
    ]


def _told(span: ReadableSpan, seen: RecordedSpans) -> tuple[object, ...]:
    """A span as it is told, but for what each run draws anew."""
    drawn = ("foliotrace.run_id", "llamaindex.run_id")
    said = {key: "drawn" if key in drawn else it for key, it in (span.attributes or {}).items()}
    events = [event.name for event in span.events]
    return span.name, seen.parent_name(span), span.status.status_code, said, events
