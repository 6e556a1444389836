"""Turns uploads and extraction requests into durable jobs, and records how jobs end."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from opentelemetry.context import Context
from workflows import Workflow

from foliotrace.adapters.local.sqlite.database import translated
from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, FoliotraceError, LibraryUnavailable, NotFound
from foliotrace.events import span
from foliotrace.ingest.publish import delete_document
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.start_file import upload_of
from foliotrace.ingest.together import QueuedFile, ingest_together
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.ingest.workflow import IngestDocument, Ingested, cancel_ingest
from foliotrace.jobs import JobReporter, claim_job, document_of, job_of
from foliotrace.model import Document, ExecutionMode, Job, JobKind, JobStatus, Metadata, Principal
from foliotrace.ports import AuditEntry, Blobs, StoredBlob
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.run_ends import EndedRun, report_quarantined
from foliotrace_server.host.run_journal import AcceptedRun
from foliotrace_server.http.request_body import start_event
from foliotrace_server.observing.trace_context import inside, job_trace, stored_context

if TYPE_CHECKING:
    from foliotrace_server.assembly import Assembly

_OF_A_STORED_FILE = {"document_id", "job_id"}
_FINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobEnded(FoliotraceError):
    """A job ended outside its run, for example by a crash; `error_code` says why."""

    code = ErrorCode.JOB_INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """A file that was stored while its form was still being read."""

    name: str
    blob: StoredBlob
    collection: str
    metadata: Metadata
    idempotency_key: str | None = None
    path: ExecutionMode | None = None
    pages: str | None = None

    def without_content(self) -> Upload:
        """The upload for the ingest journey, whose blob store returns the stored file."""
        return Upload(
            name=self.name,
            content=_no_content(),
            collection=self.collection,
            metadata=self.metadata,
            idempotency_key=self.idempotency_key,
            path=self.path,
            pages=self.pages,
        )


class _StoredBlobs:
    """A `Blobs` whose `put` returns the file that is stored already."""

    def __init__(self, blobs: Blobs, blob: StoredBlob) -> None:
        self._blob = blob
        self.path, self.delete = blobs.path, blobs.delete
        self.hashes, self.tenants = blobs.hashes, blobs.tenants

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        return self._blob


async def _no_content() -> AsyncIterator[bytes]:
    return
    yield b""


_READS_AGAIN = "foliotrace"  # the subject of jobs that nobody asked for


class JobService:
    """Submits, cancels and finishes jobs, and deletes documents."""

    def __init__(
        self,
        assembly: "Assembly",
        durable: DurableHost,
        *,
        make_room: Callable[[], None],
        on_removed: Callable[[], None],
    ) -> None:
        """Prepare. `make_room` may block; it is called before a deletion, `on_removed` after it."""
        self._assembly = assembly
        self._make_room = make_room
        self._on_removed = on_removed
        self._durable = durable
        observability = assembly.observability
        self._tracer = observability.tracer if observability is not None else None
        self._content = observability.telemetry.content if observability is not None else None

    async def ingest_file(self, principal: Principal, start: IngestDocument) -> None:
        """Store the file that a start event brings and start its run; see `upload`.

        The run's handler has the job's id. Raises as `upload` and `upload_of` do.
        """
        async with upload_of(self._assembly.ingest, start) as upload:
            await self.upload(principal, upload, has_handler=True)

    async def upload(
        self, principal: Principal, upload: Upload | StoredUpload, *, has_handler: bool = False
    ) -> Accepted:
        """Store a file and start its ingestion; on return the job survives a crash.

        With `has_handler`, the run starts at once, also if the file is unchanged: the caller waits
        for its handler.
        Raises InvalidRequest, FileRefused, Conflict, TooBusy, LibraryUnavailable.
        """
        asked = {"name": upload.name, "collection": upload.collection}
        with job_trace(self._tracer, JobKind.INGEST, principal, self._content, **asked) as root:
            with self._durable.accepted.place():  # before the document and its job exist
                accepted = await self._store(principal, upload)
                root.document, root.outputs = accepted.document, {"job_id": accepted.job.id}
                is_settled = accepted.settled and not has_handler
                is_new = not (is_settled or accepted.job.id in self._durable.accepted)
                if is_new:
                    is_new = await self._accept_new(accepted.job, accepted.document)
            if is_new:
                await self._durable.begin(accepted.job.id, may_queue=not has_handler)
            return accepted

    async def read_again(self, document: Document) -> Job:
        """Start to read a served document again, for pages that a lower parser read."""
        services = self._assembly.ingest
        principal = Principal(tenant=document.tenant, subject=_READS_AGAIN)
        with self._durable.accepted.place():
            job = await claim_job(services, JobKind.INGEST, principal, document, None)
            start = {"document_id": document.id, "job_id": job.id, "read_again": True}
            await self._accept(job, document, start)
        await self._durable.begin(job.id)
        return job

    async def _store(self, principal: Principal, upload: Upload | StoredUpload) -> Accepted:
        if isinstance(upload, Upload):
            return await accept(self._assembly.ingest, principal, upload)
        return await self._accept_stored(principal, upload)

    async def _accept_stored(self, principal: Principal, upload: StoredUpload) -> Accepted:
        services = self._assembly.ingest
        stored = replace(services, blobs=_StoredBlobs(services.blobs, upload.blob))
        return await accept(stored, principal, upload.without_content())

    async def extract(
        self,
        principal: Principal,
        document_id: str,
        schema: dict[str, Any],
        *,
        instructions: str | None = None,
        idempotency_key: str | None = None,
        path: ExecutionMode | None = None,
    ) -> Job:
        """Start an extraction; on return the job survives a crash.

        Raises NotFound, InvalidSchema, PathNotOffered, Conflict, TooBusy.
        """
        self._assembly.check_schema(schema)
        self._assembly.check_extract_path(path)
        document = await document_of(self._assembly.ingest.library, principal, document_id)
        mode = () if path is None else (path.value,)
        fingerprint = _fingerprint(document_id, schema, instructions, *mode)
        earlier = await self._job_of_key(principal, idempotency_key, fingerprint)
        if earlier is not None:
            return earlier
        start: dict[str, Any] = {"document_id": document_id, "schema": schema}
        if instructions is not None:
            start["instructions"] = instructions
        if path is not None:
            start["path"] = path
        with job_trace(self._tracer, JobKind.EXTRACT, principal, self._content, **start) as root:
            root.document = document
            job = replace(
                self._new_extraction(principal, document_id, idempotency_key, fingerprint),
                path=path,
            )
            root.outputs = {"job_id": job.id}
            with self._durable.accepted.place():  # the run is first: it alone holds the schema
                await self._accept(job, document, {**start, "job_id": job.id})
            stored = await self._assembly.ingest.jobs.create(job)
            await self._durable.begin(job.id)
        return stored

    def _new_extraction(
        self, principal: Principal, document_id: str, key: str | None, fingerprint: str
    ) -> Job:
        now = self._assembly.ingest.clock.now()
        return Job(
            id=f"job_{uuid4().hex}",
            tenant=principal.tenant,
            subject=principal.subject,
            kind=JobKind.EXTRACT,
            document_id=document_id,
            idempotency_key=key,
            fingerprint=fingerprint,
            trace_id=self._assembly.ingest.trace(),
            created_at=now,
            updated_at=now,
        )

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """Cancel a job. Raises NotFound, Conflict `job_already_final`."""
        services = self._assembly.ingest
        job = await job_of(services, principal, job_id)
        if job.status in _FINAL:
            raise Conflict(code=ErrorCode.JOB_ALREADY_FINAL)
        await self._end(job, JobStatus.CANCELLED, None)
        await self._durable.cancel(job_id)
        return await services.jobs.job(principal.tenant, job_id)

    async def forget(self, principal: Principal, document_id: str) -> Document:
        """Delete a document and all derived from it. Raises NotFound, LibraryUnavailable."""
        document = await document_of(self._assembly.ingest.library, principal, document_id)
        jobs = await self._jobs_of(principal, document_id)
        await asyncio.to_thread(self._make_room)
        with translated():
            await self._durable.records.forget([job.id for job in jobs])
        run_id = f"run_{uuid4().hex}"
        document = await delete_document(
            self._assembly.ingest, principal, document_id, run_id=run_id
        )
        for job in jobs:
            if job.status not in _FINAL:
                await self._durable.cancel(job.id)
        self._on_removed()
        return document

    async def _jobs_of(self, principal: Principal, document_id: str) -> list[Job]:
        jobs: list[Job] = []
        while page := await self._assembly.ingest.jobs.jobs(
            principal.tenant, document_id=document_id, after=jobs[-1].id if jobs else None
        ):
            jobs += page
        return jobs

    async def settle(self, ended: EndedRun) -> Job | None:
        """Set the final state of the job of an ended run, if the run did not; the job before."""
        job = None
        try:
            job = await self._assembly.ingest.jobs.job(ended.tenant, ended.handler_id)
            if job.status not in _FINAL:
                await self._end(job, JobStatus(ended.status), ended.problem)
            if self._assembly.audited.lacks_records(job.id):
                await JobReporter(self._assembly.ingest, job.tenant, job.id).repeat_records()
        except NotFound:  # it was deleted; runs of the user's own workflows never have a job
            if self._assembly.audited.lacks_records(ended.handler_id):
                await self._audit_deleted(ended)
        await self._assembly.audited.settled(ended.handler_id)
        return job

    async def _audit_deleted(self, ended: EndedRun) -> None:
        """Write the last record of a job that was deleted with its document."""
        if ended.workflow in tuple(JobKind):
            entry = AuditEntry(
                event=f"{ended.workflow}_failed",
                run_id=ended.handler_id,
                tenant=ended.tenant,
                user_id=ended.subject,
                success=False,
                error=ErrorCode.DOCUMENT_NOT_FOUND,
            )
            await self._assembly.ingest.audit.append(entry)

    async def recall(self) -> None:
        """Learn what a killed process wrote to the audit log of jobs that it did not finish.

        Raises AuditUnavailable, LibraryUnavailable.
        """
        stored = self._assembly.ingest.jobs
        jobs = {job.id: job.created_at for job in await stored.unfinished()}
        for run in self._durable.journaled():
            with suppress(NotFound):
                jobs[run.handler_id] = (await stored.job(run.tenant, run.handler_id)).created_at
        await self._assembly.audited.recall(jobs, min(jobs.values(), default=None))

    async def repair(self) -> None:
        """Finish jobs that a crash interrupted before their run was accepted.

        An upload with a job is ingested: its bytes are stored. An extraction fails: its schema is
        lost. A document without a job fails: the options of its upload are lost. What cannot be
        repaired is given up, so that the service starts. Raises LibraryUnavailable.
        """
        unfinished = await self._assembly.ingest.jobs.unfinished()
        with_job = {(job.tenant, job.document_id) for job in unfinished}
        for document in await self._assembly.ingest.library.unsettled():
            if (document.tenant, document.id) not in with_job:
                cut = JobEnded(code=ErrorCode.UPLOAD_INTERRUPTED)
                await self._fail_document(document.tenant, document.id, cut)
        for job in unfinished:
            if job.id in self._durable.accepted:
                continue
            try:
                await self._repair(job)
            except (LibraryUnavailable, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever one job holds, we start
                report_quarantined(job.id, job.kind, error)
                with suppress(NotFound, Conflict):
                    await self._end(job, JobStatus.FAILED, ErrorCode.JOB_UNREPAIRABLE)

    async def _repair(self, job: Job) -> None:
        if job.kind is JobKind.INGEST:
            library = self._assembly.ingest.library
            await self._accept_ingest(job, await library.document(job.tenant, job.document_id))
            await self._durable.begin(job.id)
        else:
            await self._end(job, JobStatus.FAILED, ErrorCode.JOB_INTERRUPTED)

    async def _accept_new(self, job: Job, document: Document) -> bool:
        """False if another upload of the same file has just had the job accepted."""
        try:
            await self._accept_ingest(job, document)
        except Conflict:
            return False
        return True

    async def _accept_ingest(self, job: Job, document: Document) -> None:
        await self._accept(job, document, {"document_id": job.document_id, "job_id": job.id})

    async def _accept(self, job: Job, document: Document, start: Mapping[str, Any]) -> None:
        kind = self._durable.workflows[job.kind].start_event_class
        principal = Principal(
            tenant=job.tenant,
            subject=job.subject,
            collections=frozenset({document.collection}),  # whoever may use it may see the run
        )
        await self._durable.accept(job.id, principal, job.kind, start_event(kind, dict(start)))

    async def _end(self, job: Job, status: JobStatus, problem: str | None) -> None:
        """Set the final state of a job outside its run."""
        services = self._assembly.ingest
        if job.kind is JobKind.INGEST and status is JobStatus.CANCELLED:
            await cancel_ingest(services, Principal(tenant=job.tenant, subject=job.subject), job.id)
            return
        reporter = JobReporter(services, job.tenant, job.id)
        if status is JobStatus.CANCELLED:
            await reporter.cancelled()
        elif status is JobStatus.FAILED:
            why = _ended_because(problem)
            if job.kind is JobKind.INGEST:
                await self._fail_document(job.tenant, job.document_id, why)
            await reporter.failed(why)
        else:
            now = services.clock.now()
            await services.jobs.update(
                replace(job, status=status, stage=status.value, updated_at=now)
            )

    async def _fail_document(self, tenant: str, document_id: str, why: FoliotraceError) -> None:
        with suppress(NotFound):  # it was deleted meanwhile
            await self._assembly.ingest.library.fail(
                tenant, document_id, problem=why.error_code, detail=why.message
            )

    async def _job_of_key(
        self, principal: Principal, key: str | None, fingerprint: str
    ) -> Job | None:
        """The job that used the key before. Raises Conflict if its request was another one."""
        if key is None:
            return None
        job = await self._assembly.ingest.jobs.by_key(principal.tenant, JobKind.EXTRACT, key)
        if job is not None and job.fingerprint != fingerprint:
            raise Conflict(code=ErrorCode.IDEMPOTENCY_CONFLICT)
        return job


@contextmanager
def _run_span(trace: Context, workflow: Workflow) -> Iterator[None]:
    """The span of a run that the engine does not execute, as the engine's runs have one."""
    with inside(trace), span(f"{type(workflow).__name__}.run", workflow) as call:
        call.result = {"executed": "together with other small files"}
        yield


async def ingest_runs(
    services: IngestServices, workflow: Workflow, tenant: str, runs: Sequence[AcceptedRun]
) -> Mapping[str, Ingested]:
    """Ingest the small files among the accepted runs together; see `ingest_together`.

    The results of those that have completed, by handler id.
    """
    queued = []
    for run in runs:
        start = {k: v for k, v in json.loads(run.start_event).items() if v not in (None, False)}
        if start.keys() == _OF_A_STORED_FILE and start["job_id"] == run.handler_id:
            trace = stored_context(run.trace)
            queued.append(
                QueuedFile(
                    job_id=start["job_id"],
                    document_id=start["document_id"],
                    context=partial(inside, trace),
                    run=partial(_run_span, trace, workflow),
                )
            )
    ingested = await ingest_together(services, tenant, queued)
    return {
        job_id: Ingested.of(file.job.id, file.document, file.index_version)
        for job_id, file in ingested.items()
    }


def _ended_because(problem: str | None) -> JobEnded:
    """`problem` is a code, or the message of one of our errors."""
    try:
        code = ErrorCode.parse(problem or ErrorCode.INTERNAL_ERROR)
    except ValueError:
        return JobEnded(problem, code=ErrorCode.INTERNAL_ERROR)
    return JobEnded("The job could not be finished.", code=code)


def _fingerprint(*request: object) -> str:
    """A hash that is equal for equal requests."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
