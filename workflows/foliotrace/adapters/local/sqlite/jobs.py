"""Durable jobs with their progress and records, in the library's file."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from foliotrace.adapters.local.sqlite.columns import JOB, assignments, placeholders
from foliotrace.adapters.local.sqlite.database import decoding
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace.model import Extraction, Job, JobKind, JobStatus, JsonObject

_FIXED: Final = frozenset(
    {"id", "tenant", "subject", "kind", "document_id", "path", "created_at"}
    | {"idempotency_key", "fingerprint"}
)
_CHANGING: Final = [name for name in JOB.names if name not in _FIXED]
_FINAL: Final = "('completed', 'failed', 'cancelled')"

_SELECT: Final = f"SELECT {JOB.listed()} FROM jobs"  # noqa: S608 - columns
_INSERT: Final = (
    f"INSERT INTO jobs ({JOB.listed()}) VALUES ({placeholders(JOB.names)})"  # noqa: S608 - columns
    " ON CONFLICT DO NOTHING"
)
_UPDATE: Final = (
    f"UPDATE jobs SET {assignments(_CHANGING)}"  # noqa: S608 - columns
    f" WHERE id = ? AND tenant = ? AND status NOT IN {_FINAL}"
)

_extractions: Final = TypeAdapter(Extraction)


class SqliteJobs:
    """A `JobStore`."""

    def __init__(self, library: SqliteLibrary) -> None:
        self._database = library.database

    async def create(self, job: Job) -> Job:
        return await self._database.write(lambda c: _create(c, job))

    async def job(self, tenant: str, job_id: str) -> Job:
        return _one(self._find("tenant = ? AND id = ?", (tenant, job_id)))

    async def by_key(self, tenant: str, kind: JobKind, idempotency_key: str) -> Job | None:
        jobs = self._find(
            "tenant = ? AND kind = ? AND idempotency_key = ?", (tenant, kind, idempotency_key)
        )
        return jobs[0] if jobs else None

    async def jobs(
        self,
        tenant: str,
        *,
        document_id: str | None = None,
        unfinished: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Job]:
        conditions = ["tenant = ?"]
        parameters = [tenant]
        if document_id is not None:
            conditions.append("document_id = ?")
            parameters.append(document_id)
        if unfinished:
            conditions.append(f"status NOT IN {_FINAL}")
        if after is not None:
            last = await self.job(tenant, after)
            conditions.append("(created_at, id) < (?, ?)")
            parameters += [last.created_at.isoformat(), last.id]
        # The plus keeps SQLite from reading all jobs of the tenant, in order, to find a document's.
        by = "" if document_id is None else "+"
        order = f" ORDER BY {by}created_at DESC, id DESC LIMIT {int(limit)}"
        return self._find(" AND ".join(conditions), parameters, order)

    async def unfinished(self) -> Sequence[Job]:
        return self._find(f"status NOT IN {_FINAL}", (), " ORDER BY created_at, id")

    async def update(self, job: Job) -> None:
        await self._database.write(
            lambda c: _update(c, job), acknowledged=job.status is not JobStatus.RUNNING
        )

    async def update_all(self, jobs: Sequence[Job]) -> Sequence[Job | None]:
        return await self._database.write(lambda c: [_updated(c, job) for job in jobs])

    async def save_extraction(
        self, tenant: str, job_id: str, *, schema: JsonObject, extraction: Extraction
    ) -> None:
        job = await self.job(tenant, job_id)
        row = (
            job_id,
            tenant,
            job.document_id,
            orjson.dumps(schema).decode(),
            _extractions.dump_json(extraction).decode(),
        )
        await self._database.write(
            lambda c: c.execute("INSERT OR REPLACE INTO extractions VALUES (?, ?, ?, ?, ?)", row)
        )

    async def extraction(self, tenant: str, job_id: str) -> tuple[JsonObject, Extraction]:
        rows = self._database.rows(
            "SELECT schema, extraction FROM extractions WHERE tenant = ? AND job_id = ?",
            (tenant, job_id),
        )
        if not rows:
            raise NotFound(code=ErrorCode.EXTRACTION_NOT_FOUND)
        return orjson.loads(rows[0][0]), _extractions.validate_json(rows[0][1])

    def _find(self, condition: str, parameters: Sequence[Any], order: str = "") -> list[Job]:
        rows = self._database.rows(f"{_SELECT} WHERE {condition}{order}", parameters)
        with decoding():
            return [JOB.read(row) for row in rows]


def _create(connection: sqlite3.Connection, job: Job) -> Job:
    connection.execute(_INSERT, JOB.row(job))
    row = connection.execute(
        f"{_SELECT} WHERE id = ? AND tenant = ?"
        " OR (tenant = ? AND kind = ? AND idempotency_key = ?)",
        (job.id, job.tenant, job.tenant, job.kind, job.idempotency_key),
    ).fetchone()
    return JOB.read(row)


def _update(connection: sqlite3.Connection, job: Job) -> None:
    if _updated(connection, job) is None:
        raise NotFound(code=ErrorCode.JOB_NOT_FOUND)


def _updated(connection: sqlite3.Connection, job: Job) -> Job | None:
    values = dict(zip(JOB.names, JOB.row(job), strict=True))
    arguments = (*(values[name] for name in _CHANGING), job.id, job.tenant)
    if connection.execute(_UPDATE, arguments).rowcount:
        return job
    row = connection.execute(
        f"{_SELECT} WHERE id = ? AND tenant = ?", (job.id, job.tenant)
    ).fetchone()
    return None if row is None else JOB.read(row)


def _one(jobs: Sequence[Job]) -> Job:
    if not jobs:
        raise NotFound(code=ErrorCode.JOB_NOT_FOUND)
    return jobs[0]
