"""Stale answers, kept for outages in a SQLite file of their own, apart from the library.

They are written behind, in batches, so that answering a question never waits for a disk. A crash
may lose the answers of the last moments. Each tenant keeps its newest `limit` answers.
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
_QUEUE: Final = 1000  # while the disk fails, more answers than this are refused
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
_CITED_BY_KEY: Final = "CREATE INDEX cited_by_key ON cited (tenant, key);"

_stale: Final = TypeAdapter(StaleAnswer)


class SqliteStaleAnswers:
    """A `StaleAnswers` in `folder`/stale.db."""

    def __init__(self, folder: Path, *, limit: int = _LIMIT) -> None:
        try:
            self._database = Database(folder / FILE_NAME, (_SCHEMA, _CITED_BY_KEY))
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        self._limit = limit
        self._queued: dict[tuple[str, str], StaleAnswer] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._inserting = 0  # batches on their way into the file

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        queued = self._queued.get((tenant, key))
        if queued is not None:
            return queued
        try:
            rows = self._database.rows(
                "SELECT stale FROM answers WHERE tenant = ? AND key = ?", (tenant, key)
            )
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        return _stale.validate_json(rows[0][0]) if rows else None

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        if len(self._queued) >= _QUEUE and (tenant, key) not in self._queued:
            raise CacheUnavailable(reason=Reason.STALE_UNAVAILABLE)
        self._queued[tenant, key] = stale
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """On return the answers are deleted from the file as well."""
        for owner, key in list(self._queued):
            if owner == tenant and document_id in self._queued[owner, key].content_hashes:
                del self._queued[owner, key]
        try:
            if not (self._inserting or self._holds(tenant, document_id)):
                return
            if await self._database.write(lambda c: _forget(c, tenant, document_id)):
                await self._database.compact()
        except LibraryUnavailable as error:
            raise _unavailable(error) from error

    def _holds(self, tenant: str, document_id: str) -> bool:
        """Whether an answer in the file cites the document."""
        sql = "SELECT 1 FROM cited WHERE tenant = ? AND document_id = ? LIMIT 1"
        return bool(self._database.rows(sql, (tenant, document_id)))

    async def flush(self) -> None:
        """Write the queued answers. They stay queued if it raises CacheUnavailable."""
        batch = dict(self._queued)
        if not batch:
            return
        self._inserting += 1
        try:
            await self._database.write(lambda c: self._insert(c, batch), acknowledged=False)
        except LibraryUnavailable as error:
            raise _unavailable(error) from error
        finally:
            self._inserting -= 1
        for key, stale in batch.items():
            if self._queued.get(key) is stale:
                del self._queued[key]

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_DELAY_S)
        try:
            await self.flush()
        except CacheUnavailable:
            return  # the next `store` tries again, and raises once the queue is full

    async def close(self) -> None:
        """Write the queued answers and close the file. May be called twice."""
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
        # An answer forgotten meanwhile must not come back.
        batch = {key: stale for key, stale in batch.items() if key in self._queued}
        connection.executemany(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
            [
                (*key, stale.stored_at.isoformat(), _stale.dump_json(stale).decode())
                for key, stale in batch.items()
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
            deleted = connection.execute(
                "DELETE FROM answers WHERE tenant = ? AND key IN (SELECT key FROM answers"
                " WHERE tenant = ? ORDER BY stored_at DESC LIMIT -1 OFFSET ?)"
                " RETURNING tenant, key",
                (tenant, tenant, self._limit),
            ).fetchall()
            connection.executemany("DELETE FROM cited WHERE tenant = ? AND key = ?", deleted)


def _forget(connection: sqlite3.Connection, tenant: str, document_id: str) -> int:
    """Delete the answers that cite the document; returns how many there were."""
    deleted = connection.execute(
        "DELETE FROM answers WHERE tenant = ? AND key IN"
        " (SELECT key FROM cited WHERE tenant = ? AND document_id = ?)",
        (tenant, tenant, document_id),
    ).rowcount
    connection.execute(
        "DELETE FROM cited WHERE tenant = ? AND document_id = ?", (tenant, document_id)
    )
    return deleted


def _unavailable(error: LibraryUnavailable) -> CacheUnavailable:
    return CacheUnavailable(error.message, reason=Reason.STALE_UNAVAILABLE, hint=error.hint)
