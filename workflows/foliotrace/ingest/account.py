"""What is told of an ingestion while it goes on: the job's row and the audit log."""

from dataclasses import dataclass, replace

from foliotrace.errors import Conflict, FoliotraceError
from foliotrace.events import tell
from foliotrace.ingest.services import IngestServices
from foliotrace.model import Job, JobStatus
from foliotrace.ports import AuditEntry

_BUG = "internal_error"


@dataclass(frozen=True, slots=True)
class Account:
    """Speaks for one job."""

    services: IngestServices
    tenant: str
    job_id: str

    async def job(self) -> Job:
        """The job, unless it was ended from outside.

        Raises Conflict `job_cancelled`, or `job_already_final` for a job that failed.
        """
        job = await self.services.jobs.job(self.tenant, self.job_id)
        if job.status is JobStatus.CANCELLED:
            raise Conflict("The job was cancelled.", code="job_cancelled")
        if job.status is JobStatus.FAILED:
            raise Conflict("The job has failed already.", code="job_already_final")
        return job

    async def received(self, job: Job) -> None:
        """The first audit record."""
        await self._audit("ingest_received", job)

    async def progress(self, *, stage: str, pages_done: int, pages_total: int, chunks: int) -> Job:
        """Store how far the job is."""
        job = replace(
            await self.job(),
            status=JobStatus.RUNNING,
            stage=stage,
            pages_done=pages_done,
            pages_total=pages_total,
            chunks=chunks,
            updated_at=self.services.clock.now(),
        )
        await self.services.jobs.update(job)
        return job

    async def completed(self, *, engine: str = "") -> Job:
        """The job is done; the last audit record. `engine` parsed the document."""
        job = await self._finish(JobStatus.COMPLETED)
        _tell(job, engine=engine)
        await self._audit("ingest_completed", job, success=True)
        return job

    async def cancelled(self) -> Job:
        """The job was stopped by its owner; the last audit record."""
        job = await self._finish(JobStatus.CANCELLED)
        _tell(job)
        cause = Conflict("The job was cancelled.", code="job_cancelled")
        await self._audit("ingest_failed", job, success=False, error=cause)
        return job

    async def failed(self, error: Exception) -> None:
        """The job ended without its document being served anew; the last audit record."""
        job = await self.services.jobs.job(self.tenant, self.job_id)
        if job.status in (JobStatus.CANCELLED, JobStatus.FAILED):
            return  # whoever ended it has said so
        job = await self._finish(JobStatus.FAILED, error)
        _tell(job)
        await self._audit("ingest_failed", job, success=False, error=error)

    async def _finish(self, status: JobStatus, error: Exception | None = None) -> Job:
        job = await self.services.jobs.job(self.tenant, self.job_id)
        problem, detail = described(error) if error else (None, None)
        job = replace(
            job,
            status=status,
            stage=status.value,
            problem=problem,
            problem_detail=detail,
            updated_at=self.services.clock.now(),
        )
        await self.services.jobs.update(job)
        return job

    async def _audit(
        self,
        event: str,
        job: Job,
        *,
        success: bool | None = None,
        error: Exception | None = None,
    ) -> None:
        await self.services.audit.append(
            AuditEntry(
                event=event,
                run_id=job.id,
                tenant=job.tenant,
                user_id=job.subject,
                success=success,
                error=described(error)[0] if error else None,
                error_type=type(error).__name__ if error else None,
                document_ids=(job.document_id,),
            )
        )


def _tell(job: Job, *, engine: str = "") -> None:
    tell(
        "foliotrace.ingested",
        foliotrace__ingest__outcome=job.status.value,
        foliotrace__ingest__pages=job.pages_done,
        foliotrace__ingest__chunks=job.chunks,
        foliotrace__ingest__parser=engine.partition(" ")[0] or None,
        error__type=job.problem,
    )


def described(error: Exception) -> tuple[str, str]:
    """(stable code, text that may be shown). A bug's own words are never shown."""
    if isinstance(error, FoliotraceError):
        reason = getattr(error, "reason", None)
        return reason or error.error_code, f"{error.message} {error.hint}"
    return _BUG, "Something broke that should not; the log says what."
