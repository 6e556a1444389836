"""Stores: durable jobs, runs of answered questions, and caches of answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from foliotrace.model import Answer, Extraction, Job, JobKind, JsonObject, Run
from foliotrace.ports.models import Vector


class JobGroups(Protocol):
    """Changes of many jobs at once."""

    async def update_all(self, jobs: Sequence[Job]) -> Sequence[Job | None]:
        """As `update`, in one commit; returns each job as it is stored now, None for none."""
        ...


class JobStore(JobGroups, Protocol):
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
        """One run by its id, or the newest one of a W3C trace id. Raises NotFound."""
        ...

    async def visit(
        self,
        tenant: str,
        visit: Callable[[Run], bool],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> None:
        """Pass runs to `visit`, newest first, until it returns False; `until` is excluded.

        Runs on a worker thread; texts are left out. `after` is the id of a run: begin behind it.
        Raises NotFound for an unknown `after`.
        """
        ...

    async def expire(
        self, *, before: datetime, by_project: Mapping[str, datetime] | None = None
    ) -> int:
        """Delete runs older than `before`, or than their project's moment; returns how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureScope:
    """What is to be erased: everything of the tenant for which all that is given holds."""

    tenant: str
    user: str | None = None  # the caller, or the end user that the caller named
    collection: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of a store were erased, and the ids of the documents that they cited."""

    count: int
    cited: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticKey:
    """Lets differently worded questions find the same answer.

    `group` is a keyed hash of everything that must be equal, canonical wording included; `vector`
    is the question's embedding, which must be close as well. It is stored with its answer, for as
    long as the answer.
    """

    group: str
    vector: Vector


class AnswerCache(Protocol):
    """Answers by keyed hash; a key covers tenant, library version, filters, model and prompt.

    Every method may raise CacheUnavailable.
    """

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """The answer, or None if there is none or it has expired."""
        ...

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        """Store an answer of level 0. Callers never store degraded or abstained answers."""
        ...

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """(key, vector) of the newest questions of a semantic group, at most a few."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Delete every answer that cites the document, with its semantic key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAnswer:
    """An answer for outages, valid while every cited document still has its content hash."""

    answer: Answer
    content_hashes: dict[str, str]  # document id -> content hash
    stored_at: datetime


class StaleAnswers(Protocol):
    """Stale answers, stored outside the library's failure domain; keys omit the library version.

    Every method may raise CacheUnavailable.
    """

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        """The stored answer, or None."""
        ...

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        """Store an answer of level 0."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Delete every answer that cites the document."""
        ...
