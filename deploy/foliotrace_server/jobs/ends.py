"""How jobs end outside their runs: cancelled, failed by a crash, deleted; one audit record each."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, NotFound
from foliotrace.ingest.workflow import cancel_ingest
from foliotrace.jobs import JobReporter
from foliotrace.model import Job, JobKind, JobStatus, Principal
from foliotrace.ports import AuditEntry
from foliotrace_server.host.run_ends import EndedRun

if TYPE_CHECKING:
    from foliotrace_server.assembly import Assembly

FINAL: Final = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobEnded(FoliotraceError):
    """A job ended outside its run, for example by a crash; `error_code` says why."""

    code = ErrorCode.JOB_INTERRUPTED


class JobEnds:
    """Sets the final states of jobs, of their documents and of their audit records."""

    def __init__(self, assembly: "Assembly") -> None:
        self._assembly = assembly

    async def settle(self, ended: EndedRun) -> Job | None:
        """Set the final state of the job of an ended run, if the run did not; the job before."""
        job = None
        try:
            job = await self._assembly.ingest.jobs.job(ended.tenant, ended.handler_id)
            if job.status not in FINAL:
                await self.end(job, JobStatus(ended.status), ended.problem)
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

    async def end(self, job: Job, status: JobStatus, problem: str | None) -> None:
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
                await self.fail_document(job.tenant, job.document_id, why)
            await reporter.failed(why)
        else:
            now = services.clock.now()
            await services.jobs.update(
                replace(job, status=status, stage=status.value, updated_at=now)
            )

    async def fail_document(self, tenant: str, document_id: str, why: FoliotraceError) -> None:
        """Set a document to failed, if it was not deleted meanwhile."""
        with suppress(NotFound):  # it was deleted meanwhile
            await self._assembly.ingest.library.fail(
                tenant, document_id, problem=why.error_code, detail=why.message
            )


def _ended_because(problem: str | None) -> JobEnded:
    """`problem` is a code, or the message of one of our errors."""
    try:
        code = ErrorCode.parse(problem or ErrorCode.INTERNAL_ERROR)
    except ValueError:
        return JobEnded(problem, code=ErrorCode.INTERNAL_ERROR)
    return JobEnded("The job could not be finished.", code=code)
