"""The journal of accepted durable runs: one row per run, from its acceptance to its end.

It is fsynced before a run is acknowledged. The workflow engine's own file is written without fsync,
and does not know runs that are queued.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foliotrace.adapters.local.sqlite import page_sums
from foliotrace.adapters.local.sqlite.database import apply_migrations
from foliotrace.adapters.local.sqlite.write_queue import WriteQueue
from foliotrace.catalog import Reason
from foliotrace.errors import LibraryUnavailable
from foliotrace.model import Principal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
    handler_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    start_event TEXT NOT NULL,
    starts INTEGER NOT NULL DEFAULT 0,
    steps INTEGER NOT NULL DEFAULT 0,
    trace TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS forgotten (handler_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_CALLERS = """
ALTER TABLE intents ADD COLUMN subject TEXT NOT NULL DEFAULT 'anonymous';
CREATE TABLE owners (handler_id TEXT PRIMARY KEY, tenant TEXT NOT NULL) WITHOUT ROWID;
"""
_COLLECTIONS = """
ALTER TABLE intents ADD COLUMN collections TEXT;
ALTER TABLE owners ADD COLUMN collections TEXT;
"""
_DEFAULT = Principal()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRun:
    """A run that was accepted and has not ended.

    `starts` counts the processes that started it and died before it completed another step.
    `trace` is the W3C traceparent that its spans continue; "" if it is not traced.
    """

    handler_id: str
    tenant: str
    workflow: str
    start_event: str  # JSON
    subject: str = _DEFAULT.subject
    collections: frozenset[str] | None = None  # that its starter may use; None: all
    starts: int = 0
    steps: int = 0
    trace: str = ""

    @property
    def principal(self) -> Principal:
        """On whose behalf it runs, in whatever process."""
        return Principal(tenant=self.tenant, subject=self.subject, collections=self.collections)


@contextmanager
def unreadable_journal() -> Iterator[None]:
    """Turn a damaged file into LibraryUnavailable `jobs_unreadable`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LibraryUnavailable(reason=Reason.JOBS_UNREADABLE) from error


class RunJournal:
    """Accepted runs in one SQLite file, opened by one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _connect(path)
        apply_migrations(self._connection, (_SCHEMA, _CALLERS, _COLLECTIONS))
        self._writer = _connect(path)
        self._writes = WriteQueue(self._writer, name="write-runs", written=self._checkpoint_if_due)

    async def add(self, run: AcceptedRun) -> bool:
        """Add a run; it is on disk on return. False if its handler id is in the journal."""
        collections = _written(run.collections)
        row = (
            *(run.handler_id, run.tenant, run.workflow, run.start_event, run.trace, run.subject),
            collections,
        )

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO intents"
                " (handler_id, tenant, workflow, start_event, trace, subject, collections)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            if cursor.rowcount == 1 and (run.tenant, collections) != (_DEFAULT.tenant, None):
                connection.execute(
                    "INSERT OR REPLACE INTO owners VALUES (?, ?, ?)", (*row[:2], collections)
                )
            return cursor.rowcount == 1

        return await self._writes.write(work, acknowledged=True)

    async def _write(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        await self._writes.write(lambda c: c.executemany(sql, rows), acknowledged=True)

    def _checkpoint_if_due(self) -> None:
        if page_sums.is_checkpoint_due(self._path):
            self._checkpoint()

    def _checkpoint(self) -> None:
        with suppress(sqlite3.Error, OSError):  # tried again after the next run
            page_sums.checkpoint(self._writer, self._path)

    def owner(self, handler_id: str) -> Principal:
        """Whose run it is, also after its end. The default tenant's runs have no row."""
        row = self._connection.execute(
            "SELECT tenant, collections FROM owners WHERE handler_id = ?", (handler_id,)
        ).fetchone()
        return _DEFAULT if row is None else Principal(tenant=row[0], collections=_read(row[1]))

    def owned(self) -> Collection[str]:
        """Ids of the runs whose owner is recorded."""
        return [row[0] for row in self._connection.execute("SELECT handler_id FROM owners")]

    async def disown(self, handler_ids: Collection[str]) -> None:
        """Forget whose these runs were, after their records were deleted."""
        await self._write("DELETE FROM owners WHERE handler_id = ?", [(i,) for i in handler_ids])

    async def remove(self, *handler_ids: str) -> None:
        """Remove runs that have ended."""
        await self._write("DELETE FROM intents WHERE handler_id = ?", [(i,) for i in handler_ids])

    def all(self) -> Sequence[AcceptedRun]:
        """Every accepted run, oldest first."""
        rows = self._connection.execute(
            "SELECT handler_id, tenant, workflow, start_event, starts, steps, trace,"
            " subject, collections FROM intents ORDER BY rowid"
        )
        return [
            AcceptedRun(
                handler_id=a,
                tenant=b,
                workflow=c,
                start_event=d,
                starts=e,
                steps=f,
                trace=g,
                subject=h,
                collections=_read(i),
            )
            for a, b, c, d, e, f, g, h, i in rows
        ]

    async def record_start(self, *handler_ids: str, starts: int, steps: int) -> None:
        """Record, before runs are started or resumed, that this process does so."""
        await self._write(
            "UPDATE intents SET starts = ?, steps = ? WHERE handler_id = ?",
            [(starts, steps, handler_id) for handler_id in handler_ids],
        )

    async def forget(self, handler_ids: Sequence[str]) -> None:
        """Mark runs whose records must be deleted once they have ended."""
        await self._write("INSERT OR IGNORE INTO forgotten VALUES (?)", [(i,) for i in handler_ids])

    def forgotten(self) -> Sequence[str]:
        """Handler ids marked with `forget`."""
        return [row[0] for row in self._connection.execute("SELECT handler_id FROM forgotten")]

    async def compact(self, kept: Sequence[str]) -> None:
        """Drop the marks, except `kept`, and leave no deleted row in the files."""
        await self._write("DELETE FROM forgotten", [()])
        await self.forget(kept)
        await self._writes.run(self._empty_log)

    def _empty_log(self) -> None:
        if page_sums.checkpoint(self._writer, self._path):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self, *, cleanly: bool) -> None:
        """Close the file. A clean stop is not a crash, so it resets the start counts."""
        self._writes.close()
        if cleanly:
            self._writer.execute("UPDATE intents SET starts = 0")
            self._checkpoint()
        self._connection.close()
        self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # `page_sums.checkpoint` does it
    connection.execute("PRAGMA journal_size_limit=0")  # a log that starts anew is cut
    return connection


def _written(collections: frozenset[str] | None) -> str | None:
    """Names of collections have no space."""
    return None if collections is None else " ".join(sorted(collections))


def _read(written: str | None) -> frozenset[str] | None:
    return None if written is None else frozenset(written.split())
