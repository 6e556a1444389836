"""Durable jobs, their progress and extraction records, in the library's file."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import NotFound
from foliotrace.model import ExecutionMode, Extraction, Job, JobKind, JobStatus, JsonObject

_COLUMNS: Final = (
    "id, tenant, subject, kind, document_id, status, stage, pages_done, pages_total, chunks,"
    " problem, problem_detail, idempotency_key, fingerprint, trace_id, created_at, updated_at,"
    " path"
)
_FINAL: Final = "('completed', 'failed', 'cancelled')"

_extractions: Final = TypeAdapter(Extraction)


class SqliteJobs:
    """A `Jobs`."""

    def __init__(self, library: SqliteLibrary) -> None:
        self._database = library.database

    async def create(self, job: Job) -> Job:
        """See `Jobs.create`."""
        return await self._database.write(lambda c: _create(c, job))

    async def job(self, tenant: str, job_id: str) -> Job:
        """See `Jobs.job`."""
        return _one(self._find("tenant = ? AND id = ?", (tenant, job_id)))

    async def by_key(self, tenant: str, kind: JobKind, idempotency_key: str) -> Job | None:
        """See `Jobs.by_key`."""
        found = self._find(
            "tenant = ? AND kind = ? AND idempotency_key = ?", (tenant, kind, idempotency_key)
        )
        return found[0] if found else None

    async def jobs(
        self,
        tenant: str,
        *,
        document_id: str | None = None,
        unfinished: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Job]:
        """See `Jobs.jobs`. Newest first; `after` is the id of the last job of the page before."""
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
        order = f" ORDER BY created_at DESC, id DESC LIMIT {int(limit)}"
        return self._find(" AND ".join(conditions), parameters, order)

    async def unfinished(self) -> Sequence[Job]:
        """See `Jobs.unfinished`."""
        return self._find(f"status NOT IN {_FINAL}", (), " ORDER BY created_at, id")

    async def update(self, job: Job) -> None:
        """See `Jobs.update`. An update of a job that is final already changes nothing."""
        await self._database.write(
            lambda c: _update(c, job), acknowledged=job.status is not JobStatus.RUNNING
        )

    async def save_extraction(
        self, tenant: str, job_id: str, *, schema: JsonObject, extraction: Extraction
    ) -> None:
        """See `Jobs.save_extraction`."""
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
        """See `Jobs.extraction`."""
        rows = self._database.rows(
            "SELECT schema, extraction FROM extractions WHERE tenant = ? AND job_id = ?",
            (tenant, job_id),
        )
        if not rows:
            raise NotFound("There is no record of this job.", code="extraction_not_found")
        return orjson.loads(rows[0][0]), _extractions.validate_json(rows[0][1])

    def _find(self, condition: str, parameters: Sequence[Any], order: str = "") -> list[Job]:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM jobs WHERE {condition}{order}",  # noqa: S608 - constants
            parameters,
        )
        return [_job(row) for row in rows]


def _create(connection: sqlite3.Connection, job: Job) -> Job:
    connection.execute(
        f"INSERT INTO jobs ({_COLUMNS}) VALUES ({','.join('?' * 18)})"  # noqa: S608 - constants
        " ON CONFLICT DO NOTHING",
        _row(job),
    )
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM jobs WHERE id = ? AND tenant = ? OR"  # noqa: S608 - constants
        " (tenant = ? AND kind = ? AND idempotency_key = ?)",
        (job.id, job.tenant, job.tenant, job.kind, job.idempotency_key),
    ).fetchone()
    return _job(row)


def _update(connection: sqlite3.Connection, job: Job) -> None:
    changed = connection.execute(
        "UPDATE jobs SET status = ?, stage = ?, pages_done = ?,"  # noqa: S608 - constants
        " pages_total = ?, chunks = ?,"
        " problem = ?, problem_detail = ?, trace_id = ?, updated_at = ?"
        f" WHERE id = ? AND tenant = ? AND status NOT IN {_FINAL}",
        (
            job.status,
            job.stage,
            job.pages_done,
            job.pages_total,
            job.chunks,
            job.problem,
            job.problem_detail,
            job.trace_id,
            job.updated_at.isoformat(),
            job.id,
            job.tenant,
        ),
    ).rowcount
    if not changed:
        known = connection.execute(
            "SELECT 1 FROM jobs WHERE id = ? AND tenant = ?", (job.id, job.tenant)
        ).fetchone()
        if known is None:
            raise NotFound("There is no such job.", code="job_not_found")


def _row(job: Job) -> tuple[str | int | None, ...]:
    return (
        job.id,
        job.tenant,
        job.subject,
        job.kind,
        job.document_id,
        job.status,
        job.stage,
        job.pages_done,
        job.pages_total,
        job.chunks,
        job.problem,
        job.problem_detail,
        job.idempotency_key,
        job.fingerprint,
        job.trace_id,
        job.created_at.isoformat(),
        job.updated_at.isoformat(),
        job.path,
    )


def _job(row: Sequence[Any]) -> Job:
    return Job(
        id=row[0],
        tenant=row[1],
        subject=row[2],
        kind=JobKind(row[3]),
        document_id=row[4],
        status=JobStatus(row[5]),
        stage=row[6],
        pages_done=row[7],
        pages_total=row[8],
        chunks=row[9],
        problem=row[10],
        problem_detail=row[11],
        idempotency_key=row[12],
        fingerprint=row[13],
        trace_id=row[14],
        created_at=datetime.fromisoformat(row[15]),
        updated_at=datetime.fromisoformat(row[16]),
        path=ExecutionMode(row[17]) if row[17] else None,
    )


def _one(found: Sequence[Job]) -> Job:
    if not found:
        raise NotFound("There is no such job.", code="job_not_found")
    return found[0]
