"""Events sent as OTLP log records, with delivery retried.

These are not log lines (those are JSON on standard error) but events that another system must
receive, such as a signed audit checkpoint. What no back end accepted therefore waits and is sent
again, unlike in the SDK's batch processor. The exporter is imported and connected with the first
event (sdk_internals/log_backends.py).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext

from foliotrace_otel.export.batch import collector_listens, quiet_exporters
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.semconv import Attribute
from foliotrace_otel.setup.environment import OTelSettings

MOST_WAITING: Final = 1024
RETRY_S: Final = 30.0
LONGEST_RETRY_S: Final = 600.0
_BATCH: Final = 512
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One event. `attributes` and `body` are redacted where they leave; `proofs` are not."""

    name: str
    body: str
    attributes: Mapping[str, Attribute]
    proofs: Mapping[str, str]
    time_ns: int = field(default_factory=time.time_ns)
    span: SpanContext = field(default_factory=lambda: trace.get_current_span().get_span_context())


class LogBackend(Protocol):
    """A destination of log events."""

    def send(self, events: Sequence[LogEvent]) -> bool:
        """Whether all were accepted. May block; is called again with the same events if not."""
        ...

    def close(self) -> None:
        """Abandon what is being sent."""
        ...


class LogEvents:
    """Sends events in a thread of its own; `emit` does not wait.

    `open_backend` is called in that thread once `reachable` is true. Events that were not accepted
    are retried after `retry_s`, doubling up to `LONGEST_RETRY_S`. Beyond `MOST_WAITING` the oldest
    events are dropped and counted.
    """

    def __init__(
        self,
        open_backend: Callable[[], LogBackend],
        metrics: Metrics,
        *,
        reachable: Callable[[], bool] = lambda: True,
        retry_s: float = RETRY_S,
    ) -> None:
        self._open_backend = open_backend
        self._metrics = metrics
        self._reachable = reachable
        self._first_retry_s = self._retry_s = retry_s
        self._waiting: deque[LogEvent] = deque()
        self._backend: LogBackend | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # guards `_waiting` and `_thread`
        self._sending = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def emit(
        self,
        name: str,
        body: str,
        attributes: Mapping[str, Attribute] | None = None,
        *,
        proofs: Mapping[str, str] | None = None,
    ) -> None:
        """Send the event `name`, in the trace that is running.

        `proofs` leave byte by byte, because redaction would break what a signature covers: never
        put into them what a person wrote.
        """
        event = LogEvent(name=name, body=body, attributes=attributes or {}, proofs=proofs or {})
        with self._lock:
            if self._stopping.is_set():
                self._dropped(1, "stopped")
                return
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._dropped(1, "queue_full")
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="otel-log-events", daemon=True
                )
                self._thread.start()
        self._woken.set()

    def waiting(self) -> int:
        """The number of events not yet accepted by a back end."""
        return len(self._waiting)

    def flush(self) -> bool:
        """Try to send what waits, now; whether nothing waits any more."""
        return self._deliver()

    def stop(self, timeout_s: float) -> None:
        """Send what waits and stop, waiting at most `timeout_s`. Twice is fine."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        self._woken.set()
        if thread is not None:
            thread.join(timeout_s)
        backend = self._backend
        if backend is not None:
            backend.close()
        with self._lock:
            if self._waiting:
                self._dropped(len(self._waiting), "export_failed")
                self._waiting.clear()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            stopping = self._stopping.is_set()
            if self._deliver():
                self._retry_s = self._first_retry_s
            elif not stopping:
                self._stopping.wait(self._retry_s)
                self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
                self._woken.set()
            if stopping:
                return

    def _deliver(self) -> bool:
        with self._sending:
            while batch := self._next():
                if not self._sent(batch):
                    return False
                # Taken off the queue only now; a full queue may have dropped some meanwhile.
                with self._lock:
                    for event in batch:
                        if self._waiting and self._waiting[0] is event:
                            self._waiting.popleft()
                self._metrics.count(self._metrics.own.log_events_exported.name, len(batch))
        return True

    def _next(self) -> list[LogEvent]:
        with self._lock:
            return [event for event, _ in zip(self._waiting, range(_BATCH), strict=False)]

    def _sent(self, batch: Sequence[LogEvent]) -> bool:
        try:
            if self._backend is None:
                if not self._reachable():
                    return False
                self._backend = self._open_backend()
            return self._backend.send(batch)
        except Exception:  # noqa: BLE001 - a back end's own fault must not end the thread
            _log.warning("telemetry.log_events_not_sent", exc_info=True)
            return False

    def _dropped(self, count: int, reason: str) -> None:
        self._metrics.count(self._metrics.own.log_events_dropped.name, count, {"reason": reason})


def log_events(
    settings: OTelSettings, resource: Resource, metrics: Metrics, redactor: Redactor
) -> LogEvents | None:
    """The sender that `settings` describe; None where log events are switched off.

    The default endpoint is probed first, so that nothing is imported without a collector.
    """
    if not settings.sends_log_events:
        return None
    quiet_exporters()
    spans = SpanRedactor(redactor, content=settings.capture_content)

    def backend() -> LogBackend:
        from foliotrace_otel.sdk_internals.log_backends import log_backend

        return log_backend(settings, resource, spans)

    named = settings.logs_endpoint_named or settings.logs_exporter != "otlp"
    listens = partial(collector_listens, settings.logs_protocol)
    events = LogEvents(backend, metrics, reachable=(lambda: True) if named else listens)
    metrics.watch(metrics.own.queue_depth.name, events.waiting, {"queue": "log_events"})
    return events
