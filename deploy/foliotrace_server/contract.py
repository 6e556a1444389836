"""The bodies of the REST API, once: OpenAPI is generated from them and the client reads them.

The server writes the same bodies by hand for speed (`wire.py`); a test holds the two together.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from foliotrace.model import (
    AnswerMode,
    Block,
    CacheState,
    Citation,
    Degradation,
    DocumentStatus,
    ExecutionMode,
    FieldResult,
    Identity,
    JobKind,
    JobStatus,
    JsonObject,
    PageKind,
    PageStatus,
    Scalar,
    Table,
    Word,
)


class Body(BaseModel):
    """A JSON body: frozen, and refusing names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class UsageBody(Body):
    """Tokens and money, retries and fallbacks included."""

    prompt_tokens: int
    completion_tokens: int
    embedding_tokens: int
    llm_calls: int
    cost_usd: str = Field(description="US dollars, a decimal number as text.")
    credits: float = Field(description="LlamaCloud credits.")


class AnswerBody(Body):
    """An answered question."""

    answer: str
    answer_mode: AnswerMode
    citations: tuple[Citation, ...]
    degradation: Degradation
    usage: UsageBody
    model: str | None
    cache: CacheState
    removed_claims: int = Field(description="Sentences or markers dropped as unsupported.")
    notice: str | None
    age_s: float | None = Field(description="Stale answers only.")
    retry_after_s: float | None = Field(description="Template answers only.")
    trace_id: str | None = Field(description="Null for an answer whose trace is not kept.")
    links: dict[str, str] = Field(description="Where its trace opens: `jaeger`, `langsmith`.")
    run_id: str


class DocumentBody(Body):
    """A document."""

    id: str
    collection: str
    name: str
    content_hash: str = Field(description="SHA-256 of the original, hex.")
    media_type: str
    size_bytes: int
    status: DocumentStatus
    pages_total: int
    pages_stored: int
    pages_unreadable: int
    chunks: int
    identity: Identity
    metadata: dict[str, Scalar]
    problem: str | None = Field(description="A stable error code when `status` is failed.")
    problem_detail: str | None
    created_at: datetime
    updated_at: datetime


class DocumentsBody(Body):
    """A page of documents. `next` goes into `after` for the following page."""

    documents: tuple[DocumentBody, ...]
    next: str | None


class PageBody(Body):
    """A page, image, sheet, slide or section. Offsets are characters of `text`; boxes points."""

    document_id: str
    number: int
    kind: PageKind
    label: str | None
    text: str
    width: float | None
    height: float | None
    blocks: tuple[Block, ...]
    tables: tuple[Table, ...]
    words: tuple[Word, ...]
    status: PageStatus
    problem: str | None
    engine: str
    confidence: float | None
    degraded_from: str | None


class JobBody(Body):
    """A durable job and its progress."""

    id: str
    kind: JobKind
    document_id: str
    status: JobStatus
    stage: str
    pages_done: int
    pages_total: int
    chunks: int
    problem: str | None
    problem_detail: str | None
    trace_id: str | None
    created_at: datetime
    updated_at: datetime


class JobsBody(Body):
    """A page of jobs, newest first. `next` goes into `after` for the following page."""

    jobs: tuple[JobBody, ...]
    next: str | None


class ProblemBody(BaseModel):
    """An RFC 9457 problem."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    type: str
    title: str
    status: int
    code: str = Field(description="Stable; see docs/reference/errors.md.")
    detail: str | None = Field(default=None, description="What to do next.")
    errors: tuple[dict[str, str], ...] = ()


class AcceptedBody(Body):
    """A file that was stored and whose job will happen, whatever is killed."""

    document: DocumentBody
    job: JobBody
    unchanged: bool = Field(description="The same bytes are served already; nothing is parsed.")


class RefusedBody(Body):
    """A file that was refused."""

    name: str
    problem: ProblemBody


class UploadBody(Body):
    """What became of each file of an upload."""

    accepted: tuple[AcceptedBody, ...]
    refused: tuple[RefusedBody, ...]


class ExtractionRequest(Body):
    """A typed record is wanted. `schema` is JSON Schema 2020-12."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    document_id: Annotated[str, Field(min_length=1, max_length=64)]
    record_schema: Annotated[JsonObject, Field(alias="schema")]
    instructions: Annotated[str | None, Field(max_length=2000)] = None
    path: ExecutionMode | None = Field(
        default=None, description="Who extracts: less cloud than configured, or the cloud alone."
    )


class ExtractionBody(Body):
    """An extraction job and, once it has completed, its record."""

    id: str
    status: JobStatus
    document_id: str
    job: JobBody
    record: dict[str, Any] | None
    fields: tuple[FieldResult, ...]
    valid: bool | None
    errors: tuple[str, ...]
    degradation: Degradation | None
    usage: UsageBody | None


class VersionsBody(Body):
    """What made a result."""

    code: str
    prompt: str
    model: str | None
    index: int


class RunBody(Body):
    """What is kept of an answered question. The two texts only with `runs.keep_content`."""

    id: str
    workflow: str
    versions: VersionsBody
    degradation: Degradation
    citations: tuple[Citation, ...]
    usage: UsageBody
    query_hash: str
    user_id: str | None
    session_id: str | None
    tags: tuple[str, ...]
    metadata: dict[str, Scalar]
    trace_id: str | None
    created_at: datetime
    elapsed_ms: float
    query_text: str | None
    answer_text: str | None


class CapabilityBody(Body):
    """What one capability is configured for, and what it can do now."""

    configured: str
    reachable: str
    level: int = Field(ge=0, le=4, description="The loss, as in an answer's degradation.")
    reasons: tuple[str, ...]


class ReadyBody(Body):
    """Whether requests can be served, and how well."""

    ready: bool
    capabilities: dict[str, CapabilityBody]


class HealthBody(Body):
    """The process answers."""

    status: Literal["healthy"]
    version: str
