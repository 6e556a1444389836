"""Trace context across tasks, processes and resumes; separate traces that stay linked; baggage."""

import asyncio
import json
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index_instrumentation import get_dispatcher
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import recording
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace import events
from foliotrace_otel.spans.carried_context import parse_traceparent, separate_trace, traceparent

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


class One(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        with events.stage("retrieve"):
            return StopEvent(result=1)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_traceparent_is_read_back(trace_id: int, span_id: int, sampled: bool) -> None:
    flags = TraceFlags(int(sampled))
    given_context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    assert parse_traceparent(traceparent(given_context)) == given_context


@given(st.text(max_size=60))
def test_anything_else_is_no_traceparent(text: str) -> None:
    assert parse_traceparent(text) is None


async def test_a_run_nests_locally_under_the_span_that_started_it() -> None:
    with (
        recording() as recorded,
        recorded.provider.get_tracer("http").start_as_current_span("POST"),
    ):
        await One().run()
    run = recorded.one("invoke_workflow One")
    assert recorded.parent_name(run) == "POST"
    assert run.parent is not None
    assert not run.parent.is_remote
    assert "foliotrace.entry" not in (run.attributes or {})


async def test_a_remote_caller_is_the_parent_and_allowed_baggage_is_told() -> None:
    remote = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    ctx = trace.set_span_in_context(NonRecordingSpan(remote), context.Context())
    ctx = baggage.set_baggage("user.id", "u-1", ctx)
    ctx = baggage.set_baggage("anything.else", "secret", ctx)
    with recording() as recorded:
        token = context.attach(ctx)
        await One().run()
        context.detach(token)
    run = recorded.one("invoke_workflow One")
    assert run.context.trace_id == 7
    assert (run.attributes or {})["foliotrace.entry"] is True
    assert (run.attributes or {})["user.id"] == "u-1"
    assert "secret" not in run.to_json()


RESUME = """
import json, sys
from llama_index.core.llms import MockLLM
from llama_index_instrumentation import get_dispatcher
from tests.otel.recorded_spans import recording
from foliotrace import events
with recording() as recorded:
    get_dispatcher().restore_propagation_context(json.load(sys.stdin))
    with events.stage("index"):
        pass
span = recorded.one("index")
ids = {"trace": span.context.trace_id, "parent": span.parent.span_id}
print(json.dumps({**ids, "told": dict(span.attributes)}))
"""


def test_a_run_resumed_in_another_process_goes_on_in_its_trace() -> None:
    with recording() as recorded:
        token = context.attach(baggage.set_baggage("session.id", "s-9"))
        with recorded.provider.get_tracer("http").start_as_current_span("POST") as span:
            captured = json.dumps(get_dispatcher().capture_propagation_context())
        context.detach(token)
    done = subprocess.run(
        [sys.executable, "-c", RESUME],
        input=captured,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/instrumentation:{ROOT}/workflows"},
        timeout=60,
    )
    resumed = json.loads(done.stdout)
    assert resumed["trace"] == span.get_span_context().trace_id
    assert resumed["parent"] == span.get_span_context().span_id
    assert resumed["told"]["session.id"] == "s-9"


@pytest.mark.parametrize(
    "carrier",
    [
        {},
        {"foliotrace_otel": None},
        {"foliotrace_otel": {"traceparent": "x"}},
        {"foliotrace_otel": []},
    ],
)
def test_a_broken_carrier_starts_a_new_trace(carrier: dict[str, object]) -> None:
    def resume() -> None:
        get_dispatcher().restore_propagation_context(carrier)
        with events.stage("index"):
            pass

    with recording() as recorded:
        context_copy = copy_context()
        context_copy.run(resume)
    assert recorded.one("index").parent is None
    assert recorded.tree.faults == 0


async def test_a_batch_is_one_linked_trace_for_each_document() -> None:
    with recording() as recorded:
        tracer = recorded.provider.get_tracer("http")
        with tracer.start_as_current_span("POST /v1/documents") as batch:
            for _ in range(3):
                with separate_trace():
                    await One().run()
    runs = recorded.named("invoke_workflow One")
    assert len({run.context.trace_id for run in runs} | {batch.get_span_context().trace_id}) == 4
    assert all(run.parent is None for run in runs)
    assert {run.links[0].context.span_id for run in runs} == {batch.get_span_context().span_id}


async def test_concurrent_requests_never_share_a_trace() -> None:
    async def request(watch_tracer: trace.Tracer) -> int:
        with watch_tracer.start_as_current_span("POST") as span:
            await One().run()
            return span.get_span_context().trace_id

    with recording() as recorded:
        tracer = recorded.provider.get_tracer("http")
        ids = await asyncio.gather(*(request(tracer) for _ in range(50)))
    assert len(set(ids)) == 50
    for trace_id in ids:
        names = {s.name for s in recorded.spans if s.context.trace_id == trace_id}
        assert names == {"POST", "invoke_workflow One", "retrieve"}


def test_a_suppressed_region_makes_no_spans_and_no_measurements() -> None:
    llm = lazy("llama_index.core.llms").MockLLM()
    with recording() as recorded:
        token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            llm.complete("unseen")
            list(llm.stream_complete("unseen"))
        finally:
            context.detach(token)
        assert recorded.spans == []
        assert recorded.tree.open == {}
        counted = {
            sample.name
            for family in recorded.metrics.registry.collect()
            for sample in family.samples
            if sample.name.startswith("gen_ai_client_operation_duration")
        }
        assert counted == set()
        llm.complete("seen")
        assert [span.name for span in recorded.spans] == ["chat MockLLM"]
        assert recorded.tree.faults == 0
