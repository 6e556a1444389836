"""Flattens a resolved schema into the fields and lists to extract. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from foliotrace.model import JsonObject, Scalar

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_DESCRIPTION_WORDS = 6


class FieldKind(StrEnum):
    """The type of a field's values, as far as parsing text depends on it."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "date-time"
    ENUM = "enum"
    EMAIL = "email"
    URI = "uri"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One field to extract, or (`is_list`) a list of plain values.

    `labels` are the names a page may use for it. `context` are words of the objects that contain
    it: a hint where several values fit. `day_first` says how 5/6/2026 is meant, None if unknown.
    """

    pointer: str
    kind: FieldKind
    labels: tuple[str, ...]
    context: frozenset[str] = frozenset()
    choices: tuple[Scalar, ...] = ()
    is_list: bool = False
    pattern: str | None = None
    max_length: int | None = None
    day_first: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSpec:
    """A list of objects to extract; the pointers of `items` are relative to one object."""

    pointer: str
    labels: tuple[str, ...]
    items: tuple[FieldSpec, ...]
    required: frozenset[str]  # pointers of `items`


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionPlan:
    """Everything to extract, in the order of the schema."""

    fields: tuple[FieldSpec, ...]
    lists: tuple[ListSpec, ...]


def plan_of(schema: JsonObject) -> ExtractionPlan:
    """The plan for `schema`, an object without `$ref`s. Lists of lists are left out."""
    found = list(_walk(schema, "", frozenset()))
    return ExtractionPlan(
        fields=tuple(f for f in found if isinstance(f, FieldSpec)),
        lists=tuple(f for f in found if isinstance(f, ListSpec)),
    )


def _walk(
    schema: JsonObject, pointer: str, context: frozenset[str]
) -> Iterator[FieldSpec | ListSpec]:
    for name, part in schema.get("properties", {}).items():
        here = f"{pointer}/{escape(name)}"
        if _types(part) & {"object"}:
            yield from _walk(part, here, context | set(tokens(name)))
        elif _types(part) & {"array"}:
            yield from _list(name, part, here, context)
        else:
            yield _field_spec(name, part, here, context)


def _list(
    name: str, part: JsonObject, pointer: str, context: frozenset[str]
) -> Iterator[FieldSpec | ListSpec]:
    items = part.get("items")
    if not isinstance(items, dict):
        return
    if _types(items) & {"object"}:
        fields = [f for f in _walk(items, "", frozenset()) if isinstance(f, FieldSpec)]
        required = frozenset(f"/{escape(n)}" for n in items.get("required", ()))
        yield ListSpec(
            pointer=pointer, labels=labels(name, part), items=tuple(fields), required=required
        )
    elif not _types(items) & {"array"}:
        yield _field_spec(name, {**part, **_without_labels(items)}, pointer, context, is_list=True)


def _without_labels(part: JsonObject) -> JsonObject:
    return {k: v for k, v in part.items() if k not in {"title", "description"}}


def _field_spec(
    name: str,
    part: JsonObject,
    pointer: str,
    context: frozenset[str],
    *,
    is_list: bool = False,
) -> FieldSpec:
    choices = _choices(part)
    return FieldSpec(
        pointer=pointer,
        kind=FieldKind.ENUM if choices else _kind(part),
        labels=labels(name, part),
        context=context | set(tokens(name)),
        choices=choices,
        is_list=is_list,
        pattern=part.get("pattern"),
        max_length=part.get("maxLength"),
    )


def _choices(part: JsonObject) -> tuple[Scalar, ...]:
    choices = part.get("enum", [part["const"]] if "const" in part else [])
    return tuple(choice for choice in choices if choice is not None)


def _types(part: JsonObject) -> set[str]:
    types = part.get("type")
    names = {types} if isinstance(types, str) else set(types or ())
    for option in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        names |= _types(option)
    return names


def _kind(part: JsonObject) -> FieldKind:
    types = _types(part)
    formats = {p.get("format") for p in (part, *part.get("anyOf", ()), *part.get("oneOf", ()))}
    for kind in (FieldKind.DATE_TIME, FieldKind.DATE, FieldKind.EMAIL, FieldKind.URI):
        if kind.value in formats:
            return kind
    for kind in (FieldKind.NUMBER, FieldKind.INTEGER, FieldKind.BOOLEAN):
        if kind.value in types:
            return kind
    return FieldKind.STRING


def labels(name: str, part: Mapping[str, Any]) -> tuple[str, ...]:
    """The names a page may use for the property: `aliases`, title, name, a short description."""
    names = [str(alias) for alias in part.get("aliases", ())]
    if title := part.get("title"):
        names.append(str(title))
    names.append(" ".join(tokens(name)))
    description = str(part.get("description", ""))
    if 0 < len(description.split()) <= _DESCRIPTION_WORDS:
        names.append(description)
    return tuple(dict.fromkeys(" ".join(tokens(text)) for text in names if tokens(text)))


def tokens(text: str) -> list[str]:
    """The words of a name or label, lower case: "policyNo." -> policy, no."""
    return [
        word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", text).replace("#", " number "))
    ]


def escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape(part: str) -> str:
    """The name of a part of a JSON pointer."""
    return part.replace("~1", "/").replace("~0", "~")
