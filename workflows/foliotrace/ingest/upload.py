"""Accepts an uploaded file: checks its name, size and metadata, stores its bytes and its job.

`accept` returns when the bytes and the job are on disk. The caller then starts the workflow with
`IngestDocument(document_id, job_id)`, unless `Accepted.settled`.
"""

import re
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import uuid4

from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, FileRefused, InvalidRequest, NotAllowed
from foliotrace.ingest.publish import delete_if_unused, hold_originals
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.window import revision_of
from foliotrace.jobs import JobReporter
from foliotrace.model import (
    COLLECTION_NAME,
    DEFAULT_COLLECTION,
    PAGED_TYPES,
    Document,
    ExecutionMode,
    Job,
    JobKind,
    JobStatus,
    Metadata,
    PageSelection,
    Principal,
)
from foliotrace.ports import DocumentDraft

NAME_CHARACTERS: Final = 255
METADATA_FIELDS: Final = 64
METADATA_CHARACTERS: Final = 1000
KEY_CHARACTERS: Final = 255
FINAL: Final = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)

_JOINER: Final = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Zero-width joiners between non-ASCII characters: Persian and compound emoji need them."""
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file and its options, as the caller sends them."""

    name: str
    content: AsyncIterator[bytes]
    collection: str = DEFAULT_COLLECTION
    metadata: Metadata = field(default_factory=dict)
    idempotency_key: str | None = None
    path: ExecutionMode | None = None
    pages: str | None = None  # such as "1-3,7"; None: all
    job_id: str | None = None  # of the new job; None: a free one


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A stored file and its job. `unchanged`: its name already serves the same bytes."""

    document: Document
    job: Job
    unchanged: bool

    @property
    def settled(self) -> bool:
        """Whether the job has ended, so that no workflow needs to run."""
        return self.job.status in FINAL


async def accept(services: IngestServices, principal: Principal, upload: Upload) -> Accepted:
    """Store the file and its job.

    Raises InvalidRequest, NotAllowed `collection_not_allowed`, PathNotOffered, FileRefused,
    Conflict `idempotency_conflict`, LibraryUnavailable.
    """
    name = checked_name(upload.name)
    _check(upload)
    pages = checked_selection(upload.pages)
    if not principal.may_use(upload.collection):
        raise NotAllowed(code=ErrorCode.COLLECTION_NOT_ALLOWED)
    services.parser_on(upload.path)
    async with hold_originals(services, principal.tenant) as hold:
        blob = hold(
            await services.blobs.put(
                principal.tenant, name, upload.content, limit_bytes=services.settings.max_file_bytes
            )
        )
        if pages is not None and blob.media_type not in PAGED_TYPES:
            raise FileRefused(
                f"{name} is no PDF, TIFF or PPTX file: its pages cannot be chosen.",
                name=name,
                code=ErrorCode.FILE_WITHOUT_PAGES,
            )
        draft = DocumentDraft(
            collection=upload.collection,
            name=name,
            blob=blob,
            metadata=upload.metadata,
            pages=pages,
        )
        return await _registered(services, principal, upload, draft)


async def _registered(
    services: IngestServices, principal: Principal, upload: Upload, draft: DocumentDraft
) -> Accepted:
    """Register the stored file's document and its job."""
    fingerprint = _fingerprint(draft, upload.path)
    earlier = await _earlier(services, principal, upload.idempotency_key, fingerprint)
    if earlier is not None:
        return earlier
    before = await services.library.documents(
        principal.tenant, collection=draft.collection, name=draft.name, limit=1
    )
    registration = await services.library.register(principal.tenant, draft)
    for old in before:
        await delete_if_unused(services, principal.tenant, old.content_hash)
    document = registration.document
    at_work = None
    if not registration.is_new:
        at_work = await _at_work(services, document, fingerprint)
    unchanged = registration.unchanged
    if upload.path is not None and unchanged:  # the same bytes, but perhaps by another parser
        unchanged = document.revision == revision_of(
            document, services.parser_on(upload.path).engine_for(document.media_type)
        )
    same = at_work and not unchanged and upload.idempotency_key is None and upload.job_id is None
    job = at_work if same else None
    job = job or await _created(services, principal, document, fingerprint, upload, unchanged)
    return Accepted(document=document, job=job, unchanged=unchanged)


async def _earlier(
    services: IngestServices, principal: Principal, key: str | None, fingerprint: str
) -> Accepted | None:
    """The upload that used this idempotency key before. Raises Conflict if its file differs."""
    if key is None:
        return None
    job = await services.jobs.by_key(principal.tenant, JobKind.INGEST, key)
    if job is None:
        return None
    if job.fingerprint != fingerprint:
        raise Conflict(code=ErrorCode.IDEMPOTENCY_CONFLICT)
    document = await services.library.document(principal.tenant, job.document_id)
    return Accepted(document=document, job=job, unchanged=False)


async def _at_work(services: IngestServices, document: Document, fingerprint: str) -> Job | None:
    """The unfinished job of exactly this file; those of an older content are ended."""
    same = None
    for job in await services.jobs.jobs(document.tenant, document_id=document.id, unfinished=True):
        if job.kind is not JobKind.INGEST:
            continue
        if job.fingerprint == fingerprint:
            same = same or job
        elif job.fingerprint is not None:
            superseded = Conflict(code=ErrorCode.INGEST_SUPERSEDED)
            await JobReporter(services, document.tenant, job.id).failed(superseded)
    return same


async def _created(
    services: IngestServices,
    principal: Principal,
    document: Document,
    fingerprint: str,
    upload: Upload,
    unchanged: bool,
) -> Job:
    """A new job, already completed if `unchanged`."""
    now = services.clock.now()
    return await services.jobs.create(
        Job(
            id=upload.job_id or f"job_{uuid4().hex}",
            tenant=principal.tenant,
            subject=principal.subject,
            kind=JobKind.INGEST,
            document_id=document.id,
            status=JobStatus.COMPLETED if unchanged else JobStatus.QUEUED,
            stage="unchanged" if unchanged else "queued",
            pages_done=document.pages_stored if unchanged else 0,
            pages_total=document.pages_total if unchanged else 0,
            chunks=document.chunks if unchanged else 0,
            idempotency_key=upload.idempotency_key,
            fingerprint=fingerprint,
            trace_id=services.trace(),
            path=upload.path,
            created_at=now,
            updated_at=now,
        )
    )


def checked_name(name: str) -> str:
    """The document's name, normalised to NFC. Raises InvalidRequest `invalid_name`."""
    spelled = unicodedata.normalize("NFC", name).strip()
    parts = spelled.split("/")
    if (
        not spelled
        or len(spelled) > NAME_CHARACTERS
        or any(part in ("", ".", "..") for part in parts)
        or any(unicodedata.category(c) in ("Cc", "Cs", "Cf") for c in _JOINER.sub("", spelled))
    ):
        raise InvalidRequest(
            code=ErrorCode.INVALID_NAME,
            hint=f"Use 1 to {NAME_CHARACTERS} printable characters, no empty or dotted folders.",
        )
    return spelled


def checked_selection(pages: str | None) -> str | None:
    """The pages that were asked for in their short form. Raises InvalidRequest `invalid_pages`."""
    if pages is None:
        return None
    try:
        return str(PageSelection.parse(pages))
    except ValueError as error:
        raise InvalidRequest(
            f"`pages` cannot be used: {error}.", code=ErrorCode.INVALID_PAGES
        ) from None


def _check(upload: Upload) -> None:
    if not COLLECTION_NAME.fullmatch(upload.collection):
        raise InvalidRequest(code=ErrorCode.INVALID_COLLECTION)
    if (
        upload.idempotency_key is not None
        and not 1 <= len(upload.idempotency_key) <= KEY_CHARACTERS
    ):
        raise InvalidRequest(
            code=ErrorCode.INVALID_IDEMPOTENCY_KEY, hint=f"Use 1 to {KEY_CHARACTERS} characters."
        )
    if len(upload.metadata) > METADATA_FIELDS or not all(
        _FIELD.fullmatch(key) and _is_scalar(value) for key, value in upload.metadata.items()
    ):
        raise InvalidRequest(
            code=ErrorCode.INVALID_METADATA,
            hint=f"Use at most {METADATA_FIELDS} fields with text, number or boolean values.",
        )


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= METADATA_CHARACTERS and not any(
            "\ud800" <= c <= "\udfff" for c in value
        )
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    return isinstance(value, int) and abs(value) < 1 << 63


def _fingerprint(draft: DocumentDraft, path: ExecutionMode | None) -> str:
    """A hash that is equal for uploads of the same content, name, metadata and options."""
    metadata = sorted((key, str(value)) for key, value in draft.metadata.items())
    parts: tuple[object, ...] = (draft.collection, draft.name, draft.blob.content_hash, metadata)
    if path is not None:
        parts = (*parts, path.value)
    if draft.pages is not None:
        parts = (*parts, f"pages {draft.pages}")
    return sha256(repr(parts).encode()).hexdigest()
