"""The first stage: what a caller sends becomes a `Query`, or is refused with a typed error. Pure.

Text is normalised and stripped of what cannot be seen; it is never cut, escaped or rewritten:
`List<int>` and `{x | x > 0}` reach the index as they were asked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from unicodedata import is_normalized, normalize

from foliotrace.errors import InvalidQuery, InvalidRequest
from foliotrace.model import (
    COLLECTION_NAME,
    DEFAULT_COLLECTION,
    ExecutionMode,
    Filters,
    Metadata,
    Principal,
    Query,
    Scalar,
)
from foliotrace.settings import (
    MAX_FILTER_DOCUMENTS,
    MAX_FILTER_FIELDS,
    MAX_FILTER_VALUES,
    MAX_METADATA_FIELDS,
    MAX_QUERY_CHARACTERS,
    MAX_TAGS,
    MAX_TOP_K,
    MAX_VALUE_CHARACTERS,
)

FilterValues: TypeAlias = Mapping[str, Scalar | Sequence[Scalar]]

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, except tab and line ends
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"  # marks, tags, lone surrogates
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question as it came in: typed, not yet checked. `filters` may hold `document_ids`."""

    query: str
    top_k: int = 5
    filters: FilterValues = field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    user_id: str | None = None
    session_id: str | None = None
    tags: Sequence[str] = ()
    metadata: Metadata = field(default_factory=dict)
    path: ExecutionMode | None = None


def admit(ask: Ask, *, principal: Principal, run_id: str, query_hash: str) -> Query:
    """The checked question; `query_hash` is what HashQuery made of its cleaned text.

    Raises InvalidQuery, InvalidRequest; neither repeats what was sent.
    """
    text = clean(ask.query)
    if not 1 <= len(text) <= MAX_QUERY_CHARACTERS:
        raise InvalidQuery(
            "The question is empty."
            if not text
            else f"The question has {len(text)} characters; {MAX_QUERY_CHARACTERS} are allowed."
        )
    if isinstance(ask.top_k, bool) or not 1 <= ask.top_k <= MAX_TOP_K:
        raise InvalidRequest(f"top_k must be from 1 to {MAX_TOP_K}.", hint="Leave it out for 5.")
    return Query(
        text=text,
        principal=principal,
        collection=_collection(ask.collection),
        top_k=ask.top_k,
        filters=admit_filters(ask.filters),
        user_id=_name("user_id", ask.user_id),
        session_id=_name("session_id", ask.session_id),
        tags=_tags(ask.tags),
        metadata=_metadata(ask.metadata),
        query_hash=query_hash,
        run_id=run_id,
    )


def clean(text: str) -> str:
    """NFC, without controls, bidirectional and zero-width marks; outer white space dropped."""
    if text.isascii():
        return _INVISIBLE.sub("", text).strip()
    bare = _INVISIBLE.sub("", text)
    return (bare if is_normalized("NFC", bare) else normalize("NFC", bare)).strip()


def admit_filters(filters: FilterValues) -> Filters:
    """Bounded filters; `document_ids` apart, every name is a metadata field. InvalidRequest."""
    if not filters:
        return NO_FILTERS
    if len(filters) > MAX_FILTER_FIELDS:
        raise InvalidRequest(f"At most {MAX_FILTER_FIELDS} filter fields are allowed.")
    document_ids: tuple[str, ...] = ()
    metadata: dict[str, tuple[Scalar, ...]] = {}
    for name, given in filters.items():
        values = _values(given)
        if name == "document_ids":
            document_ids = tuple(_name("document_ids", str(v)) or "" for v in values)
            _at_most("document_ids", len(values), MAX_FILTER_DOCUMENTS)
            continue
        if not _FIELD.fullmatch(name):
            raise InvalidRequest("A filter field's name holds other than A-Z a-z 0-9 _ . -")
        _at_most("values of one filter field", len(values), MAX_FILTER_VALUES)
        metadata[name] = tuple(_value("filters", v) for v in values)
    return Filters(document_ids=document_ids, metadata=metadata)


NO_FILTERS: Final = Filters()


def _values(given: Scalar | Sequence[Scalar]) -> Sequence[Scalar]:
    values = [given] if isinstance(given, str | int | float | bool) else list(given)
    if not values:
        raise InvalidRequest("A filter without values admits nothing.", hint="Leave it out.")
    return values


def _value(where: str, value: Scalar) -> Scalar:
    if not isinstance(value, str | int | float | bool):
        raise InvalidRequest(f"{where}: values are text, numbers or booleans.")
    if not isinstance(value, str):
        return value
    text = clean(value)
    _at_most(f"characters of a value in {where}", len(text), MAX_VALUE_CHARACTERS)
    return text


def valid_name(name: str) -> bool:
    """Whether a name is 1 to 64 characters of A-Z a-z 0-9, underscore, hyphen."""
    return _NAME.fullmatch(name) is not None


def _collection(name: str) -> str:
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidRequest("collection must be 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return name


def _name(where: str, name: str | None) -> str | None:
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{where} must be 1 to 64 characters of A-Z a-z 0-9 _ -")
    return name


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if not tags:
        return ()
    _at_most("tags", len(tags), MAX_TAGS)
    return tuple(str(_value("tags", tag)) for tag in tags)


def _metadata(metadata: Metadata) -> Metadata:
    if not metadata:
        return {}
    _at_most("metadata fields", len(metadata), MAX_METADATA_FIELDS)
    for name in metadata:
        if not _FIELD.fullmatch(name):
            raise InvalidRequest("A metadata field's name holds other than A-Z a-z 0-9 _ . -")
    return {name: _value("metadata", value) for name, value in metadata.items()}


def _at_most(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise InvalidRequest(f"{count} {what}; {limit} are allowed.")
