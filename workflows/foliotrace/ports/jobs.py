"""Durable jobs and stored runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from foliotrace.model import Extraction, Job, JobKind, JsonObject, Run


class JobStore(Protocol):
    """The job table: durable jobs, their progress, and the records of extraction jobs."""

    async def create(self, job: Job) -> Job:
        """Store a job. One with the same tenant, kind and idempotency key is returned instead."""
        ...

    async def job(self, tenant: str, job_id: str) -> Job:
        """One job. Raises NotFound."""
        ...

    async def by_key(self, tenant: str, kind: JobKind, idempotency_key: str) -> Job | None:
        """The job with this idempotency key, or None."""
        ...

    async def jobs(
        self,
        tenant: str,
        *,
        document_id: str | None = None,
        unfinished: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Job]:
        """Newest first; `after` is the id of the last job of the previous page."""
        ...

    async def unfinished(self) -> Sequence[Job]:
        """Unfinished jobs of all tenants, oldest first: a starting process resumes them."""
        ...

    async def update(self, job: Job) -> None:
        """Store the job's new state; a job that has reached a final state is left as it is."""
        ...

    async def save_extraction(
        self, tenant: str, job_id: str, *, schema: JsonObject, extraction: Extraction
    ) -> None:
        """Store the record of a job, valid or not."""
        ...

    async def extraction(self, tenant: str, job_id: str) -> tuple[JsonObject, Extraction]:
        """(schema, extraction). Raises NotFound."""
        ...


class Runs(Protocol):
    """Stored runs, as `/v1/runs/{id}` shows them, for as long as the retention setting says."""

    async def save(self, run: Run) -> None:
        """Store a run; may return before it is written."""
        ...

    async def run(self, tenant: str, run_id: str) -> Run:
        """One run. Raises NotFound."""
        ...

    async def expire(self, *, before: datetime) -> int:
        """Delete runs older than `before`; returns how many."""
        ...
