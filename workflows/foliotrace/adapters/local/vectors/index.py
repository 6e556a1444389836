"""Exact vector search over a collection, and embedding that goes on in the background.

`catch_up` notes what is to be embedded and returns; a task does it, batch by batch, and goes on
after a restart where it stopped. Until a collection is embedded to the end, `retrieve` raises
IndexUnavailable `embedding_pending`, so that no half-embedded answer looks like a whole one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.keyword.index import indexed_text, passage_of
from foliotrace.adapters.local.keyword.query import scope_of
from foliotrace.adapters.local.vectors.store import Matrix, Shelf, VectorStore, normalised
from foliotrace.catalog import Reason
from foliotrace.errors import (
    EmbedderUnavailable,
    IndexUnavailable,
    LibraryUnavailable,
    NotFound,
    Unavailable,
)
from foliotrace.events import EmbeddingPostponed, emit
from foliotrace.model import Chunk, Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Change, Clock, Embedder, IndexSource

_BATCH: Final = 64
_BATCH_S: Final = 120.0
_OVER_FETCH: Final = 8
_HOP_ROWS: Final = 20_000  # from this size on the product is worth a thread
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 300.0


class VectorIndex:
    """An `IndexWriter` and a `Retriever` in `folder`/vectors.db.

    `problem` is why the embedder does not work at present, or None.
    """

    def __init__(
        self,
        folder: Path,
        library: IndexSource,
        embedder: Embedder,
        *,
        clock: Clock | None = None,
        read_only: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.problem: str | None = None
        self._library = library
        self._embedder = embedder
        self._clock = clock or SystemClock()
        self._read_only = read_only
        self._sleep = sleep
        self._shelves: dict[str, Shelf] = {}
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._store = VectorStore(folder / "vectors.db", read_only=read_only)

    # --- reading ---------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether every document noted so far is embedded, and a question can be now."""
        own = self._store.belongs_to(self._library.library_id(), self._embedder.model)
        return own and self._embedder.ready and not self._store.standing().waits

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """See `Retriever.retrieve`; the score is the cosine."""
        tenant = query.principal.tenant
        try:
            shelf = await self._shelf(tenant, query.collection)
            admitted = None
            if query.filters:
                admitted = await self._library.matching(tenant, query.collection, query.filters)
            vector = await self._embedder.embed_query(query.text, deadline=deadline)
            hits = await _nearest(shelf, _one(vector), top_k + _OVER_FETCH, admitted)
            chunks = await self._library.chunks(tenant, [chunk_id for _, chunk_id in hits])
            labels = await self._library.labels(tenant, [c.document_id for c in chunks])
        except (EmbedderUnavailable, LibraryUnavailable) as error:
            raise IndexUnavailable(error.message, reason=error.reason, hint=error.hint) from error
        scores = {chunk_id: score for score, chunk_id in hits}
        return [
            passage_of(chunk, label, scores[chunk.id], RetrievalMode.HYBRID)
            for chunk, label in zip(chunks, labels, strict=True)
        ][:top_k]

    async def _shelf(self, tenant: str, collection: str) -> Shelf:
        """Its vectors. Raises IndexUnavailable `embedding_pending` while some lack."""
        scope = scope_of(tenant, collection)
        standing = self._store.standing(scope)
        own = self._store.belongs_to(self._library.library_id(), self._embedder.model)
        behind = await self._library.changed_since(standing.version, tenant, collection)
        if not own or standing.waits or behind:
            raise IndexUnavailable(reason=Reason.EMBEDDING_PENDING)
        shelf = self._shelves.get(scope)
        if shelf is None or shelf.epoch != standing.epoch:
            shelf = await self._store.shelf(scope, standing.epoch)
            self._shelves[scope] = shelf
        return shelf

    # --- writing ---------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """See `IndexWriter.catch_up`: deletions are done on return, embedding has started."""
        self._refuse_if_read_only()
        async with self._turn:
            try:
                library_id = self._library.library_id()
                if not self._store.belongs_to(library_id, self._embedder.model):
                    await self._store.clear(library_id, self._embedder.model)
                version = await self._note_changes()
            except LibraryUnavailable as error:
                raise IndexUnavailable(error.message, reason=error.reason) from error
        self._start()
        return version

    async def rebuild(self) -> int:
        """See `IndexWriter.rebuild`."""
        self._refuse_if_read_only()
        await self._stop()
        await self._store.clear(self._library.library_id(), self._embedder.model)
        return await self.catch_up()

    async def compact(self) -> None:
        """See `IndexWriter.compact`."""
        self._refuse_if_read_only()
        await self._store.database.compact()

    async def embedded(self) -> None:
        """Wait until the background work is over."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop embedding; what is embedded stays. Twice is fine."""
        await self._stop()
        self._store.database.close()

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise IndexUnavailable(reason=Reason.VECTOR_INDEX_READ_ONLY)

    async def _note_changes(self) -> int:
        version = self._store.standing().version
        while changes := await self._library.changes(version):
            await self._store.note([(c, scope_of(c.tenant, c.collection)) for c in changes])
            version = changes[-1].version
        return version

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._embed_waiting())

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _embed_waiting(self) -> None:
        """Embed until no document waits; when the embedder fails, ask again later and later."""
        wait_s = _FIRST_WAIT_S
        while change := self._store.next_waiting():
            try:
                await self._embed_document(change)
            except Unavailable as error:
                self.problem = error.reason
                emit(EmbeddingPostponed(reason=error.reason))
                await self._sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                self.problem = None
                wait_s = _FIRST_WAIT_S

    async def _embed_document(self, change: Change) -> None:
        try:
            (label,) = await self._library.labels(change.tenant, [change.document_id])
        except NotFound:
            await self._store.finish(change, set())
            return
        scope = scope_of(change.tenant, change.collection)
        have = self._store.embedded(change.document_id)
        served: set[str] = set()
        after = -1
        while chunks := await self._library.document_chunks(
            change.tenant, change.document_id, after_ordinal=after, limit=_BATCH
        ):
            served |= {chunk.id for chunk in chunks}
            lacking = [chunk for chunk in chunks if chunk.id not in have]
            if lacking:
                await self._store.add(scope, lacking, await self._embed(lacking, label.header))
            after = chunks[-1].ordinal
        await self._store.finish(change, served)

    async def _embed(self, chunks: Sequence[Chunk], header: str) -> Matrix:
        deadline = Deadline(self._clock.monotonic_s() + _BATCH_S)
        texts = [indexed_text(header, chunk) for chunk in chunks]
        vectors = await self._embedder.embed(texts, deadline=deadline)
        try:
            matrix = normalised(vectors)
        except ValueError as error:
            raise _lied() from error
        if len(matrix) != len(chunks):
            raise _lied()
        return matrix


def _lied() -> EmbedderUnavailable:
    return EmbedderUnavailable(reason=Reason.EMBEDDER_ANSWERED_WRONGLY)


def _one(vector: Sequence[float]) -> Matrix:
    try:
        return normalised([vector]).reshape(-1)
    except ValueError as error:
        raise _lied() from error


async def _nearest(
    shelf: Shelf, vector: Matrix, limit: int, admitted: Sequence[str] | None
) -> list[tuple[float, str]]:
    if len(shelf.chunk_ids) < _HOP_ROWS:
        return shelf.nearest(vector, limit, admitted)
    return await asyncio.to_thread(shelf.nearest, vector, limit, admitted)
