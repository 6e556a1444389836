"""The keyword index (BM25 on tantivy): derived from the library, rebuilt when missing or damaged.

One code path for normal work, replay after a crash and rebuilding: follow the library's changes
from the version the index stands at. Hits that the library no longer serves are dropped.
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

_OVER_FETCH: Final = 8  # hits the library may have dropped meanwhile
_COMMIT_CHUNKS: Final = 20_000  # between commits of a long replay
_READ_CHUNKS: Final = 2_000


class KeywordIndex:
    """An `IndexWriter`, a `Retriever` and a `Vocabulary` in `folder`/keyword.

    With `read_only` (another process writes) it never repairs anything.
    """

    def __init__(self, folder: Path, library: IndexSource, *, read_only: bool = False) -> None:
        self.folder = folder / "keyword"
        self._library = library
        self._read_only = read_only
        self._store: KeywordStore | None = None
        self._seen = -1  # the library version at the last reload
        self._turn = asyncio.Lock()

    ready = True  # a missing or damaged index is noticed when it is asked

    # --- reading ---------------------------------------------------------------------------

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """See `Retriever.retrieve`. The search itself takes well under any deadline."""
        tenant = query.principal.tenant
        try:
            version = await self._library.version()
            ids = await self._admitted(query)
            if not version or (ids is not None and not ids):  # nothing was ever served, or fits
                return []
            store = self._current(version)
            found = keyword_query.build(
                store.schema,
                query.text,
                scope=keyword_query.scope_of(tenant, query.collection),
                document_ids=ids,
            )
            hits = store.search(found, top_k + _OVER_FETCH) if found is not None else []
            served = await self._library.chunks(tenant, [chunk_id for _, chunk_id in hits])
            chunks = served[:top_k]
            labels = await self._library.labels(tenant, [c.document_id for c in chunks])
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason, hint=error.hint) from error
        except IndexUnavailable:
            self._store = None  # the next call opens it again
            raise
        scores = {chunk_id: score for score, chunk_id in hits}
        return [
            passage_of(chunk, label, scores[chunk.id], RetrievalMode.KEYWORD)
            for chunk, label in zip(chunks, labels, strict=True)
        ]

    def _current(self, version: int) -> KeywordStore:
        store = self._store or self._open()
        if version != self._seen:
            store.reload()
            self._seen = version
        return store

    def _open(self) -> KeywordStore:
        library_id = self._library.library_id()
        self._store = KeywordStore(self.folder, library_id, create=False)
        return self._store

    async def _admitted(self, query: Query) -> Sequence[str] | None:
        """The documents that the query's filters admit; None for all."""
        if not query.filters:
            return None
        return await self._library.matching(query.principal.tenant, query.collection, query.filters)

    # --- the vocabulary --------------------------------------------------------------------

    def terms(self, text: str) -> Sequence[str]:
        """See `Vocabulary.terms`."""
        return keyword_query.content_terms(text)

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        """See `Vocabulary.weights`."""
        store = self._store or self._open()
        scope = keyword_query.scope_of(tenant, collection)
        return [store.weight(term, scope) for term in terms]

    # --- writing ---------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """See `IndexWriter.catch_up`; builds the index when it is missing, foreign or damaged."""
        self._refuse_if_read_only()
        async with self._turn:
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
            return await self._rebuild()  # what cannot be read is derived again

    async def rebuild(self) -> int:
        """See `IndexWriter.rebuild`. The old index answers until the new one takes its place."""
        self._refuse_if_read_only()
        async with self._turn:
            return await self._rebuild()

    async def compact(self) -> None:
        """Leave no word of a deleted document in the files. Raises IndexUnavailable."""
        self._refuse_if_read_only()
        async with self._turn:
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
        beside = self.folder.with_name("keyword.new")
        try:
            fresh = KeywordStore(beside, self._library.library_id(), create=True)
            version = await self._follow(fresh)
            fresh.close()
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason) from error
        self._release()
        await asyncio.to_thread(_swap, beside, self.folder)
        self._open()
        return version

    async def _follow(self, store: KeywordStore) -> int:
        """Apply the changes after the store's version, committing now and then."""
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
        """Replace the document's entries by what the library serves now; how many there are."""
        store.remove(change.document_id)
        if change.deleted:
            return 0
        try:
            (label,) = await self._library.labels(change.tenant, [change.document_id])
        except NotFound:
            return 0  # deleted since: a later change says so
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
        """Let the write lock go. Twice is fine."""
        self._release()

    def _release(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(IndexUnavailable):  # a damaged index has nothing to finish
                store.close()


def indexed_text(header: str, chunk: Chunk) -> str:
    """What is searched: what the document says it is, the table's header row, the chunk."""
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


def _swap(fresh: Path, place: Path) -> None:
    old = place.with_name("keyword.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def passage_of(chunk: Chunk, label: DocumentLabel, score: float, path: RetrievalMode) -> Passage:
    """A chunk that was found."""
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
