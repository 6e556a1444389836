"""Exact vector search over a collection, with embedding in the background.

`catch_up` queues what has to be embedded and returns; a task embeds it batch by batch and resumes
after a restart. Until a collection is fully embedded, `retrieve` raises IndexUnavailable
`embedding_pending`, so that an answer from half of the documents never passes for a full one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.keyword.collections import scope_of
from foliotrace.adapters.local.keyword.index import indexed_text
from foliotrace.adapters.local.vectors.store import Matrix, VectorStore, normalised
from foliotrace.budget import open_run
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
from foliotrace.ports import Change, Clock, DocumentLabel, Embedder, IndexSource

_BATCH: Final = 64
_BATCH_S: Final = 120.0
_OVER_FETCH: Final = 8  # hits that the library may have deleted meanwhile
_FIRST_RETRY_S: Final = 2.0
_LONGEST_RETRY_S: Final = 300.0


class VectorIndex:
    """An `IndexWriter` and a `Retriever` over the vectors in `store`, which it closes.

    `problem` is the reason why embedding fails at present, or None.
    """

    def __init__(
        self,
        store: VectorStore,
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
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._store = store

    # --- reading ---------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether all documents are embedded, and a question can be embedded and searched."""
        own = self._store.belongs_to(self._library.library_id(), self._embedder.model)
        can_search = self._embedder.ready and self._store.ready
        return own and can_search and not self._store.state().pending

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """The score of a passage is the cosine."""
        tenant = query.principal.tenant
        try:
            await self._refuse_half_embedded(tenant, query.collection)
            admitted = None
            if query.filters:
                admitted = await self._library.matching(tenant, query.collection, query.filters)
            vector = await self._embedder.embed_query(query.text, deadline=deadline)
            hits = await self._store.nearest(
                tenant,
                query.collection,
                _normalised(vector),
                limit=top_k + _OVER_FETCH,
                document_ids=admitted,
                deadline=deadline,
            )
            chunks = await self._library.chunks(tenant, [chunk_id for _, chunk_id in hits])
            labels = await self._library.labels(tenant, [c.document_id for c in chunks])
        except (EmbedderUnavailable, LibraryUnavailable) as error:
            raise IndexUnavailable(error.message, reason=error.reason, hint=error.hint) from error
        scores = {chunk_id: score for score, chunk_id in hits}
        return [
            label.passage(chunk, scores[chunk.id], RetrievalMode.HYBRID)
            for chunk, label in zip(chunks, labels, strict=True)
        ][:top_k]

    async def _refuse_half_embedded(self, tenant: str, collection: str) -> None:
        """Raises IndexUnavailable while vectors of the collection are missing."""
        scope = scope_of(tenant, collection)
        state = self._store.state(scope)
        own = self._store.belongs_to(self._library.library_id(), self._embedder.model)
        behind = await self._library.changed_since(state.version, tenant, collection)
        if not own or state.pending or behind:
            raise IndexUnavailable(reason=Reason.EMBEDDING_PENDING)

    # --- writing ---------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """On return, deletions are applied and embedding has started."""
        self._refuse_if_read_only()
        async with self._lock:
            try:
                await self._store.verify()
                library_id = self._library.library_id()
                if not self._store.belongs_to(library_id, self._embedder.model):
                    await self._store.clear(library_id, self._embedder.model)
                version = await self._record_changes()
            except LibraryUnavailable as error:
                raise IndexUnavailable(error.message, reason=error.reason) from error
        self._start()
        return version

    async def rebuild(self) -> int:
        self._refuse_if_read_only()
        await self._stop()
        await self._store.clear(self._library.library_id(), self._embedder.model)
        return await self.catch_up()

    async def compact(self) -> None:
        """Deletions that a vector store elsewhere still waits for are applied first."""
        self._refuse_if_read_only()
        for change in self._store.pending():
            if await self._label(change) is None:
                await self._store.finish(change, set())
        await self._store.database.compact()

    async def wait_until_embedded(self) -> None:
        """Wait until the background task has embedded what is queued."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop embedding; vectors already stored are kept. May be called twice."""
        await self._stop()
        self._store.database.close()

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise IndexUnavailable(reason=Reason.VECTOR_INDEX_READ_ONLY)

    async def _record_changes(self) -> int:
        version = self._store.state().version
        while changes := await self._library.changes(version):
            await self._store.record(changes)
            version = changes[-1].version
        return version

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._embed_pending())

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _embed_pending(self) -> None:
        """Embed until the queue is empty; retry with growing delays while the embedder fails."""
        delay_s = _FIRST_RETRY_S
        while change := self._store.next_pending():
            try:
                await self._embed_document(change)
            except Unavailable as error:
                self.problem = error.reason
                emit(EmbeddingPostponed(reason=error.reason))
                await self._sleep(delay_s)
                delay_s = min(2 * delay_s, _LONGEST_RETRY_S)
            else:
                self.problem = None
                delay_s = _FIRST_RETRY_S

    async def _embed_document(self, change: Change) -> None:
        label = await self._label(change)
        if label is None:
            await self._store.finish(change, set())
            return
        embedded = self._store.embedded_chunks(change.document_id)
        served: set[str] = set()
        after = -1
        while chunks := await self._library.document_chunks(
            change.tenant, change.document_id, after_ordinal=after, limit=_BATCH
        ):
            served |= {chunk.id for chunk in chunks}
            missing = [chunk for chunk in chunks if chunk.id not in embedded]
            if missing:
                matrix = await self._vectors_of(change, missing, label.header)
                await self._store.add(change, label.name, missing, matrix)
            after = chunks[-1].ordinal
        await self._store.finish(change, served)

    async def _label(self, change: Change) -> DocumentLabel | None:
        """Name and header of the changed document; None if it was deleted."""
        try:
            (label,) = await self._library.labels(change.tenant, [change.document_id])
        except NotFound:
            return None
        return label

    async def _vectors_of(self, change: Change, chunks: Sequence[Chunk], header: str) -> Matrix:
        """Their vectors; the embedder is asked only for those that were not embedded before."""
        known = self._store.unplaced(change.document_id)
        new = [chunk for chunk in chunks if chunk.id not in known]
        if not new:
            return np.stack([known[chunk.id] for chunk in chunks])
        matrix = await self._embed(change.tenant, new, header)
        if len(new) == len(chunks):
            return matrix
        rows = {**known, **{chunk.id: row for chunk, row in zip(new, matrix, strict=True)}}
        return np.stack([rows[chunk.id] for chunk in chunks])

    async def _embed(self, tenant: str, chunks: Sequence[Chunk], header: str) -> Matrix:
        deadline = Deadline(self._clock.monotonic_s() + _BATCH_S)
        texts = [indexed_text(header, chunk) for chunk in chunks]
        with open_run(tenant, None):  # a run of its own: the ingestion is over
            vectors = await self._embedder.embed(texts, deadline=deadline)
        try:
            matrix = normalised(vectors)
        except ValueError as error:
            raise _unusable_vectors() from error
        if len(matrix) != len(chunks):
            raise _unusable_vectors()
        return matrix


def _unusable_vectors() -> EmbedderUnavailable:
    return EmbedderUnavailable(reason=Reason.EMBEDDER_ANSWERED_WRONGLY)


def _normalised(vector: Sequence[float]) -> Matrix:
    try:
        return normalised([vector]).reshape(-1)
    except ValueError as error:
        raise _unusable_vectors() from error
