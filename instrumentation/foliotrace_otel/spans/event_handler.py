"""The LlamaIndex event handler: events become span attributes and measurements."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, Protocol, TypeAlias

from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from opentelemetry import context as otel_context
from pydantic import ConfigDict

from foliotrace_otel import semconv
from foliotrace_otel.content.capture import ContentCapture, ContentPolicy
from foliotrace_otel.metrics.instruments import Measurement
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.spans import LlamaIndexObject
from foliotrace_otel.spans.carried_context import parse_traceparent
from foliotrace_otel.spans.model_events import ModelCalls, Retrievals
from foliotrace_otel.spans.open_span import RECORD_KEY, OpenSpan, run_of
from foliotrace_otel.spans.span_tree import SpanTree

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
Note: TypeAlias = Callable[[OpenSpan, LlamaIndexObject], None]


class HasSpanAttributes(Protocol):
    """An event that describes the span it happened on.

    `span_attributes` maps field names to attribute names, or to words of `semconv.CONCEPTS`. A
    field that is None is left out; `<namespace>.link` with a traceparent becomes a span link. A
    class may have `recorded_as` too: "span" (default), "run" for the span of the run around it,
    "event" for a span event `<namespace>.<class_name>`, or "run_description": it says whose run
    this is (names of `semconv.RUN_FIELDS`), which is written with content only.
    """

    span_attributes: ClassVar[Mapping[str, str]]


class HasMeasurements(Protocol):
    """An event that moves metrics, whether or not its trace is sampled."""

    def measurements(self) -> Iterable[Measurement]:
        """MetricDefinition name, value, label values in the instrument's order."""
        ...


class DeclaredEvent:
    """What an event class declares about itself, read once per class."""

    __slots__ = (
        "_degradation",
        "_degraded",
        "_describes_run",
        "_event",
        "_fields",
        "_link",
        "_metrics",
        "_on_run",
        "measures",
    )

    def __init__(self, cls: type, metrics: Metrics, tree: SpanTree) -> None:
        link = tree.names.link
        placed = getattr(cls, "recorded_as", "span")
        self._on_run = placed == "run"
        self._describes_run = placed == "run_description"
        snake = _WORD_START.sub("_", cls.__name__).lower()
        self._event = f"{metrics.namespace}.{snake}" if placed == "event" else ""
        table: Mapping[str, str] = getattr(cls, "span_attributes", {})
        named = {field: semconv.CONCEPTS.get(name, name) for field, name in table.items()}
        self._link = next((field for field, name in named.items() if name == link), "")
        self._fields = tuple((f, name) for f, name in named.items() if f != self._link)
        self._degraded = tree.names.degraded if tree.names.degraded in named.values() else ""
        self._degradation = f"{metrics.namespace}.degradation"
        self._metrics = metrics
        self.measures = hasattr(cls, "measurements")

    def note(
        self, record: OpenSpan | None, event: LlamaIndexObject, content: ContentCapture | None
    ) -> None:
        """Record its measurements, and put its attributes on the span of `record`."""
        if self._describes_run:
            if record is not None and record.visible is not None and content is not None:
                content.describe_run(
                    record.visible, {name: getattr(event, field) for field, name in self._fields}
                )
            return
        if self.measures:
            self._metrics.record_all(event.measurements())
        host = record.visible if record is not None else None
        if self._on_run and record is not None:
            host = run_of(host or record)  # a record that has ended shows nothing itself
        if host is None or host.unsampled or host.ended:
            return
        attributes = {} if self._event else host.attributes
        for field, name in self._fields:
            value = getattr(event, field)
            if value is not None:
                attributes[name] = value
        if self._degraded and attributes.get(self._degraded) is True:
            self._mark_degraded(host, content)
        if self._event and host.span is not None:
            host.span.add_event(self._event, attributes)
        if self._link:
            origin = parse_traceparent(getattr(event, self._link))
            if origin is not None and host.span is not None:
                host.span.add_link(origin)

    def _mark_degraded(self, run: OpenSpan, content: ContentCapture | None) -> None:
        """Mark `run` where LangSmith's list shows it, and with it the request that it answers.

        A tag is content: without it the collector adds tag and metadata, by what stands here.
        """
        if content is not None:
            run.attributes[semconv.LANGSMITH_DEGRADED] = True
            content.tag_run(run, semconv.DEGRADED_TAG)
        above = run.entered_from
        if above is not None and above.is_recording():
            names = (self._degraded, f"{self._degradation}.reasons", semconv.LANGSMITH_DEGRADED)
            above.set_attributes({n: run.attributes[n] for n in names if n in run.attributes})


class OTelEventHandler(BaseEventHandler):
    """Puts what LlamaIndex events say on the span they name, and into the metrics.

    An event class of the program takes part by having the shape of `HasSpanAttributes`,
    `HasMeasurements` or both.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    tree: SpanTree
    metrics: Metrics
    known: Mapping[str, Note]
    notes: dict[type, Note | DeclaredEvent | None]

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for the handler class."""
        return "OTelEventHandler"

    def handle(self, event: BaseEvent, **kwargs: object) -> None:
        """Note `event`; never raises."""
        try:
            cls = type(event)
            try:
                note = self.notes[cls]
            except KeyError:
                note = self.notes[cls] = self._note_for(cls)
            if note is None:
                return
            record = self.tree.open.get(event.span_id or "")
            if isinstance(note, DeclaredEvent):
                here = record if record is not None else _current_record()
                note.note(here, event, self.tree.content)
            elif record is not None:
                note(record, event)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.report_fault(error)

    async def ahandle(self, event: BaseEvent, **kwargs: object) -> None:
        """The same, for `Dispatcher.aevent`."""
        self.handle(event)

    def _note_for(self, cls: type) -> Note | DeclaredEvent | None:
        if hasattr(cls, "span_attributes") or hasattr(cls, "measurements"):
            return DeclaredEvent(cls, self.metrics, self.tree)
        return next((self.known[c.__name__] for c in cls.__mro__ if c.__name__ in self.known), None)


def _current_record() -> OpenSpan | None:
    found = otel_context.get_value(RECORD_KEY)
    return found if isinstance(found, OpenSpan) else None


def event_handler(
    tree: SpanTree,
    metrics: Metrics,
    *,
    openinference: bool = False,
) -> OTelEventHandler:
    """The handler for LlamaIndex's events over `tree`."""
    content = tree.content or ContentCapture(ContentPolicy(), str)
    calls = ModelCalls(tree, metrics, content, openinference)
    tree.on_end = calls.call_ended
    retrieval = Retrievals(tree.names, content, openinference)
    known: dict[str, Note] = {
        "LLMChatStartEvent": calls.chat_started,
        "LLMCompletionStartEvent": calls.completion_started,
        "LLMChatInProgressEvent": calls.progressed,
        "LLMCompletionInProgressEvent": calls.progressed,
        "LLMChatEndEvent": calls.ended,
        "LLMCompletionEndEvent": calls.ended,
        "EmbeddingEndEvent": calls.embedded,
        "ExceptionEvent": calls.failed,
        "SpanCancelledEvent": calls.cancelled,
        "RetrievalStartEvent": retrieval.started,
        "RetrievalEndEvent": retrieval.ended,
        "ReRankStartEvent": retrieval.rerank_started,
        "ReRankEndEvent": retrieval.ended,
    }
    return OTelEventHandler(tree=tree, metrics=metrics, known=known, notes={})
