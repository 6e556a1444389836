"""A question, the passages it finds, and where they are cited."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foliotrace.model.call import DEFAULT_COLLECTION, Metadata, Principal, Scalar
from foliotrace.model.page import Box, PageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which documents may answer. All given conditions must hold.

    `metadata` maps a field (the caller's own, or name, title, company, period, kind, media_type)
    to the values it may have.
    """

    document_ids: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.document_ids or self.metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question that has passed the guard: normalised, within limits, hashed."""

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
    """The path that found the passages; `custom` is a LlamaIndex retriever of the operator's."""

    CUSTOM = "custom"
    MANAGED = "managed"
    HYBRID = "hybrid"
    KEYWORD = "keyword"
    NONE = "none"


class AnswerMode(StrEnum):
    """How the answer's text came to be."""

    GENERATED = "generated"
    EXTRACTIVE = "extractive"
    ABSTAINED = "abstained"
    STALE = "stale"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A chunk that was retrieved, best first by `score` (comparable within one retrieval only)."""

    chunk_id: str
    document_id: str
    document_name: str
    revision: str
    page: int
    start: int
    end: int
    text: str
    context: str = ""
    header: str = ""  # the document's identity line, indexed and not quoted
    score: float
    path: RetrievalMode
    exact: bool = True  # False: an index gave words that our page holds in no such form


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a quote stands: the page (sheet, slide, section), the offsets, and what can be shown.

    `boxes` for pages and images, `cells` ("B2:D2") for sheets. `start` and `end` are offsets into
    the stored page text. `exact` is False where only the page is known.
    """

    kind: PageKind
    page: int
    start: int
    end: int
    label: str | None = None
    boxes: tuple[Box, ...] = ()
    cells: str | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A verbatim quote and where to open it. `marker` is the number used in the answer's text."""

    marker: int
    document_id: str
    document_name: str
    chunk_id: str
    quote: str
    anchor: Anchor
    score: float
