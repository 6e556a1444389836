"""Builds the record from its fields and validates it against the schema. Pure.

A field that was not found is null. A null counts as absent unless the schema allows null, so only a
missing required field makes the record invalid. No defaults are filled in.
"""

from collections.abc import Sequence
from typing import Any

from foliotrace.model import FieldResult, JsonObject
from foliotrace.schema_fields.plan import unescape

MAX_ERRORS = 50


def record_of(schema: JsonObject, fields: Sequence[FieldResult]) -> JsonObject:
    """The record: every property of `schema`, with its value from `fields` or null."""
    record = _empty(schema)
    for field in fields:
        if field.value is not None:
            _put(record, [unescape(part) for part in field.pointer.split("/")[1:]], field.value)
    return record


def errors_of(schema: JsonObject, record: JsonObject) -> tuple[str, ...]:
    """The validation errors as "pointer: message", at most MAX_ERRORS; they quote no values."""
    from jsonschema import Draft202012Validator  # slow to import: with the first record

    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = validator.iter_errors(_without_nulls(schema, record))
    messages = {_message(error.absolute_path, error.validator, error.message) for error in found}
    return tuple(sorted(messages)[:MAX_ERRORS])


def _message(path: Sequence[str | int], keyword: str, message: str) -> str:
    place = "/" + "/".join(str(part) for part in path)
    if keyword == "required":  # names the property, not a value
        return f"{place}: {message}"
    return f"{place}: `{keyword}` is not satisfied"


def _empty(schema: JsonObject) -> JsonObject:
    return {
        name: _empty(part) if "properties" in part else None
        for name, part in schema.get("properties", {}).items()
    }


def _put(record: JsonObject, path: list[str], value: Any) -> None:  # noqa: ANN401 - JSON
    here: Any = record
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        made: Any = value if last else [] if path[depth + 1].isdigit() else {}
        key: Any = part
        if isinstance(here, list):
            key = int(part)
            here.extend([None] * (key + 1 - len(here)))
        elif part not in here:
            here[part] = None
        if last or here[key] is None:
            here[key] = made
        here = here[key]


def _without_nulls(schema: JsonObject, value: Any) -> Any:  # noqa: ANN401 - JSON
    """`value` without the nulls that `schema` does not allow."""
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        kept = {k: _without_nulls(parts.get(k, {}), v) for k, v in value.items()}
        return {
            k: v
            for k, v in kept.items()
            if (v is not None or _allows_null(parts.get(k, {})))
            and not (v == {} and k not in schema.get("required", ()))
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_without_nulls(items, item) for item in value]
    return value


def _allows_null(schema: JsonObject) -> bool:
    types = schema.get("type", [])
    return "null" in ([types] if isinstance(types, str) else types)
