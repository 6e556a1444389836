"""The durable ingest workflow: parse, chunk and commit window by window, then publish and index.

A resumed run repeats the interrupted step, and every step skips what it finds stored. Events carry
ids and page numbers only, because the engine persists them: page text belongs in the library,
where a deletion removes it. A served revision stays served until the new one is complete.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from workflows import Context, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, NotFound
from foliotrace.events import stage
from foliotrace.ingest.identity import FIRST_PAGES, identify
from foliotrace.ingest.publish import catch_up, try_evict_answers
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.start_file import brings_a_file, upload_of
from foliotrace.ingest.upload import accept
from foliotrace.ingest.window import (
    IngestCursor,
    require_unchanged,
    revision_of,
    source_of,
    store_window,
)
from foliotrace.jobs import (
    JobReporter,
    Progress,
    claim_job,
    describe_error,
    document_of,
)
from foliotrace.model import (
    Deadline,
    Document,
    ExecutionMode,
    Job,
    JobKind,
    JobStatus,
    Principal,
    page_numbers,
)
from foliotrace.parse import wanted_pages
from foliotrace.settings import INSPECT_DEADLINE_S
from foliotrace.workflow_steps import JourneyWorkflow


class IngestDocument(StartEvent):
    """Ingest a file: registered (`document_id`), in the event, or named by path or URL.

    Exactly one of them. Without `job_id`, a job is created.
    """

    model_config = ConfigDict(extra="forbid")

    document_id: str | None = None
    content: Annotated[str | None, Field(description="The file in base64; needs `name`.")] = None
    file: Annotated[str | None, Field(description="A path under an allowed folder.")] = None
    url: Annotated[str | None, Field(description="A URL of an allowed host.")] = None
    name: Annotated[str | None, Field(description="The document's name.")] = None
    collection: str | None = None
    metadata: dict[str, str | int | float | bool] | None = None
    pages: Annotated[
        str | None, Field(description="The pages to read, as in `1-3,7`. Default: all.")
    ] = None
    job_id: str | None = None
    path: ExecutionMode | None = None
    read_again: bool = False


class Ingested(StopEvent):
    """The document is served, and the keyword index finds it."""

    job_id: str
    document_id: str
    revision: str
    pages: int
    pages_unreadable: int
    chunks: int
    index_version: int

    @classmethod
    def of(cls, job_id: str, document: Document, index_version: int) -> "Ingested":
        """The result of the job that made `document` ready."""
        return cls(
            job_id=job_id,
            document_id=document.id,
            revision=document.revision or "",
            pages=document.pages_stored,
            pages_unreadable=document.pages_unreadable,
            chunks=document.chunks,
            index_version=index_version,
        )


class StoreWindow(Event):
    """The pages from `cursor.next_page` on are to be stored."""

    cursor: IngestCursor


class PagesStored(Event):
    """Every page and chunk of the revision is stored; it can be published."""

    cursor: IngestCursor


class IngestWorkflow(JourneyWorkflow):
    """Ingests one document; see the module's docstring."""

    def __init__(self, services: IngestServices, **options: Any) -> None:  # noqa: ANN401 - Workflow's
        super().__init__(**{"timeout": None, **options})
        self._services = services

    @step
    async def begin(self, ctx: Context, ev: IngestDocument) -> StoreWindow | Ingested:
        """Store the file that came along, claim the job, inspect the file, decide the revision."""
        services = self._services
        principal = services.identify()
        document, job = await self._claimed(principal, ev)
        reporter = JobReporter(services, principal.tenant, job.id)
        if job.status is JobStatus.COMPLETED:  # its name already served the same bytes
            await reporter.repeat_records()
            return await self._ingested(job.id, document.tenant, document.id)
        await reporter.received()
        async with self._reporting(reporter, document.id, document.content_hash):
            path = ev.path or job.path
            parser = services.parser_on(path)
            source = await source_of(services, document)
            deadline = Deadline(services.clock.monotonic_s() + INSPECT_DEADLINE_S)
            with stage("parse", document=document.name, type=document.media_type) as call:
                inspection = await parser.inspect(source, deadline=deadline)
                call.result = {"pages": inspection.pages_total}
            pages_total = len(wanted_pages(document, inspection.pages_total))
            engine = parser.engine_for(document.media_type)
            if ev.read_again:  # stored pages of the same engines are not good enough
                engine = f"{engine} after {document.revision}"
            revision = revision_of(document, engine)
            await services.library.begin(
                document.tenant,
                document.id,
                revision=revision,
                pages_total=pages_total,
                stated_title=inspection.title,
            )
            cursor = IngestCursor(
                tenant=document.tenant,
                job_id=job.id,
                document_id=document.id,
                content_hash=document.content_hash,
                revision=revision,
                pages_total=pages_total,
                path=path,
                pages=document.pages,
            )
            await self._report(ctx, reporter, cursor, "parse")
        return StoreWindow(cursor=cursor)

    @step
    async def window(self, ctx: Context, ev: StoreWindow) -> StoreWindow | PagesStored:
        """Parse, chunk and commit one window of pages."""
        cursor = ev.cursor
        reporter = JobReporter(self._services, cursor.tenant, cursor.job_id)
        async with self._reporting(reporter, cursor.document_id, cursor.content_hash):
            await reporter.job()
            with stage("parse", first_page=cursor.next_page) as call:
                after = await store_window(
                    self._services,
                    cursor,
                    lambda done: ctx.write_event_to_stream(_progress(done, "parse")),
                )
                call.result = {"next_page": after.next_page, "chunks": after.chunks}
            finished = after.next_page > after.pages_total
            await self._report(ctx, reporter, after, "index" if finished else "parse")
        return PagesStored(cursor=after) if finished else StoreWindow(cursor=after)

    @step
    async def publish(self, ctx: Context, ev: PagesStored) -> Ingested:
        """Serve the revision, update the indexes, complete the job."""
        services, cursor = self._services, ev.cursor
        reporter = JobReporter(services, cursor.tenant, cursor.job_id)
        async with self._reporting(reporter, cursor.document_id, cursor.content_hash):
            await reporter.job()
            document = await services.library.document(cursor.tenant, cursor.document_id)
            first = await services.library.pages(
                document.tenant,
                document.id,
                page_numbers(cursor.pages, cursor.pages_total)[:FIRST_PAGES],
                revision=cursor.revision,
            )
            await services.library.publish(
                document.tenant,
                document.id,
                revision=cursor.revision,
                identity=identify(first, name=document.name, title=document.stated_title),
            )
            await try_evict_answers(services, document.tenant, document.id)
            ingested = await self._ingested(cursor.job_id, document.tenant, document.id)
            served = await services.library.document(document.tenant, document.id)
            await reporter.completed(
                engine=first[0].engine if first else "",
                pages_degraded=served.pages_degraded,
                cloud_jobs=services.cloud_jobs(served.tenant, served.content_hash),
            )
        ctx.write_event_to_stream(_progress(cursor, "completed"))
        return ingested

    async def _claimed(self, principal: Principal, start: IngestDocument) -> tuple[Document, Job]:
        """The document and the job of this run; a file that came along is stored first."""
        services = self._services
        if brings_a_file(start):
            async with upload_of(services, start) as upload:
                accepted = await accept(services, principal, upload)
            return accepted.document, accepted.job
        document = await document_of(services.library, principal, start.document_id or "")
        return document, await _claim(services, principal, document, start.job_id)

    async def _ingested(self, job_id: str, tenant: str, document_id: str) -> Ingested:
        version = await catch_up(self._services)
        document = await self._services.library.document(tenant, document_id)
        return Ingested.of(job_id, document, version)

    @asynccontextmanager
    async def _reporting(
        self, reporter: JobReporter, document_id: str, content_hash: str
    ) -> AsyncIterator[None]:
        """Mark job and document as failed when the step raises; a shutdown marks nothing."""
        try:
            async with reporter.spending(self._services.max_cost_usd):
                yield
        except Exception as error:
            cause = await self._external_cause(error, reporter.tenant, document_id, content_hash)
            with suppress(NotFound):  # deleted meanwhile
                if cause is None:
                    problem, detail = describe_error(error)
                    await self._services.library.fail(
                        reporter.tenant,
                        document_id,
                        problem=problem,
                        detail=detail,
                        content_hash=content_hash,
                    )
                await reporter.failed(cause or error)
            if cause is None or cause is error:
                raise
            raise cause from error

    async def _external_cause(
        self, error: Exception, tenant: str, document_id: str, content_hash: str
    ) -> Exception | None:
        """The newer upload, cancellation or deletion that ended the run; None if there is none.

        Such a run must not mark the document as failed: it is no longer about its content.
        """
        if _was_superseded_or_cancelled(error):
            return error
        try:
            await require_unchanged(self._services, tenant, document_id, content_hash)
        except (Conflict, NotFound) as cause:
            return cause
        return None

    async def _report(
        self, ctx: Context, reporter: JobReporter, cursor: IngestCursor, stage: str
    ) -> None:
        ctx.write_event_to_stream(
            await reporter.progress(
                stage=stage,
                pages_done=cursor.next_page - 1,
                pages_total=cursor.pages_total,
                chunks=cursor.chunks,
            )
        )


async def cancel_ingest(services: IngestServices, principal: Principal, job_id: str) -> Job:
    """Stop a job and delete the pages it stored; a revision that is served stays served.

    A running workflow ends at its next commit. Raises NotFound, Conflict `job_already_final`.
    """
    job = await services.jobs.job(principal.tenant, job_id)
    if job.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
        raise Conflict(
            f"The job has already ended: {job.status.value}.", code=ErrorCode.JOB_ALREADY_FINAL
        )
    job = await JobReporter(services, job.tenant, job.id).cancelled()
    await services.library.fail(
        job.tenant,
        job.document_id,
        problem=ErrorCode.JOB_CANCELLED,
        detail="The ingestion was cancelled.",
        keep_pages=False,
    )
    return job


def _was_superseded_or_cancelled(error: Exception) -> bool:
    """Whether a newer upload or a cancellation ended the run."""
    return isinstance(error, Conflict) and error.error_code in (
        ErrorCode.JOB_CANCELLED,
        ErrorCode.JOB_ALREADY_FINAL,
        ErrorCode.INGEST_SUPERSEDED,
    )


async def _claim(
    services: IngestServices, principal: Principal, document: Document, job_id: str | None
) -> Job:
    """The job of this run; created if the caller has not done so."""
    if job_id is None:
        unfinished = await services.jobs.jobs(
            document.tenant, document_id=document.id, unfinished=True
        )
        own = [job.id for job in unfinished if job.kind is JobKind.INGEST]
        job_id = own[0] if own else None  # a resumed run finds its own
    return await claim_job(services, JobKind.INGEST, principal, document, job_id)


def _progress(cursor: IngestCursor, stage: str) -> Progress:
    return Progress(
        job_id=cursor.job_id,
        stage=stage,
        pages_done=cursor.next_page - 1,
        pages_total=cursor.pages_total,
        chunks=cursor.chunks,
    )
