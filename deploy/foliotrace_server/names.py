"""Identifiers that callers may choose: checked wholly, never echoed."""

import re

from foliotrace.errors import InvalidRequest
from foliotrace.model import COLLECTION_NAME

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def checked_id(value: object, name: str) -> str:
    """`value` if it is 1 to 64 letters, digits, `_` or `-`. Raises InvalidRequest."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidRequest(f"`{name}` must be 1 to 64 letters, digits, _ or -")
    return value


def checked_collection(value: str) -> str:
    """`value` if it can name a collection. Raises InvalidRequest."""
    if not COLLECTION_NAME.fullmatch(value):
        raise InvalidRequest("`collection` must be 1 to 64 letters, digits, `_`, `.` or `-`")
    return value


def checked_key(value: str | None) -> str | None:
    """An Idempotency-Key of 1 to 128 visible characters, or None. Raises InvalidRequest."""
    if value is not None and not _KEY.fullmatch(value):
        raise InvalidRequest("`Idempotency-Key` must be 1 to 128 visible ASCII characters")
    return value
