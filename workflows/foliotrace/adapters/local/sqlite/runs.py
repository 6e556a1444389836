"""What can be told of answered questions, in the library's file; written behind, in batches.

Answering a question must not wait for a disk: `save` only queues. `run` sees what is queued, and
`close` writes it; a crash may lose the last moment's runs, never an audit record.
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
_QUEUE: Final = 10_000  # runs that wait at most; the oldest are given up when the disk is gone

_runs: Final = TypeAdapter(Run)


class SqliteRuns:
    """A `Runs`."""

    def __init__(self, library: SqliteLibrary) -> None:
        self._database = library.database
        self._waiting: deque[Run] = deque(maxlen=_QUEUE)
        self._flushing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def save(self, run: Run) -> None:
        """See `Runs.save`."""
        self._waiting.append(run)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def run(self, tenant: str, run_id: str) -> Run:
        """See `Runs.run`."""
        for run in self._waiting:
            if (run.tenant, run.id) == (tenant, run_id):
                return run
        rows = self._database.rows(
            "SELECT run FROM runs WHERE tenant = ? AND id = ?", (tenant, run_id)
        )
        if not rows:
            raise NotFound(code=ErrorCode.RUN_NOT_FOUND)
        return _runs.validate_json(rows[0][0])

    async def expire(self, *, before: datetime) -> int:
        """See `Runs.expire`."""
        await self.flush()
        moment = before.isoformat()
        return await self._database.write(
            lambda c: c.execute("DELETE FROM runs WHERE created_at < ?", (moment,)).rowcount
        )

    async def flush(self) -> None:
        """Write what is queued. Raises LibraryUnavailable; then it stays queued."""
        async with self._turn:
            batch = list(self._waiting)
            if not batch:
                return
            await self._database.write(lambda c: _insert(c, batch), acknowledged=False)
            written = {id(run) for run in batch}
            while self._waiting and id(self._waiting[0]) in written:
                self._waiting.popleft()

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_DELAY_S)
        try:
            await self.flush()
        except LibraryUnavailable as error:  # they wait for the next question
            emit(RunsNotSaved(reason=error.reason))

    async def close(self) -> None:
        """Write what is queued and stop."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._flushing = None
        await self.flush()


def _insert(connection: sqlite3.Connection, waiting: Sequence[Run]) -> None:
    """Store the runs but those that cite a document deleted meanwhile: they went with it."""
    deleted = "SELECT 1 FROM changes WHERE document_id = ? AND deleted"
    batch = [
        run
        for run in waiting
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
