"""The managed index as a `Retriever`; the kept local index searches what the cloud skipped."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

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
from foliotrace.model import Deadline, Filters, Passage, Query
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

    `local` searches the documents that the cloud skipped.
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
        found = await self._managed(index, query, ids, top_k)
        skipped = self._placements.skipped(tenant, query.collection)
        wanted = tuple(skipped) if ids is None else tuple(set(ids).intersection(skipped))
        if not wanted:
            return found
        among = replace(query, filters=Filters(document_ids=wanted))
        beside = await self._local.retrieve(among, top_k=top_k, deadline=deadline)
        both = chain.from_iterable(zip_longest(found, beside))  # their scores do not compare
        return [passage for passage in both if passage is not None][:top_k]

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
