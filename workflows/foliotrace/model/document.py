"""A document, its chunks, and the jobs that work on it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from foliotrace.model.call import ExecutionMode, Metadata


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
    path: ExecutionMode | None = None  # what the request asked for; None: as configured
    created_at: datetime
    updated_at: datetime
