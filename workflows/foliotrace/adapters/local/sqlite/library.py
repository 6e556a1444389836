"""The library on SQLite: documents, pages, chunks and versions; the truth of a data folder.

Readers in any process, one writer. What a question needs (chunks, a page, the version) is read
where it is asked for, without a thread hop, and kept while the library version stands still.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.adapters.local.page_codec import unpack_page
from foliotrace.adapters.local.sqlite import writes
from foliotrace.adapters.local.sqlite.database import Database
from foliotrace.adapters.local.sqlite.rows import (
    CHUNK,
    DOCUMENT,
    admitted_by,
    chunk_of,
    document_of,
    marks,
)
from foliotrace.adapters.local.sqlite.schema import MIGRATIONS
from foliotrace.errors import NotFound
from foliotrace.model import (
    Chunk,
    Document,
    DocumentStatus,
    Filters,
    Identity,
    ParsedPage,
)
from foliotrace.ports import Change, Clock, DocumentDraft, DocumentLabel, Registration

FILE_NAME: Final = "library.db"
_KEPT_CHUNKS: Final = 4096
_KEPT_PAGES: Final = 128


class SqliteLibrary:
    """A `Library`, and the file in which `SqliteJobs` and `SqliteRuns` keep their rows too."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._chunks: LruCache[tuple[str, str], Chunk] = LruCache(_KEPT_CHUNKS)
        self._labels: LruCache[tuple[str, str], DocumentLabel] = LruCache(_KEPT_CHUNKS)
        self._pages: LruCache[tuple[str, str, int], ParsedPage] = LruCache(_KEPT_PAGES)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        lock_wait_s: float = 10.0,
    ) -> "SqliteLibrary":
        """Open (and create or migrate) the folder's library. Raises LibraryUnavailable."""
        database = Database(
            folder / FILE_NAME, MIGRATIONS, read_only=read_only, lock_wait_s=lock_wait_s
        )
        return cls(database, clock or SystemClock())

    def close(self) -> None:
        """Finish the writes under way. Twice is fine."""
        self.database.close()

    def library_id(self) -> int:
        """A number drawn when the library was created; derived indexes remember it."""
        return int(self.database.rows("SELECT value FROM state WHERE key = 'library_id'")[0][0])

    # --- documents -------------------------------------------------------------------------

    async def register(self, tenant: str, draft: DocumentDraft) -> Registration:
        """See `Library.register`."""
        now = self._now()
        return await self.database.write(lambda c: writes.register(c, tenant, draft, now))

    async def document(self, tenant: str, document_id: str) -> Document:
        """See `Library.document`."""
        return self._document(tenant, document_id)

    def _document(self, tenant: str, document_id: str) -> Document:
        rows = self.database.rows(
            f"SELECT {DOCUMENT} FROM documents WHERE id = ? AND tenant = ?",  # noqa: S608
            (document_id, tenant),
        )
        if not rows:
            raise NotFound("There is no such document.", code="document_not_found")
        return document_of(rows[0])

    async def documents(
        self,
        tenant: str,
        *,
        collection: str | None = None,
        filters: Filters | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Document]:
        """See `Library.documents`."""
        condition, parameters = admitted_by(filters or Filters())
        sql = (
            f"SELECT {DOCUMENT} FROM documents WHERE tenant = ? AND id > ?"  # noqa: S608 - marks
            " AND (? IS NULL OR collection = ?) AND (? IS NULL OR name = ?)"
            f" AND {condition} ORDER BY id LIMIT {int(limit)}"
        )
        arguments = (tenant, after or "", collection, collection, name, name, *parameters)
        return [document_of(row) for row in self.database.rows(sql, arguments)]

    async def collections(self, tenant: str) -> Sequence[tuple[str, int]]:
        """See `Library.collections`."""
        return [
            (str(name), int(count))
            for name, count in self.database.rows(
                "SELECT collection, count(*) FROM documents WHERE tenant = ?"
                " GROUP BY collection ORDER BY collection",
                (tenant,),
            )
        ]

    async def matching(self, tenant: str, collection: str, filters: Filters) -> Sequence[str]:
        """See `Library.matching`."""
        condition, parameters = admitted_by(filters)
        rows = self.database.rows(
            "SELECT id FROM documents WHERE tenant = ? AND collection = ?"  # noqa: S608 - marks
            f" AND revision IS NOT NULL AND {condition} ORDER BY id",
            (tenant, collection, *parameters),
        )
        return [row[0] for row in rows]

    async def labels(self, tenant: str, document_ids: Sequence[str]) -> Sequence[DocumentLabel]:
        """See `Library.labels`."""
        self._labels.keep_for(await self.version())
        return [self._label(tenant, document_id) for document_id in document_ids]

    def _label(self, tenant: str, document_id: str) -> DocumentLabel:
        known = self._labels.get((tenant, document_id))
        if known is None:
            document = self._document(tenant, document_id)
            known = DocumentLabel(document.name, document.identity.header())
            self._labels.put((tenant, document_id), known)
        return known

    async def unsettled(self) -> Sequence[Document]:
        """See `Library.unsettled`."""
        sql = f"SELECT {DOCUMENT} FROM documents WHERE status IN (?, ?) ORDER BY id"  # noqa: S608
        under_way = (DocumentStatus.QUEUED.value, DocumentStatus.INGESTING.value)
        return [document_of(row) for row in self.database.rows(sql, under_way)]

    async def refers_to(self, tenant: str, content_hash: str) -> bool:
        """See `Library.refers_to`."""
        return bool(
            self.database.rows(
                "SELECT 1 FROM documents WHERE tenant = ? AND content_hash = ? LIMIT 1",
                (tenant, content_hash),
            )
        )

    # --- ingestion -------------------------------------------------------------------------

    async def begin(
        self,
        tenant: str,
        document_id: str,
        *,
        revision: str,
        pages_total: int,
        stated_title: str | None = None,
    ) -> int:
        """See `Library.begin`."""
        now = self._now()

        def work(c: sqlite3.Connection) -> int:
            document = writes.find(c, tenant, document_id)
            return writes.begin(c, document, revision, pages_total, stated_title, now)

        return await self.database.write(work)

    async def add_window(
        self, tenant: str, document_id: str, *, revision: str, pages: Sequence[ParsedPage]
    ) -> None:
        """See `Library.add_window`."""
        now = self._now()

        def work(c: sqlite3.Connection) -> None:
            document = writes.find(c, tenant, document_id)
            writes.add_window(c, document, revision, packed, now)

        packed = await asyncio.to_thread(writes.packed_window, pages)
        await self.database.write(work, acknowledged=False)

    async def add_chunks(
        self, tenant: str, document_id: str, *, revision: str, chunks: Sequence[Chunk]
    ) -> None:
        """See `Library.add_chunks`."""

        def work(c: sqlite3.Connection) -> None:
            writes.add_chunks(c, writes.find(c, tenant, document_id), revision, chunks)

        await self.database.write(work, acknowledged=False)

    async def publish(
        self, tenant: str, document_id: str, *, revision: str, identity: Identity
    ) -> int:
        """See `Library.publish`."""
        now = self._now()

        def work(c: sqlite3.Connection) -> int:
            document = writes.find(c, tenant, document_id)
            return writes.publish(c, document, revision, identity, now)

        with self._forgetting():
            return await self.database.write(work)

    async def fail(
        self,
        tenant: str,
        document_id: str,
        *,
        problem: str,
        detail: str,
        content_hash: str | None = None,
        keep_pages: bool = True,
    ) -> None:
        """See `Library.fail`."""
        now = self._now()

        def work(c: sqlite3.Connection) -> None:
            document = writes.find(c, tenant, document_id)
            if content_hash in (None, document.content_hash):
                writes.fail(c, document, problem, detail, keep_pages, now)

        await self.database.write(work)

    async def delete(self, tenant: str, document_id: str) -> Document:
        """See `Library.delete`."""

        def work(c: sqlite3.Connection) -> Document:
            document = writes.find(c, tenant, document_id)
            writes.delete(c, document)
            return document

        with self._forgetting():
            return await self.database.write(work)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Drop what is kept in memory: deleted text must not live on here."""
        try:
            yield
        finally:
            for kept in (self._chunks, self._labels, self._pages):
                kept.clear()

    # --- pages and chunks ------------------------------------------------------------------

    async def page(
        self, tenant: str, document_id: str, number: int, *, revision: str | None = None
    ) -> ParsedPage:
        """See `Library.page`."""
        if revision is None:
            document = self._document(tenant, document_id)
            revision = document.revision or document.pending_revision or ""
        key = (tenant, revision, number)
        found = self._pages.get(key)
        if found is None:
            found = self._load_page(*key)
            self._pages.put(key, found)
        return found

    def _load_page(self, tenant: str, revision: str, number: int) -> ParsedPage:
        rows = self.database.rows(
            "SELECT page, words FROM pages WHERE tenant = ? AND revision = ? AND number = ?",
            (tenant, revision, number),
        )
        if not rows:
            raise NotFound("There is no such page.", code="page_not_found")
        return unpack_page(*rows[0])

    async def pages(
        self, tenant: str, document_id: str, numbers: range, *, revision: str | None = None
    ) -> Sequence[ParsedPage]:
        """See `Library.pages`."""
        document = self._document(tenant, document_id)
        wanted = revision or document.revision or document.pending_revision or ""

        def work(c: sqlite3.Connection) -> list[ParsedPage]:
            rows = c.execute(
                "SELECT page, words FROM pages WHERE tenant = ? AND revision = ?"
                " AND number >= ? AND number < ? ORDER BY number",
                (tenant, wanted, numbers.start, numbers.stop),
            )
            return [unpack_page(*row) for row in rows]

        return await self.database.read(work)

    async def chunks(self, tenant: str, ids: Sequence[str]) -> Sequence[Chunk]:
        """See `Library.chunks`."""
        self._chunks.keep_for(await self.version())
        known = {i: self._chunks.get((tenant, i)) for i in ids}
        missing = [i for i, chunk in known.items() if chunk is None]
        if missing:
            rows = self.database.rows(
                f"SELECT {CHUNK} FROM chunks c"  # noqa: S608 - constants and marks
                " JOIN documents d ON d.id = c.document_id AND d.revision = c.revision"
                f" WHERE c.tenant = ? AND c.id IN ({marks(missing)})",
                (tenant, *missing),
            )
            for row in rows:
                known[row[0]] = found = chunk_of(row)
                self._chunks.put((tenant, found.id), found)
        return [chunk for i in ids if (chunk := known[i]) is not None]

    async def document_chunks(
        self,
        tenant: str,
        document_id: str,
        *,
        after_ordinal: int = -1,
        limit: int = 1000,
    ) -> Sequence[Chunk]:
        """See `Library.document_chunks`."""

        def work(c: sqlite3.Connection) -> list[Chunk]:
            rows = c.execute(
                f"SELECT {CHUNK} FROM documents d"  # noqa: S608 - constants
                " JOIN chunks c ON c.document_id = d.id AND c.revision = d.revision"
                " WHERE d.tenant = ? AND d.id = ? AND c.ordinal > ? ORDER BY c.ordinal LIMIT ?",
                (tenant, document_id, after_ordinal, limit),
            )
            return [chunk_of(row) for row in rows]

        return await self.database.read(work)

    # --- versions --------------------------------------------------------------------------

    async def version(self) -> int:
        """See `Library.version`."""
        return int(self.database.rows("SELECT value FROM state WHERE key = 'version'")[0][0])

    async def changed_since(self, version: int, tenant: str, collection: str) -> bool:
        """See `Library.changed_since`."""
        found = self.database.rows(
            "SELECT 1 FROM changes WHERE version > ? AND tenant = ? AND collection = ? LIMIT 1",
            (version, tenant, collection),
        )
        return bool(found)

    async def changes(self, after_version: int, *, limit: int = 1000) -> Sequence[Change]:
        """See `Library.changes`."""
        rows = self.database.rows(
            "SELECT version, tenant, collection, document_id, deleted FROM changes"
            " WHERE version > ? ORDER BY version LIMIT ?",
            (after_version, limit),
        )
        return [
            Change(version=v, tenant=t, collection=c, document_id=d, deleted=bool(x))
            for v, t, c, d, x in rows
        ]

    async def compact(self) -> None:
        """See `Library.compact`."""
        await self.database.compact()

    def _now(self) -> str:
        return self.clock.now().isoformat()
