"""A canary in any text that OpenTelemetry knows is redacted in whatever leaves the process."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState
from tests.otlp_sink import OtlpSink

from foliotrace_otel import configure, configure_logging, read_environment
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.metrics.registry import Metrics, prometheus_text
from foliotrace_server.logging import set_up_logging

CANARIES = [
    "canary@example.com",
    "4242 4242 4242 4242",
    "sk-proj-canary0123456789abcdef",
    "DE89370400440532013000",
    "password=canary0123",
    "203.0.113.77",
]
Place = Callable[[str], dict[str, Any]]


def context(state: TraceState | None = None) -> SpanContext:
    return SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)


def vendor_state(canary: str) -> TraceState:
    return TraceState([("acme", canary.replace(" ", "").replace("=", ":"))])


PLACES: dict[str, Place] = {
    "name": lambda c: {"name": f"call {c}"},
    "key": lambda c: {"attributes": {f"x {c}": "1"}},
    "value": lambda c: {"attributes": {"x": f"of {c}"}},
    "list": lambda c: {"attributes": {"x": ("a", c)}},
    "bytes": lambda c: {"attributes": {"x": c.encode()}},
    "nested": lambda c: {"attributes": {"x": {"y": [{c: "z"}, {"z": c}]}}},
    "event": lambda c: {"events": [Event(c, {}, 3)]},
    "event attribute": lambda c: {"events": [Event("e", {c: c}, 3)]},
    "link attribute": lambda c: {"links": [Link(context(), {c: c})]},
    "link state": lambda c: {"links": [Link(context(vendor_state(c)), {})]},
    "trace state": lambda c: {"context": context(vendor_state(c))},
    "parent's state": lambda c: {"parent": context(vendor_state(c))},
    "status": lambda c: {"status": Status(StatusCode.ERROR, f"failed for {c}")},
    "resource": lambda c: {"resource": Resource({"owner": c, c: "1"})},
    "resource schema": lambda c: {"resource": Resource({}, f"https://x.org/{c}")},
    "scope name": lambda c: {"instrumentation_scope": InstrumentationScope(c)},
    "scope version": lambda c: {"instrumentation_scope": InstrumentationScope("s", f"1 {c}")},
    "scope schema": lambda c: {"instrumentation_scope": InstrumentationScope("s", "1", f"u {c}")},
    "scope attribute": lambda c: {
        "instrumentation_scope": InstrumentationScope("s", attributes={c: c})
    },
}


def span_with(place: str, canary: str) -> ReadableSpan:
    usual: dict[str, Any] = {"name": "n", "context": context(), "resource": Resource({})}
    return ReadableSpan(**{**usual, "start_time": 1, "end_time": 2, **PLACES[place](canary)})


@given(st.lists(st.tuples(st.sampled_from(list(PLACES)), st.sampled_from(CANARIES)), min_size=1))
@settings(max_examples=60, deadline=None)
def test_no_field_of_a_span_carries_a_canary_in_either_encoder(planted: list[Any]) -> None:
    redactor = SpanRedactor(Redactor(b"k"), content=True)
    spans = [span_with(place, canary) for place, canary in planted]
    ours = SpanEncoder(redactor).request(spans)
    sdks = encode_spans([redactor.span(span) for span in spans]).SerializeToString()
    for place, canary in planted:
        for shown in (canary, canary.replace(" ", "").replace("=", ":")):
            assert shown.encode() not in ours, place
            assert shown.encode() not in sdks, place


def test_only_how_opentelemetry_sampled_is_left_of_trace_state() -> None:
    state = TraceState([("acme", "1"), ("ot", "th:c8;rv:0123456789abcd")])
    assert SpanRedactor(Redactor(b"k"), content=True).trace_state(state) == (
        "ot=th:c8;rv:0123456789abcd"
    )
    odd = TraceState([("ot", "th:c8;note:jane")])
    assert SpanRedactor(Redactor(b"k"), content=True).trace_state(odd) == ""


def test_a_provider_that_was_there_before_us_exports_redacted_spans() -> None:
    before, after = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(before))
    tracer = provider.get_tracer("program")  # handed out before we come
    off = read_environment({"OTEL_LOGS_EXPORTER": "none"})
    telemetry = configure(off, provider=provider, redaction_key=b"k")
    provider.add_span_processor(SimpleSpanProcessor(after))
    try:
        with tracer.start_as_current_span("mail canary@example.com") as span:
            span.set_attribute("gen_ai.input.messages", "what is private?")
            span.set_attribute("note", "sk-proj-canary0123456789abcdef")
    finally:
        telemetry.shutdown(1)
    for exporter in (before, after):
        (seen,) = exporter.get_finished_spans()
        assert "canary" not in seen.to_json()
        assert "private" not in seen.to_json()


def test_the_labels_of_metrics_are_redacted() -> None:
    metrics = Metrics(redact=Redactor(b"k").redact)
    for canary in CANARIES:
        metrics.count("llm_request_errors_total", 1, {"model": f"m {canary}"})
    scraped = prometheus_text(metrics)[0].decode()
    assert [canary for canary in CANARIES if canary in scraped] == []


def test_metrics_over_otlp_name_a_redacted_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.grpc_endpoint)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "owner=canary@example.com")
        telemetry = configure(namespace="foliotrace", set_global=False)
        telemetry.metrics.count(telemetry.metrics.own.handler_errors.name)
        assert telemetry.shutdown(10)
        assert sink.received
        assert b"canary" not in sink.raw()


def fail(question: str) -> None:
    passage = "the local canary"
    raise LookupError(f"not found: {question} {len(passage)}")


@contextmanager
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for quoting in ("opentelemetry.trace.span", "opentelemetry.baggage"):
            logging.getLogger(quoting).setLevel(logging.NOTSET)
        structlog.reset_defaults()


def logged_failures() -> None:
    for log in (structlog.get_logger("ours"), logging.getLogger("library")):
        try:
            fail("mail canary@example.com")
        except LookupError as error:
            log.exception("it failed")
            log.error("again", exc_info=error)


def test_the_packages_log_holds_no_locals_and_no_canary() -> None:
    stream = io.StringIO()
    with restored_logging():
        configure_logging(Redactor(b"k"), stream=stream)
        logged_failures()
    assert stream.getvalue().count("LookupError") >= 4
    assert "canary@" not in stream.getvalue()
    assert "local canary" not in stream.getvalue()


def test_the_services_log_names_the_error_and_holds_no_locals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with restored_logging():
        set_up_logging("info", "json")
        logged_failures()
    written = capsys.readouterr().err
    assert written.count('"error_type": "LookupError"') == 4
    assert "canary" not in written


@pytest.mark.parametrize("package", [True, False], ids=["the package", "the service"])
def test_no_log_quotes_a_header_that_the_sdk_refuses(
    capsys: pytest.CaptureFixture[str], package: bool
) -> None:
    with restored_logging():
        if package:
            configure_logging(Redactor(b"k"))
        else:
            set_up_logging("info", "json")
        TraceState.from_header(["no member but a canary"])
        TraceState([("UPPER CANARY", "a canary")])
        W3CBaggagePropagator().extract({"baggage": "a canary"})
        logging.getLogger("library").warning("still logged")
    written = capsys.readouterr().err
    assert "still logged" in written
    assert "canary" not in written.lower()


def test_a_text_on_which_a_rule_of_the_program_fails_does_not_leave() -> None:
    class Broken:
        kind = "X"

        def finds(self, text: str) -> Iterator[Any]:
            raise ValueError(text)

    assert Redactor(b"k", rules=[Broken()]).redact("some text") == "<REDACTION_FAILED>"
