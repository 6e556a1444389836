"""Our encoder says what the SDK's says, redacted; the private seams of the SDK are still there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.sdk_internals.fast_span import start_fast_child

PLAIN = st.text(st.characters(categories=["Ll", "Zs", "So"]), max_size=20)
ATTRIBUTES = st.dictionaries(
    PLAIN.filter(bool),
    st.one_of(
        PLAIN,
        st.booleans(),
        st.integers(-(10**11), 10**11),
        st.floats(allow_nan=False),
        st.lists(PLAIN, max_size=4).map(tuple),
        st.lists(st.floats(allow_nan=False), max_size=4).map(tuple),
    ),
    max_size=6,
)


def contexts(*states: TraceState) -> st.SearchStrategy[SpanContext]:
    return st.builds(
        SpanContext,
        trace_id=st.integers(1, 2**128 - 1),
        span_id=st.integers(1, 2**64 - 1),
        is_remote=st.booleans(),
        trace_flags=st.just(TraceFlags(1)),
        trace_state=st.sampled_from(states),
    )


STATE = TraceState([("ot", "th:c8;rv:0123")])
CONTEXTS = contexts(TraceState(), STATE)
LINKED = contexts(TraceState())  # the SDK's encoder forgets a link's trace state; ours does not
TIMES = st.integers(0, 2**63 - 1)
RESOURCE = Resource({"service.name": "tests"})
SCOPES = [
    InstrumentationScope("a", "1"),
    InstrumentationScope("b", schema_url="https://example.org/s"),
]
SPANS = st.builds(
    ReadableSpan,
    name=PLAIN,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.just(RESOURCE),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, PLAIN, ATTRIBUTES, TIMES), max_size=3),
    links=st.lists(st.builds(Link, LINKED, ATTRIBUTES), max_size=3),
    kind=st.sampled_from(list(SpanKind)),
    status=st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "it broke")]),
    start_time=TIMES,
    end_time=TIMES,
    instrumentation_scope=st.sampled_from(SCOPES),
)


def encoder(*, content: bool = True) -> SpanEncoder:
    return SpanEncoder(SpanRedactor(Redactor(b"k"), content=content))


@settings(max_examples=60, deadline=None)
@given(st.lists(SPANS, max_size=5))
def test_the_bytes_say_what_the_sdks_encoder_says(spans: list[ReadableSpan]) -> None:
    ours = ExportTraceServiceRequest.FromString(encoder().request(spans))
    assert ours == encode_spans(spans)


@settings(max_examples=60, deadline=None)
@given(ATTRIBUTES, CONTEXTS, PLAIN, st.sampled_from(list(SpanKind)), st.booleans())
def test_the_bytes_of_a_fast_span_say_what_the_sdks_encoder_says(
    attributes: dict[str, Any], parent: SpanContext, name: str, kind: SpanKind, failed: bool
) -> None:
    tracer = TracerProvider(resource=RESOURCE, shutdown_on_exit=False).get_tracer("t", "1")
    assert isinstance(tracer, Tracer)
    span = start_fast_child(tracer, name, kind, parent, {**attributes}, Context())
    if failed:
        span.set_status(Status(StatusCode.ERROR, "it broke"))
        span.add_event("retried", {"wait_s": 1.5})
    span.end()
    ours = ExportTraceServiceRequest.FromString(encoder().request([span]))
    assert ours == encode_spans([span])


def encoded(**options: Any) -> Any:
    context = SpanContext(1, 2, is_remote=False)
    span = ReadableSpan(context=context, resource=RESOURCE, start_time=1, end_time=2, **options)
    content = options["name"] == "content"
    message = ExportTraceServiceRequest.FromString(encoder(content=content).request([span]))
    return message.resource_spans[0].scope_spans[0].spans[0]


def test_a_link_keeps_how_it_was_sampled() -> None:
    link = Link(SpanContext(3, 4, is_remote=True, trace_state=STATE), {})
    assert encoded(name="plain", links=[link]).links[0].trace_state == "ot=th:c8;rv:0123"


def test_content_of_any_instrumentation_is_left_out_unless_capture_is_on() -> None:
    attributes = {
        "gen_ai.input.messages": "[]",
        "llm.prompts.0": "x",
        "gen_ai.usage.input_tokens": 3,
    }
    assert [a.key for a in encoded(name="plain", attributes=attributes).attributes] == [
        "gen_ai.usage.input_tokens"
    ]
    assert len(encoded(name="content", attributes=attributes).attributes) == 3


def test_personal_data_goes_from_every_part_of_a_span() -> None:
    planted = "jane@example.org"
    span = encoded(
        name=f"GET {planted}",
        attributes={
            planted: 1,
            "a": planted,
            "b": (planted, "x"),
            "c": {"d": planted},
            "password": "hunter2",
            "card": 4111111111111111,
        },
        events=[Event(planted, {"exception.message": planted}, 1)],
        links=[Link(SpanContext(3, 4, is_remote=True), {"to": planted})],
        status=Status(StatusCode.ERROR, f"no {planted}"),
    )
    raw = span.SerializeToString()
    assert planted.encode() not in raw
    assert b"hunter2" not in raw
    assert b"4111111111111111" not in raw
    assert raw.count(b"<EMAIL:") == 9


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("mail jane@example.org", {}),
        ("ask", {"to": "jane@example.org"}),
        ("ask", {"jane@example.org": 1}),
        ("ask", {"card": 4111111111111111}),
        ("ask", {"password": "hunter2"}),
        ("ask", {"gen_ai.input.messages": "[]"}),
        ("ask", {"to": ("jane@example.org",)}),
    ],
)
def test_only_a_fast_span_without_a_find_goes_on_as_it_is(
    name: str, attributes: dict[str, Any]
) -> None:
    tracer = TracerProvider(resource=RESOURCE, shutdown_on_exit=False).get_tracer("t", "1")
    assert isinstance(tracer, Tracer)
    parent = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    redactor = SpanRedactor(Redactor(b"k"), content=False)

    def ended(name: str, attributes: dict[str, Any]) -> ReadableSpan:
        span = start_fast_child(tracer, name, SpanKind.CLIENT, parent, attributes, Context())
        span.end()
        return span

    for _ in range(2):  # the second time from what is remembered
        clean = ended("ask", {"run": "run_0e4d4ac5507b431baadd3daf8b549f76", "score": 0.5, "n": 3})
        assert redactor.span(clean) is clean
        planted = ended(name, {**attributes, "ok": True})
        copy = redactor.span(planted)
        assert copy is not planted
        exported = ReadableSpan.to_json(copy)
        for text in ("jane@example.org", "4111111111111111", "hunter2", "gen_ai.input"):
            assert text not in exported
