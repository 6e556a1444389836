"""The standard OTEL_* variables do what OpenTelemetry says they do."""

import io
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.otlp_sink import OtlpSink

from foliotrace_otel import TelemetrySettingInvalid, configure, read_environment
from foliotrace_otel.setup import configure as setup
from foliotrace_otel.setup import environment, exporters

dispatcher = get_dispatcher(__name__)


@dispatcher.span
def work(text: str) -> str:
    return text


def test_two_trace_exporters_are_used_beside_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = io.StringIO()
    monkeypatch.setattr(exporters, "ConsoleSpanExporter", lambda: ConsoleSpanExporter(out=console))
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console, otlp")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.grpc_endpoint)
        telemetry = configure(set_global=False)
        work("x")
        assert telemetry.shutdown(5)
        assert [span.name for span in sink.spans] == ["work"]
    assert '"name": "work"' in console.getvalue()


def test_the_metrics_protocol_may_be_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.http_endpoint)
        telemetry = configure(set_global=False)
        telemetry.metrics.count(telemetry.metrics.own.handler_errors.name)
        assert telemetry.shutdown(10)
        assert {received.path for received in sink.received} == {"/v1/metrics"}


@pytest.mark.parametrize(
    ("name", "value", "most", "longest"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1", 1, 4096),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3", 128, 3),
    ],
)
def test_span_limits_hold_for_our_spans(
    name: str, value: str, most: int, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    seen, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    telemetry = configure(
        read_environment({"OTEL_LOGS_EXPORTER": "none", "FOLIOTRACE_SPAN_DETAIL": "all"}),
        provider=provider,
    )
    work("x")
    telemetry.shutdown(1)
    (span,) = seen.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert len(attributes) <= most
    assert max(len(str(v)) for v in [*attributes.values(), ""] if isinstance(v, str)) <= longest


def test_the_programs_propagators_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    before = propagate.get_global_textmap()
    telemetry = configure(read_environment({"OTEL_TRACES_EXPORTER": "none"}), set_global=False)
    telemetry.shutdown(1)
    assert propagate.get_global_textmap() is before
    assert propagate.propagator is not None


def always_off(_: str) -> Any:
    return ALWAYS_OFF


def test_a_sampler_of_another_package_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = EntryPoint("theirs", f"{__name__}:always_off", environment.SAMPLER_GROUP)
    monkeypatch.setattr(environment, "entry_points", lambda **_: [offered])
    monkeypatch.setattr(setup, "entry_points", lambda **_: [offered])
    chosen = read_environment({"OTEL_TRACES_SAMPLER": "theirs", "OTEL_TRACES_EXPORTER": "none"})
    telemetry = configure(chosen, set_global=False)
    tracer = telemetry.provider.get_tracer("t")
    assert not tracer.start_span("x").is_recording()
    telemetry.shutdown(1)
    with pytest.raises(TelemetrySettingInvalid, match="jaeger_remote"):
        read_environment({"OTEL_TRACES_SAMPLER": "jaeger_remote"})
