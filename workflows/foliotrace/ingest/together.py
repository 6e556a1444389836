"""Ingests many small files together: one call of a parser, one commit and one index update for all.

It does what the steps of the workflow do, and only ever completes a file. Whatever does not go
smoothly (a large file, one that cannot be read, one that was cancelled) is left as it was found:
the workflow ingests it by itself and reports what is wrong. A process that dies in between leaves
what the workflow repeats, too.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from foliotrace.errors import FoliotraceError, NotFound
from foliotrace.events import RunDescribed, emit, stage
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.ingest.identity import FIRST_PAGES, identify
from foliotrace.ingest.publish import catch_up, try_evict_answers
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.window import revision_of
from foliotrace.jobs import JobReporter
from foliotrace.model import Deadline, Document, DocumentStatus, Job, JobStatus, SourceFile
from foliotrace.ports import WholeDocument, WholeFile
from foliotrace.settings import INSPECT_DEADLINE_S

SMALL_FILE_BYTES: Final = 16 * 1024
"""Larger files are ingested by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedFile:
    """A registered document and the job that ingests it.

    `context` restores the job's trace, and `run` opens the span of the job's run in it.
    """

    job_id: str
    document_id: str
    context: Callable[[], AbstractContextManager[None]] = nullcontext
    run: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedFile:
    """How a file that was ingested together with others is served."""

    job: Job
    document: Document
    index_version: int


@dataclass(frozen=True, slots=True)
class _File:
    """A small file on its way; each step returns the next state of those that it can serve."""

    queued: QueuedFile
    job: Job
    document: Document
    source: SourceFile


class _Run:
    """The open span of a file's run, in a context of its own: those of a group overlap."""

    def __init__(self, file: _File) -> None:
        self.context = copy_context()
        self._open = ExitStack()
        self.context.run(self._open.enter_context, file.queued.run())
        self.context.run(emit, RunDescribed(tenant=file.job.tenant, user=file.job.subject))

    def close(self) -> None:
        self.context.run(self._open.close)


_WholeFile: TypeAlias = tuple[_File, WholeFile, _Run]


async def ingest_together(
    services: IngestServices, tenant: str, files: Sequence[QueuedFile]
) -> Mapping[str, IngestedFile]:
    """Ingest the small files among `files`; what became of each that is served, by job id.

    The others are to be ingested by themselves.
    Raises LibraryUnavailable, IndexUnavailable, AuditUnavailable: the same holds for all then.
    """
    small = await _small_files(services, tenant, files)
    if not small:
        return {}
    for file in small:
        with file.queued.context():
            await JobReporter(services, tenant, file.job.id).report_received(file.job)
    read = await _read(services, small)
    with ExitStack() as runs:
        whole = []
        for file, each in zip(small, read, strict=True):
            if each is not None:
                run = _Run(file)
                runs.callback(run.close)
                whole.append((file, each, run))
        published = await _published(services, tenant, whole)
        if not published:
            return {}
        with published[0][0][0].queued.context():
            version = await catch_up(services)
        return await _completed(services, tenant, published, version)


async def _small_files(
    services: IngestServices, tenant: str, files: Sequence[QueuedFile]
) -> list[_File]:
    small = []
    for each in files:
        try:
            job = await services.jobs.job(tenant, each.job_id)
            document = await services.library.document(tenant, each.document_id)
            if _is_waiting(job, document) and document.size_bytes <= SMALL_FILE_BYTES:
                path = await services.blobs.path(tenant, document.content_hash)
                small.append(_File(each, job, document, document.source_file(path)))
        except NotFound:
            continue  # deleted meanwhile
    return small


def _is_waiting(job: Job, document: Document) -> bool:
    """Whether nothing was done yet, and the caller wants nothing in particular."""
    return (
        job.status is JobStatus.QUEUED
        and job.path is None
        and document.status is DocumentStatus.QUEUED
        and document.pending_revision is None
        and document.pages is None
    )


async def _read(services: IngestServices, files: Sequence[_File]) -> Sequence[WholeFile | None]:
    deadline = Deadline(services.clock.monotonic_s() + INSPECT_DEADLINE_S)
    sources = [file.source for file in files]
    with files[0].queued.context(), stage("parse", files=len(files)) as call:
        try:
            read = await services.parser.read_whole(sources, deadline=deadline)
        except FoliotraceError:
            read = [None] * len(files)
        call.result = {"files": sum(each is not None for each in read)}
    return read


async def _published(
    services: IngestServices, tenant: str, files: Sequence[_WholeFile]
) -> list[tuple[_WholeFile, Document]]:
    """The files that are served now, each with its document."""
    if not files:
        return []
    whole = [run.context.run(_chunked, services, file, read) for file, read, run in files]
    documents = await services.library.publish_whole(tenant, whole)
    published = []
    for each, document in zip(files, documents, strict=True):
        if document is not None:
            if each[0].document.revision is not None:  # else no answer can cite it yet
                await try_evict_answers(services, tenant, document.id)
            published.append((each, document))
    return published


def _chunked(services: IngestServices, file: _File, read: WholeFile) -> WholeDocument:
    document = file.document
    revision = revision_of(document, services.parser.engine_for(document.media_type))
    with stage("chunk", pages=len(read.pages)) as call:
        chunks = chunk_pages(
            read.pages, document_id=document.id, revision=revision, first_ordinal=0
        )
        call.result = {"chunks": len(chunks)}
    return WholeDocument(
        document_id=document.id,
        content_hash=document.content_hash,
        revision=revision,
        file=read,
        chunks=chunks,
        identity=identify(read.pages[:FIRST_PAGES], name=document.name, title=read.title),
    )


async def _completed(
    services: IngestServices,
    tenant: str,
    published: Sequence[tuple[_WholeFile, Document]],
    version: int,
) -> Mapping[str, IngestedFile]:
    """Store all jobs as completed, and report each."""
    ended = []
    for (file, _, _), document in published:
        job = JobReporter(services, tenant, file.job.id).ended(file.job, JobStatus.COMPLETED)
        pages = document.pages_stored
        ended.append(replace(job, pages_done=pages, pages_total=pages, chunks=document.chunks))
    stored = await services.jobs.update_all(ended)
    ingested = {}
    for ((_, read, run), document), each in zip(published, stored, strict=True):
        if each is None or each.status is not JobStatus.COMPLETED:
            continue  # deleted or cancelled in this moment
        reporter = JobReporter(services, tenant, each.id)
        report = reporter.report_completed(each, engine=read.pages[0].engine)
        await asyncio.create_task(report, context=run.context)
        ingested[each.id] = IngestedFile(job=each, document=document, index_version=version)
    return ingested
