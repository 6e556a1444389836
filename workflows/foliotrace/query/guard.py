"""What a question must be before any work is done for it. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from foliotrace.errors import InvalidQuery, InvalidRequest
from foliotrace.model import DEFAULT_COLLECTION, Filters, Metadata, Principal, Query, Scalar
from foliotrace.ports import HashQuery

MAX_QUERY_CHARACTERS: Final = 1000
MAX_TOP_K: Final = 50
MAX_FILTERS: Final = 16
MAX_FILTER_VALUES: Final = 100
MAX_TAGS: Final = 16
MAX_METADATA: Final = 32
MAX_VALUE_CHARACTERS: Final = 256

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEPT_CONTROLS = {"\n", "\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question as it arrives, from whatever door.

    `filters` maps "document_ids" or a metadata field to a value or a list of values.
    """

    query: str
    top_k: int = 5
    filters: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    user_id: str | None = None
    session_id: str | None = None
    tags: Sequence[str] = ()
    metadata: Metadata = field(default_factory=dict)
    stream: bool = False


def normalise(text: str) -> str:
    """NFC, without control, bidi and zero-width characters, trimmed; markup is left as it is."""
    kept = (
        character
        for character in unicodedata.normalize("NFC", text)
        if character in _KEPT_CONTROLS or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    return "".join(kept).strip()


def admit(ask: Ask, principal: Principal, *, run_id: str, hash_query: HashQuery) -> Query:
    """The question, normalised, within limits and hashed. Raises InvalidQuery, InvalidRequest."""
    text = normalise(ask.query)
    if not text:
        raise InvalidQuery("the query holds no text")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidQuery(
            f"the query has {len(text)} of at most {MAX_QUERY_CHARACTERS} characters"
        )
    if not 1 <= ask.top_k <= MAX_TOP_K:
        raise InvalidRequest(f"top_k must be 1 to {MAX_TOP_K}", hint="Ask for fewer passages.")
    key_id, query_hash = hash_query(principal.tenant, text)
    return Query(
        text=text,
        principal=principal,
        collection=_name("collection", ask.collection),
        top_k=ask.top_k,
        filters=_filters(ask.filters),
        user_id=_name("user_id", ask.user_id) if ask.user_id is not None else None,
        session_id=_name("session_id", ask.session_id) if ask.session_id is not None else None,
        tags=_tags(ask.tags),
        metadata=_metadata(ask.metadata),
        query_hash=query_hash,
        hash_key_id=key_id,
        run_id=run_id,
    )


def _name(what: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise InvalidRequest(
            f"{what} must be 1 to 64 letters, digits, hyphens or underscores",
            hint=f"Change {what}.",
        )
    return value


def _filters(given: Mapping[str, Scalar | Sequence[Scalar]]) -> Filters:
    if len(given) > MAX_FILTERS:
        raise InvalidRequest(f"at most {MAX_FILTERS} filters", hint="Leave some filters out.")
    document_ids: tuple[str, ...] = ()
    metadata: dict[str, tuple[Scalar, ...]] = {}
    for name, value in given.items():
        values = _values(name, value)
        if name == "document_ids":
            document_ids = tuple(str(v) for v in values)
        else:
            metadata[name] = values
    return Filters(document_ids=document_ids, metadata=metadata)


def _values(name: str, value: Scalar | Sequence[Scalar]) -> tuple[Scalar, ...]:
    values = (value,) if isinstance(value, str | int | float | bool) else tuple(value)
    if not 1 <= len(values) <= MAX_FILTER_VALUES:
        raise InvalidRequest(
            f"a filter takes 1 to {MAX_FILTER_VALUES} values", hint="Split the question."
        )
    if len(name) > MAX_VALUE_CHARACTERS or any(len(str(v)) > MAX_VALUE_CHARACTERS for v in values):
        raise InvalidRequest(
            f"a filter's name and values have at most {MAX_VALUE_CHARACTERS} characters",
            hint="Shorten the filter.",
        )
    return values


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS or any(not 1 <= len(t) <= MAX_VALUE_CHARACTERS for t in tags):
        raise InvalidRequest(
            f"at most {MAX_TAGS} tags of 1 to {MAX_VALUE_CHARACTERS} characters",
            hint="Send fewer or shorter tags.",
        )
    return tuple(tags)


def _metadata(metadata: Metadata) -> Metadata:
    too_long = any(
        len(k) > MAX_VALUE_CHARACTERS or len(str(v)) > MAX_VALUE_CHARACTERS
        for k, v in metadata.items()
    )
    if len(metadata) > MAX_METADATA or too_long:
        raise InvalidRequest(
            f"at most {MAX_METADATA} metadata fields of {MAX_VALUE_CHARACTERS} characters",
            hint="Send less metadata.",
        )
    return dict(metadata)
