"""A fast child span is the SDK's span to all who see it; where it cannot be, it is not used."""

import json
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from tests.otel.recorded_spans import recording

from foliotrace import events
from foliotrace_otel import separate_trace
from foliotrace_otel.sdk_internals.fast_span import (
    FastSpan,
    fast_tracer,
    start_fast_child,
    start_fast_root,
)

dispatcher = get_dispatcher(__name__)


class Seen:
    """A span processor that keeps what it is given."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append(span)

    def _on_ending(self, span: Any) -> None: ...

    def on_end(self, span: Any) -> None:
        self.ended.append(span)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def both_ways(provider: TracerProvider, seen: Seen) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same child made fast and made by the SDK, as JSON without what must differ."""
    tracer = provider.get_tracer("t", "1")
    root = tracer.start_span("root")
    context = trace.set_span_in_context(root)
    fast = fast_tracer(tracer)
    assert fast is not None
    fast = start_fast_child(
        fast, "child", trace.SpanKind.CLIENT, root.get_span_context(), {"a": 1}, context
    )
    slow = tracer.start_span("child", context, trace.SpanKind.CLIENT, {"a": 1})
    for span in (fast, slow):
        assert span.is_recording()
        span.set_attribute("text", "x" * 100)
        span.set_attributes({"list": ["a", "b"], "bad": object()})  # type: ignore[dict-item]
        span.add_event("happened", {"n": 1}, timestamp=5)
        span.add_link(SpanContext(1, 2, is_remote=True))
        span.update_name("renamed")
        span.set_status(Status(StatusCode.ERROR, "why"))
        span.end()
        span.end()
        span.set_attribute("late", 1)
        assert not span.is_recording()
    as_json = [json.loads(span.to_json()) for span in seen.ended]
    for one in as_json:
        one["context"].pop("span_id")
        one.pop("start_time")
        one.pop("end_time")
    return as_json[0], as_json[1]


def test_a_lean_span_tells_what_the_sdks_span_tells(caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    provider = TracerProvider()
    provider.add_span_processor(seen)  # type: ignore[arg-type]
    fast, slow = both_ways(provider, seen)
    assert fast == slow
    assert [type(span).__name__ for span in seen.started] == ["_Span", "FastSpan", "_Span"]


def test_where_attributes_are_limited_spans_are_the_sdks() -> None:
    for limits in (SpanLimits(max_span_attribute_length=10), SpanLimits(max_span_attributes=3)):
        assert fast_tracer(TracerProvider(span_limits=limits).get_tracer("t")) is None


def test_sampled_spans_are_lean_and_a_linked_root_is_the_sdks() -> None:
    with recording() as recorded:
        with events.stage("outer"), events.stage("inner"):
            assert isinstance(trace.get_current_span(), FastSpan)
        batch = recorded.provider.get_tracer("x").start_as_current_span("batch")
        with batch, separate_trace(), events.stage("linked"):
            assert not isinstance(trace.get_current_span(), FastSpan)
    assert recorded.one("linked").links


def test_a_lean_root_follows_the_sampler_and_the_callers_flag() -> None:
    share = ParentBased(TraceIdRatioBased(0.25))
    tracer = fast_tracer(TracerProvider(sampler=share).get_tracer("t"))
    assert tracer is not None

    def sampled(context: Context) -> bool:
        span = start_fast_root(tracer, "r", trace.SpanKind.INTERNAL, {}, context)
        flags = span.get_span_context().trace_flags
        assert span.is_recording() is flags.sampled
        ordinary = tracer.start_span("r", Context()).get_span_context().trace_flags
        assert flags.random_trace_id is ordinary.random_trace_id
        return span.is_recording()

    assert 150 < sum(sampled(Context()) for _ in range(1000)) < 350
    for flag in (True, False):
        caller = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(int(flag)))
        under = trace.set_span_in_context(NonRecordingSpan(caller), Context())
        random = caller.trace_flags.random_trace_id
        span = start_fast_root(tracer, "r", trace.SpanKind.INTERNAL, {}, under)
        assert span.is_recording() is flag
        assert span.get_span_context().trace_id == 5
        assert span.get_span_context().trace_flags.random_trace_id is random


@pytest.mark.parametrize(
    "sampler",
    [ALWAYS_ON, ALWAYS_OFF, ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF)],
)
def test_another_sampler_is_asked_for_every_span(sampler: Any) -> None:
    assert fast_tracer(TracerProvider(sampler=sampler).get_tracer("t")) is None
    with recording(sampler=sampler) as recorded, events.stage("outer"), events.stage("inner"):
        assert not isinstance(trace.get_current_span(), FastSpan)
    assert recorded.tree.faults == 0


def test_a_tracer_that_is_not_the_sdks_is_served_too() -> None:
    assert fast_tracer(trace.NoOpTracer()) is None
