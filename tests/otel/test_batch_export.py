"""Every span is exported or counted as lost; no exporter, however bad, holds up who ends a span."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel import Metrics, OTelSettings, configure
from foliotrace_otel.export.batch import CountedExporter, DeferredExporter
from foliotrace_otel.sdk_internals.batch_processor import CountedBatchProcessor

DROPPED = "foliotrace_telemetry_spans_dropped_total"
EXPORTED = "foliotrace_telemetry_spans_exported_total"


class Backend(SpanExporter):
    """Takes spans once `open` is set; then takes, refuses or breaks as `how` says."""

    def __init__(self, how: str = "take") -> None:
        self.how = how
        self.open = threading.Event()
        self.reached = threading.Event()
        self.names: list[str] = []
        self.shut_down = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.reached.set()
        self.open.wait(60)
        if self.how == "break":
            raise ConnectionError("the back end is gone")
        if self.how == "refuse":
            return SpanExportResult.FAILURE
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.shut_down += 1


class Export:
    """A provider whose spans go to `backend` through a counted queue."""

    def __init__(self, backend: Backend, *, queue: int = 1000, batch: int = 1) -> None:
        self.backend = backend
        self.metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
        self.processor = CountedBatchProcessor(
            CountedExporter(backend, self.metrics),
            self.metrics,
            max_queue_size=queue,
            schedule_delay_millis=3_600_000,  # a batch leaves when it is full, or at a flush
            max_export_batch_size=batch,
        )
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)
        self.tracer = self.provider.get_tracer("x")

    def end(self, *names: str) -> None:
        for name in names:
            self.tracer.start_span(name).end()

    def lost(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value(DROPPED, {"reason": reason}) or 0

    @property
    def sent(self) -> float:
        return self.metrics.registry.get_sample_value(EXPORTED) or 0


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.open.set()


def test_what_a_back_end_took_is_counted(backend: Backend) -> None:
    export = Export(backend, batch=3)
    backend.open.set()
    export.end("a", "b", "c", "d")
    assert export.processor.force_flush()
    assert sorted(backend.names) == ["a", "b", "c", "d"]
    assert export.sent == 4
    export.processor.stop(5)
    assert backend.shut_down == 1


@pytest.mark.parametrize("how", ["refuse", "break"])
def test_what_a_back_end_refuses_or_breaks_at_is_counted_as_lost(
    backend: Backend, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    export = Export(backend, batch=10)
    backend.how = how
    backend.open.set()
    export.end("a", "b")
    export.processor.force_flush()
    assert (export.lost("export_failed"), export.sent) == (2, 0)
    backend.how = "take"
    export.end("c")  # and the queue goes on
    export.processor.force_flush()
    assert (backend.names, export.sent) == (["c"], 1)
    export.processor.stop(5)
    assert ("Exception while exporting" in caplog.text) is (how == "break")


def test_a_back_end_that_never_answers_holds_up_no_span_and_the_oldest_are_counted_out(
    backend: Backend,
) -> None:
    export = Export(backend, queue=8)
    export.end("under way")
    assert backend.reached.wait(30)
    export.end(*(str(number) for number in range(20)))  # returns though nothing is taken
    assert not backend.open.is_set()
    assert export.lost("queue_full") == 12
    backend.open.set()
    export.processor.force_flush()
    assert backend.names == ["under way", *(str(number) for number in range(12, 20))]
    export.processor.stop(5)
    assert export.sent + export.lost("queue_full") == 21


def test_an_end_in_the_middle_of_an_export_keeps_to_its_limit_and_counts_what_it_leaves(
    backend: Backend,
) -> None:
    export = Export(backend)
    export.end("under way")
    assert backend.reached.wait(30)
    export.end("left", "behind")
    export.processor.stop(0.05)
    assert not backend.open.is_set()
    assert export.lost("shutdown") == 2
    export.end("too late")
    assert export.lost("shutdown") == 3
    backend.open.set()
    export.processor._batch_processor._worker_thread.join(30)
    assert backend.names == ["under way"]
    assert export.sent == 1


def test_spans_of_many_threads_are_each_exported_or_counted(backend: Backend) -> None:
    export = Export(backend, queue=64, batch=16)
    backend.open.set()
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(export.end, *("x" for _ in range(200))) for _ in range(8)]:
            done.result()
    export.processor.stop(30)
    assert export.sent == len(backend.names)
    assert 1600 <= export.sent + export.lost("queue_full") <= 3200  # no loss goes uncounted


def test_an_exporter_is_made_when_there_is_something_to_send() -> None:
    made: list[Backend] = []

    def make() -> Backend:
        made.append(Backend())
        made[0].open.set()
        return made[0]

    deferred = DeferredExporter(make)
    assert deferred.force_flush()
    deferred.shutdown()
    assert not made
    export = Export(Backend())
    export.processor.stop(5)
    spans = [export.tracer.start_span("a")]
    assert deferred.export(spans) is SpanExportResult.SUCCESS
    assert deferred.export(spans) is SpanExportResult.SUCCESS
    deferred.shutdown()
    assert (len(made), made[0].names, made[0].shut_down) == (1, ["a", "a"], 1)


def test_a_collector_that_starts_later_is_found(backend: Backend) -> None:
    listening = iter([False, False, True])  # it is not looked for again once it was found
    backend.open.set()
    deferred = DeferredExporter(lambda: backend, reachable=lambda: next(listening))
    export = Export(Backend())
    export.processor.stop(5)
    results = [deferred.export([export.tracer.start_span(name)]) for name in "abcd"]
    assert [result is SpanExportResult.SUCCESS for result in results] == [False, False, True, True]
    assert backend.names == ["c", "d"]


def test_a_flush_with_a_limit_says_whether_all_was_handed_over(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "foliotrace_otel.setup.provider.span_exporters", lambda *settings: [backend]
    )
    telemetry = configure(
        OTelSettings(logs_exporter="none"), set_global=False, namespace="foliotrace"
    )
    telemetry.provider.get_tracer("x").start_span("a").end()
    assert not telemetry.flush(0.05)
    backend.open.set()
    assert telemetry.flush(30)
    assert backend.names == ["a"]
    assert telemetry.shutdown(30)
    assert telemetry.shutdown(30)
    assert backend.shut_down == 1


class Watching(SpanProcessor):
    """Somebody else's processor."""

    shut_down = False

    def shutdown(self) -> None:
        self.shut_down = True


@pytest.mark.parametrize("found", ["given", "already global"])
def test_a_provider_that_is_not_ours_is_neither_shut_down_nor_given_an_exporter(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, watching = TracerProvider(shutdown_on_exit=False), Watching()
    theirs.add_span_processor(watching)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: theirs)
    given = theirs if found == "given" else None
    telemetry = configure(
        OTelSettings(logs_exporter="none"), provider=given, namespace="foliotrace"
    )
    assert telemetry.provider is theirs
    assert not telemetry.processors
    assert telemetry.flush(5)
    assert telemetry.shutdown(5)
    assert not watching.shut_down
    assert theirs.get_tracer("x").start_span("still").is_recording()
