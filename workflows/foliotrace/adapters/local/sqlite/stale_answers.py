"""Answers kept for bad days, in a SQLite file of their own: the library's failure is not theirs.

Written behind, in batches: answering a question does not wait for a disk. A crash may lose the last
moment's answers. The newest `limit` answers of a tenant are kept.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from foliotrace.adapters.local.sqlite.database import Database
from foliotrace.catalog import Reason
from foliotrace.errors import CacheUnavailable, LibraryUnavailable
from foliotrace.ports import StaleAnswer

FILE_NAME: Final = "stale.db"
_DELAY_S: Final = 0.5
_WAITING: Final = 1000  # answers that wait at most; more are not kept
_LIMIT: Final = 10_000

_SCHEMA: Final = """
CREATE TABLE answers (
  tenant TEXT NOT NULL, key TEXT NOT NULL, stored_at TEXT NOT NULL, stale TEXT NOT NULL,
  PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (tenant, stored_at);
CREATE TABLE cited (
  tenant TEXT NOT NULL, document_id TEXT NOT NULL, key TEXT NOT NULL,
  PRIMARY KEY (tenant, document_id, key)
) WITHOUT ROWID;
"""

_stale: Final = TypeAdapter(StaleAnswer)


class SqliteStaleAnswers:
    """A `StaleAnswers` in `folder`/stale.db."""

    def __init__(self, folder: Path, *, limit: int = _LIMIT) -> None:
        try:
            self._database = Database(folder / FILE_NAME, (_SCHEMA,))
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        self._limit = limit
        self._waiting: dict[tuple[str, str], StaleAnswer] = {}
        self._flushing: asyncio.Task[None] | None = None

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        """See `StaleAnswers.lookup`."""
        waiting = self._waiting.get((tenant, key))
        if waiting is not None:
            return waiting
        try:
            rows = self._database.rows(
                "SELECT stale FROM answers WHERE tenant = ? AND key = ?", (tenant, key)
            )
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        return _stale.validate_json(rows[0][0]) if rows else None

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        """See `StaleAnswers.store`."""
        if len(self._waiting) >= _WAITING and (tenant, key) not in self._waiting:
            raise CacheUnavailable(reason=Reason.STALE_UNAVAILABLE)
        self._waiting[tenant, key] = stale
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """See `StaleAnswers.forget_document`; gone from the file too when it returns."""
        for owner, key in list(self._waiting):
            if owner == tenant and document_id in self._waiting[owner, key].content_hashes:
                del self._waiting[owner, key]
        try:
            if await self._database.write(lambda c: _forget(c, tenant, document_id)):
                await self._database.compact()
        except LibraryUnavailable as error:
            raise _unavailable(error) from error

    async def flush(self) -> None:
        """Write what is waiting. Raises CacheUnavailable; then it goes on waiting."""
        batch = dict(self._waiting)
        if not batch:
            return
        try:
            await self._database.write(lambda c: self._insert(c, batch))
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        for place, stale in batch.items():
            if self._waiting.get(place) is stale:
                del self._waiting[place]

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_DELAY_S)
        try:
            await self.flush()
        except CacheUnavailable:
            return  # the next `store` tries again, and says so once too many wait

    async def close(self) -> None:
        """Write what is waiting and stop. Twice is fine."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._flushing = None
        try:
            await self.flush()
        finally:
            self._database.close()

    def _insert(
        self, connection: sqlite3.Connection, batch: dict[tuple[str, str], StaleAnswer]
    ) -> None:
        # An answer that was forgotten meanwhile must not come back.
        batch = {place: stale for place, stale in batch.items() if place in self._waiting}
        connection.executemany(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
            [
                (*place, stale.stored_at.isoformat(), _stale.dump_json(stale).decode())
                for place, stale in batch.items()
            ],
        )
        connection.executemany("DELETE FROM cited WHERE tenant = ? AND key = ?", list(batch))
        connection.executemany(
            "INSERT OR IGNORE INTO cited VALUES (?, ?, ?)",
            [
                (tenant, document_id, key)
                for (tenant, key), stale in batch.items()
                for document_id in stale.content_hashes
            ],
        )
        self._trim(connection, sorted({tenant for tenant, _ in batch}))

    def _trim(self, connection: sqlite3.Connection, tenants: Sequence[str]) -> None:
        for tenant in tenants:
            gone = connection.execute(
                "DELETE FROM answers WHERE tenant = ? AND key IN (SELECT key FROM answers"
                " WHERE tenant = ? ORDER BY stored_at DESC LIMIT -1 OFFSET ?)",
                (tenant, tenant, self._limit),
            ).rowcount
            if gone:
                connection.execute(
                    "DELETE FROM cited WHERE tenant = ? AND key NOT IN"
                    " (SELECT key FROM answers WHERE tenant = ?)",
                    (tenant, tenant),
                )


def _forget(connection: sqlite3.Connection, tenant: str, document_id: str) -> int:
    """Delete the answers that cite the document; how many."""
    gone = connection.execute(
        "DELETE FROM answers WHERE tenant = ? AND key IN"
        " (SELECT key FROM cited WHERE tenant = ? AND document_id = ?)",
        (tenant, tenant, document_id),
    ).rowcount
    connection.execute(
        "DELETE FROM cited WHERE tenant = ? AND document_id = ?", (tenant, document_id)
    )
    return gone


def _unavailable(error: LibraryUnavailable) -> CacheUnavailable:
    return CacheUnavailable(error.message, reason=Reason.STALE_UNAVAILABLE, hint=error.hint)
