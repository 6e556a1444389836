"""Documents, their chunks, and the jobs that ingest or extract them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from foliotrace.model.answer import Usage
from foliotrace.model.page import SourceFile
from foliotrace.model.question import ExecutionMode, Metadata


class DocumentStatus(StrEnum):
    """The state of a document."""

    QUEUED = "queued"
    INGESTING = "ingesting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a document states about itself: indexed with each of its chunks, never quoted."""

    title: str | None = None
    company: str | None = None
    period: str | None = None
    kind: str | None = None

    def header(self) -> str:
        """One line for the index."""
        return " | ".join(p for p in (self.company, self.kind, self.period, self.title) if p)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """What callers see of a document. A field declared here reaches the REST API and the clients.

    A field's comment for API readers is its `description`.
    """

    id: str
    collection: str
    name: str
    content_hash: str = field(metadata={"description": "SHA-256 of the original, hex."})
    media_type: str
    size_bytes: int
    status: DocumentStatus
    pages: str | None = field(
        default=None,
        metadata={"description": "The pages that were asked for, as in `1-3,7`; null: all."},
    )
    pages_total: int = field(
        default=0, metadata={"description": "Pages to read: those asked for, else the file's."}
    )
    pages_stored: int = 0
    pages_unreadable: int = field(
        default=0, metadata={"description": "Pages that need OCR or could not be parsed."}
    )
    pages_degraded: int = field(
        default=0,
        metadata={"description": "Pages that the preferred parser did not read."},
    )
    chunks: int = 0
    identity: Identity = Identity()
    metadata: Metadata = field(default_factory=dict)
    problem: str | None = field(
        default=None, metadata={"description": "A stable error code when `status` is `failed`."}
    )
    problem_detail: str | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(DocumentView):
    """A document of one tenant and collection. Unique by (tenant, collection, name).

    `revision` names the parse that is served; `pending_revision` the one being made. Pages are
    stored by revision, so equal bytes are parsed once in a tenant.
    """

    tenant: str
    revision: str | None = None
    pending_revision: str | None = None
    stated_title: str | None = None  # from the file's properties; a source of `identity.title`

    def source_file(self, path: Path) -> SourceFile:
        """The document's original as a parser takes it; its bytes are at `path`."""
        return SourceFile(
            tenant=self.tenant,
            path=path,
            name=self.name,
            media_type=self.media_type,
            content_hash=self.content_hash,
            size_bytes=self.size_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of one page. `context`, a table's header row, is indexed and shown but not quoted."""

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
    """The kind of work of a durable job."""

    INGEST = "ingest"
    EXTRACT = "extract"


class JobStatus(StrEnum):
    """The state of a job. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What callers see of a durable job: its state and progress."""

    id: str
    kind: JobKind
    document_id: str
    status: JobStatus = JobStatus.QUEUED
    stage: str = "queued"
    pages_done: int = 0
    pages_total: int = 0
    pages_degraded: int = field(
        default=0,
        metadata={"description": "Pages that the preferred parser did not read."},
    )
    chunks: int = 0
    problem: str | None = field(
        default=None, metadata={"description": "A stable error code when `status` is `failed`."}
    )
    problem_detail: str | None = None
    trace_id: str | None = None
    created_at: datetime
    updated_at: datetime
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobView):
    """A durable piece of work and its progress; `id` is also the llama-agents handler id."""

    tenant: str
    subject: str
    idempotency_key: str | None = None
    fingerprint: str | None = None  # hash of the request that the key was first used for
    path: ExecutionMode | None = None  # as requested; None: as configured
