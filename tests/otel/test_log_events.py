"""Events as OTLP log records: redacted but for proofs, kept until somebody takes them, lazy."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import count

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.otlp_sink import OtlpSink, attributes_of

from foliotrace.events import NAMESPACE
from foliotrace_otel import LogEvents, Metrics, configure
from foliotrace_otel.export.log_events import MOST_WAITING, LogEvent

PROOF = '{"signature":"+12 345 678 90 12 jane@example.org 4111 1111 1111 1111"}'


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_event_arrives_redacted_in_its_trace_with_its_proof_untouched(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpSink() as sink:
        endpoint = sink.grpc_endpoint if protocol == "grpc" else f"{sink.http_endpoint}/v1/logs"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop of jane@example.org")
        telemetry = configure(set_global=False, redaction_key=b"k", namespace="foliotrace")
        assert telemetry.log_events is not None
        with TracerProvider().get_tracer("t").start_as_current_span("work") as span:
            telemetry.log_events.emit(
                "shop.sealed",
                "sealed for jane@example.org",
                {"who": "jane@example.org", "api_key": "hunter2", "seq": 7, "final": True},
                proofs={"shop.seal": PROOF},
            )
        assert sink.wait_for(lambda s: s.log_records)
        (record,) = sink.log_records
        resource = attributes_of(sink.of("logs")[0].message.resource_logs[0].resource)
        assert telemetry.shutdown(5)
    attributes = attributes_of(record)
    assert (record.event_name, attributes["shop.seal"]) == ("shop.sealed", PROOF)
    assert (attributes["seq"], attributes["final"]) == (7, True)
    assert record.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")
    assert record.span_id == span.get_span_context().span_id.to_bytes(8, "big")
    assert record.time_unix_nano > 0
    for redacted in (record.body.string_value, attributes["who"], resource["service.name"]):
        assert "<EMAIL:" in redacted
        assert "jane" not in redacted
    assert "hunter2" not in attributes["api_key"]


class Shelf:
    """A back end that refuses the first `refusals` batches."""

    def __init__(self, refusals: int = 0) -> None:
        self.left = refusals
        self.taken: list[str] = []
        self.all_there = threading.Event()

    def send(self, events: Sequence[LogEvent]) -> bool:
        if self.left:
            self.left -= 1
            if self.left % 2:
                raise ConnectionError
            return False
        self.taken += [event.name for event in events]
        if "last" in self.taken:
            self.all_there.set()
        return True

    def close(self) -> None: ...


def counted(metrics: Metrics, which: str, **labels: str) -> float:
    name = f"foliotrace_telemetry_log_events_{which}_total"
    return metrics.registry.get_sample_value(name, labels) or 0


def test_what_was_not_taken_waits_and_goes_once_in_order() -> None:
    shelf, metrics = Shelf(refusals=5), Metrics(namespace=NAMESPACE)
    events = LogEvents(lambda: shelf, metrics, retry_s=0.001)
    for name in ("first", "second", "last"):
        events.emit(name, "")
    assert shelf.all_there.wait(10)
    events.stop(5)
    assert shelf.taken == ["first", "second", "last"]
    assert counted(metrics, "exported") == 3


def test_nothing_is_opened_until_somebody_listens() -> None:
    shelf, opened, asked = Shelf(), threading.Event(), count()

    def open_backend() -> Shelf:
        opened.set()
        return shelf

    events = LogEvents(open_backend, Metrics(), reachable=lambda: next(asked) >= 3, retry_s=0.001)
    assert not opened.is_set()
    events.emit("last", "")
    assert shelf.all_there.wait(10)
    assert next(asked) >= 4
    events.stop(5)


def test_of_too_many_the_oldest_go_and_a_stop_counts_what_nobody_took() -> None:
    metrics = Metrics(namespace=NAMESPACE)
    events = LogEvents(Shelf, metrics, reachable=lambda: False)
    for _ in range(MOST_WAITING + 3):
        events.emit("checkpoint", "")
    assert counted(metrics, "dropped", reason="queue_full") == 3
    assert not events.flush()
    assert events.waiting() == MOST_WAITING
    events.stop(5)
    assert counted(metrics, "dropped", reason="export_failed") == MOST_WAITING
    events.emit("late", "")
    assert counted(metrics, "dropped", reason="stopped") == 1
    events.stop(5)
    assert counted(metrics, "dropped", reason="export_failed") == MOST_WAITING


def test_a_stop_does_not_wait_for_a_back_end_that_hangs() -> None:
    asked, closed = threading.Event(), threading.Event()

    class Hanging:
        def send(self, events: Sequence[LogEvent]) -> bool:
            asked.set()
            return not closed.wait(60)

        def close(self) -> None:
            closed.set()

    metrics = Metrics(namespace=NAMESPACE)
    events = LogEvents(Hanging, metrics)
    events.emit("checkpoint", "")
    assert asked.wait(30)
    events.stop(0.05)
    assert closed.is_set()
    assert counted(metrics, "dropped", reason="export_failed") == 1


def test_a_collector_that_comes_back_gets_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.http_endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1")
        telemetry = configure(set_global=False, namespace="foliotrace")
        assert telemetry.log_events is not None
        sink.stop()
        telemetry.log_events.emit("checkpoint", "")
        assert not telemetry.log_events.flush()
        sink.start()
        assert telemetry.flush(20)
        assert sink.wait_for(lambda s: s.log_records)
        assert telemetry.shutdown(5)
        assert [record.event_name for record in sink.log_records] == ["checkpoint"]


@pytest.mark.parametrize(
    "variable", [("OTEL_LOGS_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")]
)
def test_events_can_be_switched_off(
    variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable)
    telemetry = configure(set_global=False, namespace="foliotrace")
    assert telemetry.log_events is None
    assert telemetry.shutdown(5)


FOREIGN = """
import sys
from foliotrace_otel import configure
telemetry = configure(set_global=False, namespace="foliotrace")
assert not [m for m in sys.modules if m.startswith(("grpc", "opentelemetry.sdk._logs"))]
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
kept = InMemoryLogRecordExporter()
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
_logs.set_logger_provider(provider)
telemetry.log_events.emit("checkpoint", "", proofs={"line": "as it is"})
assert telemetry.flush(20)
assert telemetry.shutdown(20)
provider.get_logger("own").emit(body="still open")
(ours, theirs) = kept.get_finished_logs()
assert ours.log_record.event_name == "checkpoint"
assert ours.log_record.attributes["line"] == "as it is"
assert theirs.log_record.body == "still open"
assert "grpc" not in sys.modules
"""


def test_a_logger_provider_of_the_program_is_used_and_left_running() -> None:
    env = {"PATH": "/usr/bin:/bin", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", FOREIGN], env=env, check=True, timeout=60)


def test_the_console_exporter_writes_to_standard_output() -> None:
    code = (
        "from foliotrace_otel import configure; telemetry = configure(set_global=False);"
        "telemetry.log_events.emit('checkpoint', 'of jane@example.org'); telemetry.shutdown(20)"
    )
    env = {"PATH": "/usr/bin:/bin", "OTEL_LOGS_EXPORTER": "console"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert '"event_name": "checkpoint"' in ended.stdout
    assert "jane" not in ended.stdout
