"""The managed index as a `Retriever`, fused by page with the local index that is always kept.

The cloud says which pages answer; what is read and quoted is our own text of them, which the local
index gives with its place. So an answer through the managed index is not worse than a local one,
for one call in the cloud and a few milliseconds here per search.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.adapters.llamacloud.client import (
    CloudFailure,
    CloudProblem,
    as_port_error,
    translated_errors,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.grounding import passage_of
from foliotrace.adapters.llamacloud.managed_index.placements import ManagedIndex, Placements
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, LibraryUnavailable
from foliotrace.events import PassagesAligned, emit
from foliotrace.model import Deadline, Filters, Passage, Query, RetrievalMode
from foliotrace.ports import LibraryReader, Retriever


async def search(
    gateway: CloudGateway,
    index: ManagedIndex,
    question: str,
    *,
    top_k: int,
    document_ids: Sequence[str] | None = None,
    rerank: bool = True,
) -> Sequence[Result]:
    """The cloud's hits, best first. Raises CloudFailure."""
    wanted: dict[str, Any] = {"index_id": index.index_id, "query": question, "top_k": top_k}
    if document_ids is not None:
        wanted["custom_filters"] = {"document_id": {"operator": "in", "value": list(document_ids)}}
    if not rerank:
        wanted["rerank"] = {"enabled": False}
    with translated_errors("retrieve"):
        reply = await gateway.client.retrieval.retrieve(**wanted, **gateway.scope)
    return reply.results


class ManagedIndexRetriever:
    """The managed index of the question's collection. Raises IndexUnavailable with a reason.

    `local` is the kept local index; without it (it is damaged) the cloud's hits stand alone.
    """

    def __init__(
        self,
        gateway: CloudGateway,
        placements: Placements,
        library: LibraryReader,
        local: Retriever,
    ) -> None:
        self._gateway = gateway
        self._placements = placements
        self._library = library
        self._local = local

    @property
    def ready(self) -> bool:
        """Whether no index waits for a sync; `retrieve` judges one collection."""
        return not self._placements.unready_indexes()

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """An index that is behind the library is not queried: it would miss documents."""
        tenant = query.principal.tenant
        index = self._placements.index(tenant, query.collection)
        if index is None or not index.answers or await self._is_behind(tenant, query.collection):
            raise IndexUnavailable(reason=Reason.MANAGED_INDEX_PENDING, lasting=True, answered=True)
        ids: Sequence[str] | None = None
        if query.filters:
            ids = await self._library.matching(tenant, query.collection, query.filters)
            if not ids:
                return []
        beside = asyncio.ensure_future(self._beside(query, top_k, deadline))
        try:
            found = await self._managed(index, query, ids, top_k)
            kept = await beside
        finally:
            beside.cancel()
        skipped = self._placements.skipped(tenant, query.collection)
        kept = [replace(p, unplaced=p.document_id in skipped) for p in kept]
        if any(p.unplaced for p in kept) or not skipped:
            return fused_by_page(found, kept)[:top_k]
        among = [each for each in skipped if ids is None or each in ids]
        left_out = (
            await self._beside(
                replace(query, filters=Filters(document_ids=tuple(among))), top_k, deadline
            )
            if among
            else ()
        )
        return fused_by_page(found, (*kept, *(replace(p, unplaced=True) for p in left_out)))[:top_k]

    async def _beside(self, query: Query, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """The hits of the kept local index; none while it cannot be read."""
        try:
            return await self._local.retrieve(query, top_k=top_k, deadline=deadline)
        except IndexUnavailable:
            return ()

    async def _managed(
        self, index: ManagedIndex, query: Query, ids: Sequence[str] | None, top_k: int
    ) -> list[Passage]:
        try:
            results = await search(self._gateway, index, query.text, top_k=top_k, document_ids=ids)
        except CloudFailure as failure:
            if failure.problem is CloudProblem.NOT_FOUND:  # deleted there: the writer makes another
                self._placements.keep_index(replace(index, lost=True))
            raise as_port_error(IndexUnavailable, failure, setting="llamacloud.index") from failure
        if not results and ids is None:
            raise IndexUnavailable(reason=Reason.LLAMACLOUD_EMPTY, lasting=True, answered=True)
        try:
            passages = [await passage_of(self._library, index.tenant, hit) for hit in results]
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason) from error
        found = [passage for passage in passages if passage is not None]
        emit(PassagesAligned(not_aligned=sum(not p.exact for p in found)))
        return found

    async def _is_behind(self, tenant: str, collection: str) -> bool:
        """Whether this collection has changes that were not uploaded yet."""
        return await self._library.changed_since(self._placements.version, tenant, collection)


RANK_OFFSET: Final = 60
"""Of reciprocal rank fusion. Source: Cormack, Clarke and Buettcher, SIGIR 2009."""


def fused_by_page(managed: Sequence[Passage], local: Sequence[Passage]) -> list[Passage]:
    """Both searches by the ranks of their pages, best first; of equal ranks the local one first.

    A page that both found is read as the local index has it, and named as found by the managed one.
    """
    ranks: dict[tuple[str, int], float] = {}
    for found in (local, managed):
        for rank, place in enumerate(dict.fromkeys(map(_place, found)), 1):
            ranks[place] = ranks.get(place, 0.0) + 1.0 / (RANK_OFFSET + rank)
    by_cloud = frozenset(map(_place, managed))
    known = frozenset(map(_place, local))
    both = [
        *(
            replace(p, path=RetrievalMode.MANAGED, also_by=p.path) if _place(p) in by_cloud else p
            for p in local
        ),
        *(p for p in managed if _place(p) not in known),
    ]
    scored = [replace(p, score=ranks[_place(p)]) for p in both]
    return sorted(scored, key=lambda p: -p.score)


def _place(passage: Passage) -> tuple[str, int]:
    return passage.document_id, passage.page
