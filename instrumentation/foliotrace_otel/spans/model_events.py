"""LlamaIndex's own events: model calls, retrieval and rerank, as span attributes and metrics."""

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import Any, Final

from foliotrace_otel import semconv
from foliotrace_otel.content.capture import ContentCapture
from foliotrace_otel.content.messages import Message, message_of
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.semconv import Attribute, SpanNames
from foliotrace_otel.spans import LlamaIndexObject
from foliotrace_otel.spans.failures import error_type
from foliotrace_otel.spans.model_usage import ModelUsage, finish_reason_of, text_field, usage_in
from foliotrace_otel.spans.open_span import OpenSpan
from foliotrace_otel.spans.parents import same_call
from foliotrace_otel.spans.span_tree import SpanTree

_MOST_IDS: Final = 10
_NS_PER_S: Final = 1e9


class ModelCalls:
    """LLM and embedding events, on their spans and in the metrics."""

    def __init__(
        self,
        tree: SpanTree,
        metrics: Metrics,
        content: ContentCapture,
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
        if record.visible is not record or record.unsampled:
            return
        lengths = (len(message.content or "") for message in event.messages)
        record.attributes[semconv.PROMPT_LENGTH] = sum(lengths)
        if self._content.captures(record):
            messages = [message_of(message) for message in event.messages]
            record.attributes.update(self._content.messages(messages, outgoing=True))
            record.attributes.update(self._content.tools(event.additional_kwargs))

    def completion_started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Length of the prompt; the prompt only under capture."""
        if record.visible is not record or record.unsampled:
            return
        record.attributes[semconv.PROMPT_LENGTH] = len(event.prompt)
        if self._content.captures(record):
            prompt = Message("user", event.prompt)
            record.attributes.update(self._content.messages([prompt], outgoing=True))

    def progressed(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """The first chunk's time."""
        if record.plan.subject and not record.first_chunk_ns:
            record.first_chunk_ns = time_ns()

    def ended(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Tokens, model, finish reason, lengths, times; ends the span of a stream."""
        if not record.plan.subject or (record.visible is not record and not record.unsampled):
            return
        now_ns = time_ns()
        response = event.response
        raw = getattr(response, "raw", None)
        additional = getattr(response, "additional_kwargs", None) or {}
        usage = usage_in(raw, additional)
        duration_s = (now_ns - record.started_ns) / _NS_PER_S
        if not record.unsampled:
            self._describe(record, response, raw, additional, usage)
            if provider := record.attributes.get(semconv.PROVIDER):  # for its prices
                record.attributes[semconv.LANGSMITH_PROVIDER] = provider
        self._measure(record, duration_s, usage)
        # An unsampled call has no span whose end would be seen elsewhere: this event is its end.
        if record.streaming or record.span is None:
            self._tree.end(record)

    def embedded(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """Duration of an embedding call."""
        if record.plan.subject and (record.visible is record or record.unsampled):
            record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            self._name_for_openinference(record)
            if self._openinference and self._content.captures(record):
                for i, chunk in enumerate(event.chunks[:_MOST_IDS]):
                    name = f"embedding.embeddings.{i}.embedding.text"
                    record.attributes[name] = self._content.cut(str(chunk))
            self._measure(record, _since(record), None)
            if record.span is None:
                self._tree.end(record)

    def failed(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """A stream broke, or was closed early: its span ends."""
        if record.streaming or record.span is None:
            self._tree.fail(record, event.exception)

    def cancelled(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """A cancelled call is an outcome, not a failure."""
        if record.visible is record:
            record.attributes[self._names.outcome] = "cancelled"

    def call_ended(self, record: OpenSpan, error: BaseException | None) -> None:
        """The tree's `on_end`: durations of stages, failures of model calls."""
        plan = record.plan
        if plan.is_stage:
            stage = (plan.name, error_type(error) if error is not None else "")
            self._stages.record((time_ns() - record.started_ns) / _NS_PER_S, stage)
        elif plan.is_run:
            kind = error_type(error) if error is not None else ""
            run = (plan.workflow, kind or str(record.attributes.get(self._names.outcome, "ok")))
            self._runs.record(1, run)
            self._run_durations.record(_since(record), run)
        elif error is not None and not same_call(record):  # complete() over chat() fails twice
            if record.tags.get(self._names.attempt, 1) == 1:
                record.attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
            else:  # the first attempt has them, and a span has its times
                for name in semconv.OF_FIRST_ATTEMPT:
                    record.attributes.pop(name, None)
            self._name_for_openinference(record)
            self._metrics.model_failure(_since(record), _labels(record), error_type(error))

    def _describe(
        self,
        record: OpenSpan,
        response: LlamaIndexObject,
        raw: object,
        additional: Mapping[str, Any],
        usage: ModelUsage | None,
    ) -> None:
        attributes = record.attributes
        message = getattr(response, "message", None)
        text = (message.content if message is not None else getattr(response, "text", "")) or ""
        attributes[semconv.RESPONSE_LENGTH] = len(text)
        attributes[semconv.DURATION_MS] = round(_since(record) * 1e3, 3)
        if record.first_chunk_ns:
            attributes[semconv.REQUEST_STREAM] = True
            first_s = (record.first_chunk_ns - record.started_ns) / _NS_PER_S
            attributes[semconv.TIME_TO_FIRST_CHUNK_S] = round(first_s, 6)
        reason = finish_reason_of(raw, additional)
        if reason:
            attributes[semconv.FINISH_REASONS] = (reason,)
        for name, key in (("model", semconv.RESPONSE_MODEL), ("id", semconv.RESPONSE_ID)):
            if value := text_field(raw, name):
                attributes[key] = value
        if usage is not None:
            attributes.update(_usage_attributes(usage, self._names.cache_write_tokens))
        if self._content.captures(record):
            answer = Message("assistant", text) if message is None else message_of(message)
            attributes.update(self._content.messages([answer], outgoing=False))
        self._name_for_openinference(record)

    def _name_for_openinference(self, record: OpenSpan) -> None:
        if self._openinference:
            named = semconv.openinference_of(record.plan.operation, record.attributes)
            record.attributes.update(named)

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
    attributes = record.attributes
    return {
        semconv.OPERATION: record.plan.operation,
        semconv.REQUEST_MODEL: str(attributes.get(semconv.REQUEST_MODEL, "")),
        semconv.PROVIDER: str(attributes.get(semconv.PROVIDER, "")),
    }


def _since(record: OpenSpan) -> float:
    return (time_ns() - record.started_ns) / _NS_PER_S


def _usage_attributes(usage: ModelUsage, cache_write: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        semconv.INPUT_TOKENS: usage.input_tokens,
        semconv.OUTPUT_TOKENS: usage.output_tokens,
        semconv.TOTAL_TOKENS: usage.total_tokens,
    }
    if usage.cache_read_tokens:
        attributes[semconv.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        attributes[cache_write] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        attributes[semconv.REASONING_TOKENS] = usage.reasoning_tokens
    return attributes


class Retrievals:
    """Retrieval and rerank events: ids and scores; texts only under capture."""

    def __init__(self, names: SpanNames, content: ContentCapture, openinference: bool) -> None:
        self._names = names
        self._content = content
        self._openinference = openinference

    def started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """The query's text, under capture."""
        host = record.visible
        if host is not None and self._content.captures(host):
            query = event.str_or_query_bundle
            text = query if isinstance(query, str) else query.query_str
            host.attributes[semconv.QUERY_TEXT] = self._content.cut(text)

    def ended(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """How many passages, which, how well."""
        host = record.visible
        if host is None or host.unsampled:
            return
        attributes = host.attributes
        nodes = event.nodes[:_MOST_IDS]
        attributes[self._names.retrieved] = len(event.nodes)
        attributes[self._names.retrieved_ids] = tuple(str(n.node_id) for n in nodes)
        scores = tuple(round(float(n.score), 4) for n in nodes if n.score is not None)
        if len(scores) == len(nodes):
            attributes[self._names.retrieved_scores] = scores
        if self._openinference:
            ranked = host.plan.is_rerank
            name = "reranker.output_documents" if ranked else "retrieval.documents"
            attributes.update(_documents(name, nodes))

    def rerank_started(self, record: OpenSpan, event: LlamaIndexObject) -> None:
        """What is ordered anew, by what; for OpenInference."""
        host = record.visible
        if host is None or host.unsampled or not self._openinference:
            return
        attributes = host.attributes
        attributes["reranker.model_name"] = str(event.model_name)
        attributes["reranker.top_k"] = int(event.top_n)
        attributes.update(_documents("reranker.input_documents", event.nodes[:_MOST_IDS]))
        if self._content.captures(host) and event.query is not None:
            query = event.query
            text = query if isinstance(query, str) else query.query_str
            attributes["reranker.query"] = self._content.cut(text)


def _documents(name: str, nodes: Sequence[LlamaIndexObject]) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {}
    for i, node in enumerate(nodes):
        attributes[f"{name}.{i}.document.id"] = str(node.node_id)
        if node.score is not None:
            attributes[f"{name}.{i}.document.score"] = float(node.score)
    return attributes
