"""Turns uploads and extraction requests into durable jobs, and repairs those of a crash."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from foliotrace.adapters.local.sqlite.database import translated
from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, LibraryUnavailable, NotFound
from foliotrace.ingest.publish import delete_document
from foliotrace.ingest.start_file import upload_of
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.ingest.workflow import IngestDocument
from foliotrace.jobs import claim_job, document_of, job_of
from foliotrace.model import Document, ExecutionMode, Job, JobKind, JobStatus, Principal
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.run_ends import report_quarantined
from foliotrace_server.http.request_body import start_event
from foliotrace_server.jobs.ends import FINAL, JobEnded, JobEnds
from foliotrace_server.jobs.stored_upload import StoredBlobs, StoredUpload
from foliotrace_server.observing.trace_context import job_trace

if TYPE_CHECKING:
    from foliotrace_server.assembly import Assembly


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
        self.ends = JobEnds(assembly)
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
        stored = replace(services, blobs=StoredBlobs(services.blobs, upload.blob))
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
        if job.status in FINAL:
            raise Conflict(code=ErrorCode.JOB_ALREADY_FINAL)
        await self.ends.end(job, JobStatus.CANCELLED, None)
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
            if job.status not in FINAL:
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
                await self.ends.fail_document(document.tenant, document.id, cut)
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
                    await self.ends.end(job, JobStatus.FAILED, ErrorCode.JOB_UNREPAIRABLE)

    async def _repair(self, job: Job) -> None:
        if job.kind is JobKind.INGEST:
            library = self._assembly.ingest.library
            await self._accept_ingest(job, await library.document(job.tenant, job.document_id))
            await self._durable.begin(job.id)
        else:
            await self.ends.end(job, JobStatus.FAILED, ErrorCode.JOB_INTERRUPTED)

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


def _fingerprint(*request: object) -> str:
    """A hash that is equal for equal requests."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
