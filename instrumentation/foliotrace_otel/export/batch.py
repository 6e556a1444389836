"""Wrappers of the span exporters: created on demand, counted, silent without a collector."""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from foliotrace_otel.export.redacting import WrappedExporter
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.setup.environment import OtlpProtocol

# The SDK logs the same error for each batch that it cannot deliver.
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
_OTLP_PORTS: Final = {"grpc": 4317, "http/protobuf": 4318}
_PROBE_S: Final = 0.25


def collector_listens(protocol: OtlpProtocol) -> bool:
    """Whether `localhost` accepts connections at the standard OTLP port of `protocol`."""
    try:
        socket.create_connection(("localhost", _OTLP_PORTS[protocol]), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True


class DeferredExporter(SpanExporter):
    """Creates its exporter with the first batch for which a collector is `reachable`.

    Importing gRPC takes 0.25 s, and an exporter without a collector logs an error for each batch.
    Until a collector has answered once, batches are dropped silently and counted.
    """

    def __init__(
        self, make: Callable[[], SpanExporter], *, reachable: Callable[[], bool] = lambda: True
    ) -> None:
        self._make = make
        self._reachable = reachable
        self._made: SpanExporter | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export; called by one thread at a time, as the SDK promises."""
        if self._made is None:
            if not self._reachable():
                return SpanExportResult.FAILURE
            self._made = self._make()
        return self._made.export(spans)

    def shutdown(self) -> None:
        """Shut down what was made."""
        if self._made is not None:
            self._made.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what was made."""
        return self._made is None or self._made.force_flush(timeout_millis)


class CountedExporter(WrappedExporter):
    """Counts the spans that the back end accepted, and those that failed to reach it."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        super().__init__(exporter)
        self._metrics = metrics

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count the result."""
        result = SpanExportResult.FAILURE
        try:
            result = self.exporter.export(spans)
        finally:
            own, count = self._metrics.own, self._metrics.count
            if result is SpanExportResult.SUCCESS:
                count(own.spans_exported.name, len(spans))
            else:
                count(own.spans_dropped.name, len(spans), {"reason": "export_failed"})
        return result


class _RateLimit(logging.Filter):
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
        if not any(isinstance(present, _RateLimit) for present in logger.filters):
            logger.addFilter(_RateLimit())
