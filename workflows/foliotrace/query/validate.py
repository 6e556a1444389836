"""The `validate` stage: a caller's question becomes a `Query`, or raises a typed error. Pure.

Text is normalised and stripped of invisible characters; it is never cut, escaped or rewritten:
`List<int>` and `{x | x > 0}` reach the index as they were asked.
"""

import re
from collections.abc import Sequence
from typing import Final
from unicodedata import is_normalized, normalize

from foliotrace.catalog import ErrorCode
from foliotrace.errors import InvalidQuery, InvalidRequest, NotAllowed
from foliotrace.model import COLLECTION_NAME, Filters, Metadata, Principal, Query, Scalar
from foliotrace.query.workflow_events import AskQuestion, FilterValues
from foliotrace.settings import (
    MAX_FILTER_DOCUMENTS,
    MAX_FILTER_FIELDS,
    MAX_FILTER_VALUES,
    MAX_HISTORY,
    MAX_METADATA_FIELDS,
    MAX_QUERY_CHARACTERS,
    MAX_TAGS,
    MAX_TOP_K,
    MAX_VALUE_CHARACTERS,
)

NO_FILTERS: Final = Filters()

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, except tab and line ends
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"  # marks, tags, lone surrogates
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def refuse_unknown_fields(question: AskQuestion) -> None:
    """Raises InvalidRequest; `Event` keeps unknown fields aside instead of refusing them."""
    unknown = question.keys()
    if unknown:
        raise InvalidRequest(
            f"The question has {len(unknown)} unknown fields.",
            hint=f"Known fields: {', '.join(AskQuestion.model_fields)}.",
        )


def validate(question: AskQuestion, *, principal: Principal, run_id: str, query_hash: str) -> Query:
    """The valid question; `query_hash` is the keyed hash of its normalised text.

    Raises InvalidQuery, InvalidRequest, NotAllowed `collection_not_allowed`; no error repeats what
    was sent.
    """
    text = normalized(question.query)
    if not 1 <= len(text) <= MAX_QUERY_CHARACTERS:
        raise InvalidQuery(
            "The question is empty."
            if not text
            else f"The question has {len(text)} characters; {MAX_QUERY_CHARACTERS} are allowed."
        )
    if isinstance(question.top_k, bool) or not 1 <= question.top_k <= MAX_TOP_K:
        raise InvalidRequest(f"top_k must be from 1 to {MAX_TOP_K}.", hint="Leave it out for 5.")
    collection = _collection(question.collection)
    if not principal.may_use(collection):
        raise NotAllowed(code=ErrorCode.COLLECTION_NOT_ALLOWED)
    return Query(
        text=text,
        principal=principal,
        collection=collection,
        top_k=question.top_k,
        filters=validate_filters(question.filters),
        user_id=_name("user_id", question.user_id),
        session_id=_name("session_id", question.session_id),
        tags=_tags(question.tags),
        metadata=_metadata(question.metadata),
        query_hash=query_hash,
        run_id=run_id,
    )


def validate_history(history: Sequence[str]) -> tuple[str, ...]:
    """The earlier questions, normalised. Raises InvalidRequest for too many or too long ones."""
    _at_most("earlier questions in history", len(history), MAX_HISTORY)
    texts = tuple(normalized(text) for text in history)
    longest = max(map(len, texts), default=0)
    _at_most("characters of a question in history", longest, MAX_QUERY_CHARACTERS)
    return tuple(text for text in texts if text)


def normalized(text: str) -> str:
    """NFC without control, bidirectional and zero-width characters; outer white space stripped."""
    if text.isascii():
        return _INVISIBLE.sub("", text).strip()
    bare = _INVISIBLE.sub("", text)
    return (bare if is_normalized("NFC", bare) else normalize("NFC", bare)).strip()


def validate_filters(filters: FilterValues) -> Filters:
    """Bounded filters; every name but `document_ids` is a metadata field. Raises InvalidRequest."""
    if not filters:
        return NO_FILTERS
    if len(filters) > MAX_FILTER_FIELDS:
        raise InvalidRequest(f"At most {MAX_FILTER_FIELDS} filter fields are allowed.")
    document_ids: tuple[str, ...] = ()
    metadata: dict[str, tuple[Scalar, ...]] = {}
    for name, value in filters.items():
        values = _values(value)
        if name == "document_ids":
            document_ids = tuple(_name("document_ids", str(v)) or "" for v in values)
            _at_most("document_ids", len(values), MAX_FILTER_DOCUMENTS)
            continue
        if not _FIELD.fullmatch(name):
            raise InvalidRequest("A filter field's name holds other than A-Z a-z 0-9 _ . -")
        _at_most("values of one filter field", len(values), MAX_FILTER_VALUES)
        metadata[name] = tuple(_value("filters", v) for v in values)
    return Filters(document_ids=document_ids, metadata=metadata)


def _values(value: Scalar | Sequence[Scalar]) -> Sequence[Scalar]:
    values = [value] if isinstance(value, str | int | float | bool) else list(value)
    if not values:
        raise InvalidRequest("A filter without values matches nothing.", hint="Leave it out.")
    return values


def _value(field: str, value: Scalar) -> Scalar:
    if not isinstance(value, str | int | float | bool):
        raise InvalidRequest(f"{field}: values are text, numbers or booleans.")
    if not isinstance(value, str):
        return value
    text = normalized(value)
    _at_most(f"characters of a value in {field}", len(text), MAX_VALUE_CHARACTERS)
    return text


def valid_name(name: str) -> bool:
    """Whether a name is 1 to 64 characters of A-Z a-z 0-9, underscore, hyphen."""
    return _NAME.fullmatch(name) is not None


def _collection(name: str) -> str:
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidRequest("collection must be 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return name


def _name(field: str, name: str | None) -> str | None:
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{field} must be 1 to 64 characters of A-Z a-z 0-9 _ -")
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
