"""Checks a caller's JSON Schema against the limits and resolves every `$ref` in it. Pure.

Refused, with a pointer to the place: schemas that are too deep or too large, that refer to other
documents or to themselves, or that use an unsupported keyword.

Pydantic models are accepted from the command line and from Python, never over HTTP: importing the
module that a client names would run code that the client chooses.
"""

import json
import re
from collections.abc import Collection, Iterator
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from foliotrace.errors import InvalidSchema
from foliotrace.model import JsonObject
from foliotrace.schema_fields.plan import unescape

MAX_BYTES = 64 * 1024
MAX_DEPTH = 7
MAX_PROPERTIES = 500
MAX_PATTERN_CHARACTERS = 200

_UNSUPPORTED = frozenset(
    {
        "patternProperties",
        "propertyNames",
        "dependentSchemas",
        "dependentRequired",
        "unevaluatedProperties",
        "unevaluatedItems",
        "prefixItems",
        "contains",
        "if",
        "then",
        "else",
        "not",
        "$dynamicRef",
        "$dynamicAnchor",
        "$anchor",
    }
)
_PARTS = ("properties", "items", "anyOf", "oneOf", "allOf")
_DEFINITIONS = ("$defs", "definitions")
_REPEATED_GROUP = re.compile(r"\((?:[^()\\]|\\.)*(?:[+*}|])(?:[^()\\]|\\.)*\)\s*[+*{]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")


def resolve(schema: JsonObject) -> JsonObject:
    """`schema` with every local `$ref` replaced by its target, checked against the limits.

    `anyOf` with null (how Pydantic writes an optional) becomes a nullable type; an `allOf` with one
    member is merged. Resolving a resolved schema changes nothing. Raises InvalidSchema.
    """
    from jsonschema import Draft202012Validator  # slow to import, so not before the first schema
    from jsonschema.exceptions import SchemaError

    _check_size(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path)
        raise _invalid(f"/{place}", f"`{error.validator}` is not satisfied") from error
    except RecursionError as error:
        raise _invalid("/", "it is nested too deeply") from error
    resolved = _Resolver(schema).resolve()
    if not resolved.get("properties") or "object" not in _types(resolved):
        raise _invalid("/", 'the record must be an object: {"type": "object", "properties": ...}')
    if sum(1 for _ in _properties(resolved)) > MAX_PROPERTIES:
        raise _invalid("/", f"it has more than {MAX_PROPERTIES} properties")
    _check_size(resolved, times=4)
    return resolved


def schema_of(model: type[BaseModel]) -> JsonObject:
    """The bounded, resolved schema of a model. `json_schema_extra={"aliases": [...]}` is kept."""
    return resolve(model.model_json_schema())


def model_at(path: str, *, allowed: Collection[str]) -> type[BaseModel]:
    """The model at "package.module:Class", if the module is one of `allowed` or inside one.

    Raises InvalidSchema.
    """
    module, _, name = path.partition(":")
    if not any(module == a or module.startswith(f"{a}.") for a in allowed):
        raise _refused(path, "its module is not in the allowed packages")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise _refused(path, "its module cannot be imported") from error
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise _refused(path, "it is not a Pydantic model")
    return found


def _refused(path: str, why: str) -> InvalidSchema:
    return InvalidSchema(
        f"The model {path} cannot be used: {why}.",
        hint='Name it as "package.module:Class" and add its package to the allowed ones.',
    )


def _check_size(schema: JsonObject, *, times: int = 1) -> None:
    try:
        size = len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid("/", "it is not JSON") from error
    if size > MAX_BYTES * times:
        raise _invalid("/", f"it is larger than {MAX_BYTES // 1024} KiB")


def _invalid(place: str, why: str) -> InvalidSchema:
    return InvalidSchema(
        f"The schema is invalid at {place}: {why}.",
        hint="See docs/how-to/extract-a-record.md for what a schema may contain.",
    )


class _Resolver:
    """Copies a schema and replaces references, with limits on depth, size and recursion."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._copied = 0

    def resolve(self) -> JsonObject:
        return self._copy(self._root, "", depth=0, inside=())

    def _copy(
        self,
        schema: Any,  # noqa: ANN401 - JSON of a caller
        place: str,
        *,
        depth: int,
        inside: tuple[str, ...],
    ) -> JsonObject:
        if not isinstance(schema, dict):
            raise _invalid(place, "a schema must be an object, not true or false")
        self._copied += 1
        if self._copied > MAX_PROPERTIES * 8:
            raise _invalid(place, f"it has more than {MAX_PROPERTIES} properties")
        if depth > MAX_DEPTH:
            raise _invalid(place, f"it is nested more than {MAX_DEPTH} levels deep")
        if "$ref" in schema:
            return self._resolve_reference(schema, place, depth=depth, inside=inside)
        self._check_keywords(schema, place)
        copied = {
            key: value
            for key, value in schema.items()
            if key not in _PARTS and key not in _DEFINITIONS
        }
        copied |= self._parts(schema, place, depth=depth, inside=inside)
        return _simple(copied)

    def _resolve_reference(
        self, schema: JsonObject, place: str, *, depth: int, inside: tuple[str, ...]
    ) -> JsonObject:
        reference = str(schema["$ref"])
        if reference in inside or reference == "#":
            raise _invalid(place, "`$ref` leads in a circle")
        target = self._target(reference, place)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        found = self._copy(target, place, depth=depth, inside=(*inside, reference))
        return found | {k: v for k, v in beside.items() if k not in _DEFINITIONS}

    def _target(self, reference: str, place: str) -> Any:  # noqa: ANN401 - JSON
        if not reference.startswith("#/"):
            raise _invalid(place, "`$ref` must point into the schema itself (#/$defs/...)")
        found: Any = self._root
        for part in reference[2:].split("/"):
            if not isinstance(found, dict) or unescape(part) not in found:
                raise _invalid(place, "`$ref` points to nothing")
            found = found[unescape(part)]
        return found

    def _check_keywords(self, schema: JsonObject, place: str) -> None:
        for keyword in sorted(_UNSUPPORTED & schema.keys()):
            raise _invalid(place or "/", f"`{keyword}` is not supported")
        if isinstance(schema.get("additionalProperties"), dict):
            raise _invalid(place or "/", "`additionalProperties` may only be true or false")
        pattern = schema.get("pattern")
        if pattern is not None:
            _check_pattern(str(pattern), place)

    def _parts(
        self, schema: JsonObject, place: str, *, depth: int, inside: tuple[str, ...]
    ) -> JsonObject:
        parts: JsonObject = {}
        if "properties" in schema:
            parts["properties"] = {
                name: self._copy(part, f"{place}/properties/{name}", depth=depth + 1, inside=inside)
                for name, part in schema["properties"].items()
            }
        if "items" in schema:
            parts["items"] = self._copy(
                schema["items"], f"{place}/items", depth=depth + 1, inside=inside
            )
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                parts[keyword] = [
                    self._copy(option, f"{place}/{keyword}/{n}", depth=depth, inside=inside)
                    for n, option in enumerate(schema[keyword])
                ]
        return parts


def _check_pattern(pattern: str, place: str) -> None:
    """Refuse patterns with exponential running time: they are matched against untrusted text."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise _invalid(place, f"`pattern` is longer than {MAX_PATTERN_CHARACTERS} characters")
    if _REPEATED_GROUP.search(pattern) or _BACK_REFERENCE.search(pattern):
        raise _invalid(place, "`pattern` nests repetitions or has a back-reference")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise _invalid(place, "`pattern` is not a regular expression") from error


def _simple(schema: JsonObject) -> JsonObject:
    """Write an optional as a nullable type, and merge an `allOf` with one member."""
    if len(schema.get("allOf", ())) == 1:
        (only,) = schema.pop("allOf")
        schema = {**only, **schema}
    for keyword in ("anyOf", "oneOf"):
        options = schema.get(keyword, [])
        real = [option for option in options if option.get("type") != "null"]
        if len(options) == 2 and len(real) == 1:
            rest = {key: value for key, value in schema.items() if key != keyword}
            return _nullable(real[0]) | rest
    return schema


def _nullable(schema: JsonObject) -> JsonObject:
    types = sorted(_types(schema))
    made = dict(schema)
    if types:
        made["type"] = [*types, "null"]
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    return made


def _types(schema: JsonObject) -> set[str]:
    types = schema.get("type", [])
    return ({types} if isinstance(types, str) else set(types)) - {"null"}


def _properties(schema: JsonObject) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from _properties(part)
    if "items" in schema:
        yield from _properties(schema["items"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(keyword, ()):
            yield from _properties(option)
