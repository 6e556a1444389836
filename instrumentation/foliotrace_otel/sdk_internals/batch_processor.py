"""The SDK's batch processor, with its losses counted and an end within a time limit."""

import threading
from collections import deque
from threading import Lock
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.sdk_internals import fall_back


class CountedBatchProcessor(BatchSpanProcessor):
    """A BatchSpanProcessor that counts what a full queue pushes out and what `stop` leaves.

    Private: `_batch_processor`, its `_queue` and its `shutdown(timeout_millis)`. Without them
    losses are not counted, and the SDK's own shutdown runs in a thread.
    """

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
        self._stopped = False
        self._waiting = self._find_queue()

    def _find_queue(self) -> "deque[ReadableSpan] | None":
        queue: Any = getattr(getattr(self, "_batch_processor", None), "_queue", None)
        if isinstance(queue, deque) and queue.maxlen == self._most:
            return queue
        fall_back("batch processor")
        return None

    def on_end(self, span: ReadableSpan) -> None:
        """Queue `span`; the oldest one goes if the queue is full."""
        if self._waiting is None:
            super().on_end(span)
            return
        with self._ending:  # else two threads could see one free place, and a loss go uncounted
            if self._stopped:
                self._count_lost(1)
            elif len(self._waiting) >= self._most:
                self._count_lost(1, "queue_full")
            super().on_end(span)

    def shutdown(self) -> None:
        """As the provider calls it: the SDK's own, which may wait for 30 s."""
        self._stopped = True
        super().shutdown()  # type: ignore[no-untyped-call] # the SDK does not annotate it

    def stop(self, timeout_s: float) -> None:
        """Send what is queued and stop, within `timeout_s`."""
        self._stopped = True
        if self._waiting is None:
            ending = threading.Thread(target=super().shutdown, daemon=True)
            ending.start()
            ending.join(timeout_s)
            return
        self._batch_processor.shutdown(int(timeout_s * 1e3))
        left = len(self._waiting)
        self._waiting.clear()
        if left:
            self._count_lost(left)

    def _count_lost(self, spans: int, reason: str = "shutdown") -> None:
        self._counted.count(self._counted.own.spans_dropped.name, spans, {"reason": reason})
