"""Prefers the documents that a question names; never excludes the others.

The terms of a document's identity (company, kind, period, title) and of its file name are matched
with the question, weighted by rarity. Documents that cover almost as much as the best one are
searched once more by themselves, and their passages score a quarter higher. Measured in
bench/retrieval.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.errors import LibraryUnavailable
from foliotrace.events import RoutingSkipped, emit
from foliotrace.model import Deadline, Filters, Passage, Query
from foliotrace.ports import Retriever
from foliotrace.query.subjects.identities import DocumentIdentities

PREFERENCE: Final = 1.25  # factor on the scores of a preferred document's passages


class RoutedRetriever:
    """A `Retriever` that prefers the documents an unfiltered question names."""

    def __init__(self, inner: Retriever, identities: DocumentIdentities) -> None:
        self._inner = inner
        self._identities = identities

    @property
    def ready(self) -> bool:
        """Whether the inner retriever can answer now."""
        return self._inner.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, passages of preferred documents raised. Raises IndexUnavailable."""
        everywhere = await self._inner.retrieve(query, top_k=top_k, deadline=deadline)
        preferred = await self._preferred(query)
        if not preferred or all(p.document_id in preferred for p in everywhere):
            return everywhere
        narrowed = replace(query, filters=Filters(document_ids=tuple(sorted(preferred))))
        inside = await self._inner.retrieve(narrowed, top_k=top_k, deadline=deadline)
        return merged(everywhere, inside, preferred, top_k=top_k)

    async def _preferred(self, query: Query) -> frozenset[str]:
        if query.filters:
            return frozenset()
        try:
            await self._identities.follow()
        except LibraryUnavailable as error:
            emit(RoutingSkipped(reason=error.error_code))
            return frozenset()
        principal = query.principal
        return self._identities.preferred(principal.tenant, query.collection, query.text)


def merged(
    everywhere: Sequence[Passage],
    inside: Sequence[Passage],
    preferred: frozenset[str],
    *,
    top_k: int,
) -> list[Passage]:
    """The best of both lists, each passage once, those of preferred documents raised."""
    passages = {p.chunk_id: p for p in (*everywhere, *inside)}
    scored = [
        (p.score * (PREFERENCE if p.document_id in preferred else 1.0), p)
        for p in passages.values()
    ]
    scored.sort(key=lambda pair: -pair[0])
    return [p if score == p.score else replace(p, score=score) for score, p in scored[:top_k]]
