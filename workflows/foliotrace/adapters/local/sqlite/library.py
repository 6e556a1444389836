"""The library on SQLite: documents, pages, chunks and the change log of a data folder.

Any process may read, one may write. Small reads (chunks, a page, the version) run on the calling
thread, because a thread hop costs more than the read, and are cached until the version changes.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from foliotrace.adapters.local.clock import LoopTurn, SystemClock
from foliotrace.adapters.local.files.left_behind import LIBRARY_FILE
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.adapters.local.page_codec import unpack_page
from foliotrace.adapters.local.sqlite import whole_documents, writes
from foliotrace.adapters.local.sqlite.columns import (
    CHUNK,
    DOCUMENT,
    IDENTITY,
    filter_condition,
    placeholders,
)
from foliotrace.adapters.local.sqlite.database import Database, decoding
from foliotrace.adapters.local.sqlite.schema import MIGRATIONS
from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace.model import (
    Chunk,
    Document,
    DocumentStatus,
    Filters,
    Identity,
    PageNumbers,
    ParsedPage,
)
from foliotrace.ports import (
    Change,
    Clock,
    DocumentDraft,
    DocumentLabel,
    Registration,
    WholeDocument,
)
from foliotrace.settings import SHORT_CHARACTERS
from foliotrace.text_caches import clear_on_deletion

T = TypeVar("T")

FILE_NAME: Final = LIBRARY_FILE
_CACHED_CHUNKS: Final = 4096
_CACHED_PAGES: Final = 128
_FEW_PAGES: Final = 4  # read on the calling thread
_FEW_CHUNKS: Final = 32

_DOCUMENTS: Final = f"SELECT {DOCUMENT.listed()} FROM documents"  # noqa: S608 - columns
_IDENTITIES_BY_ID: Final = (
    f"SELECT id, name, COALESCE(served_hash, content_hash), {IDENTITY.listed()}"  # noqa: S608 - columns
    " FROM documents"
    " WHERE +tenant = ? AND id IN "  # the plus: by primary key, not the tenant's whole index
)
_CHUNKS_BY_ID: Final = (
    f"SELECT {CHUNK.listed('c')} FROM chunks c"  # noqa: S608 - columns
    " JOIN documents d ON d.id = c.document_id AND d.revision = c.revision"
    " WHERE c.tenant = ? AND c.id IN "
)
_CHUNKS_OF_DOCUMENT: Final = (
    f"SELECT {CHUNK.listed('c')} FROM documents d"  # noqa: S608 - columns
    " JOIN chunks c ON c.document_id = d.id AND c.revision = d.revision"
    " WHERE d.tenant = ? AND d.id = ? AND c.ordinal > ? ORDER BY c.ordinal LIMIT ?"
)


class SqliteLibrary:
    """A `Library`; `SqliteJobs` and `SqliteRuns` store their rows in the same file."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._turn = LoopTurn()
        self._version = 0  # read in this turn of the event loop
        self._chunks: LruCache[tuple[str, str], Chunk] = LruCache(_CACHED_CHUNKS)
        self._labels: LruCache[tuple[str, str], DocumentLabel] = LruCache(_CACHED_CHUNKS)
        self._pages: LruCache[tuple[str, str, int], ParsedPage] = LruCache(_CACHED_PAGES)
        clear_on_deletion(self)

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
        """Finish the writes in progress. May be called twice."""
        self.database.close()

    def library_id(self) -> int:
        return int(self.database.rows("SELECT value FROM state WHERE key = 'library_id'")[0][0])

    def originals(self) -> Sequence[tuple[str, str]]:
        """(tenant, content hash) of every document, each once. Raises LibraryUnavailable."""
        return self.database.rows("SELECT DISTINCT tenant, content_hash FROM documents")

    # --- documents -------------------------------------------------------------------------

    async def register(self, tenant: str, draft: DocumentDraft) -> Registration:
        now = self.clock.now()
        return await self.database.write(lambda c: writes.register(c, tenant, draft, now))

    async def document(self, tenant: str, document_id: str) -> Document:
        return self._document(tenant, document_id)

    def _document(self, tenant: str, document_id: str) -> Document:
        rows = self.database.rows(
            f"{_DOCUMENTS} WHERE id = ? AND tenant = ?", (document_id, tenant)
        )
        if not rows:
            raise NotFound(code=ErrorCode.DOCUMENT_NOT_FOUND)
        with decoding():
            return DOCUMENT.read(rows[0])

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
        condition, parameters = filter_condition(filters or Filters())
        place = {"collection": collection, "name": name}
        wanted = {column: value for column, value in place.items() if value is not None}
        sql = (
            f"{_DOCUMENTS} WHERE tenant = ? AND id > ?"
            f"{''.join(f' AND {column} = ?' for column in wanted)}"
            f" AND {condition} ORDER BY id LIMIT {int(limit)}"
        )
        arguments = (tenant, after or "", *wanted.values(), *parameters)
        with decoding():
            return [DOCUMENT.read(row) for row in self.database.rows(sql, arguments)]

    async def matching(self, tenant: str, collection: str, filters: Filters) -> Sequence[str]:
        condition, parameters = filter_condition(filters)
        # The unary plus keeps SQLite from reading every document of the tenant to find a few ids.
        by_id = "+" if filters else ""
        rows = self.database.rows(
            f"SELECT id FROM documents WHERE {by_id}tenant = ? AND {by_id}collection = ?"  # noqa: S608 - placeholders only
            f" AND {by_id}revision IS NOT NULL AND {condition} ORDER BY id",
            (tenant, collection, *parameters),
        )
        return [row[0] for row in rows]

    async def labels(self, tenant: str, document_ids: Sequence[str]) -> Sequence[DocumentLabel]:
        self._labels.keep_for(await self.version())
        known = {i: self._labels.get((tenant, i)) for i in document_ids}
        missing = [i for i, cached in known.items() if cached is None]
        if missing:
            sql = f"{_IDENTITIES_BY_ID}({placeholders(missing)})"
            for document_id, name, digest, *identity in self.database.rows(sql, (tenant, *missing)):
                header = IDENTITY.read(identity).header()
                read = known[document_id] = DocumentLabel(name, header, digest)
                self._labels.put((tenant, document_id), read)
        found = [label for i in document_ids if (label := known[i]) is not None]
        if len(found) < len(document_ids):
            raise NotFound(code=ErrorCode.DOCUMENT_NOT_FOUND)
        return found

    async def unsettled(self) -> Sequence[Document]:
        sql = f"{_DOCUMENTS} WHERE status IN (?, ?) ORDER BY id"
        unsettled = (DocumentStatus.QUEUED.value, DocumentStatus.INGESTING.value)
        with decoding():
            return [DOCUMENT.read(row) for row in self.database.rows(sql, unsettled)]

    async def degraded(self, *, limit: int) -> Sequence[Document]:
        """Served documents, of all tenants, with pages that a lower parser read."""
        sql = f"{_DOCUMENTS} WHERE pages_degraded > 0 AND status = ? ORDER BY updated_at LIMIT ?"
        with decoding():
            rows = self.database.rows(sql, (DocumentStatus.READY.value, limit))
            return [DOCUMENT.read(row) for row in rows]

    async def refers_to(self, tenant: str, content_hash: str) -> bool:
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
        now = self.clock.now()
        return await self._change(
            (tenant, document_id),
            lambda c, document: writes.begin(c, document, revision, pages_total, stated_title, now),
        )

    async def add_window(
        self, tenant: str, document_id: str, *, revision: str, pages: Sequence[ParsedPage]
    ) -> None:
        now = self.clock.now()
        if sum(len(page.text) for page in pages) <= SHORT_CHARACTERS:
            packed = writes.packed_window(pages)
        else:
            packed = await asyncio.to_thread(writes.packed_window, pages)  # 100 pages take a while
        await self._change(
            (tenant, document_id),
            lambda c, document: writes.add_window(c, document, revision, packed, now),
            acknowledged=False,
        )

    async def add_chunks(
        self, tenant: str, document_id: str, *, revision: str, chunks: Sequence[Chunk]
    ) -> None:
        await self._change(
            (tenant, document_id),
            lambda c, document: writes.add_chunks(c, document, revision, chunks),
            acknowledged=False,
        )

    async def publish(
        self, tenant: str, document_id: str, *, revision: str, identity: Identity
    ) -> int:
        now = self.clock.now()
        with self._clearing_caches():
            return await self._change(
                (tenant, document_id),
                lambda c, document: writes.publish(c, document, revision, identity, now),
            )

    async def publish_whole(
        self, tenant: str, documents: Sequence[WholeDocument]
    ) -> Sequence[Document | None]:
        now = self.clock.now()
        packed = whole_documents.packed(documents)
        with self._clearing_caches():
            return await self.database.write(
                lambda c: whole_documents.publish_all(c, tenant, packed, now)
            )

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
        now = self.clock.now()

        def work(c: sqlite3.Connection, document: Document) -> None:
            if content_hash in (None, document.content_hash):
                writes.fail(c, document, problem, detail, keep_pages, now)

        await self._change((tenant, document_id), work)

    async def delete(self, tenant: str, document_id: str) -> Document:
        with self._clearing_caches():
            return await self._change((tenant, document_id), writes.delete)

    async def _change(
        self,
        key: tuple[str, str],
        work: Callable[[sqlite3.Connection, Document], T],
        *,
        acknowledged: bool = True,
    ) -> T:
        """Run `work` on the document of (tenant, id) in one transaction. Raises NotFound."""
        return await self.database.write(
            lambda c: work(c, writes.find(c, *key)), acknowledged=acknowledged
        )

    @contextmanager
    def _clearing_caches(self) -> Iterator[None]:
        """Clear the caches afterwards: deleted text must not stay in memory."""
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Clear the caches."""
        for cache in (self._chunks, self._labels, self._pages):
            cache.clear()
        self._turn.end()

    # --- pages and chunks ------------------------------------------------------------------

    async def page(
        self, tenant: str, document_id: str, number: int, *, revision: str | None = None
    ) -> ParsedPage:
        if revision is None:
            document = self._document(tenant, document_id)
            revision = document.revision or document.pending_revision or ""
        key = (tenant, revision, number)
        page = self._pages.get(key)
        if page is None:
            page = self._load_page(*key)
            self._pages.put(key, page)
        return page

    def _load_page(self, tenant: str, revision: str, number: int) -> ParsedPage:
        rows = self.database.rows(
            "SELECT page, words FROM pages WHERE tenant = ? AND revision = ? AND number = ?",
            (tenant, revision, number),
        )
        if not rows:
            raise NotFound(code=ErrorCode.PAGE_NOT_FOUND)
        return unpack_page(*rows[0])

    async def pages(
        self, tenant: str, document_id: str, numbers: PageNumbers, *, revision: str | None = None
    ) -> Sequence[ParsedPage]:
        document = self._document(tenant, document_id)
        wanted = revision or document.revision or document.pending_revision or ""

        def work(c: sqlite3.Connection) -> list[ParsedPage]:
            rows = c.execute(
                "SELECT page, words FROM pages WHERE tenant = ? AND revision = ?"
                " AND number >= ? AND number <= ? ORDER BY number",
                (tenant, wanted, numbers[0], numbers[-1]),
            )
            return [page for row in rows if (page := unpack_page(*row)).number in among]

        if not numbers:
            return []
        among = numbers if isinstance(numbers, range) else frozenset(numbers)

        if len(numbers) <= _FEW_PAGES:
            return self.database.read_here(work)
        return await self.database.read(work)

    async def chunks(self, tenant: str, ids: Sequence[str]) -> Sequence[Chunk]:
        self._chunks.keep_for(await self.version())
        known = {i: self._chunks.get((tenant, i)) for i in ids}
        missing = [i for i, cached in known.items() if cached is None]
        if missing:
            sql = f"{_CHUNKS_BY_ID}({placeholders(missing)})"
            for row in self.database.rows(sql, (tenant, *missing)):
                served = known[row[0]] = CHUNK.read(row)
                self._chunks.put((tenant, served.id), served)
        return [chunk for i in ids if (chunk := known[i]) is not None]

    async def document_chunks(
        self,
        tenant: str,
        document_id: str,
        *,
        after_ordinal: int = -1,
        limit: int = 1000,
    ) -> Sequence[Chunk]:

        def work(c: sqlite3.Connection) -> list[Chunk]:
            rows = c.execute(_CHUNKS_OF_DOCUMENT, (tenant, document_id, after_ordinal, at_most))
            return [CHUNK.read(row) for row in rows]

        at_most = min(limit, _FEW_CHUNKS)
        few = self.database.read_here(work)
        if len(few) < at_most or at_most == limit:
            return few
        at_most = limit
        return await self.database.read(work)

    # --- versions --------------------------------------------------------------------------

    async def version(self) -> int:
        if self._turn.is_new():  # a question asks for it seven times
            sql = "SELECT value FROM state WHERE key = 'version'"
            try:
                self._version = int(self.database.rows(sql)[0][0])
            except BaseException:
                self._turn.end()
                raise
        return self._version

    async def changed_since(self, version: int, tenant: str, collection: str) -> bool:
        rows = self.database.rows(
            "SELECT 1 FROM changes WHERE version > ? AND tenant = ? AND collection = ? LIMIT 1",
            (version, tenant, collection),
        )
        return bool(rows)

    async def changes(self, after_version: int, *, limit: int = 1000) -> Sequence[Change]:
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
        await self.database.compact()
