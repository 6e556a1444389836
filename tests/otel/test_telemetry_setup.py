"""One call sets tracing up; what reaches a real OTLP server; what happens when nobody listens."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import grpc
import pytest
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode
from tests.otlp_sink import Failure, OtlpSink, attributes_of

from foliotrace import events
from foliotrace_otel import configure, read_environment
from foliotrace_otel.setup.configure import Telemetry

ROOT = Path(__file__).parents[2]
PLANTED = (
    "jane.doe@example.org",
    "4111 1111 1111 1111",
    "536-22-1234",
    "DE89370400440532013000",
    "llx-AbCdEfGhIjKlMnOpQrSt",
    "+1 (415) 555-2671",
)
dispatcher = get_dispatcher(__name__)


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running


def for_sink(sink: OtlpSink, protocol: str, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_endpoint
        if protocol == "grpc"
        else sink.http_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        **more,
    }


def start(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Telemetry:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return configure(redaction_key=b"k", namespace="foliotrace", set_global=False)


class Noted(BaseEvent):
    span_attributes: ClassVar[dict[str, str]] = {"note": "foliotrace.note", "api_key": "api_key"}
    note: str
    api_key: str


@dispatcher.span
def answer(question: str) -> str:
    with events.stage("retrieve"):
        get_dispatcher().event(Noted(note=question, api_key="hunter2"))
    raise LookupError(question)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_spans_arrive_whole_and_without_what_was_planted(
    sink: OtlpSink, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_SERVICE_NAME": "shop"}
    telemetry = start(monkeypatch, for_sink(sink, protocol, **compressed))
    for planted in PLANTED:
        with pytest.raises(LookupError):
            answer(f"who is {planted}?")
    assert telemetry.flush(5)
    assert sink.wait_for_spans(2 * len(PLANTED))
    assert telemetry.shutdown(5)
    raw = sink.raw()
    for planted in (*PLANTED, "hunter2"):
        assert planted.encode() not in raw
    assert b"<EMAIL:" in raw
    assert b"<CARD:" in raw
    resource = sink.received[0].message.resource_spans[0].resource
    assert attributes_of(resource)["service.name"] == "shop"
    failed = [span for span in sink.spans if span.name == "answer"]
    assert {span.status.code for span in failed} == {StatusCode.ERROR.value}
    exported = telemetry.metrics.registry.get_sample_value(
        "foliotrace_telemetry_spans_exported_total"
    )
    assert exported == 2 * len(PLANTED)


def test_langsmith_variables_send_there_with_key_and_project(
    sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpSink(http_path_prefix="/otel") as langsmith:
        base = langsmith.http_endpoint.removesuffix("/otel")
        env = {
            "LANGCHAIN_TRACING_V2": "true",
            "LANGCHAIN_API_KEY": "lsv2_pt_test",
            "LANGSMITH_PROJECT": "papers",
            "LANGSMITH_ENDPOINT": base,
        }
        telemetry = start(monkeypatch, env)
        with events.stage("retrieve"):
            pass
        assert telemetry.shutdown(10)
        (received,) = langsmith.received
        assert received.path == "/otel/v1/traces"
        assert received.headers["x-api-key"] == "lsv2_pt_test"
        assert received.headers["langsmith-project"] == "papers"
        assert "lsv2_pt_test" not in repr(telemetry)
    telemetry = start(monkeypatch, for_sink(sink, "grpc"))
    with events.stage("retrieve"):
        pass
    assert telemetry.shutdown(10)
    assert [span.name for span in sink.spans] == ["retrieve"]  # the collector forwards, not we


def test_nobody_listening_costs_a_request_nothing_and_logs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    telemetry = start(monkeypatch, env)
    with caplog.at_level(logging.WARNING):
        for _ in range(2_000):
            with events.stage("retrieve"):
                pass
        began = time.monotonic()
        telemetry.shutdown(0.5)
    assert time.monotonic() - began < 5
    assert len(caplog.records) <= 4


def test_a_full_queue_and_a_refusing_back_end_are_counted(
    sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.fail(Failure(grpc_status=grpc.StatusCode.PERMISSION_DENIED))
    env = for_sink(sink, "grpc", OTEL_BSP_MAX_QUEUE_SIZE="8", OTEL_BSP_SCHEDULE_DELAY="60000")
    telemetry = start(monkeypatch, {**env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"})
    for processor in telemetry.processors:
        processor._batch_processor._export_lock.acquire()  # the export thread hangs
    for _ in range(20):
        with events.stage("retrieve"):
            pass
    for processor in telemetry.processors:
        processor._batch_processor._export_lock.release()
    telemetry.shutdown(5)
    dropped = "foliotrace_telemetry_spans_dropped_total"
    value = telemetry.metrics.registry.get_sample_value
    assert value(dropped, {"reason": "queue_full"}) == 12
    assert value(dropped, {"reason": "export_failed"}) == 8
    assert sink.refused == 1


def test_a_throttling_back_end_is_retried_and_nothing_is_lost(
    sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.fail(Failure(http_status=429, retry_after_s=0, times=1))
    telemetry = start(monkeypatch, for_sink(sink, "http/protobuf"))
    with events.stage("retrieve"):
        pass
    assert sink.wait_for_spans(1)
    telemetry.shutdown(5)
    assert (sink.refused, len(sink.spans)) == (1, 1)


def test_a_provider_that_is_not_ours_is_used_and_left_running() -> None:
    provider = TracerProvider()
    telemetry = configure(provider=provider)
    assert not telemetry.owns_provider
    telemetry.shutdown(1)
    assert provider.get_tracer("x").start_span("still").is_recording()
    assert telemetry.span_handler not in get_dispatcher().span_handlers
    provider.shutdown()


def test_an_unsampled_request_costs_no_span_but_keeps_its_metrics(
    sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = start(
        monkeypatch, for_sink(sink, "grpc", OTEL_TRACES_SAMPLER="parentbased_always_off")
    )
    with pytest.raises(LookupError):
        answer("x")
    assert telemetry.shutdown(5)
    assert not sink.spans
    count = telemetry.metrics.registry.get_sample_value(
        "foliotrace_stage_duration_seconds_count", {"stage": "retrieve", "error_type": ""}
    )
    assert count == 1
    assert not telemetry.span_handler.open_spans


def test_a_key_never_shows_in_a_repr() -> None:
    settings = read_environment({"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "lsv2_secret"})
    assert settings.langsmith is not None
    assert "lsv2_secret" not in repr(settings)


def test_the_global_set_up_serves_a_program_and_flushes_at_exit(sink: OtlpSink) -> None:
    program = (
        "from foliotrace_otel import configure; t = configure(service_name='alone')\n"
        "from llama_index_instrumentation import get_dispatcher as g\n"
        "from opentelemetry import trace\n"
        "@g('x').span\ndef work():\n"
        "    with trace.get_tracer('lib').start_as_current_span('GET'): pass\n"
        "work(); assert trace.get_tracer_provider() is t.provider\n"
    )
    env = {**for_sink(sink, "grpc"), "PYTHONPATH": f"{ROOT}/instrumentation"}
    subprocess.run([sys.executable, "-c", program], check=True, env=env, timeout=60)
    by_name = {span.name: span for span in sink.spans}
    assert by_name["GET"].parent_span_id == by_name["work"].span_id
    assert attributes_of(by_name["work"])["foliotrace_otel.entry"] is True


def test_only_one_module_reads_the_environment() -> None:
    package = ROOT / "instrumentation" / "foliotrace_otel"
    readers = {
        f.relative_to(package).as_posix()
        for f in package.rglob("*.py")
        if "environ" in f.read_text().split("import os")[-1] and "import os" in f.read_text()
    }
    assert readers == {"setup/environment.py"}


SILENT_PROGRAM = """
import logging, socket, sys
logging.basicConfig(level=logging.WARNING)
from llama_index_instrumentation import get_dispatcher
from foliotrace_otel import configure
dialled = []
def refused(address, *given, **more):
    dialled.append(address)
    raise ConnectionRefusedError
socket.create_connection = refused
telemetry = configure()

@get_dispatcher("x").span
def work(): pass

for _ in range(3):
    work()
    telemetry.flush(5)
telemetry.log_events.emit("checkpoint", "body")
assert telemetry.shutdown(5)
assert "grpc" not in sys.modules
print(set(dialled))
"""


def test_without_any_setting_and_without_a_collector_nothing_is_said() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SILENT_PROGRAM], capture_output=True, text=True, timeout=60, env={}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "{('localhost', 4317)}\n"
