"""Records each billed request before it is sent, so that nothing is bought twice.

A request whose reply was lost may have succeeded. Its record holds what was requested; reconciling
looks for the job in the cloud.
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock

from foliotrace.adapters.local.sqlite.database import apply_migrations
from foliotrace.errors import LibraryUnavailable
from foliotrace.model import PageNumbers, PageSelection, runs_of
from foliotrace.ports import Clock

_FIRST = """
CREATE TABLE IF NOT EXISTS intents (
    tenant TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    job_id TEXT, content_hash TEXT, credits REAL NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS intents_by_day ON intents (tenant, created_at);
CREATE TABLE IF NOT EXISTS copies (
    tenant TEXT NOT NULL, content_hash TEXT NOT NULL, unwanted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, content_hash)) WITHOUT ROWID;
"""
_ORDER_COLUMNS = """
ALTER TABLE intents ADD COLUMN first_page INTEGER;
ALTER TABLE intents ADD COLUMN last_page INTEGER;
ALTER TABLE intents ADD COLUMN source TEXT;
ALTER TABLE intents ADD COLUMN configuration TEXT;
"""
_CHARGE_COLUMNS = """
ALTER TABLE intents ADD COLUMN reservation TEXT;
ALTER TABLE intents ADD COLUMN worst_credits REAL NOT NULL DEFAULT 0;
ALTER TABLE intents ADD COLUMN due_credits REAL;
"""
_SENT_COLUMN = """
ALTER TABLE intents ADD COLUMN sent_at TEXT;
UPDATE intents SET sent_at = updated_at WHERE state = 'meant';
"""
_PAGES_COLUMN = "ALTER TABLE intents ADD COLUMN pages TEXT;"
_SCHEMA = (_FIRST, _ORDER_COLUMNS, _CHARGE_COLUMNS, _SENT_COLUMN, _PAGES_COLUMN)


class PurchaseState(StrEnum):
    """MEANT: recorded, its job not yet known. PLACED: its job is known. The others are final.

    After FAILED and FORGOTTEN (the result was deleted in the cloud) it may be bought again.
    """

    MEANT = "meant"
    PLACED = "placed"
    DONE = "done"
    FAILED = "failed"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The ids in a billed request, by which its job can be found and reused.

    `source` and `configuration` are the cloud's ids; `pages` those that a parse job reads.
    `worst_credits` is the most that the job can cost.
    """

    content_hash: str | None = None
    pages: PageNumbers | None = None
    source: str | None = None
    configuration: str | None = None
    worst_credits: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a purchase is charged. `due`: credits charged on assumption, until they are known.

    `reservation` is None where nothing is reserved, empty where the credits have no price.
    """

    reservation: str | None
    worst: float
    due: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One billed request. Equal requests have the same `key` and are one purchase.

    `sent_at` is None until its request was about to be sent: before that nothing can be billed.
    """

    tenant: str
    key: str
    kind: str  # "parse" or "extract"
    state: PurchaseState
    job_id: str | None
    credits: float
    created_at: datetime
    sent_at: datetime | None
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseJob:
    """A finished parse job whose result may still be in the cloud."""

    key: str
    job_id: str
    pages: PageNumbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Jobs and credits of one day and kind of work."""

    day: str
    kind: str
    jobs: int
    failed: int
    credits: float


_NO_ORDER = Order()


class PurchaseJournal:
    """Purchases and uploaded copies, in SQLite. Calls are short and block the event loop."""

    def __init__(self, file: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        try:
            self._db = sqlite3.connect(
                file, timeout=10, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise LibraryUnavailable(f"the purchase journal cannot be opened: {error}") from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # a lost record could mean a second bill
            apply_migrations(self._db, _SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise LibraryUnavailable(f"the purchase journal cannot be opened: {error}") from error

    def record(
        self, tenant: str, key: str, kind: str, order: Order = _NO_ORDER
    ) -> tuple[Purchase, bool]:
        """Record a purchase durably; (purchase, is_new). A failed or deleted one counts as new."""
        now = self._clock.now().isoformat()
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO intents (tenant, key, kind, state, content_hash, first_page,"
                " last_page, source, configuration, created_at, updated_at, pages)"
                " VALUES (?1, ?2, ?3, 'meant', ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)"
                " ON CONFLICT (tenant, key) DO UPDATE SET state = 'meant', job_id = NULL,"
                " source = ?7, configuration = ?8, sent_at = NULL, created_at = ?9,"
                " updated_at = ?9"
                " WHERE state IN ('failed', 'forgotten') RETURNING 1",
                (
                    tenant,
                    key,
                    kind,
                    order.content_hash,
                    order.pages[0] if order.pages else None,
                    order.pages[-1] if order.pages else None,
                    order.source,
                    order.configuration,
                    now,
                    _selection(order.pages),
                ),
            )
            is_new = cursor.fetchone() is not None
        return self.find(tenant, key), is_new

    def update_order(self, tenant: str, key: str, order: Order) -> None:
        """The recorded request will be sent with other ids."""
        self._run(
            "UPDATE intents SET source = ?, configuration = ? WHERE tenant = ? AND key = ?",
            order.source,
            order.configuration,
            tenant,
            key,
        )

    def find(self, tenant: str, key: str) -> Purchase:
        """The purchase with this key. Raises KeyError."""
        with self._lock:
            row = self._db.execute(
                "SELECT kind, state, job_id, credits, created_at, content_hash, first_page,"
                " last_page, source, configuration, sent_at, pages FROM intents"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
        if row is None:
            raise KeyError(key)
        kind, state, job_id, credits, created_at, content_hash, first, last, source, *rest = row
        conf, sent_at, pages = rest
        return Purchase(
            tenant=tenant,
            key=key,
            kind=kind,
            state=PurchaseState(state),
            job_id=job_id,
            credits=credits,
            created_at=datetime.fromisoformat(created_at).astimezone(UTC),
            sent_at=datetime.fromisoformat(sent_at).astimezone(UTC) if sent_at else None,
            order=Order(
                content_hash=content_hash,
                pages=_numbers(pages, first, last) if first is not None else None,
                source=source,
                configuration=conf,
            ),
        )

    def charge(self, tenant: str, key: str) -> Charge:
        """What the purchase is charged."""
        with self._lock:
            row = self._db.execute(
                "SELECT reservation, worst_credits, due_credits FROM intents"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
        reservation, worst, due = row or (None, 0.0, None)
        return Charge(reservation=reservation, worst=worst, due=due)

    def set_charge(self, tenant: str, key: str, charge: Charge) -> None:
        """Replace what the purchase is charged."""
        self._run(
            "UPDATE intents SET reservation = ?, worst_credits = ?, due_credits = ?"
            " WHERE tenant = ? AND key = ?",
            charge.reservation,
            charge.worst,
            charge.due,
            tenant,
            key,
        )

    def without_credits(self) -> list[tuple[str, str, str, str | None]]:
        """(tenant, key, kind, job id if known) of the purchases whose credits are still due."""
        rows = self._run(
            "SELECT tenant, key, kind, job_id FROM intents WHERE due_credits IS NOT NULL"
        )
        return [(tenant, key, kind, job_id) for tenant, key, kind, job_id in rows]

    def parse_credits(self, tenant: str, job_id: str | None) -> float | None:
        """The credits of our own parse job with this id; None for anything else."""
        rows = self._run(
            "SELECT credits FROM intents WHERE tenant = ? AND job_id = ? AND kind = 'parse'",
            tenant,
            job_id,
        )
        return float(rows[0][0]) if rows else None

    def add_credits(self, tenant: str, key: str, credits: float) -> None:
        """Credits that became known after the job was done."""
        self._run(
            "UPDATE intents SET credits = credits + ? WHERE tenant = ? AND key = ?",
            credits,
            tenant,
            key,
        )

    def is_bought(self, tenant: str, key: str) -> bool:
        """Whether a job with this key exists that neither failed nor was deleted."""
        return bool(
            self._run(
                "SELECT 1 FROM intents WHERE tenant = ? AND key = ?"
                " AND state IN ('placed', 'done') AND job_id IS NOT NULL",
                tenant,
                key,
            )
        )

    def parse_job(self, tenant: str, content_hash: str, pages: PageNumbers) -> ParseJob | None:
        """The finished parse job of this file that read `pages` and the fewest others."""
        rows = self._run(
            "SELECT key, job_id, first_page, last_page, pages FROM intents WHERE tenant = ?"
            " AND content_hash = ? AND kind = 'parse' AND state = 'done'"
            " AND first_page <= ? AND last_page >= ?"
            " ORDER BY updated_at DESC",
            tenant,
            content_hash,
            pages[0],
            pages[-1],
        )
        read = [
            ParseJob(key=key, job_id=job_id, pages=_numbers(selection, int(first), int(last)))
            for key, job_id, first, last, selection in rows
        ]
        wanted = set(pages)
        covering = [job for job in read if wanted.issubset(job.pages)]
        return min(covering, key=lambda job: len(job.pages), default=None)

    def mark_sent(self, tenant: str, key: str) -> None:
        """The request is about to be sent: from now on there may be a job."""
        now = self._clock.now().isoformat()
        self._run("UPDATE intents SET sent_at = ? WHERE tenant = ? AND key = ?", now, tenant, key)

    def mark_unsent(self, tenant: str, key: str) -> None:
        """The request was refused: no job needs to be waited for."""
        self._run("UPDATE intents SET sent_at = NULL WHERE tenant = ? AND key = ?", tenant, key)

    def mark_placed(self, tenant: str, key: str, job_id: str) -> None:
        """The request created this job."""
        self._set_state(tenant, key, PurchaseState.PLACED, job_id=job_id)

    def mark_done(self, tenant: str, key: str, *, credits: float) -> None:
        """The job succeeded and cost `credits`."""
        self._set_state(tenant, key, PurchaseState.DONE, credits=credits)

    def mark_failed(self, tenant: str, key: str, *, credits: float = 0.0) -> None:
        """The request created no job, or its job failed and still cost `credits`."""
        self._set_state(tenant, key, PurchaseState.FAILED, credits=credits)

    def mark_deleted(self, tenant: str, key: str) -> None:
        """The job and its result were deleted in the cloud."""
        self._set_state(tenant, key, PurchaseState.FORGOTTEN)

    def jobs_of(self, tenant: str, content_hash: str) -> list[tuple[str, str, str]]:
        """(key, kind, job id) of the file's jobs whose results are still in the cloud."""
        rows = self._run(
            "SELECT key, kind, job_id FROM intents WHERE tenant = ? AND content_hash = ?"
            " AND job_id IS NOT NULL AND state <> 'forgotten'",
            tenant,
            content_hash,
        )
        return [(key, kind, job_id) for key, kind, job_id in rows]

    def spending(self, tenant: str, *, since: datetime) -> list[Spending]:
        """Usage by day and kind, oldest first."""
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

    def record_upload(self, tenant: str, content_hash: str) -> None:
        """The file is about to be uploaded: from now on the cloud may hold a copy."""
        self._run(
            "INSERT OR REPLACE INTO copies (tenant, content_hash) VALUES (?, ?)",
            tenant,
            content_hash,
        )

    def mark_unneeded(self, tenant: str, content_hash: str) -> None:
        """The copy is no longer needed and may be deleted."""
        self._run(
            "UPDATE copies SET unwanted = 1 WHERE tenant = ? AND content_hash = ?",
            tenant,
            content_hash,
        )

    def drop_copy(self, tenant: str, content_hash: str) -> None:
        """The cloud holds no copy any more."""
        self._run("DELETE FROM copies WHERE tenant = ? AND content_hash = ?", tenant, content_hash)

    def copies(self) -> list[tuple[str, str, bool]]:
        """(tenant, content hash, unneeded) of every copy that may be in the cloud."""
        rows = self._run("SELECT tenant, content_hash, unwanted FROM copies")
        return [(tenant, content_hash, bool(unwanted)) for tenant, content_hash, unwanted in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, statement: str, *values: object) -> list[tuple[str, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def _set_state(
        self,
        tenant: str,
        key: str,
        state: PurchaseState,
        *,
        job_id: str | None = None,
        credits: float = 0.0,
    ) -> None:
        with self._lock:
            self._db.execute(
                "UPDATE intents SET state = ?, job_id = COALESCE(?, job_id),"
                " credits = credits + ?, updated_at = ? WHERE tenant = ? AND key = ?",
                (state, job_id, credits, self._clock.now().isoformat(), tenant, key),
            )


def _selection(pages: PageNumbers | None) -> str | None:
    """The column that holds numbers with gaps; those without are their first and last."""
    runs = tuple(runs_of(pages or ()))
    return str(PageSelection(runs)) if len(runs) > 1 else None


def _numbers(selection: str | None, first: int, last: int) -> PageNumbers:
    """The numbers of the columns `pages`, `first_page` and `last_page`."""
    if selection is None:
        return tuple(range(first, last + 1))
    return PageSelection.parse(selection).numbers()
