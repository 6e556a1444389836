"""JSON that was typed or written by hand, and what is wrong with it."""

import json
from typing import Any

from foliotrace.errors import BadInput


def json_object(text: str, place: str) -> dict[str, Any]:
    """The object in `text`. Raises BadInput that names `place`, line and column."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{place} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}",
            hint="JSON quotes names and texts with double quotes, and ends no list with a comma.",
        ) from None
    if not isinstance(value, dict):
        raise BadInput(f"{place} is not a JSON object", hint='Write {"name": value, ...}.')
    return value
