"""A LlamaIndex vector store of the user's own, filled and emptied by our ingestion.

`vector_store.db` in the data folder records which chunks stand in the store. A vector is written
there before the store gets it and emptied afterwards, so that neither a crash nor an outage of the
store buys an embedding twice or leaves a chunk behind.
"""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.local.keyword.collections import scope_of
from foliotrace.adapters.local.vectors.store import Matrix, VectorStore
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, Misconfigured
from foliotrace.model import Chunk, Deadline
from foliotrace.ports import Change
from foliotrace.resilient import CircuitGuard

T = TypeVar("T")

_WRITE_S: Final = 120.0
_IDS_AT_ONCE: Final = 500
_SAMPLES: Final = """
CREATE TABLE samples (
  scope TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  vector BLOB NOT NULL
) WITHOUT ROWID;
"""
# what stores raise when what was created with the first chunk is not there any more
_IS_GONE: Final = re.compile(
    r"\b(collection|table|index|namespace)\b.{0,200}(not found|(not|n't) exist)",
    re.IGNORECASE | re.DOTALL,
)


class LlamaIndexVectors(VectorStore):
    """The vectors of the index in `store`, which the setting names as `reference`.

    Each call names tenant and collection; hits that this folder did not place there are dropped.
    """

    def __init__(
        self,
        folder: Path,
        store: BasePydanticVectorStore,
        reference: str,
        *,
        health: ComponentHealth,
        guard: CircuitGuard,
    ) -> None:
        """Raises Misconfigured for a store that cannot be used so."""
        refuse_unusable(store, reference)
        super().__init__(folder / "vector_store.db", tables=(_SAMPLES,))
        self._store = store
        self._place = f" in {reference}"
        self._health = health
        self._guard = guard
        self._queries = AsyncOrThread(blocks=blocks(store, "aquery"))
        self._adds = AsyncOrThread(blocks=blocks(store, "async_add"), limit=1)
        self._deletions = AsyncOrThread(blocks=blocks(store, "adelete_nodes"), limit=1)
        self._lost = False
        self._verified = False

    @property
    def ready(self) -> bool:  # type: ignore[override] # always true of the store in the folder
        """Whether the store's last call worked."""
        return self._health.failure is None and self._guard.available

    # --- what the store holds --------------------------------------------------------------

    def belongs_to(self, library_id: int, model: str) -> bool:
        """False also when the store has lost what it was given."""
        return not self._lost and super().belongs_to(library_id, model + self._place)

    async def verify(self) -> None:
        """Once: look for a chunk of every collection, since a store may have been emptied."""
        if self._verified or not self._is_filled_here():
            return
        rows = self.database.rows("SELECT tenant, collection, vector FROM samples")
        try:
            for tenant, collection, vector in rows:
                sample = np.frombuffer(vector, dtype=np.float32)
                async with asyncio.timeout(_WRITE_S):
                    found = await self._search(_query(tenant, collection, sample, 1, None))
                if found is None or not _hits(found):
                    self._lost = True
        except (IndexUnavailable, TimeoutError):
            return  # not known yet: the next call looks again, and `ready` says why
        self._verified = True

    async def clear(self, library_id: int, model: str) -> None:
        """Delete what this folder has placed in the store, and start again."""
        placed = self._all_ids() if self._is_filled_here() else []
        try:
            await self._delete(placed)
        except IndexUnavailable:
            if not self._lost:
                raise  # else there is nothing left to delete
        await super().clear(library_id, model + self._place)
        await self.database.write(lambda c: c.execute("DELETE FROM samples"))
        self._lost, self._verified = False, True

    def _is_filled_here(self) -> bool:
        """Whether the recorded chunks are in this store, and not in one named before."""
        (model,) = self.database.rows("SELECT model FROM state")[0]
        return str(model).endswith(self._place)

    def _all_ids(self) -> list[str]:
        return [row[0] for row in self.database.rows("SELECT chunk_id FROM vectors")]

    # --- writing ---------------------------------------------------------------------------

    async def record(self, changes: Sequence[Change]) -> None:
        """Queue every document; a deleted one leaves the store in the background."""
        await super().record([replace(change, deleted=False) for change in changes])

    def embedded_chunks(self, document_id: str) -> set[str]:
        """The ids of the document's chunks that the store has."""
        rows = self._rows(document_id)
        return {chunk_id for chunk_id, vector in rows if not vector}

    def unplaced(self, document_id: str) -> Mapping[str, Matrix]:
        """Vectors that the store did not take before."""
        rows = self._rows(document_id)
        return {i: np.frombuffer(vector, dtype=np.float32) for i, vector in rows if vector}

    def _rows(self, document_id: str) -> list[tuple[str, bytes]]:
        return self.database.rows(
            "SELECT chunk_id, vector FROM vectors WHERE document_id = ?", (document_id,)
        )

    async def add(self, change: Change, name: str, chunks: Sequence[Chunk], matrix: Matrix) -> None:
        """Place them in the store. Raises IndexUnavailable."""
        ids = [chunk.id for chunk in chunks]
        perhaps_there = [each for each in ids if each in self.unplaced(change.document_id)]
        await super().add(change, name, chunks, matrix)
        await self._delete(perhaps_there)
        nodes = [_node(change, name, chunk, row) for chunk, row in zip(chunks, matrix, strict=True)]
        with self._watched(*(chunk.text for chunk in chunks)):
            await _in_time(
                self._adds.call(
                    lambda: self._store.async_add(nodes), lambda: self._store.add(nodes)
                )
            )
        scope = scope_of(change.tenant, change.collection)
        sample = (scope, change.tenant, change.collection, matrix[0].tobytes())

        def work(c: sqlite3.Connection) -> None:
            c.executemany(
                "UPDATE vectors SET vector = x'' WHERE chunk_id = ?", [(each,) for each in ids]
            )
            c.execute("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", sample)

        await self.database.write(work)

    async def finish(self, change: Change, served: set[str]) -> None:
        """Delete the document's other chunks from the store, and take it off the queue."""
        await self._delete([i for i, _ in self._rows(change.document_id) if i not in served])
        await super().finish(change, served)

        def work(c: sqlite3.Connection) -> None:
            c.execute(
                "DELETE FROM vectors WHERE document_id = ? AND vector <> x''", (change.document_id,)
            )
            c.execute("DELETE FROM samples WHERE scope NOT IN (SELECT DISTINCT scope FROM vectors)")

        await self.database.write(work)

    async def _delete(self, chunk_ids: Sequence[str]) -> None:
        for start in range(0, len(chunk_ids), _IDS_AT_ONCE):
            ids = [_node_id(each) for each in chunk_ids[start : start + _IDS_AT_ONCE]]
            with self._watched():
                await _in_time(self._deletions.call(*self._deleting(ids)))

    def _deleting(self, ids: list[str]) -> tuple[Callable[[], Awaitable[None]], Callable[[], None]]:
        store = self._store
        return lambda: store.adelete_nodes(ids), lambda: store.delete_nodes(ids)

    # --- reading ---------------------------------------------------------------------------

    async def nearest(
        self,
        tenant: str,
        collection: str,
        vector: Matrix,
        *,
        limit: int,
        document_ids: Sequence[str] | None,
        deadline: Deadline,
    ) -> list[tuple[float, str]]:
        """(the store's similarity, chunk id), best first. Raises IndexUnavailable.

        A collection with chunks of which the store finds none is embedded anew.
        """
        scope = scope_of(tenant, collection)
        held = self._held(scope)
        if not held or (document_ids is not None and not document_ids):
            return []
        query = _query(tenant, collection, vector, limit, document_ids)
        found = await self._guard.call(lambda capped: self._search(query), deadline)
        hits = _hits(found) if found is not None else []
        if found is None or (not hits and document_ids is None):
            self._lost = True
            raise IndexUnavailable(reason=Reason.EMBEDDING_PENDING)
        here = self._placed(scope, [chunk_id for _, chunk_id in hits])
        return [(score, chunk_id) for score, chunk_id in hits if chunk_id in here]

    def _held(self, scope: str) -> bool:
        return bool(self.database.rows("SELECT 1 FROM vectors WHERE scope = ? LIMIT 1", (scope,)))

    def _placed(self, scope: str, chunk_ids: Sequence[str]) -> set[str]:
        marks = ",".join("?" * len(chunk_ids))
        rows = self.database.rows(
            f"SELECT chunk_id FROM vectors WHERE scope = ? AND chunk_id IN ({marks})",  # noqa: S608 - marks only
            (scope, *chunk_ids),
        )
        return {row[0] for row in rows}

    async def _search(self, query: VectorStoreQuery) -> VectorStoreQueryResult | None:
        """What the store finds; None if it says that it has no such collection or table."""
        try:
            with self._watched():
                return await _found(self._store, self._queries, query)
        except IndexUnavailable as error:
            if _IS_GONE.search(str(error.__cause__)):
                return None
            raise

    @contextmanager
    def _watched(self, *sent: str) -> Iterator[None]:
        """Note how a call of the store ends; whatever it raises becomes IndexUnavailable."""
        try:
            with self._health.watch(*sent):
                yield
        except Exception as error:  # a store raises whatever its client raises
            raise IndexUnavailable(reason=Reason.VECTOR_STORE_FAILED) from error


def refuse_unusable(store: BasePydanticVectorStore, reference: str) -> None:
    """Raises Misconfigured for a store that cannot delete, or that does not return metadata."""
    if not store.stores_text:
        raise Misconfigured(
            f"index.vector_store names {reference}, a {type(store).__name__}, which holds no nodes",
            hint="Use a store that keeps text and metadata, such as Qdrant, Chroma or pgvector.",
        )
    if type(store).delete_nodes is BasePydanticVectorStore.delete_nodes:
        raise Misconfigured(
            f"index.vector_store names {reference}, a {type(store).__name__} without delete_nodes",
            hint="Use a store that implements delete_nodes, or query it through query.retriever.",
        )


async def try_store(store: BasePydanticVectorStore, vector: Sequence[float]) -> str:
    """Place a chunk in the store, find it, and delete it; what does not work, or "".

    Raises whatever the store raises.
    """
    change = Change(
        version=0, tenant="doctor", collection="doctor", document_id="ping", deleted=False
    )
    chunk = Chunk(
        id="doctor", document_id="ping", revision="", ordinal=0, page=1, start=0, end=4, text="ping"
    )
    row = np.asarray(vector, dtype=np.float32)
    node = _node(change, "ping", chunk, row)
    ours, others = (_query(tenant, "doctor", row, 1, None) for tenant in ("doctor", "another"))
    queries = AsyncOrThread(blocks=blocks(store, "aquery"))
    writes = AsyncOrThread(blocks=blocks(store, "async_add"))
    await writes.call(lambda: store.async_add([node]), lambda: store.add([node]))
    found = await _found(store, queries, ours)
    foreign = await _found(store, queries, others)
    ids = [node.node_id]
    await writes.call(lambda: store.adelete_nodes(ids), lambda: store.delete_nodes(ids))
    left = await _found(store, queries, ours)
    if not _hits(found):
        return "it does not find what was added"
    if _hits(foreign):
        return "it ignores metadata filters"
    return "it still finds what was deleted" if _hits(left) else ""


async def _in_time(work: Awaitable[T]) -> T:
    async with asyncio.timeout(_WRITE_S):
        return await work


def _node_id(chunk_id: str) -> str:
    """Qdrant takes UUIDs only."""
    return str(uuid5(NAMESPACE_OID, chunk_id))


def _node(change: Change, name: str, chunk: Chunk, vector: Matrix) -> TextNode:
    """The chunk as other LlamaIndex programs can read it; its source is the document."""
    metadata = {
        "tenant": change.tenant,
        "collection": change.collection,
        "document_id": chunk.document_id,
        "chunk_id": chunk.id,
        "file_name": name,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
    }
    return TextNode(
        id_=_node_id(chunk.id),
        text=chunk.text,
        embedding=[float(x) for x in vector],
        metadata=metadata,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=chunk.document_id)},
    )


def _query(
    tenant: str, collection: str, vector: Matrix, limit: int, document_ids: Sequence[str] | None
) -> VectorStoreQuery:
    filters = [
        MetadataFilter(key="tenant", value=tenant),
        MetadataFilter(key="collection", value=collection),
    ]
    if document_ids is not None:
        among = MetadataFilter(
            key="document_id", value=list(document_ids), operator=FilterOperator.IN
        )
        filters.append(among)
    return VectorStoreQuery(
        query_embedding=[float(x) for x in vector],
        similarity_top_k=limit,
        filters=MetadataFilters(filters=list(filters)),
    )


async def _found(
    store: BasePydanticVectorStore, calls: AsyncOrThread, query: VectorStoreQuery
) -> VectorStoreQueryResult:
    try:
        return await calls.call(lambda: store.aquery(query), lambda: store.query(query))
    except Warning as said:  # LanceDB raises one where nothing is found
        if "empty" not in str(said):
            raise
        return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])


def _hits(found: VectorStoreQueryResult) -> list[tuple[float, str]]:
    """(similarity, chunk id), each chunk once; without similarities the order decides."""
    nodes = found.nodes or ()
    scores = found.similarities or [1 / (1 + place) for place in range(len(nodes))]
    best: dict[str, float] = {}
    for node, score in zip(nodes, scores, strict=False):
        chunk_id = node.metadata.get("chunk_id")
        if isinstance(chunk_id, str):
            best.setdefault(chunk_id, float(score))
    return sorted(((score, each) for each, score in best.items()), key=lambda hit: -hit[0])
