"""The bodies of the REST API: written by the server, described by OpenAPI, read by the clients.

What callers see of a document, a job, a run, a page and an answer is declared in
`foliotrace.model`: a new field there appears in these bodies, in OpenAPI and in both clients.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_type_hints

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from foliotrace.model import (
    COLLECTION_NAME,
    DEFAULT_COLLECTION,
    Answer,
    AnswerDetails,
    AnswerMode,
    Degradation,
    DocumentView,
    ExecutionMode,
    Extraction,
    FieldResult,
    Job,
    JobStatus,
    JobView,
    JsonObject,
    PageContent,
    ParsedPage,
    Usage,
    Word,
)

T = TypeVar("T")
BodyType: TypeAlias = Any
"""A class or a generic alias: mypy has no type for both."""


_ADAPTERS: dict[BodyType, TypeAdapter[Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBody(AnswerDetails):
    """An answered question."""

    answer: str
    answer_mode: AnswerMode
    links: Mapping[str, str] = field(
        metadata={"description": "Where its trace opens: `jaeger`, `langsmith`."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsBody:
    """A page of documents. Pass `next` as `after` to get the following page."""

    documents: tuple[DocumentView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBody(PageContent):
    """A page with the position of each of its words."""

    document_id: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsBody:
    """A page of jobs, newest first. Pass `next` as `after` to get the following page."""

    jobs: tuple[JobView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemBody:
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    code: str = field(metadata={"description": "Stable; see docs/reference/errors.md."})
    detail: str | None = field(
        default=None, metadata={"description": "What to do next.", "exclude_if": operator.not_}
    )
    errors: tuple[Mapping[str, str], ...] = field(
        default=(),
        metadata={
            "description": "Each invalid field, and the rule it breaks.",
            "exclude_if": operator.not_,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedBody:
    """A file that is stored durably; its job survives a crash."""

    document: DocumentView
    job: JobView
    unchanged: bool = field(
        metadata={"description": "The same bytes are already served; nothing is parsed."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBody:
    """A file that was refused."""

    name: str
    problem: ProblemBody


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadBody:
    """The outcome for each file of an upload."""

    accepted: tuple[AcceptedBody, ...]
    refused: tuple[RefusedBody, ...]


class ErasureRequest(BaseModel):
    """Which data to erase. At least one condition is required; they are combined with AND."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("user", "collection", "before")
            ]
        },
    )

    user: Annotated[str | None, Field(min_length=1, max_length=128)] = Field(
        default=None, description="Subject of a key, or the `user_id` of questions."
    )
    collection: Annotated[str | None, Field(pattern=f"^{COLLECTION_NAME.pattern}$")] = None
    before: Annotated[AwareDatetime | None, Field()] = Field(
        default=None, description="What has not changed since this time."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureBody:
    """What was erased. `receipt` is the `run_id` of its records in the audit log."""

    receipt: str
    documents: int
    rows: Mapping[str, int] = field(
        metadata={"description": "Other erased rows, by store: `runs` and others."}
    )


class ReconcileRequest(BaseModel):
    """Which collection of the managed index is compared with the library."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    collection: Annotated[str, Field(pattern=f"^{COLLECTION_NAME.pattern}$")] = DEFAULT_COLLECTION
    dry_run: bool = Field(default=False, description="Report the differences, repair nothing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftBody:
    """Ids of documents whose state in the managed index differs from the library's."""

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    left_over: tuple[str, ...]
    skipped: tuple[str, ...] = field(
        metadata={"description": "The cloud has the file, and its index does not find it."}
    )


class ExtractionRequest(BaseModel):
    """A request for a typed record. `schema` is JSON Schema 2020-12."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    document_id: Annotated[str, Field(min_length=1, max_length=64)]
    record_schema: Annotated[JsonObject, Field(alias="schema")]
    instructions: Annotated[str | None, Field(max_length=2000)] = None
    path: ExecutionMode | None = Field(
        default=None, description="Where to extract. Overrides the server default."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionBody:
    """An extraction job and, once it has completed, its record."""

    id: str
    status: JobStatus
    document_id: str
    job: JobView
    record: dict[str, Any] | None = None
    fields: tuple[FieldResult, ...] = ()
    valid: bool | None = None
    errors: tuple[str, ...] = ()
    degradation: Degradation | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityBody:
    """What one capability is configured for, and what it can do now."""

    configured: str
    reachable: str
    level: Annotated[int, Field(ge=0, le=4)] = field(
        metadata={"description": "The degradation level that an answer would have now."}
    )
    reasons: tuple[str, ...]
    failures: tuple[str, ...] = field(
        default=(),
        metadata={
            "description": "For each object of your own whose last call failed: the setting that "
            "names it, the error's type and its first line."
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderProblemBody:
    """What is wrong with the data folder; `count` says how many files it concerns."""

    code: str
    message: str
    hint: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyBody:
    """Whether requests can be served, and how well."""

    ready: bool
    capabilities: Mapping[str, CapabilityBody]
    problems: tuple[FolderProblemBody, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthBody:
    """The process answers."""

    status: Literal["healthy"]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStart:
    """The first event of a streamed answer."""

    trace_id: str | None
    links: Mapping[str, str]


def to_json(body_type: type[T], body: T) -> bytes:
    """`body` with exactly the fields that `body_type` declares, also where it is a subclass.

    A `Document` written as `DocumentView` never shows its tenant.
    """
    # A mismatch is a bug that the tests find; pydantic's warning would quote document text.
    adapter: TypeAdapter[T] = _adapter(body_type)
    return adapter.serializer.to_json(body, warnings=False)


def from_json(body_type: type[T], text: bytes | str) -> T:
    """Read a body; unknown fields are ignored. Raises pydantic.ValidationError."""
    adapter: TypeAdapter[T] = _adapter(body_type)
    return adapter.validate_json(text)


def from_value(body_type: type[T], value: object) -> T:
    """A body from decoded JSON; unknown fields are ignored. Raises pydantic.ValidationError."""
    adapter: TypeAdapter[T] = _adapter(body_type)
    return adapter.validate_python(value)


def answer_json(answer: Answer, links: Mapping[str, str]) -> bytes:
    """The body of `/v1/query`, an `AnswerBody`; `links` open the answer's trace.

    Written from a dict, because building the frozen dataclass would cost every question 2 us more.
    """
    names, read = fields_of(AnswerDetails)
    body: dict[str, Any] = {  # what people look for comes first
        "answer": answer.text,
        "answer_mode": answer.degradation.answer,
        "citations": answer.citations,
        "degradation": answer.degradation,
    }
    body.update(zip(names, read(answer), strict=True))
    body["links"] = links
    return _dict_adapter(AnswerBody).serializer.to_json(body, warnings=False)


def page_body(document_id: str, page: ParsedPage) -> PageBody:
    """The body of a page."""
    names, read = fields_of(PageContent)
    details = dict(zip(names, read(page), strict=True))
    return PageBody(document_id=document_id, words=tuple(page.words), **details)


def extraction_body(job: Job, extraction: Extraction | None) -> ExtractionBody:
    """The body of an extraction; `extraction` is None until the job has completed."""
    names, read = fields_of(Extraction)
    record = dict(zip(names, read(extraction), strict=True)) if extraction else {}
    return ExtractionBody(
        id=job.id, status=job.status, document_id=job.document_id, job=job, **record
    )


def _adapter(body_type: BodyType) -> TypeAdapter[Any]:
    adapter = _ADAPTERS.get(body_type)
    if adapter is None:
        adapter = _ADAPTERS[body_type] = TypeAdapter(body_type)
    return adapter


@cache
def _dict_adapter(body_type: type) -> TypeAdapter[Any]:
    """Writes dicts that hold the fields of `body_type`."""
    declared = TypedDict(body_type.__name__, get_type_hints(body_type))  # type: ignore[misc] # from a dataclass
    return TypeAdapter(declared)


@cache
def fields_of(kind: BodyType) -> tuple[tuple[str, ...], "operator.attrgetter[tuple[Any, ...]]"]:
    """The names of a dataclass's fields, and what reads them all."""
    names = tuple(each.name for each in fields(kind))
    return names, operator.attrgetter(*names)
