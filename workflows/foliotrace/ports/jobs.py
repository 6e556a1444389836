"""Durable jobs, and what is kept of answered questions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from foliotrace.model import Extraction, Job, JobKind, JsonObject, Run


class Jobs(Protocol):
    """Durable jobs, their progress, and the records that extraction jobs made."""

    async def create(self, job: Job) -> Job:
        """Store; a job of the same tenant, kind and idempotency key is returned instead."""
        ...

    async def job(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound."""
        ...

    async def by_key(self, tenant: str, kind: JobKind, idempotency_key: str) -> Job | None:
        """The job that was created under this idempotency key, or None."""
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
        """Of every tenant, oldest first: what a process takes up again when it starts."""
        ...

    async def update(self, job: Job) -> None:
        """Store the job's new state; a job that has reached a final state is left as it is."""
        ...

    async def save_extraction(
        self, tenant: str, job_id: str, *, schema: JsonObject, extraction: Extraction
    ) -> None:
        """Keep a job's record, valid or not."""
        ...

    async def extraction(self, tenant: str, job_id: str) -> tuple[JsonObject, Extraction]:
        """(schema, extraction). Raises NotFound."""
        ...


class Runs(Protocol):
    """What `/v1/runs/{id}` can tell, for as long as the retention setting says."""

    async def save(self, run: Run) -> None:
        """Keep a run; cheap, may be written behind."""
        ...

    async def run(self, tenant: str, run_id: str) -> Run:
        """Raises NotFound."""
        ...

    async def expire(self, *, before: datetime) -> int:
        """Forget runs older than `before`; how many."""
        ...
