"""Records of answered questions, in the library's file; written behind, in batches.

Answering a question must not wait for a disk, so `save` only queues. `run` finds queued runs too,
and `close` writes them. A crash may lose the runs of the last moments, but no audit record.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode
from foliotrace.errors import LibraryUnavailable, NotFound
from foliotrace.events import RunsNotSaved, emit
from foliotrace.model import Run

_DELAY_S: Final = 0.25
_QUEUE: Final = 10_000  # while the disk fails, the oldest queued runs are dropped

_runs: Final = TypeAdapter(Run)


class SqliteRuns:
    """A `Runs`."""

    def __init__(self, library: SqliteLibrary) -> None:
        self._database = library.database
        self._queued: deque[Run] = deque(maxlen=_QUEUE)
        self._flushing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def save(self, run: Run) -> None:
        self._queued.append(run)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def run(self, tenant: str, run_id: str) -> Run:
        for run in self._queued:
            if (run.tenant, run.id) == (tenant, run_id):
                return run
        rows = self._database.rows(
            "SELECT run FROM runs WHERE tenant = ? AND id = ?", (tenant, run_id)
        )
        if not rows:
            raise NotFound(code=ErrorCode.RUN_NOT_FOUND)
        return _runs.validate_json(rows[0][0])

    async def expire(self, *, before: datetime) -> int:
        await self.flush()
        moment = before.isoformat()
        return await self._database.write(
            lambda c: c.execute("DELETE FROM runs WHERE created_at < ?", (moment,)).rowcount
        )

    async def flush(self) -> None:
        """Write the queued runs. They stay queued if it raises LibraryUnavailable."""
        async with self._lock:
            batch = list(self._queued)
            if not batch:
                return
            await self._database.write(lambda c: _insert(c, batch), acknowledged=False)
            written = {id(run) for run in batch}
            # Compared, not counted: the queue may have dropped its oldest runs meanwhile.
            while self._queued and id(self._queued[0]) in written:
                self._queued.popleft()

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_DELAY_S)
        try:
            await self.flush()
        except LibraryUnavailable as error:  # they are written with the next run
            emit(RunsNotSaved(reason=error.reason))

    async def close(self) -> None:
        """Write the queued runs and stop."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._flushing = None
        await self.flush()


def _insert(connection: sqlite3.Connection, queued: Sequence[Run]) -> None:
    """Store the runs, except those that cite a document deleted meanwhile."""
    deleted = "SELECT 1 FROM changes WHERE document_id = ? AND deleted"
    batch = [
        run
        for run in queued
        if not any(
            connection.execute(deleted, (document_id,)).fetchone()
            for document_id in {citation.document_id for citation in run.citations}
        )
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
        [
            (run.id, run.tenant, run.created_at.isoformat(), _runs.dump_json(run).decode())
            for run in batch
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO run_documents VALUES (?, ?)",
        [(citation.document_id, run.id) for run in batch for citation in run.citations],
    )
