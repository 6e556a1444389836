"""Questions, retrieved passages, and citations with their anchors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foliotrace.model.call import DEFAULT_COLLECTION, Metadata, Principal, Scalar
from foliotrace.model.page import Box, PageKind


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The location of a quote: its page (sheet, slide, section) and offsets into the page's text.

    Pages and images have `boxes`, sheets have `cells` ("B2:D2"). `exact` is False if only the page
    is known.
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
    """A verbatim quote and its location. `marker` is its number in the answer's text."""

    marker: int
    document_id: str
    document_name: str
    chunk_id: str
    quote: str
    anchor: Anchor
    score: float
