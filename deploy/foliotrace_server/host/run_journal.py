"""The journal of accepted durable runs: one row per run, from its acceptance to its end.

It is fsynced before a run is acknowledged. The workflow engine's own file is written without fsync,
and does not know runs that are queued.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foliotrace.adapters.local.sqlite.database import apply_migrations

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
    starts: int = 0
    steps: int = 0
    trace: str = ""


class RunJournal:
    """Accepted runs in one SQLite file, opened by one process."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        apply_migrations(self._connection, (_SCHEMA,))

    def add(self, run: AcceptedRun) -> bool:
        """Add a run; it is on disk on return. False if its handler id is in the journal."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO intents (handler_id, tenant, workflow, start_event, trace)"
            " VALUES (?, ?, ?, ?, ?)",
            (run.handler_id, run.tenant, run.workflow, run.start_event, run.trace),
        )
        return cursor.rowcount == 1

    def remove(self, handler_id: str) -> None:
        """Remove a run that has ended."""
        self._connection.execute("DELETE FROM intents WHERE handler_id = ?", (handler_id,))

    def all(self) -> Sequence[AcceptedRun]:
        """Every accepted run, oldest first."""
        rows = self._connection.execute(
            "SELECT handler_id, tenant, workflow, start_event, starts, steps, trace"
            " FROM intents ORDER BY rowid"
        )
        return [
            AcceptedRun(
                handler_id=a, tenant=b, workflow=c, start_event=d, starts=e, steps=f, trace=g
            )
            for a, b, c, d, e, f, g in rows
        ]

    def record_start(self, handler_id: str, *, starts: int, steps: int) -> None:
        """Record, before a run is started or resumed, that this process does so."""
        self._connection.execute(
            "UPDATE intents SET starts = ?, steps = ? WHERE handler_id = ?",
            (starts, steps, handler_id),
        )

    def forget(self, handler_ids: Sequence[str]) -> None:
        """Mark runs whose records must be deleted once they have ended."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO forgotten VALUES (?)", [(i,) for i in handler_ids]
        )

    def forgotten(self) -> Sequence[str]:
        """Handler ids marked with `forget`."""
        return [row[0] for row in self._connection.execute("SELECT handler_id FROM forgotten")]

    def compact(self, kept: Sequence[str]) -> None:
        """Drop the marks, except `kept`, and leave no deleted row in the files."""
        self._connection.execute("DELETE FROM forgotten")
        self.forget(kept)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self, *, cleanly: bool) -> None:
        """Close the file. A clean stop is not a crash, so it resets the start counts."""
        if cleanly:
            self._connection.execute("UPDATE intents SET starts = 0")
        self._connection.close()
