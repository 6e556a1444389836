"""Inputs, outputs and identity of runs on their spans; only where content is switched on.

LangSmith, Langfuse and Phoenix show of a run what its span carries: `gen_ai.prompt` and
`gen_ai.completion` (LangSmith), `langfuse.observation.*`, `input.value` and `output.value`
(OpenInference). The arguments and results of LlamaIndex's dispatcher spans are rendered as JSON,
cut to a length; redaction follows where spans leave the process (export/span_redaction.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span

from foliotrace_otel import semconv
from foliotrace_otel.content.as_json import (
    as_data,
    cut,
    documents_in,
    is_empty,
    to_json,
    values_of,
)
from foliotrace_otel.content.messages import Message, as_genai, as_openinference, tools_of
from foliotrace_otel.semconv import Attribute
from foliotrace_otel.spans import LlamaIndexObject
from foliotrace_otel.spans.open_span import OpenSpan, run_of

BackEnd: TypeAlias = Literal["langsmith", "langfuse", "openinference"]

_ON = frozenset({"true", "1", "span_only", "span_and_event"})
_OFF = frozenset({"", "false", "0", "no_content", "event_only"})
_NOT_INPUT: Final = frozenset({"self", "cls", "ctx", "kwargs"})
_PARAMETERS: Final = ("temperature", "top_p", "max_tokens", "seed")
_SHARE_BITS: Final = 56  # the random part of a W3C trace id
_INPUT: Final = {"langsmith": "gen_ai.prompt", "langfuse": "langfuse.observation.input"}
_OUTPUT: Final = {"langsmith": "gen_ai.completion", "langfuse": "langfuse.observation.output"}
# Of the run as a whole, by field of the event that describes it; the others are on every span.
_RUN_ONLY: Final = ("tags", "metadata", "release", "prompt_version", "index_version")


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Whether content goes on spans. `most_chars`: the length each text is cut to.

    `share`: of the runs that may be captured, decided by trace id. `tenants`: only theirs, as far
    as the program names the tenant of a run; empty: everybody's. `back_ends`: whose attribute names
    are written. `people`: names of fields that hold names of people, such as `author`.
    """

    capture: bool = False
    most_chars: int = 4096
    share: float = 1.0
    tenants: frozenset[str] = frozenset()
    back_ends: frozenset[BackEnd] = frozenset({"langsmith"})
    people: frozenset[str] = frozenset()

    @staticmethod
    def parse(value: str) -> "bool | None":
        """The standard variable's value as a switch; None if it is no known value.

        `EVENT_ONLY` puts nothing on spans, and this package sends no content events.
        """
        lowered = value.strip().lower()
        if lowered in _ON:
            return True
        return False if lowered in _OFF else None

    def chooses(self, trace_id: int) -> bool:
        """Whether the run of this trace is in the captured share."""
        if self.share >= 1:
            return True
        return (trace_id & ((1 << _SHARE_BITS) - 1)) < self.share * (1 << _SHARE_BITS)


@dataclass(slots=True)
class SpanContent:
    """What one open span was called with and returned. The rest is set on runs only.

    `entry`: the span of the request above the run, which back ends list as the root.
    """

    arguments: Mapping[str, Any] | None = None
    result: LlamaIndexObject = None
    component: LlamaIndexObject = None
    entry: Span | None = None
    tenant: str | None = None
    described: dict[str, Attribute] = field(default_factory=dict)
    everywhere: dict[str, Attribute] = field(default_factory=dict)


class ContentCapture:
    """Collects content while spans are open and writes it on them when they end.

    `pseudonym` makes a stable name of a user; the user's own never leaves. `learn_person` is told
    the names of users, and what stands in the fields `policy.people`, before they are exported.
    """

    def __init__(
        self,
        policy: ContentPolicy,
        pseudonym: Callable[[str], str],
        learn_person: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.policy = policy
        self._pseudonym = pseudonym
        self._learn_person = learn_person

    def captures(self, record: OpenSpan) -> bool:
        """Whether the content of the run around `record` may go on spans."""
        if not self.policy.capture or record.span is None or record.unsampled:
            return False
        if not self.policy.chooses(record.span.get_span_context().trace_id):
            return False
        content = run_of(record).content
        return not self.policy.tenants or (
            content is not None and content.tenant in self.policy.tenants
        )

    def entered(
        self,
        record: OpenSpan | None,
        arguments: Mapping[str, Any],
        above: Span,
        component: LlamaIndexObject,
    ) -> None:
        """A call of `component` began under the OTel span `above`.

        One that has no span is its run's own step.
        """
        host = _content_host(record)
        if host is None:
            return
        if host.content is None:
            host.content = SpanContent()
        if host is record and host.parent is None and above.is_recording():
            host.content.entry = above
        if host.content.arguments is None or host is record:
            host.content.arguments = arguments
            host.content.component = component

    def left(self, record: OpenSpan | None, result: LlamaIndexObject) -> None:
        """A call returned."""
        host = _content_host(record)
        if host is not None and host.content is not None and result is not None:
            host.content.result = result

    def describe_run(self, record: OpenSpan, described: Mapping[str, Any]) -> None:
        """Who and what a run is for: see `semconv.RUN_FIELDS` for the fields."""
        run = run_of(record)
        if run.span is None:
            return
        if run.content is None:
            run.content = SpanContent()
        run.content.tenant = described.get("tenant")
        if self.captures(run):
            here, everywhere = self.identity(described)
            run.content.described.update(here)
            run.content.everywhere.update(everywhere)

    def tag_run(self, run: OpenSpan, tag: str) -> None:
        """Add `tag` to those of `run`, if its content is captured."""
        if run.content is None or not self.captures(run):
            return
        described = run.content.described
        for back_end in sorted(self.policy.back_ends):
            for name, more in semconv.run_attributes(back_end, "tags", (tag,)).items():
                there = described.get(name)
                if isinstance(there, str):
                    described[name] = f"{there},{tag}"
                else:
                    described[name] = (*there, tag) if isinstance(there, tuple) else more

    def identity(
        self, described: Mapping[str, Any]
    ) -> tuple[dict[str, Attribute], dict[str, Attribute]]:
        """(attributes of a root span, attributes of every span) for the fields of a run."""
        root: dict[str, Attribute] = {}
        every: dict[str, Attribute] = {}
        for name, value in described.items():
            if value is None or value == () or value == {}:
                continue
            if name == "user":
                self._learn_person(str(value))
            exported = (
                self._pseudonym(f"{described.get('tenant')}|{value}") if name == "user" else value
            )
            target = root if name in _RUN_ONLY else every
            for back_end in sorted(self.policy.back_ends):
                target.update(semconv.run_attributes(back_end, name, exported))
        return root, every

    def show(
        self, span: Span, described: Mapping[str, Any], *, inputs: object, outputs: object
    ) -> None:
        """The same for a span that no LlamaIndex call made, such as that of a request.

        What the span shows already stays.
        """
        tenants, tenant = self.policy.tenants, described.get("tenant")
        if not span.is_recording() or (tenants and tenant not in tenants):
            return
        if not (self.policy.capture and self.policy.chooses(span.get_span_context().trace_id)):
            return
        root, everywhere = self.identity(described)
        values = self.values(as_data(inputs), as_data(outputs))
        there = (span.attributes if isinstance(span, ReadableSpan) else None) or {}
        span.set_attributes({**root, **everywhere, **values, **there})

    def write(self, record: OpenSpan, error: BaseException | None = None) -> None:
        """Put the content of `record` on its span; of a run also on the request's span above it."""
        content = record.content
        if content is None or record.ended or not self.captures(record):
            return
        run = run_of(record)
        attributes = dict(run.content.everywhere) if run.content is not None else {}
        inputs = self._inputs(record, content.arguments or {})
        outputs = None if error is not None else as_data(content.result)
        exported = self.values(inputs, outputs)
        if record.plan.operation == "execute_tool":
            arguments, result = self._json(inputs), self._json(outputs)
            attributes |= {semconv.TOOL_ARGUMENTS: arguments, semconv.TOOL_RESULT: result}
        phoenix = "openinference" in self.policy.back_ends
        if record.plan.subject == "model":
            parameters = _parameters(content.component, content.arguments or {})
            attributes.update({f"gen_ai.request.{name}": v for name, v in parameters.items()})
            if phoenix and parameters:
                attributes["llm.invocation_parameters"] = self._json(parameters)
        if phoenix and record.plan.subject == "tool":
            attributes.update(self._tool(content.component))
        if documents := documents_in(content.result):
            attributes.update(self._documents(documents))
        if record.plan.operation not in ("chat", "text_completion"):  # those carry messages
            attributes.update(exported)
        record.attributes = {**attributes, **content.described, **record.attributes}
        content.arguments = content.result = content.component = None
        if content.entry is not None:
            content.entry.set_attributes({**attributes, **content.described, **exported})
            content.entry = None

    def values(self, inputs: LlamaIndexObject, outputs: LlamaIndexObject) -> dict[str, Attribute]:
        """The attributes that hold the input and output of a span."""
        attributes: dict[str, Attribute] = {}
        for data, names, generic in ((inputs, _INPUT, "input"), (outputs, _OUTPUT, "output")):
            if data is None:
                continue
            text = self._json(data if isinstance(data, dict) else {generic: data})
            for back_end, name in names.items():
                if back_end in self.policy.back_ends:
                    attributes[name] = text
            if "openinference" in self.policy.back_ends:
                attributes[f"{generic}.value"] = text
                attributes[f"{generic}.mime_type"] = "application/json"
        return attributes

    def _inputs(self, record: OpenSpan, arguments: Mapping[str, Any]) -> LlamaIndexObject:
        event = arguments.get("start_event", arguments.get("ev"))  # of a run, of a step
        if event is not None:
            return as_data(event) or {"event": type(event).__name__}
        call_arguments = {} if record.plan.is_run else {**arguments.get("kwargs", {}), **arguments}
        return {
            name: as_data(value)
            for name, value in call_arguments.items()
            if name not in _NOT_INPUT and not is_empty(value)
        } or {"call": record.plan.name}

    def _documents(self, documents: list[dict[str, Any]]) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {semconv.RETRIEVED_DOCUMENTS: self._json(documents)}
        for i, document in enumerate(documents):
            place = f"retrieval.documents.{i}.document"
            attributes[f"{place}.content"] = self.cut(str(document["content"]))
            attributes[f"{place}.id"] = str(document["id"])
            if document.get("score") is not None:
                attributes[f"{place}.score"] = float(document["score"])
            if document.get("metadata"):
                attributes[f"{place}.metadata"] = self._json(document["metadata"])
        return attributes

    def _tool(self, tool: LlamaIndexObject) -> dict[str, Attribute]:
        """How a tool describes itself to a model."""
        about = getattr(tool, "metadata", None)
        if about is None:
            return {}
        attributes: dict[str, Attribute] = {}
        if isinstance(about.description, str):
            attributes["tool.description"] = self.cut(about.description)
        parameters: object = getattr(about, "get_parameters_dict", dict)()
        return {**attributes, "tool.parameters": self._json(parameters)}

    def messages(self, messages: Sequence[Message], *, outgoing: bool) -> dict[str, Attribute]:
        """What a model was asked (`outgoing`) or answered, in the words of the back ends."""
        name = semconv.INPUT_MESSAGES if outgoing else semconv.OUTPUT_MESSAGES
        attributes: dict[str, Attribute] = {name: self._json(as_genai(messages))}
        if "openinference" in self.policy.back_ends:
            prefix = "llm.input_messages" if outgoing else "llm.output_messages"
            attributes.update(as_openinference(messages, prefix, self.policy.most_chars))
        return attributes

    def tools(self, arguments: Mapping[str, Any]) -> dict[str, Attribute]:
        """The tools that a model was offered."""
        tools = tools_of(arguments)
        if not tools:
            return {}
        attributes: dict[str, Attribute] = {semconv.TOOL_DEFINITIONS: self._json(tools)}
        if "openinference" in self.policy.back_ends:
            for i, tool in enumerate(tools):
                attributes[f"llm.tools.{i}.tool.json_schema"] = self._json(tool)
        return attributes

    def cut(self, text: str) -> str:
        """`text`, cut to the length."""
        return cut(text, self.policy.most_chars)

    def _json(self, data: LlamaIndexObject) -> str:
        if self.policy.people:
            for person in values_of(data, self.policy.people):
                self._learn_person(person)
        return to_json(data, self.policy.most_chars)


def _content_host(record: OpenSpan | None) -> OpenSpan | None:
    """The record on whose span the content of `record` stands, if any."""
    if record is None or record.visible is None or record.visible.unsampled:
        return None
    host = record.visible
    if host is record:
        return host
    return host if host.plan.is_run and record.plan.name.startswith("step ") else None


def _parameters(model: LlamaIndexObject, arguments: Mapping[str, Any]) -> dict[str, int | float]:
    """What the model was asked with, by call or by the model's own settings."""
    call_arguments = arguments.get("kwargs", {})
    found = {name: call_arguments.get(name, getattr(model, name, None)) for name in _PARAMETERS}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
