"""Limits that `foliotrace.query.validate` checks with its own messages, as JSON Schema.

For callers who generate code from the OpenAPI document. What a schema cannot say stays with
`validate`: text that is empty once invisible characters are removed, and the like.
"""

from collections.abc import Mapping
from typing import Any, Final

from foliotrace.model import COLLECTION_NAME
from foliotrace.settings import (
    MAX_FILTER_FIELDS,
    MAX_FILTER_VALUES,
    MAX_HISTORY,
    MAX_METADATA_FIELDS,
    MAX_QUERY_CHARACTERS,
    MAX_TAGS,
    MAX_TOP_K,
    MAX_VALUE_CHARACTERS,
)

COLLECTION: Final = {"type": "string", "pattern": f"^{COLLECTION_NAME.pattern}$"}
_FIELD_NAME: Final = {"pattern": "^[A-Za-z0-9_.-]{1,64}$"}
_ID: Final = {"anyOf": [{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, {"type": "null"}]}
_VALUE: Final = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_VALUE_CHARACTERS},
        {"type": "number"},
        {"type": "boolean"},
    ]
}
_VALUES: Final = {
    "type": "array",
    "items": _VALUE,
    "minItems": 1,
    "maxItems": MAX_FILTER_VALUES,
}
_AMOUNT: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1_000_000},
        {"type": "string", "pattern": "^[0-9]{1,7}([.][0-9]{1,12})?$"},
        {"type": "null"},
    ]
}
_QUERY: Final = {"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARACTERS}
_QUESTION: Final[Mapping[str, Mapping[str, Any]]] = {
    "query": _QUERY,
    "top_k": {"minimum": 1, "maximum": MAX_TOP_K},
    "collection": COLLECTION,
    "user_id": _ID,
    "session_id": _ID,
    "history": {
        "items": {"type": "string", "maxLength": MAX_QUERY_CHARACTERS},
        "maxItems": MAX_HISTORY,
    },
    "max_cost_usd": _AMOUNT,
    "tags": {"items": {"type": "string", "maxLength": MAX_VALUE_CHARACTERS}, "maxItems": MAX_TAGS},
    "filters": {
        "additionalProperties": {"anyOf": [*_VALUE["anyOf"], _VALUES]},
        "propertyNames": _FIELD_NAME,
        "maxProperties": MAX_FILTER_FIELDS,
    },
    "metadata": {
        "additionalProperties": _VALUE,
        "propertyNames": _FIELD_NAME,
        "maxProperties": MAX_METADATA_FIELDS,
    },
}
_LIMITS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {"AskQuestion": _QUESTION}


def with_limits(components: Mapping[str, Any]) -> dict[str, Any]:
    """Component schemas with the limits of their properties."""
    limited = dict(components)
    for name, limits in _LIMITS.items():
        if name in limited:  # a host of other workflows has no questions
            properties = {**limited[name]["properties"]}
            for field, limit in limits.items():
                kept = {k: v for k, v in properties[field].items() if k != "anyOf"}
                properties[field] = {**kept, **limit}
            limited[name] = {**limited[name], "properties": properties}
    return limited
