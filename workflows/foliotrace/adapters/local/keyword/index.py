"""The keyword index (BM25 on tantivy): derived from the library, rebuilt if missing or damaged.

Normal operation, replay after a crash and rebuilds share one code path: apply the library's changes
after the version of the index. Hits that the library no longer serves are dropped.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.keyword import query as keyword_query
from foliotrace.adapters.local.keyword.store import KeywordStore, unavailable_on_damage
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.model import Chunk, Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Change, DocumentLabel, IndexSource

_OVER_FETCH: Final = 8  # hits that the library may have deleted meanwhile
_COMMIT_CHUNKS: Final = 20_000  # between commits of a long replay
_READ_CHUNKS: Final = 2_000


class KeywordIndex:
    """An `IndexWriter`, a `Retriever` and `NameStatistics` in `folder`/keyword.

    With `read_only` (another process writes the index) it repairs nothing.
    """

    def __init__(self, folder: Path, library: IndexSource, *, read_only: bool = False) -> None:
        self.folder = folder / "keyword"
        self._library = library
        self._read_only = read_only
        self._store: KeywordStore | None = None
        self._loaded_version = -1  # the library version at the last reload
        self._lock = asyncio.Lock()

    ready = True  # a missing or damaged index is noticed when it is asked

    # --- reading ---------------------------------------------------------------------------

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        # The deadline is not passed on: a search takes milliseconds and cannot be interrupted.
        tenant = query.principal.tenant
        try:
            version = await self._library.version()
            ids = await self._admitted(query)
            if not version or (ids is not None and not ids):  # empty library, or no match
                return []
            store = self._current(version)
            search = keyword_query.build(
                store.schema,
                query.text,
                scope=keyword_query.scope_of(tenant, query.collection),
                document_ids=ids,
            )
            hits = store.search(search, top_k + _OVER_FETCH) if search is not None else []
            served = await self._library.chunks(tenant, [chunk_id for _, chunk_id in hits])
            chunks = served[:top_k]
            labels = await self._library.labels(tenant, [c.document_id for c in chunks])
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason, hint=error.hint) from error
        except IndexUnavailable:
            self._store = None  # the next call opens the index again
            raise
        scores = {chunk_id: score for score, chunk_id in hits}
        return [
            passage_of(chunk, label, scores[chunk.id], RetrievalMode.KEYWORD)
            for chunk, label in zip(chunks, labels, strict=True)
        ]

    def _current(self, version: int) -> KeywordStore:
        store = self._store or self._open()
        if version != self._loaded_version:
            store.reload()
            self._loaded_version = version
        return store

    def _open(self) -> KeywordStore:
        library_id = self._library.library_id()
        self._store = KeywordStore(self.folder, library_id, create=False)
        return self._store

    async def _admitted(self, query: Query) -> Sequence[str] | None:
        """The documents that pass the query's filters; None for all."""
        if not query.filters:
            return None
        return await self._library.matching(query.principal.tenant, query.collection, query.filters)

    # --- the vocabulary --------------------------------------------------------------------

    def terms(self, text: str) -> Sequence[str]:
        return keyword_query.content_terms(text)

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        store = self._store or self._open()
        scope = keyword_query.scope_of(tenant, collection)
        return [store.weight(term, scope) for term in terms]

    def word_counts(self, words: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        store = self._store or self._open()
        scope = keyword_query.scope_of(tenant, collection)
        return [
            min((store.count("body", term, scope) for term in self.terms(word)), default=0)
            for word in words
        ]

    def name_counts(self, names: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        store = self._store or self._open()
        scope = keyword_query.scope_of(tenant, collection)
        return [store.count("names", name, scope) for name in names]

    def naming(self, name: str, *, tenant: str, collection: str, limit: int) -> Sequence[str]:
        store = self._store or self._open()
        return store.naming(name, keyword_query.scope_of(tenant, collection), limit)

    # --- writing ---------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """Rebuilds the index if it is missing, damaged or of another library."""
        self._refuse_if_read_only()
        async with self._lock:
            try:
                store = self._store or self._open()
                store.reload()
                if store.version <= await self._library.version():
                    return await self._follow(store)
            except LibraryUnavailable as error:
                raise IndexUnavailable(error.message, reason=error.reason) from error
            except IndexUnavailable as error:
                self._release()
                if error.reason is Reason.KEYWORD_INDEX_LOCKED:
                    raise
            return await self._rebuild()

    async def rebuild(self) -> int:
        """The old index answers until the new one replaces it."""
        self._refuse_if_read_only()
        async with self._lock:
            return await self._rebuild()

    async def compact(self) -> None:
        """Rebuilds the index if documents were deleted since it was built."""
        self._refuse_if_read_only()
        async with self._lock:
            try:
                needed = (self._store or self._open()).holds_removed()
            except IndexUnavailable:
                needed = True
            if needed:
                await self._rebuild()

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_READ_ONLY)

    async def _rebuild(self) -> int:
        new_folder = self.folder.with_name("keyword.new")
        try:
            rebuilt = KeywordStore(new_folder, self._library.library_id(), create=True)
            version = await self._follow(rebuilt)
            rebuilt.close()
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason) from error
        self._release()
        await asyncio.to_thread(_swap, new_folder, self.folder)
        self._open()
        return version

    async def _follow(self, store: KeywordStore) -> int:
        """Apply the changes after the version of `store`; returns the new version."""
        version = store.version
        pending = 0
        while changes := await self._library.changes(version):
            for change in changes:
                pending += await self._apply(store, change)
                version = change.version
                if pending >= _COMMIT_CHUNKS:
                    await asyncio.to_thread(_commit, store, version)
                    pending = 0
        if version != store.version:
            await asyncio.to_thread(_commit, store, version)
        return version

    async def _apply(self, store: KeywordStore, change: Change) -> int:
        """Replace the document's entries with its served chunks; returns how many there are."""
        store.remove(change.document_id)
        if change.deleted:
            return 0
        try:
            (label,) = await self._library.labels(change.tenant, [change.document_id])
        except NotFound:
            return 0  # deleted meanwhile: a later change says so
        scope = keyword_query.scope_of(change.tenant, change.collection)
        count = 0
        async for chunks in self._chunks_of(change):
            await asyncio.to_thread(_add_all, store, chunks, label.header, scope)
            count += len(chunks)
        return count

    async def _chunks_of(self, change: Change) -> AsyncIterator[Sequence[Chunk]]:
        after = -1
        while chunks := await self._library.document_chunks(
            change.tenant, change.document_id, after_ordinal=after, limit=_READ_CHUNKS
        ):
            yield chunks
            after = chunks[-1].ordinal

    def close(self) -> None:
        """Release the write lock. May be called twice."""
        self._release()

    def _release(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(IndexUnavailable):  # a damaged index has no merges to wait for
                store.close()


def indexed_text(header: str, chunk: Chunk) -> str:
    """The searchable text: the document's identity line, the table's header row, the chunk."""
    return "\n".join(part for part in (header, chunk.context, chunk.text) if part)


def _add_all(store: KeywordStore, chunks: Sequence[Chunk], header: str, scope: str) -> None:
    with unavailable_on_damage():
        for chunk in chunks:
            body = keyword_query.with_pairs(indexed_text(header, chunk))
            store.add(chunk, body, scope)


def _commit(store: KeywordStore, version: int) -> None:
    with unavailable_on_damage():
        store.commit(version)
    store.reload()


def _swap(new: Path, current: Path) -> None:
    old = current.with_name("keyword.old")
    shutil.rmtree(old, ignore_errors=True)
    if current.exists():
        current.rename(old)
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)


def passage_of(chunk: Chunk, label: DocumentLabel, score: float, path: RetrievalMode) -> Passage:
    """The passage of a chunk that was found."""
    return Passage(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        document_name=label.name,
        revision=chunk.revision,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        context=chunk.context,
        header=label.header,
        score=score,
        path=path,
    )
