"""What has been promised: one row for each durable run, from its acknowledgement to its end.

The workflow engine's own file is written without an fsync and knows nothing of a run that waits
for a place; this one is fsynced before anything is acknowledged.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foliotrace.adapters.local.sqlite.migrations import apply_migrations

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
class Intent:
    """A run that was promised. `starts`: processes that began and died without it progressing.

    `trace` is where its spans go on, as a W3C traceparent; "" where nothing is traced.
    """

    handler_id: str
    tenant: str
    workflow: str
    start_event: str  # JSON
    starts: int = 0
    steps: int = 0
    trace: str = ""


class Intents:
    """The promises, in one SQLite file of one process."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        apply_migrations(self._connection, (_SCHEMA,))

    def add(self, intent: Intent) -> bool:
        """Promise; on disk on return. False if the handler id is promised already."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO intents (handler_id, tenant, workflow, start_event, trace)"
            " VALUES (?, ?, ?, ?, ?)",
            (intent.handler_id, intent.tenant, intent.workflow, intent.start_event, intent.trace),
        )
        return cursor.rowcount == 1

    def remove(self, handler_id: str) -> None:
        """The run has ended."""
        self._connection.execute("DELETE FROM intents WHERE handler_id = ?", (handler_id,))

    def all(self) -> Sequence[Intent]:
        """Oldest first."""
        rows = self._connection.execute(
            "SELECT handler_id, tenant, workflow, start_event, starts, steps, trace"
            " FROM intents ORDER BY rowid"
        )
        return [
            Intent(handler_id=a, tenant=b, workflow=c, start_event=d, starts=e, steps=f, trace=g)
            for a, b, c, d, e, f, g in rows
        ]

    def note_start(self, handler_id: str, *, starts: int, steps: int) -> None:
        """Remember, before the run goes on, that it does."""
        self._connection.execute(
            "UPDATE intents SET starts = ?, steps = ? WHERE handler_id = ?",
            (starts, steps, handler_id),
        )

    def forget(self, handler_ids: Sequence[str]) -> None:
        """Promise that nothing is kept of these runs once they have ended."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO forgotten VALUES (?)", [(i,) for i in handler_ids]
        )

    def forgotten(self) -> Sequence[str]:
        """The runs of which nothing is to be kept."""
        return [row[0] for row in self._connection.execute("SELECT handler_id FROM forgotten")]

    def compact(self, kept: Sequence[str]) -> None:
        """All forgotten runs but `kept` are gone; leave nothing of them in the log either."""
        self._connection.execute("DELETE FROM forgotten")
        self.forget(kept)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self, *, cleanly: bool) -> None:
        """Give the file back; a clean end is no crash, so the counts start anew."""
        if cleanly:
            self._connection.execute("UPDATE intents SET starts = 0")
        self._connection.close()
