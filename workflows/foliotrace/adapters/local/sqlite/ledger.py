"""The budget ledger in SQLite: atomic across the processes of one machine.

Amounts are whole micro-dollars, so sums are exact. A reservation of a process that was killed is
released when the file is opened next: each process holds a lock that the kernel drops with it.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import IO
from uuid import uuid4

from foliotrace.adapters.local.sqlite.database import apply_migrations
from foliotrace.budget import to_micro_usd
from foliotrace.errors import BudgetExceeded, LedgerUnavailable
from foliotrace.ports import Clock, Reservation

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    tenant TEXT NOT NULL, day TEXT NOT NULL, micro_usd INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserved (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, day TEXT NOT NULL,
    micro_usd INTEGER NOT NULL, expires_s REAL NOT NULL,
    expired INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reserved_of ON reserved (tenant, day);
"""
_OWNER_COLUMN = "ALTER TABLE reserved ADD COLUMN owner TEXT NOT NULL DEFAULT '';"


class SqliteLedger:
    """A `BudgetLedger`. With `daily_cap_usd` None, spending is counted but not limited."""

    def __init__(
        self,
        file: Path,
        *,
        clock: Clock,
        daily_cap_usd: Decimal | None = None,
        lease_s: float = 600.0,
    ) -> None:
        self._clock = clock
        self._cap = None if daily_cap_usd is None else to_micro_usd(daily_cap_usd)
        self._cap_usd = daily_cap_usd
        self._lease_s = lease_s
        self._lock = Lock()
        self._owners = file.with_name(f"{file.name}-owners")
        self._owner = uuid4().hex
        try:
            self._owners.mkdir(mode=0o700, exist_ok=True)
            self._owner_lock = (self._owners / self._owner).open("wb")
            fcntl.flock(self._owner_lock, fcntl.LOCK_EX)
        except OSError as error:
            raise LedgerUnavailable(f"the budget ledger cannot be opened: {error}") from error
        try:
            self._db = sqlite3.connect(
                file, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            apply_migrations(self._db, (_SCHEMA, _OWNER_COLUMN))
        except sqlite3.Error as error:
            self._owner_lock.close()
            raise LedgerUnavailable(f"the budget ledger cannot be opened: {error}") from error
        self._release_the_dead()

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        amount = to_micro_usd(amount_usd)
        now = self._clock.now()
        day = now.date().isoformat()
        reservation = Reservation(id=uuid4().hex, tenant=tenant, amount_usd=amount_usd)
        with self._transaction() as db:
            self._release_expired(db, now.timestamp())
            if self._cap is not None and self._used(db, tenant, day) + amount > self._cap:
                raise BudgetExceeded(
                    f"the call could exceed the tenant's budget of {self._cap_usd} USD for {day}",
                    hint="Raise budget.daily_usd_per_tenant, or wait until the next day (UTC).",
                )
            db.execute(
                "INSERT INTO reserved VALUES (?, ?, ?, ?, ?, 0, ?)",
                (reservation.id, tenant, day, amount, now.timestamp() + self._lease_s, self._owner),
            )
        return reservation

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        with self._transaction() as db:
            row = db.execute(
                "DELETE FROM reserved WHERE id = ? AND tenant = ? RETURNING day",
                (reservation.id, reservation.tenant),
            ).fetchone()
            if row is None:
                return  # already settled
            db.execute(
                "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (tenant, day)"
                " DO UPDATE SET micro_usd = micro_usd + excluded.micro_usd",
                (reservation.tenant, row[0], to_micro_usd(actual_usd)),
            )

    async def spent_usd(self, tenant: str) -> Decimal:
        now = self._clock.now()
        with self._transaction() as db:
            self._release_expired(db, now.timestamp())
            return Decimal(self._used(db, tenant, now.date().isoformat())) / 1_000_000

    def close(self) -> None:
        """Close the file; what is still reserved stays so until its lease ends."""
        self._db.close()
        self._owner_lock.close()

    def _release_the_dead(self) -> None:
        """Release what processes without a lock have reserved; a late settlement still counts."""
        for file in self._owners.iterdir():
            if file.name == self._owner or not (lock := _lock_of_a_dead_process(file)):
                continue
            with lock, self._transaction() as db:
                db.execute("UPDATE reserved SET expired = 1 WHERE owner = ?", (file.name,))
                file.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise LedgerUnavailable(f"the budget ledger failed: {error}") from error

    @staticmethod
    def _used(db: sqlite3.Connection, tenant: str, day: str) -> int:
        row = db.execute(
            "SELECT (SELECT COALESCE(SUM(micro_usd), 0) FROM spent WHERE tenant = ? AND day = ?)"
            " + (SELECT COALESCE(SUM(micro_usd), 0) FROM reserved"
            " WHERE tenant = ? AND day = ? AND NOT expired)",
            (tenant, day, tenant, day),
        ).fetchone()
        return int(row[0])

    @staticmethod
    def _release_expired(db: sqlite3.Connection, now_s: float) -> None:
        # Expired rows stay for a day: a call that ends late is still settled, and counted once.
        db.execute("UPDATE reserved SET expired = 1 WHERE expires_s < ? AND NOT expired", (now_s,))
        db.execute("DELETE FROM reserved WHERE expires_s < ?", (now_s - 86_400,))


def _lock_of_a_dead_process(file: Path) -> IO[bytes] | None:
    """The lock of a process that has ended; None while it lives, or if another one releases it."""
    try:
        lock = file.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
