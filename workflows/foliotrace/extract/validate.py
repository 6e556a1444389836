"""The record out of its fields, and whether it satisfies the schema. Pure.

A field that was not found is null; a null counts as absent unless the schema admits null, so only
a required field makes a record without it invalid. Nothing is filled in.
"""

from collections.abc import Sequence
from typing import Any

from foliotrace.model import FieldResult, JsonObject
from foliotrace.schema_fields.plan import unescape

MAX_ERRORS = 50


def record_of(schema: JsonObject, fields: Sequence[FieldResult]) -> JsonObject:
    """Every property of `schema`, with the values of `fields` in their places, else null."""
    record = _empty(schema)
    for field in fields:
        if field.value is not None:
            _put(record, [unescape(part) for part in field.pointer.split("/")[1:]], field.value)
    return record


def errors_of(schema: JsonObject, record: JsonObject) -> tuple[str, ...]:
    """Why the record does not satisfy the schema, by pointer; at most MAX_ERRORS. No values."""
    from jsonschema import Draft202012Validator  # slow to import: with the first record

    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = validator.iter_errors(_without_nulls(schema, record))
    told = sorted({_told(error.absolute_path, error.validator, error.message) for error in found})
    return tuple(told[:MAX_ERRORS])


def _told(path: Sequence[str | int], keyword: str, message: str) -> str:
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
    """`value` without the nulls that `schema` does not admit."""
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        kept = {k: _without_nulls(parts.get(k, {}), v) for k, v in value.items()}
        return {
            k: v
            for k, v in kept.items()
            if (v is not None or _admits_null(parts.get(k, {})))
            and not (v == {} and k not in schema.get("required", ()))
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_without_nulls(items, item) for item in value]
    return value


def _admits_null(schema: JsonObject) -> bool:
    told = schema.get("type", [])
    return "null" in ([told] if isinstance(told, str) else told)
