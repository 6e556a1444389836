"""Documents by the terms of their identity: company, kind, period, title, file name.

Follows the library's change log; read by document routing and by the subject check.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from math import log
from operator import itemgetter
from typing import Final

from foliotrace.errors import NotFound
from foliotrace.model import Document
from foliotrace.ports import LibraryReader, Vocabulary
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.subjects.identity_names import CollectionNames

MIN_RELATIVE_COVER: Final = 0.8  # of the best document's cover
MAX_PREFERRED: Final = 32  # a question that matches more documents names none in particular

_COMMON: Final = 64  # documents that hold a term, above which they are not looked at per question
_AT_ONCE: Final = 50  # documents read before other tasks get a turn: a few milliseconds
_MEMORY: Final = 1024  # sets of common terms whose best documents are remembered

_NAME_PARTS: Final = re.compile(r"[\W_]+")


@dataclass(slots=True)
class _CollectionIdentities:
    """Which documents of one collection hold which terms in their identity."""

    holders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    terms: dict[str, frozenset[str]] = field(default_factory=dict)
    best_of_common: dict[frozenset[str], list[tuple[str, float]]] = field(default_factory=dict)
    names: CollectionNames = field(default_factory=CollectionNames)
    ends: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # of documents' periods

    def put(
        self, document_id: str, terms: frozenset[str], end: tuple[int, int, int] | None = None
    ) -> None:
        self.drop(document_id)
        self.terms[document_id] = terms
        if end is not None:
            self.ends[document_id] = end
        for term in terms:
            self.holders[term].add(document_id)

    def drop(self, document_id: str) -> None:
        self.best_of_common.clear()
        self.ends.pop(document_id, None)
        for term in self.terms.pop(document_id, ()):
            holders = self.holders[term]
            holders.discard(document_id)
            if not holders:  # else the words of deleted documents would stay for ever
                del self.holders[term]
        self.names.drop(document_id)

    def cover(self, terms: Iterable[str]) -> dict[str, float]:
        """The summed rarity of the terms that a document holds, for those that hold the most.

        Documents of common terms alone are looked at once for each set of such terms, until the
        collection changes: a question's cost must not grow with the number of documents.
        """
        weights = {t: rarity(len(self.terms), len(self.holders[t])) for t in self._held(terms)}
        common = frozenset(t for t in weights if len(self.holders[t]) > _COMMON)
        cover = self._summed({t: w for t, w in weights.items() if t not in common})
        for term in (t for t in weights if t in common):  # in order: sums must not differ
            for document_id in cover.keys() & self.holders[term]:
                cover[document_id] += weights[term]
        if sum(weights[t] for t in common) >= MIN_RELATIVE_COVER * max(cover.values(), default=0.0):
            for document_id, covered in self._best_of(common, weights):
                cover.setdefault(document_id, covered)
        return cover

    def _held(self, terms: Iterable[str]) -> Iterator[str]:
        return (term for term in dict.fromkeys(terms) if self.holders.get(term))

    def _summed(self, weights: Mapping[str, float]) -> dict[str, float]:
        cover: dict[str, float] = defaultdict(float)
        for term, weight in weights.items():
            for document_id in self.holders[term]:
                cover[document_id] += weight
        return cover

    def _best_of(
        self, common: frozenset[str], weights: Mapping[str, float]
    ) -> list[tuple[str, float]]:
        """One document more than may be preferred, by what they hold of `common`."""
        best = self.best_of_common.get(common)
        if best is None:
            cover = self._summed({t: w for t, w in weights.items() if t in common})
            best = nlargest(MAX_PREFERRED + 1, cover.items(), key=itemgetter(1))
            if len(self.best_of_common) >= _MEMORY:
                self.best_of_common.clear()
            self.best_of_common[common] = best
        return best


class DocumentIdentities:
    """The identity terms of every served document, in memory; follows the library's changes."""

    def __init__(self, library: LibraryReader, vocabulary: Vocabulary) -> None:
        self._library = library
        self._vocabulary = vocabulary
        self._collections: dict[tuple[str, str], _CollectionIdentities] = defaultdict(
            _CollectionIdentities
        )
        self._version = 0
        self._following = asyncio.Lock()

    async def follow(self) -> None:
        """Apply what was published or deleted since the last call. Raises LibraryUnavailable."""
        if await self._library.version() == self._version:
            return
        async with self._following:
            while changes := await self._library.changes(self._version, limit=_AT_ONCE):
                for change in changes:
                    collection = self._collections[change.tenant, change.collection]
                    collection.drop(change.document_id)
                    if not change.deleted:
                        await self._read(change.tenant, change.document_id)
                    self._version = change.version
                await asyncio.sleep(0)  # after a start all documents are read: others go on

    async def _read(self, tenant: str, document_id: str) -> None:
        try:
            document = await self._library.document(tenant, document_id)
        except NotFound:
            return  # deleted meanwhile: a later change covers it
        identity = f"{document.identity.header()} {_name_words(document)}"
        terms = frozenset(self._vocabulary.terms(identity))
        collection = self._collections[tenant, document.collection]
        dates = periods_in(document.identity.header()).dates
        end = max((date.order for date in dates), default=None)
        collection.put(document_id, terms, end)
        collection.names.put(document)

    def names_of(self, tenant: str, collection: str) -> CollectionNames | None:
        """The names and periods of a collection's documents; None for an empty collection."""
        known = self._collections.get((tenant, collection))
        return known.names if known is not None and known.terms else None

    def covering(self, tenant: str, collection: str, terms: Iterable[str]) -> frozenset[str]:
        """The documents whose identity or file name has all the terms; none without terms."""
        known = self._collections.get((tenant, collection))
        holders = [known.holders.get(term, set()) for term in set(terms)] if known else []
        return frozenset(set.intersection(*holders)) if holders else frozenset()

    def preferred(self, tenant: str, collection: str, text: str) -> frozenset[str]:
        """The documents that the question names; empty when it names none, or too many."""
        known = self._collections.get((tenant, collection))
        if known is None or len(known.terms) < 2:
            return frozenset()
        cover = known.cover(self._vocabulary.terms(text))
        bar = MIN_RELATIVE_COVER * max(cover.values(), default=0.0)
        named = frozenset(d for d, covered in cover.items() if covered >= bar)
        return named if len(named) <= MAX_PREFERRED else frozenset()

    def newest(self, tenant: str, collection: str, ids: Collection[str]) -> frozenset[str]:
        """Those of the documents whose period ends last; all of them where none says when."""
        known = self._collections.get((tenant, collection))
        ends = {i: known.ends[i] for i in ids if i in known.ends} if known is not None else {}
        last = max(ends.values(), default=None)
        return frozenset(i for i in ids if last is None or ends.get(i) == last)


def rarity(total: int, holders: int) -> float:
    """BM25's inverse document frequency; always above 0."""
    return log(1 + (total - holders + 0.5) / (holders + 0.5))


def _name_words(document: Document) -> str:
    stem = document.name.rpartition(".")[0] or document.name
    return _NAME_PARTS.sub(" ", stem)
