"""Who asks what, until when; retrieved passages; citations with their anchors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from foliotrace.model.page import Box, PageKind

Scalar: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Scalar]
JsonObject: TypeAlias = dict[str, Any]

DEFAULT_COLLECTION = "default"
COLLECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Allowed names of collections, for `fullmatch`."""


class ExecutionMode(StrEnum):
    """Where a request is processed: here, in LlamaCloud, or in LlamaCloud with a local fallback.

    A request can opt out of LlamaCloud, but cannot opt in beyond the configuration.
    """

    LOCAL = "local"
    CLOUD = "cloud"
    CLOUD_THEN_LOCAL = "cloud_then_local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller, as determined by the edge's `identify`; no header or body can choose it."""

    tenant: str = "default"
    subject: str = "anonymous"
    collections: frozenset[str] | None = None  # None: every collection of the tenant

    def may_use(self, collection: str) -> bool:
        """Whether the caller may read and write a collection."""
        return self.collections is None or collection in self.collections

    def may_use_all(self, others: frozenset[str] | None) -> bool:
        """Whether the caller may use whatever somebody with these collections may."""
        return self.collections is None or (others is not None and others <= self.collections)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds of the monotonic clock, when a result is no longer awaited."""

    at_s: float

    def remaining_s(self, now_s: float) -> float:
        """Seconds left at `now_s`, at least 0."""
        return max(0.0, self.at_s - now_s)

    def capped(self, now_s: float, limit_s: float) -> "Deadline":
        """The earlier of this deadline and `limit_s` from now."""
        return Deadline(min(self.at_s, now_s + limit_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which documents may answer. All conditions must hold.

    `metadata` maps a field to its allowed values: a field of the caller's metadata, or name, title,
    company, period, kind or media_type.
    """

    document_ids: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.document_ids or self.metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A validated question: normalised, within limits, hashed."""

    text: str
    principal: Principal
    collection: str = DEFAULT_COLLECTION
    top_k: int = 5
    filters: Filters = Filters()
    user_id: str | None = None
    session_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    query_hash: str = ""
    run_id: str = ""


class RetrievalMode(StrEnum):
    """The retrieval path; `custom` is a LlamaIndex retriever that the operator configured."""

    CUSTOM = "custom"
    MANAGED = "managed"
    HYBRID = "hybrid"
    KEYWORD = "keyword"
    VECTOR = "vector"
    NONE = "none"


class AnswerMode(StrEnum):
    """How the text of an answer was made."""

    GENERATED = "generated"
    EXTRACTIVE = "extractive"
    ABSTAINED = "abstained"
    STALE = "stale"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A retrieved chunk. Scores can be compared within one retrieval only; higher is better."""

    chunk_id: str
    document_id: str
    document_name: str
    revision: str
    page: int
    start: int
    end: int
    text: str
    context: str = ""
    header: str = ""  # the document's identity line: indexed, never quoted
    score: float
    path: RetrievalMode
    exact: bool = True  # False: the text was not found on the stored page
    unplaced: bool = False  # its document is missing in the managed index that was asked
    also_by: RetrievalMode | None = None  # another index that found its page

    def trace_view(self) -> dict[str, object]:
        """What an observer that exports content may show."""
        return {
            "id": self.chunk_id,
            "score": self.score,
            "content": self.text,
            "document": self.document_id,
            "page": self.page,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The location of a quote: its page (sheet, slide, section) and offsets into the page's text.

    Pages and images have `boxes`, sheets have `cells` ("B2:D2"). `exact` is False if only the page
    is known. `confidence` (0 to 1) is that of OCR for the quoted words.
    """

    kind: PageKind
    page: int
    start: int
    end: int
    label: str | None = None
    boxes: tuple[Box, ...] = ()
    cells: str | None = None
    exact: bool = True
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value of a table: where its row and its column meet.

    `value`, `row` and `unit` are as printed, `period` is that of the column or of the table; null
    where the table does not say. `cells` locates the label and the value.
    """

    row: str
    value: str
    unit: str | None
    period: str | None
    cells: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A verbatim quote and its location. `marker` is its number in the answer's text.

    `figure` is the value in a quoted row that answers the question.
    """

    marker: int
    document_id: str
    document_name: str
    chunk_id: str
    quote: str
    anchor: Anchor
    score: float
    figure: Figure | None = None
