"""What the journeys need from the outside world, as small Protocols.

Every store call takes a tenant. Each port has one contract suite under tests/contracts, which runs
over every adapter. Errors named here are the ones a caller plans for; anything else is a bug.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TypeAlias

from foliotrace.model import (
    Answer,
    Chunk,
    Deadline,
    Document,
    Extraction,
    Filters,
    Identity,
    Inspection,
    Job,
    JobKind,
    JsonObject,
    Metadata,
    ParsedPage,
    Passage,
    Principal,
    Query,
    Run,
    SourceFile,
    Usage,
)

# --- small needs ---------------------------------------------------------------------------

Identify: TypeAlias = Callable[[], Principal]
"""Who calls now. The edge sets it; without an edge it answers the default principal."""

HashQuery: TypeAlias = Callable[[str, str], tuple[str, str]]
"""(tenant, text) -> (key id, keyed hash). Never a plain hash."""

CurrentTrace: TypeAlias = Callable[[], str | None]
"""The trace id (32 hex digits) of the running span, or None when nothing is traced."""

CurrentSpan: TypeAlias = Callable[[], str | None]
"""The running span as a W3C traceparent, for links to it; None when its trace is not kept."""


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


# --- files and pages -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """An original, on disk before this value exists."""

    content_hash: str
    size_bytes: int
    media_type: str


class Blobs(Protocol):
    """The originals, by content hash within a tenant."""

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        """Store (fsynced) and name the type by content.

        Raises FileRefused `file_empty` or `file_too_large`; then nothing is kept.
        """
        ...

    async def path(self, tenant: str, content_hash: str) -> Path:
        """A readable local path. Raises NotFound."""
        ...

    async def delete(self, tenant: str, content_hash: str) -> None:
        """Remove the bytes. Twice is fine."""
        ...

    async def hashes(self, tenant: str) -> Collection[str]:
        """The hashes of all stored originals."""
        ...

    async def tenants(self) -> Collection[str]:
        """Every tenant that has ever stored an original here."""
        ...


class Parser(Protocol):
    """One engine that turns some types of file into pages."""

    @property
    def engine(self) -> str:
        """Name and version; part of a document's revision."""
        ...

    def accepts(self, media_type: str) -> bool:
        """Whether this engine can parse the type at all."""
        ...

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """How many pages there are. Raises FileRefused, ParserUnavailable."""
        ...

    def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The pages of `pages` (numbers from 1), in order, one for each number.

        A page that cannot be read is yielded with its status and problem, never left out.
        Raises FileRefused, ParserUnavailable, DeadlineExceeded.
        """
        ...


# --- the library: the truth ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """What is known of a file when it arrives."""

    collection: str
    name: str
    blob: StoredBlob
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The document of a draft. `unchanged`: the same bytes are already served under its name."""

    document: Document
    unchanged: bool


@dataclass(frozen=True, slots=True)
class DocumentLabel:
    """A document's name and the line that says what it is (`Identity.header`)."""

    name: str
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A document was published or deleted at `version`; derived indexes follow these."""

    version: int
    tenant: str
    collection: str
    document_id: str
    deleted: bool


class Library(Protocol):
    """Documents, pages, chunks, versions. Raises LibraryUnavailable; NotFound for an unknown id."""

    async def register(self, tenant: str, draft: DocumentDraft) -> Registration:
        """Create the document of (tenant, collection, name), or find it. Durable on return."""
        ...

    async def document(self, tenant: str, document_id: str) -> Document:
        """One document."""
        ...

    async def documents(
        self,
        tenant: str,
        *,
        collection: str | None = None,
        filters: Filters | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Document]:
        """In order of id, from behind `after`."""
        ...

    async def collections(self, tenant: str) -> Sequence[tuple[str, int]]:
        """(name, number of documents) of each collection, by name."""
        ...

    async def labels(self, tenant: str, document_ids: Sequence[str]) -> Sequence[DocumentLabel]:
        """What passages say of their documents, in the order asked. Raises NotFound."""
        ...

    async def refers_to(self, tenant: str, content_hash: str) -> bool:
        """Whether a document has this original; if none has, the original may go."""
        ...

    async def begin(
        self,
        tenant: str,
        document_id: str,
        *,
        revision: str,
        pages_total: int,
        stated_title: str | None = None,
    ) -> int:
        """Start (or go on with) `revision`; how many of its first pages are stored already."""
        ...

    async def add_window(
        self, tenant: str, document_id: str, *, revision: str, pages: Sequence[ParsedPage]
    ) -> None:
        """Store pages in one commit. The same window twice changes nothing.

        This, `add_chunks` and `publish` raise Conflict `ingest_superseded` when `revision` is not
        the pending one any more, because newer bytes were registered or the job was cancelled.
        """
        ...

    async def add_chunks(
        self, tenant: str, document_id: str, *, revision: str, chunks: Sequence[Chunk]
    ) -> None:
        """Store chunks in one commit, idempotent by chunk id; not served before `publish`."""
        ...

    async def publish(
        self, tenant: str, document_id: str, *, revision: str, identity: Identity
    ) -> int:
        """Serve `revision` from now on, drop the one before it: at once, completely.

        Returns the library version. Raises NothingToIndex when the revision holds no chunk.
        """
        ...

    async def fail(
        self,
        tenant: str,
        document_id: str,
        *,
        problem: str,
        detail: str,
        content_hash: str | None = None,
        keep_pages: bool = True,
    ) -> None:
        """Record why ingestion ended. A served revision stays served; pending chunks go.

        The pending pages stay, so that their problems can be read, unless `keep_pages` is False.
        With `content_hash`, nothing is done once newer bytes have been registered.
        """
        ...

    async def delete(self, tenant: str, document_id: str) -> Document:
        """Forget the document, its pages and chunks; the last state of it."""
        ...

    async def page(
        self, tenant: str, document_id: str, number: int, *, revision: str | None = None
    ) -> ParsedPage:
        """One stored page of `revision`: by default the served one, or the pending one."""
        ...

    async def pages(
        self, tenant: str, document_id: str, numbers: range, *, revision: str | None = None
    ) -> Sequence[ParsedPage]:
        """Those of `numbers` that are stored, in order; `revision` as for `page`."""
        ...

    async def chunks(self, tenant: str, ids: Sequence[str]) -> Sequence[Chunk]:
        """The served chunks of these ids, in the order asked; those not served are left out."""
        ...

    async def document_chunks(
        self, tenant: str, document_id: str, *, after_ordinal: int = -1, limit: int = 1000
    ) -> Sequence[Chunk]:
        """The served chunks of a document in order."""
        ...

    async def matching(self, tenant: str, collection: str, filters: Filters) -> Sequence[str]:
        """Ids of the served documents that `filters` admits."""
        ...

    def library_id(self) -> int:
        """Drawn when the library was made; an index of another library is not this one's."""
        ...

    async def version(self) -> int:
        """Grows by one with every publish and delete."""
        ...

    async def changes(self, after_version: int, *, limit: int = 1000) -> Sequence[Change]:
        """What happened since, oldest first; at most one per document."""
        ...

    async def changed_since(self, version: int, tenant: str, collection: str) -> bool:
        """Whether this collection has a change after `version`; another's is none of its own."""
        ...

    async def compact(self) -> None:
        """Give deleted bytes back to the disk, so that nothing deleted can be found there."""
        ...


class Jobs(Protocol):
    """Durable jobs, their progress, and the records that extraction jobs made."""

    async def create(self, job: Job) -> Job:
        """Store; a job of the same tenant, kind and idempotency key is returned instead."""
        ...

    async def job(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound."""
        ...

    async def by_key(self, tenant: str, kind: JobKind, idempotency_key: str) -> Job | None:
        """The job that was created under this idempotency key, or None."""
        ...

    async def jobs(
        self,
        tenant: str,
        *,
        document_id: str | None = None,
        unfinished: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Job]:
        """Newest first."""
        ...

    async def unfinished(self) -> Sequence[Job]:
        """Of every tenant, oldest first: what a process takes up again when it starts."""
        ...

    async def update(self, job: Job) -> None:
        """Store the job's new state. A final state never changes again."""
        ...

    async def save_extraction(
        self, tenant: str, job_id: str, *, schema: JsonObject, extraction: Extraction
    ) -> None:
        """Keep a job's record, valid or not."""
        ...

    async def extraction(self, tenant: str, job_id: str) -> tuple[JsonObject, Extraction]:
        """(schema, extraction). Raises NotFound."""
        ...


class Runs(Protocol):
    """What `/v1/runs/{id}` can tell, for as long as the retention setting says."""

    async def save(self, run: Run) -> None:
        """Keep a run; cheap, may be written behind."""
        ...

    async def run(self, tenant: str, run_id: str) -> Run:
        """Raises NotFound."""
        ...

    async def expire(self, *, before: datetime) -> int:
        """Forget runs older than `before`; how many."""
        ...


# --- index and retrieval -------------------------------------------------------------------


class IndexWriter(Protocol):
    """An index derived from the library."""

    async def catch_up(self) -> int:
        """Apply every change not yet applied; the version reached. Raises IndexUnavailable."""
        ...

    async def rebuild(self) -> int:
        """Throw away and derive again; the version reached."""
        ...

    async def compact(self) -> None:
        """Leave no word of a deleted document in the files. Raises IndexUnavailable."""
        ...


class Retriever(Protocol):
    """One path to passages."""

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first. Raises IndexUnavailable; never returns an empty list for an outage."""
        ...


class Vocabulary(Protocol):
    """The words of the index: how text is cut into terms, and how telling each term is."""

    def terms(self, text: str) -> Sequence[str]:
        """Stemmed, lower-cased content words in order; no stop words."""
        ...

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        """The idf of each term over the collection's chunks, above 0; one of no chunk weighs most.

        What other tenants and collections hold changes nothing. Raises IndexUnavailable.
        """
        ...


Vector: TypeAlias = Sequence[float]


class Embedder(Protocol):
    """An embedding model."""

    @property
    def model(self) -> str:
        """Name and version; vectors of another model are never compared with it."""
        ...

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """Order kept. Raises EmbedderUnavailable."""
        ...

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """One question. Raises EmbedderUnavailable."""
        ...


AskLibrary: TypeAlias = Callable[[str], Awaitable[Answer]]
"""A question to its answer, through the whole journey; who asks and where is settled already."""


# --- language models -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """System and user text; `version` names the template. `schema` asks for JSON of that schema."""

    system: str
    user: str
    version: str
    schema: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A finished completion."""

    text: str
    model: str
    usage: Usage
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed completion; the last one carries `done`."""

    text: str = ""
    done: Generation | None = None


class TextGenerator(Protocol):
    """One LLM. Makes one request per call; retrying is the business of `guarded`."""

    @property
    def model(self) -> str:
        """The pinned model name."""
        ...

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """Raises GeneratorUnavailable (another LLM may help), GeneratorRefused (it may not)."""
        ...

    def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncIterator[Delta]:
        """As `generate`, in pieces; an error after the first piece ends the stream."""
        ...


# --- extraction ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionTask:
    """A document's pages and a schema that has passed the bounds."""

    principal: Principal
    document: Document
    schema: JsonObject  # JSON Schema 2020-12, `$ref`s resolved
    instructions: str | None = None


class Extractor(Protocol):
    """One way to a typed record."""

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A value or null for every field, cited and grounded. Raises ExtractorUnavailable."""
        ...


# --- caches, money, audit ------------------------------------------------------------------


class AnswerCache(Protocol):
    """Exact answers by keyed hash. The key holds tenant, index version, filters, model, prompt."""

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """Raises CacheUnavailable."""
        ...

    async def store(self, tenant: str, key: str, answer: Answer, *, ttl_s: float) -> None:
        """Only level-0, not abstained answers are given. Raises CacheUnavailable."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop every answer that cites the document."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAnswer:
    """An answer kept for bad days: served only while every cited document has its hash still."""

    answer: Answer
    content_hashes: dict[str, str]  # document id -> content hash
    stored_at: datetime


class StaleAnswers(Protocol):
    """A store outside the library's failure domain, keyed without the index version."""

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        """Raises CacheUnavailable."""
        ...

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        """Raises CacheUnavailable."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop every answer that cites the document."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money set aside for one call, until settled, released or expired."""

    id: str
    tenant: str
    amount_usd: Decimal


class BudgetLedger(Protocol):
    """What a tenant has spent and set aside today. Atomic across processes."""

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """Raises BudgetExceeded, LedgerUnavailable."""
        ...

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Replace the reservation by what was really spent. Twice is fine."""
        ...

    async def spent_usd(self, tenant: str) -> Decimal:
        """Settled and reserved today (UTC)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One audit record as a journey knows it; the adapter adds time, trace id, sequence and chain.

    `event` is "query_received", "query_completed", "query_failed", and so for ingest, extract,
    delete and admin. Holds no query and no document text.
    """

    event: str
    run_id: str
    tenant: str
    user_id: str | None = None
    query_hash: str | None = None
    key_id: str | None = None
    success: bool | None = None
    response_length: int | None = None
    error: str | None = None
    error_type: str | None = None
    degradation_level: int | None = None
    degradation_reasons: tuple[str, ...] = ()
    model: str | None = None
    tokens: int | None = None
    cost_usd: Decimal | None = None
    document_ids: tuple[str, ...] = ()


class AuditLog(Protocol):
    """Called first and last by every journey."""

    async def append(self, entry: AuditEntry) -> None:
        """Raises AuditUnavailable when the policy is to refuse unaudited work."""
        ...
