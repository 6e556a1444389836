"""What we meant to buy: a row before each billed request, so that nothing is bought twice.

A request whose reply is lost may have been done. The row says what was asked; reconciling finds
the job it became, or shows that it became none.
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock

from foliotrace.errors import LibraryUnavailable
from foliotrace.ports import Clock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
    tenant TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    job_id TEXT, credits REAL NOT NULL DEFAULT 0, pages INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS intents_by_day ON intents (tenant, created_at);
"""


class IntentState(StrEnum):
    """MEANT: asked, or about to be. PLACED: a job is known. The others are final."""

    MEANT = "meant"
    PLACED = "placed"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One billed piece of work. `key` identifies it: what is equal is the same purchase."""

    tenant: str
    key: str
    kind: str  # "parse" or "extract"
    state: IntentState
    job_id: str | None
    credits: float
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a tenant bought on a day: jobs, pages and credits by kind of work."""

    day: str
    kind: str
    jobs: int
    failed: int
    credits: float


class IntentLog:
    """The intents in SQLite. Calls are short and run where they are made."""

    def __init__(self, file: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        try:
            self._db = sqlite3.connect(
                file, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # a lost intent is a second bill
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LibraryUnavailable(f"the intent log cannot be opened: {error}") from error

    def mean(self, tenant: str, key: str, kind: str) -> tuple[Intent, bool]:
        """Write the intent, durably; (intent, is_new). A failed one may be tried anew."""
        now = self._clock.now().isoformat()
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO intents (tenant, key, kind, state, created_at, updated_at)"
                " VALUES (?1, ?2, ?3, 'meant', ?4, ?4) ON CONFLICT (tenant, key) DO UPDATE"
                " SET state = 'meant', job_id = NULL, created_at = ?4, updated_at = ?4"
                " WHERE state = 'failed' RETURNING 1",
                (tenant, key, kind, now),
            )
            is_new = cursor.fetchone() is not None
        return self.find(tenant, key), is_new

    def find(self, tenant: str, key: str) -> Intent:
        """The intent of a key that was meant before. Raises KeyError."""
        with self._lock:
            row = self._db.execute(
                "SELECT kind, state, job_id, credits, created_at FROM intents"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
        if row is None:
            raise KeyError(key)
        kind, state, job_id, credits, created_at = row
        return Intent(
            tenant=tenant,
            key=key,
            kind=kind,
            state=IntentState(state),
            job_id=job_id,
            credits=credits,
            created_at=datetime.fromisoformat(created_at).astimezone(UTC),
        )

    def placed(self, tenant: str, key: str, job_id: str) -> None:
        """The request became this job."""
        self._move(tenant, key, IntentState.PLACED, job_id=job_id)

    def done(self, tenant: str, key: str, *, credits: float) -> None:
        """The job ended well and cost this much."""
        self._move(tenant, key, IntentState.DONE, credits=credits)

    def failed(self, tenant: str, key: str, *, credits: float = 0.0) -> None:
        """The request became no job, or its job failed; what it cost all the same."""
        self._move(tenant, key, IntentState.FAILED, credits=credits)

    def spending(self, tenant: str, *, since: datetime) -> list[Spending]:
        """By day and kind, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT substr(created_at, 1, 10) AS day, kind, COUNT(*), SUM(state = 'failed'),"
                " SUM(credits) FROM intents WHERE tenant = ? AND created_at >= ?"
                " GROUP BY day, kind ORDER BY day, kind",
                (tenant, since.astimezone(UTC).isoformat()),
            ).fetchall()
        return [
            Spending(day=day, kind=kind, jobs=jobs, failed=failed, credits=credits)
            for day, kind, jobs, failed, credits in rows
        ]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _move(
        self,
        tenant: str,
        key: str,
        state: IntentState,
        *,
        job_id: str | None = None,
        credits: float | None = None,
    ) -> None:
        with self._lock:
            self._db.execute(
                "UPDATE intents SET state = ?, job_id = COALESCE(?, job_id),"
                " credits = COALESCE(?, credits), updated_at = ? WHERE tenant = ? AND key = ?",
                (state, job_id, credits, self._clock.now().isoformat(), tenant, key),
            )
