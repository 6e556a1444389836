"""Sending spans: queued, counted, quiet when nobody listens. The exporters: otlp_exporters.py."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from foliotrace_otel.metrics.registry import Metrics

_NOISY: Final = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.http.transport",
    "opentelemetry.sdk._shared_internal",
)
QUIET_S: Final = 300.0


class DeferredExporter(SpanExporter):
    """Makes its exporter when there is something to export: importing gRPC takes 0.25 s."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._made: SpanExporter | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export; called by one thread at a time, as the SDK promises."""
        if self._made is None:
            self._made = self._make()
        return self._made.export(spans)

    def shutdown(self) -> None:
        """Shut down what was made."""
        if self._made is not None:
            self._made.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what was made."""
        return self._made is None or self._made.force_flush(timeout_millis)


class CountedExporter(SpanExporter):
    """Counts what a back end took and what was lost on the way to it."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count the result."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self._metrics.count(self._metrics.own.spans_exported.name, len(spans))
            else:
                _count_lost(self._metrics, len(spans), "export_failed")
        return result

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)


class CountedBatchProcessor(BatchSpanProcessor):
    """A BatchSpanProcessor that counts what a full queue pushes out and what `stop` leaves."""

    def __init__(
        self,
        exporter: SpanExporter,
        metrics: Metrics,
        *,
        max_queue_size: int,
        schedule_delay_millis: float,
        max_export_batch_size: int,
    ) -> None:
        super().__init__(
            exporter,
            max_queue_size=max_queue_size,
            schedule_delay_millis=schedule_delay_millis,
            max_export_batch_size=max_export_batch_size,
        )
        self._most = max_queue_size
        self._counted = metrics
        self._ending = Lock()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue `span`; the oldest one goes if the queue is full."""
        with self._ending:  # else two threads could see one free place, and a loss go uncounted
            if self._batch_processor._shutdown:
                _count_lost(self._counted, 1, "shutdown")
            elif len(self._batch_processor._queue) >= self._most:
                _count_lost(self._counted, 1, "queue_full")
            super().on_end(span)

    def stop(self, timeout_s: float) -> None:
        """Send what is queued and stop, within `timeout_s` (the SDK's own shutdown waits 30 s)."""
        self._batch_processor.shutdown(int(timeout_s * 1e3))
        left = len(self._batch_processor._queue)
        self._batch_processor._queue.clear()
        if left:
            _count_lost(self._counted, left, "shutdown")


def _count_lost(metrics: Metrics, spans: int, reason: str) -> None:
    metrics.count(metrics.own.spans_dropped.name, spans, {"reason": reason})


class _OncePerWhile(logging.Filter):
    """Lets one record per logger and message template through in `QUIET_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        now = time.monotonic()
        if now - self._last.get(key, -QUIET_S) < QUIET_S:
            return False
        self._last[key] = now
        return True


def quiet_exporters() -> None:
    """Keep an unreachable collector to one line per kind in five minutes; idempotent."""
    for name in _NOISY:
        logger = logging.getLogger(name)
        if not any(isinstance(found, _OncePerWhile) for found in logger.filters):
            logger.addFilter(_OncePerWhile())
