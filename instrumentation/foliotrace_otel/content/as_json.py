"""Arguments and results of calls as plain data, and as JSON; pure.

Only data is taken over: texts, numbers, containers, dataclasses, events and models of users. A
component (a language model, an index, a context) may hold keys and sockets and becomes its class
name. An object can say itself how it is shown, by a method `trace_view()`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import orjson

from foliotrace_otel.export.span_redaction import is_sensitive_name
from foliotrace_otel.spans import LlamaIndexObject

_DEEPEST: Final = 8
_MOST_ITEMS: Final = 100
_VECTOR: Final = 16  # longer lists of numbers are embeddings
_LIBRARIES: Final = ("llama_index", "workflows", "llama_agents")
_DATA_OF_LIBRARIES: Final = frozenset({"BaseNode", "Event", "QueryBundle", "ToolSelection"})
_ANSWERS: Final = frozenset(
    {"Response", "PydanticResponse", "AgentChatResponse", "CompletionResponse"}
)


def as_data(value: LlamaIndexObject, depth: int = 0) -> LlamaIndexObject:
    """`value` as JSON types; what is no data becomes `<ClassName>`, empty fields are left out."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return as_data(value.value, depth)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal | UUID | PurePath):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return _mapping(value.items(), depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _items(list(value), depth)
    return _object(value, depth)


def documents_in(result: LlamaIndexObject) -> list[dict[str, Any]]:
    """The passages in a retriever's result: nodes with scores, or `documents` of a trace view."""
    data = as_data(result)
    found = data.get("documents") if isinstance(data, dict) else data
    if not isinstance(found, list):
        return []
    return [d for d in found if isinstance(d, dict) and {"id", "score", "content"} <= d.keys()]


def values_of(data: LlamaIndexObject, fields: frozenset[str]) -> Iterator[str]:
    """The texts that stand in fields of these names, at any depth of JSON types."""
    if isinstance(data, list):
        for item in data:
            yield from values_of(item, fields)
    elif isinstance(data, dict):
        for name, value in data.items():
            if name not in fields:
                yield from values_of(value, fields)
                continue
            found = value.get("value", value) if isinstance(value, dict) else value
            for text in found if isinstance(found, list) else [found]:
                if isinstance(text, str):
                    yield text


def to_json(data: LlamaIndexObject, most_chars: int) -> str:
    """JSON, each text in it cut to `most_chars`."""
    return orjson.dumps(_cut(data, most_chars), option=orjson.OPT_NON_STR_KEYS).decode()


def cut(text: str, most_chars: int) -> str:
    """`text`, cut to the length, with a mark where something was left out."""
    return text if len(text) <= most_chars else text[: max(most_chars - 1, 0)] + "…"


def _object(value: LlamaIndexObject, depth: int) -> LlamaIndexObject:
    view = getattr(type(value), "trace_view", None)
    if view is not None:
        return as_data(view(value), depth + 1)
    names = {cls.__name__ for cls in type(value).__mro__}
    if "NodeWithScore" in names:
        about = as_data(value.metadata, depth + 1)
        passage = {"id": value.node_id, "score": value.score, "content": value.text}
        return {**passage, "metadata": about} if about else passage
    if names & _ANSWERS:
        return str(value)
    if "ChatResponse" in names:
        return as_data(value.message, depth)
    if "ChatMessage" in names:
        return {"role": str(value.role.value), "content": value.content or ""}
    if "ToolOutput" in names:
        return {"error": value.content} if value.is_error else value.content
    if "StopEvent" in names and value.result not in (None, value):
        return as_data(value.result, depth)
    from_library = any(cls.__module__.startswith(_LIBRARIES) for cls in type(value).__mro__)
    if from_library and not names & _DATA_OF_LIBRARIES:
        return f"<{type(value).__name__}>"
    if "BaseNode" in names:
        return {"id": value.node_id, "content": value.get_content()}
    if is_dataclass(value):
        return _fields(((f.name, getattr(value, f.name)) for f in fields(value)), depth)
    if hasattr(type(value), "model_fields"):  # pydantic
        private = getattr(value, "_data", None)  # the free fields of a workflow event
        free = private if isinstance(private, Mapping) else {}
        named = {name: getattr(value, name) for name in type(value).model_fields}
        return _fields({**named, **free}.items(), depth)
    return f"<{type(value).__name__}>"


def _mapping(items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in items:
        name = str(key)
        data[name] = "<secret>" if is_sensitive_name(name) else as_data(value, depth + 1)
    return data


def _fields(items: Iterable[tuple[str, Any]], depth: int) -> dict[str, Any]:
    """Of an object's fields, those that say something."""
    kept = (each for each in items if not (each[0].startswith("_") or is_empty(each[1])))
    return _mapping(kept, depth)


def is_empty(value: object) -> bool:
    """Whether a field says nothing."""
    return value is None or (isinstance(value, list | tuple | dict | set) and not value)


def _items(values: list[Any], depth: int) -> LlamaIndexObject:
    if len(values) > _VECTOR and all(isinstance(v, int | float) for v in values[:_VECTOR]):
        return f"<{len(values)} numbers>"
    return [as_data(value, depth + 1) for value in values[:_MOST_ITEMS]]


def _cut(data: LlamaIndexObject, most_chars: int) -> LlamaIndexObject:
    if isinstance(data, str):
        return cut(data, most_chars)
    if isinstance(data, dict):
        return {key: _cut(value, most_chars) for key, value in data.items()}
    if isinstance(data, list):
        return [_cut(value, most_chars) for value in data]
    return data
