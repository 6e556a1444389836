"""Prefers the documents that a question names; never excludes the others.

The terms of a document's identity (company, kind, period, title) and of its file name are matched
with the question, weighted by rarity. Documents that cover almost as much as the best one are
searched once more by themselves, and their passages score a quarter higher. Of the documents named,
only the newest ones count for a question about "the latest"; a question about all periods gets a
passage of each. Measured in bench/retrieval.py.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.errors import LibraryUnavailable
from foliotrace.events import RoutingSkipped, emit
from foliotrace.model import Deadline, Filters, Passage, Query
from foliotrace.ports import Retriever
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.subjects.asked_names import asks_for_each
from foliotrace.query.subjects.identities import DocumentIdentities

PREFERENCE: Final = 1.25  # factor on the scores of a preferred document's passages
_EACH_OF: Final = 6  # documents that are searched one by one for a question about all of them


class RoutedRetriever:
    """A `Retriever` that prefers the documents an unfiltered question names.

    `remote`: a search waits for a network, so all searches of a question run at the same time,
    without waiting to see whether those of the preferred documents are needed.
    """

    def __init__(
        self, inner: Retriever, identities: DocumentIdentities, *, remote: bool = False
    ) -> None:
        self._inner = inner
        self._identities = identities
        self._remote = remote

    @property
    def ready(self) -> bool:
        """Whether the inner retriever can answer now."""
        return self._inner.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, passages of preferred documents raised. Raises IndexUnavailable."""
        preferred = await self._preferred(query)
        each = 1 < len(preferred) <= min(_EACH_OF, top_k) and asks_for_each(query.text)
        if self._remote and preferred:
            everywhere, inside = await asyncio.gather(
                self._inner.retrieve(query, top_k=top_k, deadline=deadline),
                self._inside(query, preferred, each, top_k, deadline),
            )
        else:
            everywhere = await self._inner.retrieve(query, top_k=top_k, deadline=deadline)
            if not preferred or (not each and all(p.document_id in preferred for p in everywhere)):
                return everywhere
            inside = await self._inside(query, preferred, each, top_k, deadline)
        if each:
            return _first_of_each(everywhere, inside, preferred, top_k=top_k)
        return merged(everywhere, inside, preferred, top_k=top_k)

    async def _preferred(self, query: Query) -> frozenset[str]:
        if query.filters:
            return frozenset()
        try:
            await self._identities.follow()
        except LibraryUnavailable as error:
            emit(RoutingSkipped(reason=error.error_code))
            return frozenset()
        place = (query.principal.tenant, query.collection)
        preferred = self._identities.preferred(*place, query.text)
        asked = periods_in(query.text)
        if asked.latest and not asked.named and not asks_for_each(query.text):
            return self._identities.newest(*place, preferred)
        return preferred

    async def _inside(
        self,
        query: Query,
        preferred: frozenset[str],
        each: bool,
        top_k: int,
        deadline: Deadline,
    ) -> list[Passage]:
        """What the preferred documents hold; with `each`, two passages of every one of them."""
        ids = sorted(preferred)
        among = [(document_id,) for document_id in ids] if each else [tuple(ids)]
        found = await asyncio.gather(
            *(
                self._inner.retrieve(
                    replace(query, filters=Filters(document_ids=document_ids)),
                    top_k=2 if each else top_k,
                    deadline=deadline,
                )
                for document_ids in among
            )
        )
        return [passage for passages in found for passage in passages]


def _first_of_each(
    everywhere: Sequence[Passage],
    inside: Sequence[Passage],
    preferred: frozenset[str],
    *,
    top_k: int,
) -> list[Passage]:
    """The best passage of each preferred document, then the best of all."""
    ranked = merged(everywhere, inside, preferred, top_k=top_k + len(inside))
    first: dict[str, Passage] = {}
    for passage in ranked:
        if passage.document_id in preferred:
            first.setdefault(passage.document_id, passage)
    firsts = {passage.chunk_id for passage in first.values()}
    rest = [passage for passage in ranked if passage.chunk_id not in firsts]
    return [*first.values(), *rest][:top_k]


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
