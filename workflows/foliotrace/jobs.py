"""Reports job progress to the job table, the audit log and the event stream."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol
from uuid import uuid4

from workflows.events import Event

from foliotrace.budget import current_run, open_run
from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, FoliotraceError, NotFound
from foliotrace.events import DocumentIngested, RunDescribed, emit
from foliotrace.model import (
    Document,
    Extraction,
    Job,
    JobKind,
    JobStatus,
    Level,
    Principal,
    Usage,
)
from foliotrace.ports import AuditEntry, AuditLog, Clock, CurrentTrace, JobStore, LibraryReader


class Progress(Event):
    """How far a job has come; an event of the run's stream."""

    job_id: str
    stage: str
    pages_done: int
    pages_total: int
    chunks: int = 0


class JobServices(Protocol):
    """What a journey needs to report on its jobs."""

    @property
    def jobs(self) -> JobStore:
        """The job table."""

    @property
    def library(self) -> LibraryReader:
        """The documents that jobs work on."""

    @property
    def audit(self) -> AuditLog:
        """The audit log."""

    @property
    def clock(self) -> Clock:
        """The clock."""

    @property
    def trace(self) -> CurrentTrace:
        """The id of the trace that a new job belongs to."""


async def document_of(library: LibraryReader, principal: Principal, document_id: str) -> Document:
    """A document that the caller may use. Raises NotFound for every other."""
    document = await library.document(principal.tenant, document_id)
    if not principal.may_use(document.collection):
        raise NotFound(code=ErrorCode.DOCUMENT_NOT_FOUND)
    return document


async def job_of(services: JobServices, principal: Principal, job_id: str) -> Job:
    """A job on a document that the caller may use. Raises NotFound for every other."""
    job = await services.jobs.job(principal.tenant, job_id)
    if principal.collections is not None:
        try:
            await document_of(services.library, principal, job.document_id)
        except NotFound:
            raise NotFound(code=ErrorCode.JOB_NOT_FOUND) from None
    return job


async def claim_job(
    services: JobServices,
    kind: JobKind,
    principal: Principal,
    document: Document,
    job_id: str | None,
) -> Job:
    """The job of a run; created here if the caller has not created it."""
    if job_id is not None:
        with suppress(NotFound):  # a look is cheaper than a write that changes nothing
            return await services.jobs.job(principal.tenant, job_id)
    now = services.clock.now()
    return await services.jobs.create(
        Job(
            id=job_id or f"job_{uuid4().hex}",
            tenant=principal.tenant,
            subject=principal.subject,
            kind=kind,
            document_id=document.id,
            trace_id=services.trace(),
            created_at=now,
            updated_at=now,
        )
    )


@dataclass(frozen=True, slots=True)
class JobReporter:
    """Reports on one job. Audit records are named after its kind: `ingest_received`, ..."""

    services: JobServices
    tenant: str
    job_id: str

    async def job(self) -> Job:
        """The job, unless it was ended by somebody else.

        Raises Conflict `job_cancelled`, or `job_already_final` for a job that failed.
        """
        job = await self.services.jobs.job(self.tenant, self.job_id)
        if job.status is JobStatus.CANCELLED:
            raise Conflict(code=ErrorCode.JOB_CANCELLED)
        if job.status is JobStatus.FAILED:
            raise Conflict(code=ErrorCode.JOB_ALREADY_FINAL)
        emit(RunDescribed(tenant=job.tenant, user=job.subject))
        return job

    @asynccontextmanager
    async def spending(self, cap_usd: Decimal | None) -> AsyncIterator[None]:
        """Charge what a step calls to the job, whose record shows it however the step ends."""
        job = await self.services.jobs.job(self.tenant, self.job_id)
        with open_run(self.tenant, cap_usd, before=job.usage) as run:
            try:
                yield
            finally:
                if run.entries:
                    with suppress(NotFound):  # deleted meanwhile
                        job = await self.services.jobs.job(self.tenant, self.job_id)
                        await self.services.jobs.update(replace(job, usage=run.usage))

    def ended(self, job: Job, status: JobStatus) -> Job:
        """`job`, to be stored as ended without a failure."""
        now = self.services.clock.now()
        return replace(job, status=status, usage=_spent(job), stage=status.value, updated_at=now)

    async def report_completed(self, job: Job, *, engine: str) -> None:
        """Report a job that was stored as completed together with others."""
        _emit_ingested(job, engine)
        await self._audit("completed", job, success=True)

    async def report_received(self, job: Job) -> None:
        """Write the first audit record of a job that was just read."""
        await self._audit("received", job)

    async def received(self) -> None:
        """Write the first audit record. Raises as `job` does."""
        await self._audit("received", await self.job())

    async def progress(
        self, *, stage: str, pages_done: int, pages_total: int, chunks: int = 0
    ) -> Progress:
        """Store the progress and return it as an event. Raises as `job` does."""
        job = await self.job()
        job = replace(
            job,
            status=JobStatus.RUNNING,
            stage=stage,
            pages_done=pages_done,
            pages_total=pages_total,
            chunks=chunks,
            usage=_spent(job),
            updated_at=self.services.clock.now(),
        )
        await self.services.jobs.update(job)
        return Progress(
            job_id=job.id,
            stage=stage,
            pages_done=pages_done,
            pages_total=pages_total,
            chunks=chunks,
        )

    async def completed(
        self,
        *,
        extraction: Extraction | None = None,
        engine: str = "",
        pages_degraded: int = 0,
        cloud_jobs: Sequence[str] = (),
    ) -> None:
        """Mark the job completed and write the last audit record.

        `extraction` is its record, valid or not; `engine` parsed the document, except for
        `pages_degraded` that a lower parser read.
        """
        job = await self._finish(JobStatus.COMPLETED, engine=engine, pages_degraded=pages_degraded)
        if job.status is JobStatus.COMPLETED:  # not cancelled in this moment
            await self._audit(
                "completed", job, success=True, extraction=extraction, cloud_jobs=cloud_jobs
            )

    async def failed(self, error: Exception) -> None:
        """Mark the job failed and write the last audit record."""
        job = await self.services.jobs.job(self.tenant, self.job_id)
        if job.status in (JobStatus.CANCELLED, JobStatus.FAILED):
            return  # whoever ended it has reported it
        job = await self._finish(JobStatus.FAILED, error)
        if job.status is JobStatus.FAILED:
            await self._audit("failed", job, success=False, error=error)

    async def cancelled(self) -> Job:
        """Mark the job cancelled by its owner and write the last audit record."""
        job = await self._finish(JobStatus.CANCELLED)
        if job.status is JobStatus.CANCELLED:
            cause = Conflict(code=ErrorCode.JOB_CANCELLED)
            await self._audit("failed", job, success=False, error=cause)
        return job

    async def repeat_records(self) -> None:
        """Write both audit records of a job that has ended; the log drops those that it holds.

        A process that dies right after the job has ended may have written neither. Raises NotFound.
        """
        job = await self.services.jobs.job(self.tenant, self.job_id)
        await self._audit("received", job)
        if job.status is not JobStatus.COMPLETED:
            cancelled = job.status is JobStatus.CANCELLED
            problem = ErrorCode.JOB_CANCELLED if cancelled else job.problem
            await self._audit("failed", job, success=False, error=problem)
            return
        extraction = None
        if job.kind is JobKind.EXTRACT:
            _, extraction = await self.services.jobs.extraction(self.tenant, self.job_id)
        await self._audit("completed", job, success=True, extraction=extraction)

    async def _finish(
        self,
        status: JobStatus,
        error: Exception | None = None,
        *,
        engine: str = "",
        pages_degraded: int = 0,
    ) -> Job:
        problem, detail = describe_error(error) if error else (None, None)
        job = await self.services.jobs.job(self.tenant, self.job_id)
        job = replace(
            job,
            status=status,
            usage=_spent(job),
            stage=status.value,
            problem=problem,
            problem_detail=detail,
            pages_degraded=pages_degraded,
            updated_at=self.services.clock.now(),
        )
        await self.services.jobs.update(job)
        if job.kind is JobKind.INGEST:
            _emit_ingested(job, engine)
        return await self.services.jobs.job(self.tenant, self.job_id)  # the first end counts

    async def _audit(
        self,
        what: str,
        job: Job,
        *,
        success: bool | None = None,
        error: Exception | str | None = None,
        extraction: Extraction | None = None,
        cloud_jobs: Sequence[str] = (),
    ) -> None:
        degradation = extraction.degradation if extraction else None
        level = int(degradation.level) if degradation else None
        reasons = degradation.reasons if degradation else ()
        if job.kind is JobKind.INGEST and success:
            level = int(Level.LOWER_PATH if job.pages_degraded else Level.NONE)
            reasons = (Reason.PAGES_DEGRADED,) if job.pages_degraded else ()
        await self.services.audit.append(
            AuditEntry(
                event=f"{job.kind.value}_{what}",
                run_id=job.id,
                tenant=job.tenant,
                user_id=job.subject,
                success=success,
                error=describe_error(error)[0] if isinstance(error, Exception) else error,
                error_type=type(error).__name__ if isinstance(error, Exception) else None,
                degradation_level=level,
                degradation_reasons=reasons,
                tokens=job.usage.total_tokens if success is not None else None,
                cost_usd=job.usage.cost_usd if success is not None else None,
                cloud_jobs=tuple(cloud_jobs),
                credits=job.usage.credits if success is not None else None,
                document_ids=(job.document_id,),
            )
        )


def _spent(job: Job) -> Usage:
    """What the job has spent: the ledger of the run that is open, else what is stored."""
    run = current_run()
    return job.usage if run is None else run.usage


def _emit_ingested(job: Job, engine: str) -> None:
    emit(
        DocumentIngested(
            outcome=job.status.value,
            pages=job.pages_done,
            pages_degraded=job.pages_degraded,
            chunks=job.chunks,
            parser=engine.partition(" ")[0] or None,
            problem=job.problem,
            cost_usd=float(job.usage.cost_usd) if job.usage.cost_usd else None,
        )
    )


def describe_error(error: Exception) -> tuple[str, str]:
    """(stable code, text that may be shown). The text of an unexpected exception is never shown."""
    if isinstance(error, FoliotraceError):
        return error.reason, f"{error.message} {error.hint}"
    return ErrorCode.INTERNAL_ERROR, "An unexpected error occurred; see the log."
