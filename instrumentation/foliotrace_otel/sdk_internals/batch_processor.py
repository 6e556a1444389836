"""The SDK's batch processor, with its losses counted and an end within a time limit."""

import threading
from collections import deque
from collections.abc import Callable, Collection
from threading import Lock
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import TraceFlags

from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.sdk_internals import fall_back

_FLAGS: Final = 3
"""Where a SpanContext, which is a tuple, has its flags: its property is a call more per span."""


class SpanProcessors(SynchronousMultiSpanProcessor):
    """The processors of a provider, of which each is called only for what it does.

    A processor of ours that looks at starting spans only where their context holds a certain key
    says so by an attribute `starts_with` of its class; one that looks at ended spans only while a
    certain collection holds something names it `ends_with`.

    Private: `_on_ending`, and the `_span_processors` of the class it extends.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the SDK does not annotate it

    _starting: tuple[tuple[SpanProcessor, str | None], ...] = ()
    _near_end: tuple[SpanProcessor, ...] = ()
    _ended: tuple[tuple[Callable[[ReadableSpan], None], Collection[object] | None], ...] = ()
    has_near_end = False

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add `span_processor` behind the others."""
        super().add_span_processor(span_processor)
        of = type(span_processor)
        if not isinstance(span_processor, CountedBatchProcessor):
            self._starting += ((span_processor, getattr(of, "starts_with", None)),)
            if _does(of, "_on_ending"):
                self._near_end += (span_processor,)
                self.has_near_end = True
        if _does(of, "on_end"):
            waited_for = getattr(span_processor, "ends_with", None)
            self._ended += ((span_processor.on_end, waited_for),)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span starts."""
        for processor, key in self._starting:
            if key is None or parent_context is None or key in parent_context:
                processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended."""
        for on_end, waited_for in self._ended:
            if waited_for is None or waited_for:
                on_end(span)

    def _on_ending(self, span: Span) -> None:
        for processor in self._near_end:
            processor._on_ending(span)


def _does(processor: type, method: str) -> bool:
    own = getattr(processor, method, None)
    return own is not None and own is not getattr(SpanProcessor, method, None)


class CountedBatchProcessor(BatchSpanProcessor):
    """A BatchSpanProcessor that counts what a full queue pushes out and what `stop` leaves.

    Private: `_batch_processor`, its `_queue`, `_worker_awaken` and `shutdown(timeout_millis)`.
    Without them losses are not counted, and the SDK's own shutdown runs in a thread.
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
        self._batch_size = max_export_batch_size
        self._waiting = self._find_queue()

    def _find_queue(self) -> "deque[ReadableSpan] | None":
        batches: Any = getattr(self, "_batch_processor", None)
        queue: Any = getattr(batches, "_queue", None)
        awaken = hasattr(getattr(batches, "_worker_awaken", None), "set")
        if isinstance(queue, deque) and queue.maxlen == self._most and awaken:
            return queue
        fall_back("batch processor")
        return None

    def on_end(self, span: ReadableSpan) -> None:
        """Queue `span`; the oldest one goes if the queue is full."""
        waiting = self._waiting
        if waiting is None:
            super().on_end(span)
            return
        context = span.get_span_context()
        if context is None or not context[_FLAGS] & TraceFlags.SAMPLED:
            return
        # What the SDK does, without asking for the process id: for that a fork has its own hook.
        with self._ending:  # else two threads could see one free place, and a loss go uncounted
            if self._stopped:
                self._count_lost(1)
                return
            if len(waiting) >= self._most:
                self._count_lost(1, "queue_full")
            waiting.appendleft(span)
        if len(waiting) >= self._batch_size:
            self._batch_processor._worker_awaken.set()

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
