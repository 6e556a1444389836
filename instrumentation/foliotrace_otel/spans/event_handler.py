"""The LlamaIndex event handler: events become span attributes and measurements."""

from collections.abc import Callable, Iterable, Mapping
from time import time_ns
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from opentelemetry import context as otel_context
from pydantic import ConfigDict

from foliotrace_otel import semconv
from foliotrace_otel.metrics.instruments import Measurement
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.semconv import Attribute, SpanNames
from foliotrace_otel.spans import LlamaIndexObject
from foliotrace_otel.spans.content import ContentPolicy
from foliotrace_otel.spans.failures import error_type
from foliotrace_otel.spans.model_usage import ModelUsage, finish_reason_of, text_field, usage_in
from foliotrace_otel.spans.open_span import RECORD_KEY, OpenSpan
from foliotrace_otel.spans.propagation import parse_traceparent
from foliotrace_otel.spans.span_tree import SpanTree, same_call

_MOST_IDS: Final = 10
_NS_PER_S: Final = 1e9
Note: TypeAlias = Callable[[OpenSpan, LlamaIndexObject], None]


class HasSpanAttributes(Protocol):
    """An event that describes the span it happened on.

    `span_attributes` maps field names to attribute names, or to words of `semconv.CONCEPTS`. A
    field that is None is left out; `<namespace>.link` with a traceparent becomes a span link.
    """

    span_attributes: ClassVar[Mapping[str, str]]


class HasMeasurements(Protocol):
    """An event that moves metrics, whether or not its trace is sampled."""

    def measurements(self) -> Iterable[Measurement]:
        """Instrument name, value, label values in the instrument's order."""
        ...


class DeclaredEvent:
    """What an event class declares about itself, read once per class."""

    __slots__ = ("_fields", "_link", "_metrics", "measures")

    def __init__(self, cls: type, metrics: Metrics, link: str) -> None:
        table: Mapping[str, str] = getattr(cls, "span_attributes", {})
        named = {field: semconv.CONCEPTS.get(name, name) for field, name in table.items()}
        self._link = next((field for field, name in named.items() if name == link), "")
        self._fields = tuple((f, name) for f, name in named.items() if f != self._link)
        self._metrics = metrics
        self.measures = hasattr(cls, "measurements")

    def note(self, record: OpenSpan | None, event: LlamaIndexObject) -> None:
        """Record its measurements, and put its attributes on the span of `record`."""
        if self.measures:
            self._metrics.record_all(event.measurements())
        host = record.shown if record is not None else None
        if host is None or host.unsampled or host.ended:
            return
        attributes = host.attributes
        for field, name in self._fields:
            value = getattr(event, field)
            if value is not None:
                attributes[name] = value
        if self._link:
            origin = parse_traceparent(getattr(event, self._link))
            if origin is not None and host.span is not None:
                host.span.add_link(origin)


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
                note.note(record if record is not None else _current_record(), event)
            elif record is not None:
                note(record, event)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.report_fault(error)

    async def ahandle(self, event: BaseEvent, **kwargs: object) -> None:
        """The same, for `Dispatcher.aevent`."""
        self.handle(event)

    def _note_for(self, cls: type) -> Note | DeclaredEvent | None:
        if hasattr(cls, "span_attributes") or hasattr(cls, "measurements"):
            return DeclaredEvent(cls, self.metrics, self.tree.names.link)
        return next((self.known[c.__name__] for c in cls.__mro__ if c.__name__ in self.known), None)


def _current_record() -> OpenSpan | None:
    found = otel_context.get_value(RECORD_KEY)
    return found if isinstance(found, OpenSpan) else None


def event_handler(
    tree: SpanTree,
    metrics: Metrics,
    *,
    content: ContentPolicy,
    openinference: bool = False,
) -> OTelEventHandler:
    """The handler for LlamaIndex's events over `tree`."""
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
        "ReRankEndEvent": retrieval.ended,
    }
    return OTelEventHandler(tree=tree, metrics=metrics, known=known, notes={})


class ModelCalls:
    """LLM and embedding events, on their spans and in the metrics."""

    def __init__(
        self,
        tree: SpanTree,
        metrics: Metrics,
        content: ContentPolicy,
        openinference: bool,
    ) -> None:
        self._tree = tree
        self._metrics = metrics
        self._content = content
        self._names = tree.names
        self._openinference = openinference
        self._stages = metrics.series[metrics.own.stage_duration.name]
        self._runs = metrics.series[metrics.own.requests.name]
        self._run_durations = metrics.series[metrics.own.request_duration.name]

    def chat_started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Length of the prompt; the messages only under capture."""
        if record.shown is not record or record.unsampled:
            return
        texts = [(str(m.role.value), m.content or "") for m in event.messages]
        record.attributes[semconv.PROMPT_LENGTH] = sum(len(text) for _, text in texts)
        if self._content.capture:
            record.attributes[semconv.INPUT_MESSAGES] = self._content.messages(texts)

    def completion_started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Length of the prompt; the prompt only under capture."""
        if record.shown is not record or record.unsampled:
            return
        record.attributes[semconv.PROMPT_LENGTH] = len(event.prompt)
        if self._content.capture:
            prompt = [("user", event.prompt)]
            record.attributes[semconv.INPUT_MESSAGES] = self._content.messages(prompt)

    def progressed(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """The first chunk's time."""
        if record.plan.subject and not record.first_chunk_ns:
            record.first_chunk_ns = time_ns()

    def ended(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Tokens, model, finish reason, lengths, times; ends the span of a stream."""
        if not record.plan.subject or (record.shown is not record and not record.unsampled):
            return
        now_ns = time_ns()
        response = event.response
        raw = getattr(response, "raw", None)
        additional = getattr(response, "additional_kwargs", None) or {}
        usage = usage_in(raw, additional)
        duration_s = (now_ns - record.started_ns) / _NS_PER_S
        if not record.unsampled:
            self._describe(record, response, raw, additional, usage)
        self._measure(record, duration_s, usage)
        if record.streaming or record.span is None:
            self._tree.end(record)

    def embedded(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Duration of an embedding call."""
        if record.plan.subject and (record.shown is record or record.unsampled):
            record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            self._measure(record, _since(record), None)
            if record.span is None:
                self._tree.end(record)

    def failed(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """A stream broke, or was closed early: its span ends."""
        if record.streaming or record.span is None:
            self._tree.fail(record, event.exception)

    def cancelled(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """A cancelled call is an outcome, not a failure."""
        if record.shown is record:
            record.attributes[self._names.outcome] = "cancelled"

    def call_ended(self, record: OpenSpan, error: BaseException | None) -> None:
        """The tree's `on_end`: durations of stages, failures of model calls."""
        plan = record.plan
        if plan.is_stage:
            stage = (plan.name, error_type(error) if error is not None else "")
            self._stages.record(_since(record), stage)
        elif plan.is_run:
            kind = error_type(error) if error is not None else ""
            run = (plan.workflow, kind or str(record.attributes.get(self._names.outcome, "ok")))
            self._runs.record(1, run)
            self._run_durations.record(_since(record), run)
        elif error is not None and not same_call(record):
            record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            self._metrics.model_failure(_since(record), _labels(record), error_type(error))

    def _describe(
        self,
        record: OpenSpan,
        response: LlamaIndexObject,
        raw: object,
        additional: Mapping[str, Any],
        usage: ModelUsage | None,
    ) -> None:
        noted = record.attributes
        message = getattr(response, "message", None)
        text = (message.content if message is not None else getattr(response, "text", "")) or ""
        noted[semconv.RESPONSE_LENGTH] = len(text)
        noted[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
        if record.first_chunk_ns:
            noted[semconv.REQUEST_STREAM] = True
            first_s = (record.first_chunk_ns - record.started_ns) / _NS_PER_S
            noted[semconv.TIME_TO_FIRST_CHUNK_S] = round(first_s, 6)
        reason = finish_reason_of(raw, additional)
        if reason:
            noted[semconv.FINISH_REASONS] = (reason,)
        for name, key in (("model", semconv.RESPONSE_MODEL), ("id", semconv.RESPONSE_ID)):
            if found := text_field(raw, name):
                noted[key] = found
        if usage is not None:
            noted.update(_usage_attributes(usage, self._names.cache_write_tokens))
        if self._content.capture:
            noted[semconv.OUTPUT_MESSAGES] = self._content.messages([("assistant", text)])
        if self._openinference:
            noted[semconv.OPENINFERENCE_KIND] = "LLM"
            pairs = semconv.OPENINFERENCE_NAMES.items()
            noted.update({other: noted[ours] for ours, other in pairs if ours in noted})

    def _measure(self, record: OpenSpan, duration_s: float, usage: ModelUsage | None) -> None:
        if same_call(record):
            return
        labels = _labels(record)
        self._metrics.model_call(duration_s, labels)
        if usage is not None:
            self._metrics.tokens(usage.input_tokens, usage.output_tokens, labels)
        if record.first_chunk_ns:
            first_s = (record.first_chunk_ns - record.started_ns) / _NS_PER_S
            self._metrics.first_chunk(first_s, labels)


def _labels(record: OpenSpan) -> dict[str, str]:
    noted = record.attributes
    return {
        semconv.OPERATION: record.plan.operation,
        semconv.REQUEST_MODEL: str(noted.get(semconv.REQUEST_MODEL, "")),
        semconv.PROVIDER: str(noted.get(semconv.PROVIDER, "")),
    }


def _since(record: OpenSpan) -> float:
    return (time_ns() - record.started_ns) / _NS_PER_S


def _usage_attributes(usage: ModelUsage, cache_write: str) -> dict[str, Attribute]:
    noted: dict[str, Attribute] = {
        semconv.INPUT_TOKENS: usage.input_tokens,
        semconv.OUTPUT_TOKENS: usage.output_tokens,
        semconv.TOTAL_TOKENS: usage.total_tokens,
    }
    if usage.cache_read_tokens:
        noted[semconv.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        noted[cache_write] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        noted[semconv.REASONING_TOKENS] = usage.reasoning_tokens
    return noted


class Retrievals:
    """Retrieval and rerank events: ids and scores; texts only under capture."""

    def __init__(self, names: SpanNames, content: ContentPolicy, openinference: bool) -> None:
        self._names = names
        self._content = content
        self._openinference = openinference

    def started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """The query's text, under capture."""
        host = record.shown
        if self._content.capture and host is not None and not host.unsampled:
            asked = event.str_or_query_bundle
            text = asked if isinstance(asked, str) else asked.query_str
            host.attributes[semconv.QUERY_TEXT] = self._content.cut(text)

    def ended(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """How many passages, which, how well."""
        host = record.shown
        if host is None or host.unsampled:
            return
        noted = host.attributes
        nodes = event.nodes[:_MOST_IDS]
        noted[self._names.retrieved] = len(event.nodes)
        noted[self._names.retrieved_ids] = tuple(str(n.node_id) for n in nodes)
        scores = tuple(round(float(n.score), 4) for n in nodes if n.score is not None)
        if len(scores) == len(nodes):
            noted[self._names.retrieved_scores] = scores
        if self._openinference:
            noted[semconv.OPENINFERENCE_KIND] = "RETRIEVER"
            for i, node in enumerate(nodes):
                noted[f"retrieval.documents.{i}.document.id"] = str(node.node_id)
                if node.score is not None:
                    noted[f"retrieval.documents.{i}.document.score"] = float(node.score)
        if self._content.capture:
            passages = [{"id": n.node_id, "score": n.score, "content": n.text} for n in nodes]
            noted[semconv.RETRIEVED_DOCUMENTS] = self._content.documents(passages)
