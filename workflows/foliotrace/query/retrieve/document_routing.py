"""Which documents a question is about, from what they say they are; a preference, never a wall.

A document's identity (company, kind, period, title) and its name are matched against the question
by the rarity of the shared terms. Documents that cover almost as much as the best one are searched
once more by themselves, and their passages weigh a quarter more. Measured in bench/retrieval.py.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Final

from foliotrace.errors import LibraryUnavailable, NotFound
from foliotrace.events import RoutingSkipped, emit
from foliotrace.model import Deadline, Document, Filters, Passage, Query
from foliotrace.ports import LibraryReader, Retriever, Vocabulary

NEAR_BEST: Final = 0.8  # of the best document's cover
PREFERENCE: Final = 1.25  # how much more a preferred document's passage weighs
AT_MOST: Final = 32  # more documents than this: the question names none in particular

_NAME_PARTS: Final = re.compile(r"[\W_]+")


@dataclass(slots=True)
class _CollectionIdentities:
    """The identities of one collection: which documents hold each term."""

    holders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    terms: dict[str, frozenset[str]] = field(default_factory=dict)

    def put(self, document_id: str, terms: frozenset[str]) -> None:
        self.drop(document_id)
        self.terms[document_id] = terms
        for term in terms:
            self.holders[term].add(document_id)

    def drop(self, document_id: str) -> None:
        for term in self.terms.pop(document_id, ()):
            self.holders[term].discard(document_id)


class DocumentIdentities:
    """Every served document's identity, following the library's changes, in memory."""

    def __init__(self, library: LibraryReader, vocabulary: Vocabulary) -> None:
        self._library = library
        self._vocabulary = vocabulary
        self._collections: dict[tuple[str, str], _CollectionIdentities] = defaultdict(
            _CollectionIdentities
        )
        self._version = 0

    async def follow(self) -> None:
        """Apply what the library published or deleted since. Raises LibraryUnavailable."""
        if await self._library.version() == self._version:
            return
        while changes := await self._library.changes(self._version):
            for change in changes:
                headers = self._collections[change.tenant, change.collection]
                headers.drop(change.document_id)
                if not change.deleted:
                    await self._read(change.tenant, change.document_id)
                self._version = change.version

    async def _read(self, tenant: str, document_id: str) -> None:
        try:
            document = await self._library.document(tenant, document_id)
        except NotFound:
            return  # deleted since: a later change says so
        said = f"{document.identity.header()} {_name_words(document)}"
        terms = frozenset(self._vocabulary.terms(said))
        self._collections[tenant, document.collection].put(document_id, terms)

    def preferred(self, tenant: str, collection: str, text: str) -> frozenset[str]:
        """The documents the question names; empty when it names none, or too many."""
        headers = self._collections.get((tenant, collection))
        if headers is None or len(headers.terms) < 2:
            return frozenset()
        cover: dict[str, float] = defaultdict(float)
        for term in dict.fromkeys(self._vocabulary.terms(text)):
            holders = headers.holders.get(term, ())
            weight = rarity(len(headers.terms), len(holders))
            for document_id in holders:
                cover[document_id] += weight
        bar = NEAR_BEST * max(cover.values(), default=0.0)
        found = frozenset(d for d, covered in cover.items() if covered >= bar)
        return found if len(found) <= AT_MOST else frozenset()


def rarity(total: int, holders: int) -> float:
    """BM25's inverse document frequency; always above 0."""
    return log(1 + (total - holders + 0.5) / (holders + 0.5))


def _name_words(document: Document) -> str:
    stem = document.name.rpartition(".")[0] or document.name
    return _NAME_PARTS.sub(" ", stem)


class RoutedRetriever:
    """A `Retriever` that prefers the documents an unfiltered question names."""

    def __init__(self, inner: Retriever, headers: DocumentIdentities) -> None:
        self._inner = inner
        self._headers = headers

    @property
    def ready(self) -> bool:
        """Whether the path can be asked now."""
        return self._inner.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """See `Retriever.retrieve`."""
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
            await self._headers.follow()
        except LibraryUnavailable as error:
            emit(RoutingSkipped(reason=error.error_code))
            return frozenset()
        principal = query.principal
        return self._headers.preferred(principal.tenant, query.collection, query.text)


def merged(
    everywhere: Sequence[Passage],
    inside: Sequence[Passage],
    preferred: frozenset[str],
    *,
    top_k: int,
) -> list[Passage]:
    """The best of both lists, each passage once, those of preferred documents raised."""
    found = {p.chunk_id: p for p in (*everywhere, *inside)}
    scored = [
        (p.score * (PREFERENCE if p.document_id in preferred else 1.0), p) for p in found.values()
    ]
    scored.sort(key=lambda pair: -pair[0])
    return [p if score == p.score else replace(p, score=score) for score, p in scored[:top_k]]
