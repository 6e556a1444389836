"""The values that flow through the three journeys: frozen, knowing no clock, socket or file.

Offsets are Python character offsets into a stored page's `text`. Boxes are in points, origin
top-left. Money is `Decimal` US dollars, times are aware UTC.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from struct import Struct
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Scalar]
JsonObject: TypeAlias = dict[str, Any]

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls. Comes from the edge's `identify` alone, never from a body or a header."""

    tenant: str = "default"
    subject: str = "anonymous"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, on the monotonic clock, after which nobody waits for the result."""

    at_s: float

    def remaining_s(self, now_s: float) -> float:
        """Seconds left at `now_s`; never negative."""
        return max(0.0, self.at_s - now_s)

    def capped(self, now_s: float, limit_s: float) -> "Deadline":
        """The earlier of this deadline and `limit_s` from now."""
        return Deadline(min(self.at_s, now_s + limit_s))


# --- a file and its pages ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points, origin top-left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page: its span in the page's text and its box."""

    start: int
    end: int
    box: Box


_WORD = Struct("<IIffff")
_START = Struct("<I")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a page with their boxes, packed (24 bytes each) in order of `start`."""

    packed: bytes = b""

    @classmethod
    def pack(cls, words: Sequence[Word]) -> "Words":
        """Pack `words`, which must be in order of `start`."""
        return cls(
            b"".join(
                _WORD.pack(w.start, w.end, w.box.x, w.box.y, w.box.width, w.box.height)
                for w in words
            )
        )

    @classmethod
    def pack_values(cls, values: Iterable[tuple[int, int, float, float, float, float]]) -> "Words":
        """Pack (start, end, x, y, width, height) tuples: `pack` without the objects."""
        pack = _WORD.pack
        return cls(b"".join([pack(*value) for value in values]))

    def __len__(self) -> int:
        return len(self.packed) // _WORD.size

    def __iter__(self) -> Iterator[Word]:
        for start, end, x, y, width, height in _WORD.iter_unpack(self.packed):
            yield Word(start, end, Box(x, y, width, height))

    def boxes(self, start: int, end: int) -> tuple[Box, ...]:
        """The boxes that cover the words of [start, end): one for each run of words on a line.

        A word follows its run in the same baseline band with a gap under two heights. A run ends
        where going on would cover more than 1.4 times the area of its words.
        """
        packed = self.packed
        first = max(0, self._from(start) - 1)  # a word may reach into the span
        around = packed[first * _WORD.size : self._from(end) * _WORD.size]
        found: list[Box] = []
        is_open = False
        left = top = right = bottom = area = 0.0  # of the run, and of its words
        for _, w_end, x, y, width, height in _WORD.iter_unpack(around):
            if w_end <= start:
                continue
            w_right, w_bottom, w_area = x + width, y + height, width * height
            if is_open and top <= y + height / 2 <= bottom and -1.0 <= x - right <= 2 * height:
                n_left, n_top = (left if left < x else x), (top if top < y else y)
                n_right = right if right > w_right else w_right
                n_bottom = bottom if bottom > w_bottom else w_bottom
                if (n_right - n_left) * (n_bottom - n_top) <= 1.4 * (area + w_area):
                    left, top, right, bottom = n_left, n_top, n_right, n_bottom
                    area += w_area
                    continue
            if is_open:
                found.append(Box(left, top, right - left, bottom - top))
            is_open = True
            left, top, right, bottom, area = x, y, w_right, w_bottom, w_area
        if is_open:
            found.append(Box(left, top, right - left, bottom - top))
        return tuple(found)

    def _from(self, start: int) -> int:
        """The place of the first word that starts at `start` or later."""
        read, size, packed = _START.unpack_from, _WORD.size, self.packed
        return bisect_left(range(len(self)), start, key=lambda i: int(read(packed, i * size)[0]))


class PageKind(StrEnum):
    """What one numbered unit of a document is."""

    PAGE = "page"
    IMAGE = "image"
    SHEET = "sheet"
    SLIDE = "slide"
    SECTION = "section"


class PageStatus(StrEnum):
    """Whether a page's text can be relied on."""

    OK = "ok"
    NEEDS_OCR = "needs_ocr"
    FAILED = "failed"


class BlockKind(StrEnum):
    """What a stretch of a page's text is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"
    FIGURE = "figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch [start, end) of a page's text; `level` is 1 for a top heading, else 0."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell: its span in the page's text, its column from 0, and a sheet's cell name ("B7")."""

    start: int
    end: int
    column: int
    ref: str | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A table row: its span in the page's text and its cells, left to right."""

    start: int
    end: int
    cells: tuple[TableCell, ...]
    is_header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table recognised on a page; header rows come first."""

    start: int
    end: int
    rows: tuple[TableRow, ...]
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPage:
    """One page, image, sheet, slide or section: its text and where everything on it is."""

    number: int  # from 1
    text: str
    kind: PageKind = PageKind.PAGE
    label: str | None = None  # sheet name, slide title, section heading
    width: float | None = None  # points
    height: float | None = None
    words: Words = field(default_factory=Words)
    blocks: tuple[Block, ...] = ()
    tables: tuple[Table, ...] = ()
    status: PageStatus = PageStatus.OK
    problem: str | None = None  # a stable error code when status is not ok
    engine: str = ""  # "liteparse 2.18.0", "llamaparse agentic 2026-06-15"
    confidence: float | None = None  # 0..1, from OCR or the cloud
    degraded_from: str | None = None  # the engine that should have parsed this page


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to be parsed: where its bytes lie, and its type by content (never by name)."""

    tenant: str = "default"
    path: Path
    name: str
    media_type: str
    content_hash: str  # sha256, hex
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is known of a file before its pages are parsed."""

    media_type: str
    pages_total: int
    title: str | None = None


class DocumentStatus(StrEnum):
    """Where a document is in its life."""

    QUEUED = "queued"
    INGESTING = "ingesting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a document says it is: indexed with every chunk, never quoted."""

    title: str | None = None
    company: str | None = None
    period: str | None = None
    kind: str | None = None

    def header(self) -> str:
        """One line for the index."""
        return " | ".join(p for p in (self.company, self.kind, self.period, self.title) if p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of one tenant and collection. Unique by (tenant, collection, name).

    `revision` names the parse that is served; `pending_revision` the one being made. Pages are
    stored by revision, so equal bytes are parsed once in a tenant.
    """

    id: str
    tenant: str
    collection: str
    name: str
    content_hash: str
    media_type: str
    size_bytes: int
    status: DocumentStatus
    revision: str | None = None
    pending_revision: str | None = None
    pages_total: int = 0
    pages_stored: int = 0
    pages_unreadable: int = 0  # needs_ocr or failed
    chunks: int = 0
    identity: Identity = Identity()
    stated_title: str | None = None  # what the file itself says; `identity` may take it over
    metadata: Metadata = field(default_factory=dict)
    problem: str | None = None  # a stable error code when status is failed
    problem_detail: str | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of one page. `context` (a table's header row) is indexed and shown, not quoted."""

    id: str
    document_id: str
    revision: str
    ordinal: int  # from 0, in document order
    page: int
    start: int
    end: int
    text: str  # == page.text[start:end]
    context: str = ""


class JobKind(StrEnum):
    """What a durable job does."""

    INGEST = "ingest"
    EXTRACT = "extract"


class JobStatus(StrEnum):
    """Where a job is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A durable piece of work and its progress; `id` is also the llama-agents handler id."""

    id: str
    tenant: str
    subject: str
    kind: JobKind
    document_id: str
    status: JobStatus = JobStatus.QUEUED
    stage: str = "queued"
    pages_done: int = 0
    pages_total: int = 0
    chunks: int = 0
    problem: str | None = None  # a stable error code
    problem_detail: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None  # hash of the request that the key was first used for
    trace_id: str | None = None
    created_at: datetime
    updated_at: datetime


# --- a question and its answer -------------------------------------------------------------


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


class Level(IntEnum):
    """The loss against the best configured path (DESIGN section 6)."""

    NONE = 0
    OTHER_LLM = 1
    LOWER_PATH = 2
    STALE = 3
    TEMPLATE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How far, and why, an answer fell below what is configured."""

    level: Level = Level.NONE
    reasons: tuple[str, ...] = ()  # stable words: "keyword_index_unavailable", "embedding_pending"
    retrieval: RetrievalMode = RetrievalMode.NONE
    answer: AnswerMode = AnswerMode.EXTRACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one query or extraction, retries and fallbacks included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0
    llm_calls: int = 0
    cost_usd: Decimal = Decimal(0)
    credits: float = 0.0  # LlamaCloud credits

    @property
    def total_tokens(self) -> int:
        """All tokens that were billed."""
        return self.prompt_tokens + self.completion_tokens + self.embedding_tokens

    def plus(self, other: "Usage") -> "Usage":
        """The sum of two usages."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            embedding_tokens=self.embedding_tokens + other.embedding_tokens,
            llm_calls=self.llm_calls + other.llm_calls,
            cost_usd=self.cost_usd + other.cost_usd,
            credits=self.credits + other.credits,
        )


class CacheState(StrEnum):
    """Where an answer came from with respect to the answer cache."""

    MISS = "miss"
    EXACT = "exact"
    SEMANTIC = "semantic"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question is answered with."""

    text: str
    citations: tuple[Citation, ...] = ()
    degradation: Degradation = Degradation()
    usage: Usage = Usage()
    model: str | None = None
    cache: CacheState = CacheState.MISS
    removed_claims: int = 0  # sentences or markers dropped because no passage supports them
    notice: str | None = None  # "No LLM is configured: these are quoted passages."
    age_s: float | None = None  # stale answers only
    retry_after_s: float | None = None  # template answers only
    run_id: str = ""
    trace_id: str | None = None
    origin: str | None = None  # W3C traceparent of the run that made it, also when given again

    def __repr__(self) -> str:
        """Short and without content: engines write it into summaries and logs."""
        return f"Answer(run_id={self.run_id!r}, level={int(self.degradation.level)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What made a result; enough to make it again."""

    code: str
    prompt: str
    model: str | None
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What `/v1/runs/{id}` tells about an answered question; content only if kept by setting."""

    id: str
    tenant: str
    workflow: str
    versions: Versions
    degradation: Degradation
    citations: tuple[Citation, ...]
    usage: Usage
    query_hash: str
    user_id: str | None
    session_id: str | None
    tags: tuple[str, ...]
    metadata: Metadata
    trace_id: str | None
    created_at: datetime
    elapsed_ms: float
    query_text: str | None = None
    answer_text: str | None = None


# --- a schema and its record ---------------------------------------------------------------


class ExtractionMethod(StrEnum):
    """What produced a field's value."""

    CLOUD = "cloud"
    LLM = "llm"
    RULES = "rules"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """One field of a record, by JSON pointer ("/lines/0/amount"). Null is an honest answer."""

    pointer: str
    value: Any
    confidence: float | None = None  # 0..1
    citations: tuple[Citation, ...] = ()
    method: ExtractionMethod = ExtractionMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """A typed record out of one document. Invalid records are kept with their errors."""

    record: JsonObject
    fields: tuple[FieldResult, ...]
    valid: bool
    errors: tuple[str, ...] = ()
    degradation: Degradation = Degradation()
    usage: Usage = Usage()
