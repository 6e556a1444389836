"""Which traces LangSmith gets, and that they arrive as whole trees with a root."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from tests.collector.backends import as_jaeger, as_langsmith
from tests.collector.processes import Collector, eventually
from tests.collector.program import program, trace_id
from tests.otlp_sink import OtlpSink, attributes_of

pytestmark = pytest.mark.real_servers


def sampling(
    run_collector: Callable[..., Collector],
    jaeger: OtlpSink,
    langsmith: OtlpSink,
    **env: str,
) -> Collector:
    return run_collector(
        **as_jaeger(jaeger),
        **as_langsmith(langsmith),
        **env,
    )


def test_errors_slow_and_degraded_traces_arrive_when_the_share_of_the_rest_is_nothing(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(
        run_collector,
        jaeger_stand_in,
        langsmith,
        LANGSMITH_SHARE_PERCENT="0",
        LANGSMITH_SLOW_MS="300",
    )
    with program(collector) as sender:
        for _ in range(5):
            sender.query({"foliotrace.degraded": False})
        wanted = {sender.query(error="refused"), sender.query({"foliotrace.degraded": True})}
        with sender.tracer.start_as_current_span("slow") as slow:
            time.sleep(0.35)
        wanted.add(trace_id(slow))
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    eventually(lambda: collector.figures(decided) == 8)
    eventually(lambda: len(langsmith.spans) == 7)
    assert {span.trace_id.hex() for span in langsmith.spans} == wanted
    assert len(jaeger_stand_in.spans) == 22


def test_a_degraded_answer_is_tagged_in_langsmith_alone(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(run_collector, jaeger_stand_in, langsmith)
    tags = "langsmith.span.tags"
    with program(collector) as sender:
        sender.query({"foliotrace.degraded": False})
        sender.query({"foliotrace.degraded": True})
        sender.query({"foliotrace.degraded": True, tags: "beta,degraded"})
    eventually(lambda: len(langsmith.spans) == len(jaeger_stand_in.spans) == 9)
    assert sorted(
        attributes_of(span)[tags] for span in langsmith.spans if tags in attributes_of(span)
    ) == ["beta,degraded", "degraded"]
    marked = [
        span for span in langsmith.spans if "langsmith.metadata.degraded" in attributes_of(span)
    ]
    assert len(marked) == 2
    assert not [
        span
        for span in jaeger_stand_in.spans
        for name in attributes_of(span)
        if "langsmith" in name
    ]


def test_a_share_keeps_whole_traces(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(run_collector, jaeger_stand_in, langsmith, LANGSMITH_SHARE_PERCENT="50")
    with program(collector) as sender:
        for _ in range(60):
            sender.query()
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    eventually(lambda: collector.figures(decided) == 60)
    kept = int(collector.figures(decided, sampled="true"))
    assert 10 <= kept <= 50
    eventually(lambda: len(langsmith.spans) == 3 * kept)
    assert len({span.trace_id for span in langsmith.spans}) == kept


def test_looking_up_a_job_is_no_run_in_langsmith_unless_it_failed(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(run_collector, jaeger_stand_in, langsmith)
    get = {"http.request.method": "GET"}
    with program(collector) as sender:
        server = partial(sender.tracer.start_as_current_span, kind=SpanKind.SERVER)
        for _ in range(5):
            with server("GET /v1/jobs/{id}", attributes=get):
                pass
        with server("GET /v1/failed", attributes=get) as failed:
            failed.set_status(Status(StatusCode.ERROR))
        with server("GET /v1/works", attributes=get), sender.tracer.start_as_current_span("work"):
            pass
        with server("POST /v1/one", attributes={"http.request.method": "POST"}):
            pass
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    eventually(lambda: collector.figures(decided) == 8)
    wanted = {"GET /v1/failed", "GET /v1/works", "work", "POST /v1/one"}
    eventually(lambda: {span.name for span in langsmith.spans} == wanted)
    assert len(jaeger_stand_in.spans) == 9


def test_a_late_span_follows_its_trace(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(run_collector, jaeger_stand_in, langsmith, LANGSMITH_SHARE_PERCENT="0")
    with program(collector) as sender:
        with sender.tracer.start_as_current_span("root") as root:
            late = sender.tracer.start_span("late")
            root.set_attribute("foliotrace.degraded", True)
        sender.flush()
        eventually(lambda: len(langsmith.spans) == 1)
        late.end()
    eventually(lambda: {span.name for span in langsmith.spans} == {"root", "late"})


def test_a_callers_own_traceparent_does_not_orphan_the_trace_in_langsmith(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = sampling(run_collector, jaeger_stand_in, langsmith)
    caller = SpanContext(
        0xABCDEF0123456789ABCDEF0123456789, 0xFEDCBA9876543210, True, TraceFlags(1)
    )
    with program(collector) as sender:
        sender.query(
            root={"foliotrace.entry": True}, context=set_span_in_context(NonRecordingSpan(caller))
        )
    eventually(lambda: len(langsmith.spans) == len(jaeger_stand_in.spans) == 3)
    parents = {span.name: span.parent_span_id.hex() for span in langsmith.spans}
    ids = {span.name: span.span_id.hex() for span in langsmith.spans}
    assert parents == {
        "POST /v1/query": "",
        "synthesize": ids["POST /v1/query"],
        "chat small": ids["synthesize"],
    }
    entry = next(s for s in jaeger_stand_in.spans if s.name == "POST /v1/query")
    assert entry.parent_span_id.hex() == f"{caller.span_id:016x}"
    assert {span.trace_id.hex() for span in langsmith.spans} == {f"{caller.trace_id:032x}"}
