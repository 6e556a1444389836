"""A trace as a tree of text for the terminal, as Jaeger would draw it."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from foliotrace_otel.semconv import ERROR_TYPE, REQUEST_MODEL

_BAR_CELLS: Final = 20


class RecentTraces(SpanProcessor):
    """Keeps the ended spans of the last `traces` traces in memory, so that one can be drawn."""

    def __init__(self, traces: int = 8) -> None:
        self._most = traces
        self._spans: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._lock = Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do before a span has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span; forget the oldest trace when there are too many."""
        context = span.get_span_context()
        if context is None:
            return
        with self._lock:
            self._spans.setdefault(context.trace_id, []).append(span)
            self._spans.move_to_end(context.trace_id)
            while len(self._spans) > self._most:
                self._spans.popitem(last=False)

    def trace(self, trace_id: str) -> Sequence[ReadableSpan]:
        """The ended spans of a trace (32 hex digits); empty when it is not known any more."""
        with self._lock:
            return tuple(self._spans.get(int(trace_id, 16), ()))

    def shutdown(self) -> None:
        """Forget everything."""
        with self._lock:
            self._spans.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is ever waiting here."""
        return True


def draw_trace(spans: Sequence[ReadableSpan], attributes: Sequence[str] = ()) -> str:
    """One line a span: its place in the tree, when it ran within the whole, how long, what it did.

    Model and error type are shown where a span has them, and the named `attributes`. A span whose
    parent is not among `spans` stands at the top. Durations are milliseconds.
    """
    if not spans:
        return ""
    ids = {_id(span) for span in spans}
    children: Mapping[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda s: s.start_time or 0):
        parent = span.parent.span_id if span.parent and span.parent.span_id in ids else None
        children[parent].append(span)
    begin = min(span.start_time or 0 for span in spans)
    whole = max(max(span.end_time or 0 for span in spans) - begin, 1)
    rows = [row for root in children[None] for row in _rows(root, children, "", "")]
    noted = (REQUEST_MODEL, *attributes, ERROR_TYPE)
    width = max(len(label) for label, _ in rows)
    return "\n".join(
        f"{label:<{width}}  {_bar(span, begin, whole)} {_ms(span):>9.2f} ms{_notes(span, noted)}"
        for label, span in rows
    )


def _rows(
    span: ReadableSpan,
    children: Mapping[int | None, list[ReadableSpan]],
    lead: str,
    below: str,
) -> Iterator[tuple[str, ReadableSpan]]:
    yield lead + span.name, span
    inner = children.get(_id(span), [])
    for place, child in enumerate(inner):
        last = place == len(inner) - 1
        branch, trunk = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _rows(child, children, below + branch, below + trunk)


def _id(span: ReadableSpan) -> int | None:
    context = span.get_span_context()
    return context.span_id if context else None


def _ms(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e6


def _bar(span: ReadableSpan, begin: int, whole: int) -> str:
    first = int(((span.start_time or 0) - begin) / whole * _BAR_CELLS)
    last = int(((span.end_time or 0) - begin) / whole * _BAR_CELLS)
    first = min(first, _BAR_CELLS - 1)
    length = max(1, last - first)
    return "·" * first + "█" * length + "·" * (_BAR_CELLS - first - length)


def _notes(span: ReadableSpan, noted: Sequence[str]) -> str:
    attributes = span.attributes or {}
    notes = [
        f"{name.rpartition('.')[2]}={value}"
        for name in noted
        if isinstance(value := attributes.get(name), str | int | float)
    ]
    if span.status.status_code is StatusCode.ERROR:
        notes.insert(0, "ERROR")
    return "  " + " ".join(notes) if notes else ""
