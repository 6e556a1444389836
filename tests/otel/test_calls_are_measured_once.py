"""Durations and tokens are the same whatever is sampled and shown, and each call counts once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import RecordedSpans, recording
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace import events
from foliotrace_otel import separate_trace

pytestmark = pytest.mark.anyio
dispatcher = get_dispatcher(__name__)
programs = lazy("tests.otel.llamaindex_programs")
WAYS: dict[str, Any] = {
    "sampled": {},
    "all detail": {"detail": "all"},
    "unsampled": {"sampler": ParentBased(ALWAYS_OFF)},
    "unsampled, all detail": {"sampler": ParentBased(ALWAYS_OFF), "detail": "all"},
}


class Turn(Sampler):
    """Leaves the first trace out and takes every second one after it."""

    def __init__(self) -> None:
        self._asked = 0

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        self._asked += 1
        taken = self._asked % 2 == 0
        return SamplingResult(Decision.RECORD_AND_SAMPLE if taken else Decision.DROP)

    def get_description(self) -> str:
        return "Turn"


class Endless(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        await asyncio.sleep(3600)
        return StopEvent()


def value(seen: RecordedSpans, name: str, **labels: str) -> float:
    """The sum of the samples of `name` that carry `labels`."""
    return sum(
        sample.value
        for family in seen.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@contextmanager
def an_unsampled_request() -> Iterator[None]:
    """The current span is one that a head sampler left out."""
    context = trace.SpanContext(7, 7, is_remote=False, trace_flags=trace.TraceFlags(0))
    outside = trace.set_span_in_context(trace.NonRecordingSpan(context))
    token = otel_context.attach(outside)
    try:
        yield
    finally:
        otel_context.detach(token)


@pytest.mark.parametrize("way", WAYS)
def test_a_completion_that_is_a_chat_is_one_model_call(way: str) -> None:
    with recording(**WAYS[way]) as seen:
        programs.Chatty().complete("x")
        if way.startswith("unsampled"):
            with an_unsampled_request():
                programs.Chatty().complete("x")
        else:
            programs.Chatty().complete("x")
        with pytest.raises(TimeoutError):
            programs.Chatty(fails=True).complete("x")
    assert value(seen, "llm_request_latency_seconds_count", model="tiny") == 3
    assert value(seen, "llm_request_errors_total", model="tiny") == 1
    assert value(seen, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 24
    assert not seen.tree.open


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_run_is_counted_as_cancelled(way: str) -> None:
    with recording(**WAYS[way]) as seen:
        running = Endless(timeout=None).run()
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while not seen.tree.open:
                await asyncio.sleep(0.001)
            await running.cancel_run()
            await asyncio.gather(running, return_exceptions=True)
    assert value(seen, "foliotrace_requests_total") == 1
    assert value(seen, "foliotrace_requests_total", outcome="cancelled") == 1


async def test_below_an_unsampled_request_nothing_is_shown_and_nothing_stays_open() -> None:
    @dispatcher.span
    async def plumbing(depth: int) -> None:
        if depth:
            with events.stage("inner"):
                below = (plumbing(depth - 1), plumbing(depth - 1))
                await asyncio.gather(*below, return_exceptions=True)
        raise LookupError

    async def failing() -> None:
        with pytest.raises(LookupError):
            await plumbing(3)

    with recording(sampler=ParentBased(ALWAYS_OFF)) as seen, an_unsampled_request():
        await asyncio.gather(*(failing() for _ in range(20)))
    assert value(seen, "foliotrace_stage_duration_seconds_count", stage="inner") == 20 * 7
    assert not seen.spans
    assert not seen.tree.open
    assert seen.tree.faults == 0


def test_a_separate_trace_below_an_unsampled_call_is_sampled_for_itself() -> None:
    with recording(sampler=ParentBased(Turn())) as seen, events.stage("batch"):
        for _ in range(4):
            with separate_trace(), events.stage("document"), events.stage("parse"):
                pass
    assert [span.name for span in seen.spans] == ["document", "parse"] * 2
    assert {seen.parent_name(span) for span in seen.named("parse")} == {"document"}
    assert value(seen, "foliotrace_stage_duration_seconds_count", stage="parse") == 4
    assert not seen.orphans()
    assert not seen.tree.open
