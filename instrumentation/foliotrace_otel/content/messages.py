"""Messages of language models as back ends read them: texts, tool calls and their results; pure.

In the GenAI conventions one attribute holds all of them as JSON; in OpenInference each field of a
message is an attribute. Pictures and sounds are named, not written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from foliotrace_otel.content.as_json import as_data, cut
from foliotrace_otel.semconv import Attribute
from foliotrace_otel.spans import LlamaIndexObject

_TEXT_BLOCKS: Final = frozenset({"TextBlock", "ToolCallBlock"})
_MOST_MESSAGES: Final = 50
_MOST_TOOLS: Final = 50


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks for. `arguments`: JSON types, or text as the model wrote it."""

    id: str
    name: str
    arguments: LlamaIndexObject


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `answers`: the id of the tool call whose result it is. `other`: other parts."""

    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    other: tuple[str, ...] = ()


def message_of(message: LlamaIndexObject) -> Message:
    """A `ChatMessage`, whichever way its integration writes tool calls."""
    blocks = getattr(message, "blocks", None) or ()
    additional = getattr(message, "additional_kwargs", None) or {}
    kinds = [type(block).__name__ for block in blocks]
    calls = [
        ToolCall(str(block.tool_call_id or ""), str(block.tool_name), as_data(block.tool_kwargs))
        for block, kind in zip(blocks, kinds, strict=True)
        if kind == "ToolCallBlock"
    ] or [_call_of(each) for each in additional.get("tool_calls") or ()]
    return Message(
        role=str(message.role.value),
        text=message.content or "",
        calls=tuple(calls),
        answers=str(additional.get("tool_call_id") or ""),
        other=tuple(
            kind.removesuffix("Block").lower() for kind in kinds if kind not in _TEXT_BLOCKS
        ),
    )


def as_genai(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The form of `gen_ai.input.messages` and `gen_ai.output.messages`."""
    return [{"role": message.role, "parts": _parts(message)} for message in messages]


def as_openinference(
    messages: Iterable[Message], prefix: str, most_chars: int
) -> dict[str, Attribute]:
    """One attribute for each field; `prefix` is `llm.input_messages` or `llm.output_messages`."""
    attributes: dict[str, Attribute] = {}
    for i, message in enumerate(list(messages)[:_MOST_MESSAGES]):
        place = f"{prefix}.{i}.message"
        attributes[f"{place}.role"] = message.role
        attributes[f"{place}.content"] = cut(message.text, most_chars)
        if message.answers:
            attributes[f"{place}.tool_call_id"] = message.answers
        for j, call in enumerate(message.calls):
            at = f"{place}.tool_calls.{j}.tool_call"
            attributes[f"{at}.id"] = call.id
            attributes[f"{at}.function.name"] = call.name
            attributes[f"{at}.function.arguments"] = cut(_as_text(call.arguments), most_chars)
    return attributes


def tools_of(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The definitions of the tools that a call offers to the model, as the provider gets them."""
    tools = arguments.get("tools")
    if not isinstance(tools, list | tuple):
        return []
    return [as_data(tool) for tool in tools[:_MOST_TOOLS] if isinstance(tool, Mapping)]


def _parts(message: Message) -> list[dict[str, Any]]:
    if message.answers:
        return [{"type": "tool_call_response", "id": message.answers, "result": message.text}]
    parts: list[dict[str, Any]] = []
    if message.text or not (message.calls or message.other):
        parts.append({"type": "text", "content": message.text})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.calls
    ]
    return parts + [{"type": kind} for kind in message.other]


def _call_of(call: LlamaIndexObject) -> ToolCall:
    """A tool call as an OpenAI client returns it: an object, or a mapping."""

    def field(source: LlamaIndexObject, name: str) -> LlamaIndexObject:
        return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)

    function = field(call, "function")
    arguments = field(function, "arguments")
    return ToolCall(str(field(call, "id") or ""), str(field(function, "name") or ""), arguments)


def _as_text(arguments: LlamaIndexObject) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
