"""The durable journey of a file: parse, chunk and commit window by window, then publish and index.

A run that is resumed repeats the interrupted step; every step finds what it stored before and does
not do it again. Events carry ids and page numbers only. A served revision stays served until the
new one is complete.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace import events
from foliotrace.errors import Conflict, NotFound, ParserUnavailable
from foliotrace.ingest.account import Account, described
from foliotrace.ingest.chunk import CHUNKER, chunk_pages
from foliotrace.ingest.identity import FIRST_PAGES, identify
from foliotrace.ingest.index import catch_up
from foliotrace.ingest.services import IngestServices
from foliotrace.model import (
    Deadline,
    Document,
    Job,
    JobKind,
    JobStatus,
    ParsedPage,
    Principal,
    SourceFile,
)

_BATCH_PAGES: Final = 25  # pages of a window that are committed while the next are parsed


class IngestDocument(StartEvent):
    """Ingest a registered document. Without `job_id` a job is made."""

    model_config = ConfigDict(extra="forbid")

    document_id: str
    job_id: str | None = None


class Ingested(StopEvent):
    """The document is served and can be found by its words."""

    job_id: str
    document_id: str
    revision: str
    pages: int
    pages_unreadable: int
    chunks: int
    index_version: int


class Progress(Event):
    """How far a job is."""

    job_id: str
    stage: str
    pages_done: int
    pages_total: int
    chunks: int


class Position(BaseModel):
    """Where an ingestion stands: the next page, and how many chunks the pages before it made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str
    job_id: str
    document_id: str
    content_hash: str
    revision: str
    pages_total: int
    next_page: int = 1
    chunks: int = 0


class WindowDue(Event):
    """The pages from `position.next_page` on are to be stored."""

    position: Position


class AllStored(Event):
    """Every page and chunk of the revision is stored; it can be published."""

    position: Position


class IngestWorkflow(Workflow):
    """See the module."""

    def __init__(self, services: IngestServices, **options: Any) -> None:  # noqa: ANN401 - Workflow's
        super().__init__(**{"timeout": None, **options})
        self._services = services

    @step
    async def begin(self, ctx: Context, ev: IngestDocument) -> WindowDue:
        """Take up the job, look at the file, decide the revision."""
        services = self._services
        principal = services.identify()
        document = await services.library.document(principal.tenant, ev.document_id)
        job = await _job(services, principal, document, ev.job_id)
        account = Account(services, principal.tenant, job.id)
        await account.job()
        await account.received(job)
        async with self._accounting(account, document.id, document.content_hash):
            source = await self._source(document)
            deadline = self._deadline(services.limits.inspect_s)
            with events.stage("parse"):
                inspection = await services.parser.inspect(source, deadline=deadline)
            revision = revision_of(document, services.parser.engine_for(document.media_type))
            await services.library.begin(
                document.tenant,
                document.id,
                revision=revision,
                pages_total=inspection.pages_total,
                stated_title=inspection.title,
            )
            position = Position(
                tenant=document.tenant,
                job_id=job.id,
                document_id=document.id,
                content_hash=document.content_hash,
                revision=revision,
                pages_total=inspection.pages_total,
            )
            await self._tell(ctx, account, position, "parse")
        return WindowDue(position=position)

    @step
    async def window(self, ctx: Context, ev: WindowDue) -> WindowDue | AllStored:
        """Parse, chunk and commit one window of pages."""
        position = ev.position
        account = Account(self._services, position.tenant, position.job_id)
        async with self._accounting(account, position.document_id, position.content_hash):
            await account.job()
            with events.stage("parse"):
                after = await self._store_window(ctx, position)
            finished = after.next_page > after.pages_total
            await self._tell(ctx, account, after, "index" if finished else "parse")
        return AllStored(position=after) if finished else WindowDue(position=after)

    @step
    async def publish(self, ctx: Context, ev: AllStored) -> Ingested:
        """Serve the revision, let the indexes follow, settle the job."""
        services, position = self._services, ev.position
        account = Account(services, position.tenant, position.job_id)
        async with self._accounting(account, position.document_id, position.content_hash):
            await account.job()
            document = await services.library.document(position.tenant, position.document_id)
            first = await services.library.pages(
                document.tenant,
                document.id,
                range(1, FIRST_PAGES + 1),
                revision=position.revision,
            )
            await services.library.publish(
                document.tenant,
                document.id,
                revision=position.revision,
                identity=identify(first, name=document.name, title=document.stated_title),
            )
            version = await catch_up(services)
            document = await services.library.document(document.tenant, document.id)
            await account.completed()
        await self._tell_end(ctx, position)
        return Ingested(
            job_id=position.job_id,
            document_id=document.id,
            revision=position.revision,
            pages=document.pages_stored,
            pages_unreadable=document.pages_unreadable,
            chunks=document.chunks,
            index_version=version,
        )

    # --- the parts of the steps ------------------------------------------------------------

    @asynccontextmanager
    async def _accounting(
        self, account: Account, document_id: str, content_hash: str
    ) -> AsyncIterator[None]:
        """Settle the job and the document when a step fails; a shutdown settles nothing."""
        try:
            yield
        except Exception as error:
            if _ended_from_outside(error):
                raise
            try:
                await self._same_bytes(account.tenant, document_id, content_hash)
            except (Conflict, NotFound) as cause:
                raise cause from error
            problem, detail = described(error)
            with suppress(NotFound):  # deleted meanwhile
                await self._services.library.fail(
                    account.tenant,
                    document_id,
                    problem=problem,
                    detail=detail,
                    content_hash=content_hash,
                )
                await account.failed(error)
            raise

    async def _same_bytes(self, tenant: str, document_id: str, content_hash: str) -> Document:
        """The document, if it has still the bytes this run began with.

        Raises NotFound, Conflict `ingest_superseded`.
        """
        document = await self._services.library.document(tenant, document_id)
        if document.content_hash != content_hash:
            raise Conflict("Newer bytes arrived under this name.", code="ingest_superseded")
        return document

    async def _source(self, document: Document) -> SourceFile:
        return SourceFile(
            tenant=document.tenant,
            path=await self._services.blobs.path(document.tenant, document.content_hash),
            name=document.name,
            media_type=document.media_type,
            content_hash=document.content_hash,
            size_bytes=document.size_bytes,
        )

    def _deadline(self, limit_s: float) -> Deadline:
        return Deadline(self._services.clock.monotonic_s() + limit_s)

    async def _store_window(self, ctx: Context, position: Position) -> Position:
        """Commit the window's pages and chunks in batches, each while the next one is parsed."""
        chunks = position.chunks
        done = position.next_page - 1
        committing: asyncio.Task[int] | None = None
        async with aclosing(_batches(self._pages(position))) as batches:
            try:
                async for batch in batches:
                    if committing is not None:
                        chunks += await committing
                        ctx.write_event_to_stream(_progress(position, "parse", done, chunks))
                    committing = asyncio.create_task(self._commit(position, batch, chunks))
                    done = batch[-1].number
            finally:
                if committing is not None:
                    await asyncio.wait([committing])
        if committing is not None:
            chunks += await committing
        return position.model_copy(update={"next_page": done + 1, "chunks": chunks})

    async def _pages(self, position: Position) -> AsyncIterator[ParsedPage]:
        """The window's pages: those stored by an earlier run or another document, then parsed."""
        services = self._services
        last = min(position.next_page + services.limits.window_pages - 1, position.pages_total)
        numbers = range(position.next_page, last + 1)
        stored = await services.library.pages(
            position.tenant, position.document_id, numbers, revision=position.revision
        )
        for page in stored:
            yield page
        missing = numbers[len(stored) :]
        if not missing:
            return
        document = await self._same_bytes(
            position.tenant, position.document_id, position.content_hash
        )
        source = await self._source(document)
        deadline = self._deadline(services.limits.window_s)
        expected = missing.start
        async for page in services.parser.parse(source, pages=missing, deadline=deadline):
            if page.number != expected:
                break
            yield page
            expected += 1
        if expected != missing.stop:
            raise ParserUnavailable(
                f"{document.name}: the parser left pages out.", reason="pages_missing"
            )

    async def _commit(self, position: Position, pages: Sequence[ParsedPage], chunks: int) -> int:
        """Store pages, then their chunks, which follow `chunks` others; how many there are."""
        library = self._services.library
        with events.stage("chunk"):
            made = await asyncio.to_thread(
                chunk_pages,
                pages,
                document_id=position.document_id,
                revision=position.revision,
                first_ordinal=chunks,
            )
            await library.add_window(
                position.tenant, position.document_id, revision=position.revision, pages=pages
            )
            await library.add_chunks(
                position.tenant, position.document_id, revision=position.revision, chunks=made
            )
        return len(made)

    async def _tell(self, ctx: Context, account: Account, position: Position, stage: str) -> None:
        done = position.next_page - 1
        await account.progress(
            stage=stage,
            pages_done=done,
            pages_total=position.pages_total,
            chunks=position.chunks,
        )
        ctx.write_event_to_stream(_progress(position, stage, done, position.chunks))

    async def _tell_end(self, ctx: Context, position: Position) -> None:
        pages = position.pages_total
        ctx.write_event_to_stream(_progress(position, "completed", pages, position.chunks))


def revision_of(document: Document, engine: str) -> str:
    """The name of a parse: equal bytes, engines and chunking make the same pages and chunks."""
    return sha256(f"{document.content_hash}|{engine}|{CHUNKER}".encode()).hexdigest()[:32]


async def cancel_ingest(services: IngestServices, principal: Principal, job_id: str) -> Job:
    """Stop a job: what it stored is dropped, a revision served before stays served.

    A run that is under way ends at its next commit. Raises NotFound, Conflict `job_already_final`.
    """
    job = await services.jobs.job(principal.tenant, job_id)
    if job.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
        raise Conflict(f"The job is {job.status.value} already.", code="job_already_final")
    job = await Account(services, job.tenant, job.id).cancelled()
    await services.library.fail(
        job.tenant,
        job.document_id,
        problem="job_cancelled",
        detail="The ingestion was cancelled.",
        keep_pages=False,
    )
    return job


async def _batches(pages: AsyncIterator[ParsedPage]) -> AsyncGenerator[list[ParsedPage], None]:
    batch: list[ParsedPage] = []
    async for page in pages:
        batch.append(page)
        if len(batch) == _BATCH_PAGES:
            yield batch
            batch = []
    if batch:
        yield batch


def _ended_from_outside(error: Exception) -> bool:
    """Whether a newer upload or a cancellation ended the run, which then settled the job too."""
    return isinstance(error, Conflict) and error.error_code in (
        "job_cancelled",
        "job_already_final",
        "ingest_superseded",
    )


async def _job(
    services: IngestServices, principal: Principal, document: Document, job_id: str | None
) -> Job:
    """The job of this run, which is written first if the caller has not done it."""
    if job_id is None:
        under_way = await services.jobs.jobs(
            document.tenant, document_id=document.id, unfinished=True
        )
        own = [job.id for job in under_way if job.kind is JobKind.INGEST]
        job_id = own[0] if own else None  # a resumed run finds its own
    now = services.clock.now()
    return await services.jobs.create(
        Job(
            id=job_id or f"job_{uuid4().hex}",
            tenant=principal.tenant,
            subject=principal.subject,
            kind=JobKind.INGEST,
            document_id=document.id,
            trace_id=services.trace(),
            created_at=now,
            updated_at=now,
        )
    )


def _progress(position: Position, stage: str, pages_done: int, chunks: int) -> Progress:
    return Progress(
        job_id=position.job_id,
        stage=stage,
        pages_done=pages_done,
        pages_total=position.pages_total,
        chunks=chunks,
    )
