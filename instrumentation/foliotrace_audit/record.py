"""Audit records: their events, their fields, and their exact bytes. Pure."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

import orjson

from foliotrace_audit.errors import AuditFieldInvalid

SCHEMA_VERSION = 1
FAMILIES = ("query", "ingest", "extract", "delete", "admin", "access")
STAGES = ("received", "completed", "failed")
EVENTS = frozenset(f"{family}_{stage}" for family in FAMILIES for stage in STAGES)

_CLAIMING = "query_"
"""What is asked for an end user, whom the request names; all else is done by who calls."""

MAX_TEXT_CHARS = 256
"""Longer identifiers are shortened to a prefix and their SHA-256, so that they stay comparable."""
MAX_DOCUMENT_IDS = 256
MAX_REASONS = 16
# The bounds above keep every record far below this. Readers stop at it, so that a damaged or
# hostile file without line ends cannot make them load it whole.
MAX_LINE_BYTES = 1 << 20

# At least one underscore: a single word may well be a message that quotes a document.
_STABLE_CODE = re.compile(r"[a-z]{1,32}(_[a-z]{1,32}){1,5}")
_QUERY_HASH = re.compile(r"[0-9a-f]{64}")

ErrorRedactor = Callable[[str | None, str], str | None]
"""(type of the error, its text) -> what may be written of the text."""


def drop_error_text(error_type: str | None, text: str) -> str | None:
    """Keep a stable code such as `zero_chunks`, else only the type: messages quote documents."""
    return text if _STABLE_CODE.fullmatch(text) else error_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, before it is chained. What the fields mean: `FIELDS`.

    The writer adds `v`, `seq`, `prev`, `timestamp` and `mac`.
    """

    event: str
    user_id: str | None = None
    query_hash: str | None = None
    success: bool | None = None
    response_length: int | None = None
    error: str | None = None
    error_type: str | None = None
    tenant: str | None = None
    key_id: str | None = None
    run_id: str | None = None
    degradation_level: int | None = None
    degradation_reasons: tuple[str, ...] = ()
    release: str | None = None
    model: str | None = None
    tokens: int | None = None
    cost_usd: Decimal | None = None
    credits: float | None = None
    cloud_jobs: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    action: str | None = None
    caller: str | None = None
    api_key_id: str | None = None
    source_address: str | None = None

    @classmethod
    def like(cls, source: object) -> Self:
        """The entry with `source`'s attributes of the same names, for callers with their own type.

        Raises AttributeError if `source` lacks one. `encode` checks the types of the values.
        """
        return cls(**{name: getattr(source, name) for name in _ENTRY_FIELDS})


_ENTRY_FIELDS = tuple(entry_field.name for entry_field in fields(Entry))

FIELDS: Mapping[str, str] = {
    "v": "Version of this schema, an integer.",
    "seq": "Position in the writer's stream, from 0, without gaps.",
    "prev": "`mac` of the record before it; 64 zeros for the first of a stream.",
    "event": "What happened: one of the events above.",
    "timestamp": "When it was appended, UTC, RFC 3339 with microseconds.",
    "trace_id": "W3C trace id (32 hex), as in Jaeger and LangSmith; null without tracing.",
    "user_id": "Who asked: the caller, or the end user that the caller claims (`user_claimed`).",
    "user_claimed": "True where `user_id` is what the caller says, and nobody has checked.",
    "caller": "The authenticated caller: `key:<id>`, `oidc:<sub>`, `proxy:<name>`, `anonymous`.",
    "query_hash": "HMAC-SHA256 of the normalised query under the tenant's key; never its text.",
    "success": "Whether the work succeeded; null in `*_received`.",
    "response_length": "Characters of the answer sent; null unless completed.",
    "error": "What the redactor left of the error: by default a stable code, or the type.",
    "error_type": "Stable code or class name of the error.",
    "tenant": "Whose data.",
    "key_id": "Which query key made `query_hash`.",
    "run_id": "Workflow run or job, to join the two records of one piece of work.",
    "action": "For `delete_*`, `admin_*` and `access_*`: the operation, e.g. `key.create`.",
    "api_key_id": "The API key that was used, made or revoked; its id, never its text.",
    "source_address": "The network address that the request came from.",
    "degradation": "`{level, reasons}`: loss against what is configured, 0 to 4.",
    "release": "Release of the settings that answered, `base` without releases.",
    "model": "Model that produced the answer.",
    "tokens": "Total tokens used.",
    "cost_usd": "Cost in US dollars, a decimal string.",
    "credits": "LlamaCloud credits used, a decimal string.",
    "cloud_jobs": f"LlamaCloud jobs behind an ingestion, at most {MAX_DOCUMENT_IDS}.",
    "document_ids": f"Documents touched or cited, at most {MAX_DOCUMENT_IDS}.",
    "mac": 'HMAC-SHA256 under the chain key over the line\'s bytes before `,"mac"`.',
}

ALWAYS_PRESENT = (
    "event",
    "timestamp",
    "trace_id",
    "user_id",
    "query_hash",
    "success",
    "response_length",
    "error",
    "error_type",
)


def shorten(text: str) -> str:
    """`text` if it is short enough, else a prefix and the first 16 hex digits of its SHA-256."""
    if len(text) <= MAX_TEXT_CHARS:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{text[: MAX_TEXT_CHARS - 17]}#{digest}"


def encode(
    entry: Entry,
    timestamp: datetime,
    redact_error: ErrorRedactor,
    *,
    trace_id: str | None = None,
    action: str | None = None,
) -> bytes:
    """The entry as one JSON object: the fields of `ALWAYS_PRESENT`, and those that have a value.

    Raises AuditFieldInvalid for an unknown event, a `query_hash` that is not a keyed hash, or a
    wrong type.
    """
    if entry.event not in EVENTS:
        raise AuditFieldInvalid(f"unknown audit event {shorten(str(entry.event))!r}")
    query_hash = entry.query_hash
    user_id = entry.user_id if entry.user_id is not None else entry.caller
    # An error and not a silent null: a caller that passes the query itself by mistake would
    # otherwise write private text into a file that is kept for years and cannot be edited.
    if query_hash is not None and not _QUERY_HASH.fullmatch(query_hash):
        raise AuditFieldInvalid("query_hash is not a keyed HMAC-SHA256 (64 hex digits)")
    error = entry.error
    if error is not None:
        error = redact_error(entry.error_type, error)
    record: dict[str, Any] = {
        "event": entry.event,
        "timestamp": timestamp,
        "trace_id": _bounded(trace_id),
        "user_id": _bounded(user_id),
        "query_hash": query_hash,
        "success": entry.success,
        "response_length": entry.response_length,
        "error": _bounded(error),
        "error_type": _bounded(entry.error_type),
    }
    action = action if action is not None else entry.action
    if action is not None:
        record["action"] = _bounded(action)
    if user_id not in (None, entry.caller) and entry.event.startswith(_CLAIMING):
        record["user_claimed"] = True
    _add_details(entry, record)
    return dump(record)


_TEXTS: Final = (
    *("tenant", "key_id", "run_id", "release", "model"),
    *("caller", "api_key_id", "source_address"),
)


def _add_details(entry: Entry, record: dict[str, Any]) -> None:
    for name in _TEXTS:
        value = getattr(entry, name)
        if value is not None:
            record[name] = _bounded(value)
    if entry.degradation_level is not None:
        reasons = [_bounded(reason) for reason in entry.degradation_reasons[:MAX_REASONS]]
        record["degradation"] = {"level": entry.degradation_level, "reasons": reasons}
    if entry.tokens is not None:
        record["tokens"] = entry.tokens
    if entry.cost_usd is not None:
        record["cost_usd"] = str(entry.cost_usd)  # a JSON number would lose digits of a Decimal
    if entry.credits:
        record["credits"] = str(entry.credits)
    if entry.cloud_jobs:
        record["cloud_jobs"] = [_bounded(i) for i in entry.cloud_jobs[:MAX_DOCUMENT_IDS]]
    if entry.document_ids:
        record["document_ids"] = [_bounded(i) for i in entry.document_ids[:MAX_DOCUMENT_IDS]]


def _bounded(value: str | None) -> str | None:
    # The usual case first: this runs about eight times for every record.
    if value is None or (type(value) is str and len(value) <= MAX_TEXT_CHARS):
        return value
    if not isinstance(value, str):
        raise AuditFieldInvalid(f"expected text or null, got {type(value).__name__}")
    return shorten(value)


def dump(record: Mapping[str, Any]) -> bytes:
    """`record` as compact JSON bytes; lone surrogates become U+FFFD instead of an error.

    Raises AuditFieldInvalid for a value that JSON cannot hold.
    """
    try:
        return orjson.dumps(record, option=orjson.OPT_UTC_Z)
    except TypeError:
        # orjson refuses lone surrogates, which file names and ids of clients may hold; losing the
        # record would hide the work that it is about.
        try:
            return orjson.dumps(_replace_surrogates(record), option=orjson.OPT_UTC_Z)
        except TypeError as error:
            raise AuditFieldInvalid(f"a field is not JSON: {error}") from error


def _replace_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {key: _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_surrogates(item) for item in value]
    return value
