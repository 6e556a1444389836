"""The standard OTEL_* variables do what OpenTelemetry says they do."""

import io
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry import environment_variables as of_the_api
from opentelemetry import propagate, trace
from opentelemetry.sdk import environment_variables as of_the_sdk
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.otlp_sink import OtlpSink

from foliotrace_otel import configure, read_environment
from foliotrace_otel.setup import environment, exporters
from foliotrace_otel.setup import provider as providers

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
    monkeypatch.setattr(providers, "entry_points", lambda **_: [offered])
    chosen = read_environment({"OTEL_TRACES_SAMPLER": "theirs", "OTEL_TRACES_EXPORTER": "none"})
    telemetry = configure(chosen, set_global=False)
    tracer = telemetry.provider.get_tracer("t")
    assert not tracer.start_span("x").is_recording()
    telemetry.shutdown(1)


def broken_sampler(_: str) -> Any:
    raise RuntimeError("no such service")


@pytest.mark.parametrize("offered", [broken_sampler, lambda _: "no sampler"])
def test_a_sampler_that_cannot_be_made_gives_way_to_the_default(
    offered: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Offered:
        name = "theirs"

        def load(self) -> Any:
            return offered

    monkeypatch.setattr(environment, "entry_points", lambda **_: [Offered()])
    monkeypatch.setattr(providers, "entry_points", lambda **_: [Offered()])
    chosen = read_environment({"OTEL_TRACES_SAMPLER": "theirs", "OTEL_TRACES_EXPORTER": "none"})
    telemetry = configure(chosen, set_global=False)
    assert telemetry.provider.get_tracer("t").start_span("x").is_recording()
    assert "OTEL_TRACES_SAMPLER is 'theirs' and is ignored" in caplog.text
    telemetry.shutdown(1)


UNUSABLE = [
    ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ("OTEL_TRACES_SAMPLER_ARG", "-0.1"),
    ("OTEL_TRACES_SAMPLER_ARG", "nan"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
    ("OTEL_BSP_SCHEDULE_DELAY", "1e400"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "smoke"),
    ("OTEL_TRACES_EXPORTER", "otlp,zipkin"),
    ("OTEL_METRICS_EXPORTER", "prometheus"),
    ("OTEL_LOGS_EXPORTER", "1"),
    ("OTEL_SDK_DISABLED", "1"),
    ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "perhaps"),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "1.5"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "-1"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "nan"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "-3"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "deflate"),
    ("OTEL_PYTHON_TRACER_PROVIDER", "theirs"),
    ("OTEL_PYTHON_METER_PROVIDER", "theirs"),
]


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_a_value_that_cannot_be_used_is_ignored_with_a_warning(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.grpc_endpoint)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        monkeypatch.setenv(name, value)
        telemetry = configure(set_global=False)
        work("x")
        assert telemetry.shutdown(10)
        assert [span.name for span in sink.spans] == ["work"]
    warnings = [each.getMessage() for each in caplog.records]
    said = f"telemetry.variable_ignored: {name} is {value!r} and is ignored; use "
    assert any(each.startswith(said) for each in warnings)


STANDARD = sorted(
    value
    for module in (of_the_api, of_the_sdk)
    for name, value in vars(module).items()
    if name.startswith("OTEL_")
)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("value", ["", "garbage", "-1", "9" * 30])
def test_no_value_of_a_standard_variable_stops_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "ENDPOINT" not in name:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda provider: None)
    telemetry = configure()
    work("x")
    telemetry.shutdown(0.01)
    assert telemetry.span_handler.tree.faults == 0


def test_names_of_values_are_read_in_any_case() -> None:
    chosen = read_environment({"OTEL_TRACES_SAMPLER": "Always_Off", "OTEL_SDK_DISABLED": "TRUE"})
    assert (chosen.sampler, chosen.disabled, chosen.ignored) == ("always_off", True, ())


def test_a_short_length_limit_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10")
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.grpc_endpoint)
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        telemetry = configure(set_global=False)
        work("a long text")
        assert telemetry.shutdown(10)
        values = [each.value.string_value for each in sink.spans[0].attributes]
    assert max(map(len, values)) <= 10
