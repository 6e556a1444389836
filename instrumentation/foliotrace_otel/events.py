"""The LlamaIndex event handler: what the events tell goes on the spans, and into the metrics."""

from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Final

from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from opentelemetry import context as otel_context
from pydantic import ConfigDict

from foliotrace_otel import semconv
from foliotrace_otel.content import ContentPolicy
from foliotrace_otel.failures import error_type
from foliotrace_otel.foreign import Foreign
from foliotrace_otel.metrics import Metrics
from foliotrace_otel.open_span import RECORD_KEY, OpenSpan
from foliotrace_otel.propagation import parse_traceparent
from foliotrace_otel.semconv import Attribute, Vocabulary
from foliotrace_otel.span_tree import SpanTree, same_call
from foliotrace_otel.told_metrics import TOLD_METRICS
from foliotrace_otel.usage import Usage, finish_reason_of, text_field, usage_of

_MOST_IDS: Final = 10
_NS_PER_S: Final = 1e9
Telling = Callable[[OpenSpan, Foreign], None]


class OTelEventHandler(BaseEventHandler):
    """Puts what LlamaIndex events tell on the span they name.

    An event of any other class takes part by offering `span_attributes() -> Mapping`; the attribute
    `foliotrace.link` with a traceparent becomes a span link.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    tree: SpanTree
    metrics: Metrics
    tellings: dict[type, Telling | None]
    known: Mapping[str, Telling]

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for the handler class."""
        return "OTelEventHandler"

    def handle(self, event: BaseEvent, **kwargs: object) -> None:
        """Note what `event` tells; never raises."""
        try:
            cls = type(event)
            try:
                telling = self.tellings[cls]
            except KeyError:
                telling = self.tellings[cls] = self._telling(cls)
            if telling is None:
                return
            if telling is tell_attributes:
                self._measure(event)
            record = self.tree.open.get(event.span_id or "")
            if record is None and telling is tell_attributes:
                record = _current_record()
            if record is not None:
                telling(record, event)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the program it watches
            self.tree.bug(error)

    async def ahandle(self, event: BaseEvent, **kwargs: object) -> None:
        """The same, for `Dispatcher.aevent`."""
        self.handle(event)

    def _measure(self, event: Foreign) -> None:
        measure = TOLD_METRICS.get(getattr(event, "name", ""))
        if measure is not None:
            measure(self.metrics, event.span_attributes())

    def _telling(self, cls: type) -> Telling | None:
        if hasattr(cls, "span_attributes"):
            return tell_attributes
        return next((self.known[c.__name__] for c in cls.__mro__ if c.__name__ in self.known), None)


def _current_record() -> OpenSpan | None:
    found = otel_context.get_value(RECORD_KEY)
    return found if isinstance(found, OpenSpan) else None


def tell_attributes(record: OpenSpan, event: Foreign) -> None:
    """An event's own attributes, as they are; `foliotrace.link` becomes a link."""
    host = record.shown
    if host is None or host.unsampled or host.ended:
        return
    told: Mapping[str, Attribute] = event.span_attributes()
    if semconv.LINK in told:
        told = dict(told)
        origin = parse_traceparent(told.pop(semconv.LINK))
        if origin is not None and host.span is not None:
            host.span.add_link(origin)
    host.attributes.update(told)


def event_handler(
    tree: SpanTree,
    metrics: Metrics,
    *,
    content: ContentPolicy,
    names: Vocabulary,
    openinference: bool = False,
) -> OTelEventHandler:
    """The handler for LlamaIndex's events over `tree`."""
    teller = ModelCalls(tree, metrics, content, names, openinference)
    tree.on_end = teller.call_ended
    retrieval = Retrievals(content, openinference)
    known: dict[str, Telling] = {
        "LLMChatStartEvent": teller.chat_started,
        "LLMCompletionStartEvent": teller.completion_started,
        "LLMChatInProgressEvent": teller.progressed,
        "LLMCompletionInProgressEvent": teller.progressed,
        "LLMChatEndEvent": teller.ended,
        "LLMCompletionEndEvent": teller.ended,
        "EmbeddingEndEvent": teller.embedded,
        "ExceptionEvent": teller.failed,
        "SpanCancelledEvent": _cancelled,
        "RetrievalStartEvent": retrieval.started,
        "RetrievalEndEvent": retrieval.ended,
        "ReRankEndEvent": retrieval.ended,
    }
    return OTelEventHandler(tree=tree, metrics=metrics, known=known, tellings={})


def _cancelled(record: OpenSpan, event: Foreign) -> None:
    if record.shown is record:
        record.attributes[semconv.OUTCOME] = "cancelled"


class ModelCalls:
    """What LLM and embedding events tell, on their spans and in the metrics."""

    def __init__(
        self,
        tree: SpanTree,
        metrics: Metrics,
        content: ContentPolicy,
        names: Vocabulary,
        openinference: bool,
    ) -> None:
        self._tree = tree
        self._metrics = metrics
        self._content = content
        self._names = names
        self._openinference = openinference
        self._stages = metrics.in_order("foliotrace.stage.duration", "stage", "error.type")
        self._runs = metrics.in_order("foliotrace.requests", "workflow", "outcome")
        self._run_durations = metrics.in_order("foliotrace.request.duration", "workflow", "outcome")

    def chat_started(self, record: OpenSpan, event: Foreign) -> None:
        """Length of the prompt; the messages only under capture."""
        if record.shown is not record or record.unsampled:
            return
        texts = [(str(m.role.value), m.content or "") for m in event.messages]
        record.attributes[semconv.PROMPT_LENGTH] = sum(len(text) for _, text in texts)
        if self._content.capture:
            record.attributes[semconv.INPUT_MESSAGES] = self._content.messages(texts)

    def completion_started(self, record: OpenSpan, event: Foreign) -> None:
        """Length of the prompt; the prompt only under capture."""
        if record.shown is not record or record.unsampled:
            return
        record.attributes[semconv.PROMPT_LENGTH] = len(event.prompt)
        if self._content.capture:
            prompt = [("user", event.prompt)]
            record.attributes[semconv.INPUT_MESSAGES] = self._content.messages(prompt)

    def progressed(self, record: OpenSpan, event: Foreign) -> None:
        """The first chunk's time."""
        if record.plan.subject and not record.first_chunk_ns:
            record.first_chunk_ns = time_ns()

    def ended(self, record: OpenSpan, event: Foreign) -> None:
        """Tokens, model, finish reason, lengths, times; ends the span of a stream."""
        if not record.plan.subject or (record.shown is not record and not record.unsampled):
            return
        now_ns = time_ns()
        response = event.response
        raw = getattr(response, "raw", None)
        additional = getattr(response, "additional_kwargs", None) or {}
        usage = usage_of(raw, additional)
        duration_s = (now_ns - record.started_ns) / _NS_PER_S
        if not record.unsampled:
            self._describe(record, response, raw, additional, usage)
        self._measure(record, duration_s, usage)
        if record.streaming or record.span is None:
            self._tree.end(record)

    def embedded(self, record: OpenSpan, event: Foreign) -> None:
        """Duration of an embedding call."""
        if record.plan.subject and (record.shown is record or record.unsampled):
            record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            self._measure(record, _since(record), None)
            if record.span is None:
                self._tree.end(record)

    def failed(self, record: OpenSpan, event: Foreign) -> None:
        """A stream broke, or was closed early: its span ends."""
        if record.streaming or record.span is None:
            self._tree.fail(record, event.exception)

    def call_ended(self, record: OpenSpan, error: BaseException | None) -> None:
        """The tree's `on_end`: durations of stages, failures of model calls."""
        plan = record.plan
        if plan.is_stage:
            stage = (plan.name, error_type(error) if error is not None else "")
            self._stages.record(_since(record), stage)
        elif plan.is_run:
            kind = error_type(error) if error is not None else ""
            run = (plan.workflow, kind or str(record.attributes.get(semconv.OUTCOME, "ok")))
            self._runs.record(1, run)
            self._run_durations.record(_since(record), run)
        elif error is not None and not same_call(record):
            record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            self._metrics.model_failure(_since(record), _labels(record), error_type(error))

    def _describe(
        self,
        record: OpenSpan,
        response: Foreign,
        raw: object,
        additional: Mapping[str, Any],
        usage: Usage | None,
    ) -> None:
        told = record.attributes
        message = getattr(response, "message", None)
        text = (message.content if message is not None else getattr(response, "text", "")) or ""
        told[semconv.RESPONSE_LENGTH] = len(text)
        told[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
        if record.first_chunk_ns:
            told[semconv.REQUEST_STREAM] = True
            first_s = (record.first_chunk_ns - record.started_ns) / _NS_PER_S
            told[semconv.TIME_TO_FIRST_CHUNK_S] = round(first_s, 6)
        reason = finish_reason_of(raw, additional)
        if reason:
            told[semconv.FINISH_REASONS] = (reason,)
        for name, key in (("model", semconv.RESPONSE_MODEL), ("id", semconv.RESPONSE_ID)):
            if found := text_field(raw, name):
                told[key] = found
        if usage is not None:
            told.update(_usage_attributes(usage, self._names))
        if self._content.capture:
            told[semconv.OUTPUT_MESSAGES] = self._content.messages([("assistant", text)])
        if self._openinference:
            told[semconv.OPENINFERENCE_KIND] = "LLM"
            told.update({o: told[k] for k, o in semconv.OPENINFERENCE_NAMES.items() if k in told})

    def _measure(self, record: OpenSpan, duration_s: float, usage: Usage | None) -> None:
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
    told = record.attributes
    return {
        semconv.OPERATION: record.plan.operation,
        semconv.REQUEST_MODEL: str(told.get(semconv.REQUEST_MODEL, "")),
        semconv.PROVIDER: str(told.get(semconv.PROVIDER, "")),
    }


def _since(record: OpenSpan) -> float:
    return (time_ns() - record.started_ns) / _NS_PER_S


def _usage_attributes(usage: Usage, names: Vocabulary) -> dict[str, Attribute]:
    told: dict[str, Attribute] = {
        semconv.INPUT_TOKENS: usage.input_tokens,
        semconv.OUTPUT_TOKENS: usage.output_tokens,
        semconv.TOTAL_TOKENS: usage.total_tokens,
    }
    if usage.cache_read_tokens:
        told[semconv.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        told[names.cache_write_tokens] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        told[semconv.REASONING_TOKENS] = usage.reasoning_tokens
    return told


class Retrievals:
    """What retrieval and rerank events tell: ids and scores; texts only under capture."""

    def __init__(self, content: ContentPolicy, openinference: bool) -> None:
        self._content = content
        self._openinference = openinference

    def started(self, record: OpenSpan, event: Foreign) -> None:
        """The query's text, under capture."""
        host = record.shown
        if self._content.capture and host is not None and not host.unsampled:
            asked = event.str_or_query_bundle
            text = asked if isinstance(asked, str) else asked.query_str
            host.attributes[semconv.QUERY_TEXT] = self._content.cut(text)

    def ended(self, record: OpenSpan, event: Foreign) -> None:
        """How many passages, which, how well."""
        host = record.shown
        if host is None or host.unsampled:
            return
        told = host.attributes
        nodes = event.nodes[:_MOST_IDS]
        told[semconv.RETRIEVED] = len(event.nodes)
        told[semconv.RETRIEVED_IDS] = tuple(str(n.node_id) for n in nodes)
        scores = tuple(round(float(n.score), 4) for n in nodes if n.score is not None)
        if len(scores) == len(nodes):
            told[semconv.RETRIEVED_SCORES] = scores
        if self._openinference:
            told[semconv.OPENINFERENCE_KIND] = "RETRIEVER"
            for i, node in enumerate(nodes):
                told[f"retrieval.documents.{i}.document.id"] = str(node.node_id)
                if node.score is not None:
                    told[f"retrieval.documents.{i}.document.score"] = float(node.score)
        if self._content.capture:
            passages = [{"id": n.node_id, "score": n.score, "content": n.text} for n in nodes]
            told[semconv.RETRIEVED_DOCUMENTS] = self._content.documents(passages)
