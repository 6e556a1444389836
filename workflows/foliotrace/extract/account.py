"""What is told of an extraction while it goes on: the job's row and the audit log."""

from dataclasses import dataclass, replace

from foliotrace.errors import Conflict, FoliotraceError
from foliotrace.extract.services import ExtractServices
from foliotrace.model import Extraction, Job, JobStatus
from foliotrace.ports import AuditEntry

_BUG = "internal_error"


@dataclass(frozen=True, slots=True)
class Account:
    """Speaks for one job."""

    services: ExtractServices
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

    async def received(self) -> None:
        """The first audit record."""
        await self._audit("extract_received", await self.job())

    async def progress(self, *, stage: str, pages_done: int, pages_total: int) -> None:
        """Store how far the job is."""
        job = replace(
            await self.job(),
            status=JobStatus.RUNNING,
            stage=stage,
            pages_done=pages_done,
            pages_total=pages_total,
            updated_at=self.services.clock.now(),
        )
        await self.services.jobs.update(job)

    async def completed(self, extraction: Extraction) -> None:
        """The record is kept, valid or not; the last audit record."""
        job = await self._finish(JobStatus.COMPLETED)
        await self._audit("extract_completed", job, success=True, extraction=extraction)

    async def failed(self, error: Exception) -> None:
        """The job ended without a record; the last audit record."""
        job = await self.services.jobs.job(self.tenant, self.job_id)
        if job.status in (JobStatus.CANCELLED, JobStatus.FAILED):
            return  # whoever ended it has said so
        job = await self._finish(JobStatus.FAILED, error)
        await self._audit("extract_failed", job, success=False, error=error)

    async def cancelled(self) -> Job:
        """The job was stopped by its owner; the last audit record."""
        job = await self._finish(JobStatus.CANCELLED)
        cause = Conflict("The job was cancelled.", code="job_cancelled")
        await self._audit("extract_failed", job, success=False, error=cause)
        return job

    async def _finish(self, status: JobStatus, error: Exception | None = None) -> Job:
        problem, detail = described(error) if error else (None, None)
        job = replace(
            await self.services.jobs.job(self.tenant, self.job_id),
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
        extraction: Extraction | None = None,
    ) -> None:
        degradation = extraction.degradation if extraction else None
        usage = extraction.usage if extraction else None
        await self.services.audit.append(
            AuditEntry(
                event=event,
                run_id=job.id,
                tenant=job.tenant,
                user_id=job.subject,
                success=success,
                error=described(error)[0] if error else None,
                error_type=type(error).__name__ if error else None,
                degradation_level=int(degradation.level) if degradation else None,
                degradation_reasons=degradation.reasons if degradation else (),
                tokens=usage.total_tokens if usage else None,
                cost_usd=usage.cost_usd if usage else None,
                document_ids=(job.document_id,),
            )
        )


def described(error: Exception) -> tuple[str, str]:
    """(stable code, text that may be shown). A bug's own words are never shown."""
    if isinstance(error, FoliotraceError):
        return getattr(error, "reason", error.error_code), f"{error.message} {error.hint}"
    return _BUG, "Something broke that should not; the log says what."
