"""The keyword index (BM25 on tantivy): derived from the library, rebuilt if missing or damaged.

Normal operation, replay after a crash and rebuilds share one code path: apply the library's changes
after the version of the index. Hits that the library no longer serves are dropped.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import nsmallest
from pathlib import Path
from time import monotonic
from typing import Final

from foliotrace.adapters.local.clock import LoopTurn
from foliotrace.adapters.local.keyword.analysis import (
    content_terms,
    content_terms_of_each,
    with_pairs,
)
from foliotrace.adapters.local.keyword.collections import CollectionStores, scope_of
from foliotrace.adapters.local.keyword.languages import forms
from foliotrace.adapters.local.keyword.page_text import page_text
from foliotrace.adapters.local.keyword.places import Neighbours, Place, places
from foliotrace.adapters.local.keyword.search import Searches, find
from foliotrace.adapters.local.keyword.search_plan import Planner
from foliotrace.adapters.local.keyword.store import (
    IndexedTexts,
    KeywordStore,
    idf,
    unavailable_on_damage,
)
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.lexicon import Lexicon, load_lexicon
from foliotrace.model import Chunk, Deadline, ParsedPage, Passage, Query, RetrievalMode
from foliotrace.ports import Change, DocumentLabel, IndexSource, QuestionTerms

_COMMIT_CHUNKS: Final = 100_000  # between commits of a long replay: each leaves a segment
_READ_CHUNKS: Final = 2_000
_FEW_CHUNKS: Final = 8  # are analysed on the calling thread: a hand-off costs more
_CACHED_CHUNKS: Final = 4_096  # whose terms are kept, at 1 to 2 KB each
_REBUILD_EVERY_S: Final = 30.0  # at most, because questions find it damaged


class KeywordIndex:
    """An `IndexWriter`, a `Retriever` and `NameStatistics` in `folder`/keyword.

    With `read_only` (another process writes the index) it repairs nothing.
    """

    def __init__(
        self,
        folder: Path,
        library: IndexSource,
        *,
        lexicon: Lexicon | None = None,
        read_only: bool = False,
    ) -> None:
        self.use_lexicon(lexicon or load_lexicon())
        self.folder = folder / "keyword"
        self._library = library
        self._read_only = read_only
        self._stores: CollectionStores | None = None
        self._checked = False  # whether every store was opened since damage was last seen
        self._damaged = False  # what is stored cannot be searched, though it can be opened
        self._rebuilding: asyncio.Task[None] | None = None
        self._rebuilt_s = -_REBUILD_EVERY_S
        self._lock = asyncio.Lock()
        self._turn = LoopTurn()
        self._neighbours = Neighbours(_CACHED_CHUNKS)

    def use_lexicon(self, lexicon: Lexicon) -> None:
        """Plan the questions from now on with this lexicon."""
        self._planner = Planner(lexicon)
        self._searches = Searches(self._planner)

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
            store = self._store_of(tenant, query.collection)
            if store is None:
                return []
            search = self._searches.of(scope_of(tenant, query.collection), query.text, store)
            if search is None:
                return []
            hits = find(store, search, ids, top_k)
            served = await self._library.chunks(tenant, [h.chunk_id for hit in hits for h in hit])
            found = places(hits, {chunk.id: chunk for chunk in served})
            labels = await self._library.labels(tenant, [p.chunks[0].document_id for p in found])
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason, hint=error.hint) from error
        except IndexUnavailable as error:
            self._release()  # the next call opens the index again
            self._checked = False
            if error.reason is Reason.KEYWORD_INDEX_UNAVAILABLE and not self._read_only:
                self._rebuild_soon()
            raise
        self._neighbours.keep_for(version)
        scored = []
        sought = self._neighbours.sought(search.pairs)
        for place, label in zip(found, labels, strict=True):
            read = partial(_searchable, label, place)
            near = self._neighbours.nearness(sought, place, read) if sought else 0.0
            scored.append((-place.score - near, place.chunks[0].id, place, label))
        return [
            label.passage(place.joined(), -score, RetrievalMode.KEYWORD)
            for score, _, place, label in nsmallest(top_k, scored)
        ]

    def _rebuild_soon(self) -> None:
        """Rebuild in the background what a question has found damaged."""
        self._damaged = True
        at_work = self._rebuilding is not None and not self._rebuilding.done()
        if not at_work and monotonic() - self._rebuilt_s >= _REBUILD_EVERY_S:
            self._rebuilt_s = monotonic()
            self._rebuilding = asyncio.create_task(self._rebuild_now())

    async def _rebuild_now(self) -> None:
        with suppress(IndexUnavailable):  # as on a full disk: the next `catch_up` tries again
            await self.catch_up()

    def _store_of(self, tenant: str, collection: str) -> KeywordStore | None:
        """The collection's store, up to date; None if nothing was ever indexed there."""
        stores = self._stores or self._open()
        if self._turn.is_new():
            try:
                stores.follow()
            except IndexUnavailable:
                self._turn.end()
                raise
        return stores.of(scope_of(tenant, collection))

    def _open(self) -> CollectionStores:
        self._stores = CollectionStores(self.folder, self._library.library_id())
        return self._stores

    async def _admitted(self, query: Query) -> Sequence[str] | None:
        """The documents that pass the query's filters; None for all."""
        if not query.filters:
            return None
        return await self._library.matching(query.principal.tenant, query.collection, query.filters)

    # --- the vocabulary --------------------------------------------------------------------

    def terms(self, text: str) -> Sequence[str]:
        return content_terms(text)

    def terms_of_each(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        return content_terms_of_each(texts)

    def question(self, text: str) -> QuestionTerms:
        return self._planner.question(text)

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        store = self._store_of(tenant, collection)
        return [store.weight(term) if store else idf(0, 0) for term in terms]

    def word_counts(self, words: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        store = self._store_of(tenant, collection)
        if store is None:
            return [0] * len(words)
        return [
            min((store.count("body", term) for term in self.terms(word)), default=0)
            for word in words
        ]

    def name_counts(self, names: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        store = self._store_of(tenant, collection)
        return [store.count("names", name) if store else 0 for name in names]

    def naming(self, name: str, *, tenant: str, collection: str, limit: int) -> Sequence[str]:
        store = self._store_of(tenant, collection)
        return store.naming(name, limit) if store else []

    # --- writing ---------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """Rebuilds the index if it is missing, damaged or of another library."""
        self._refuse_if_read_only()
        async with self._lock:
            try:
                stores = self._stores or self._open()
                stores.follow()
                if not self._checked and not self._damaged:
                    await asyncio.to_thread(stores.check)
                    self._checked = True
                if not self._damaged and stores.version <= await self._library.version():
                    return await self._follow(stores)
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
                needed = await asyncio.to_thread((self._stores or self._open()).check)
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
            shutil.rmtree(new_folder, ignore_errors=True)
            rebuilt = CollectionStores(new_folder, self._library.library_id(), create=True)
            version = await self._follow(rebuilt)
            await asyncio.to_thread(rebuilt.close)
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason) from error
        self._release()
        await asyncio.to_thread(_swap, new_folder, self.folder)
        self._open()
        self._checked, self._damaged = True, False
        return version

    async def _follow(self, stores: CollectionStores) -> int:
        """Apply the changes after the version of `stores`; returns the new version."""
        version = stores.version
        pending = 0
        while changes := await self._library.changes(version):
            for change in changes:
                scope = scope_of(change.tenant, change.collection)
                pending += await self._apply(stores.for_change(scope), change)
                version = change.version
                if pending >= _COMMIT_CHUNKS or stores.many_changed:
                    await asyncio.to_thread(_commit, stores, version)
                    pending = 0
        if version != stores.version:
            await asyncio.to_thread(_commit, stores, version)
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
        count = 0
        async for chunks in self._chunks_of(change):
            numbers = range(chunks[0].page, chunks[-1].page + 1)
            pages = await self._library.pages(change.tenant, change.document_id, numbers)
            if len(chunks) <= _FEW_CHUNKS:
                _add_all(store, chunks, pages, label.header)
            else:
                await asyncio.to_thread(_add_all, store, chunks, pages, label.header)
            count += len(chunks)
        return count

    async def _chunks_of(self, change: Change) -> AsyncIterator[Sequence[Chunk]]:
        after = -1
        while chunks := await self._library.document_chunks(
            change.tenant, change.document_id, after_ordinal=after, limit=_READ_CHUNKS
        ):
            yield chunks
            if len(chunks) < _READ_CHUNKS:
                return
            after = chunks[-1].ordinal

    def close(self) -> None:
        """Release the write lock. May be called twice."""
        if self._rebuilding is not None:
            self._rebuilding.cancel()
        self._release()

    def _release(self) -> None:
        stores, self._stores = self._stores, None
        if stores is not None:
            with suppress(IndexUnavailable):  # a damaged index has no merges to wait for
                stores.close()


def _searchable(label: DocumentLabel, place: Place) -> str:
    return indexed_text(label.header, place.joined())


def indexed_text(header: str, chunk: Chunk) -> str:
    """The searchable text: the document's identity line, the table's header row, the chunk."""
    return "\n".join(part for part in (header, chunk.context, chunk.text) if part)


def _add_all(
    store: KeywordStore, chunks: Sequence[Chunk], pages: Sequence[ParsedPage], header: str
) -> None:
    texts = {page.number: page_text(page) for page in pages}
    with unavailable_on_damage():
        for chunk in chunks:
            page = texts[chunk.page]
            indexed = IndexedTexts(
                body=with_pairs(indexed_text(header, chunk)),
                page=with_pairs(f"{header}\n{page.context_of(chunk)}"),
                titles=with_pairs(page.titles),
                shape=page.shape,
                language=page.language,
                forms=forms(f"{chunk.context}\n{chunk.text}", page.language),
            )
            store.add(chunk, indexed)


def _commit(stores: CollectionStores, version: int) -> None:
    with unavailable_on_damage():
        stores.commit(version)
    stores.follow()


def _swap(new: Path, current: Path) -> None:
    old = current.with_name("keyword.old")
    shutil.rmtree(old, ignore_errors=True)
    try:
        if current.exists():
            current.rename(old)
        new.rename(current)
    except OSError as error:
        raise IndexUnavailable(reason=Reason.KEYWORD_INDEX_UNAVAILABLE) from error
    shutil.rmtree(old, ignore_errors=True)
