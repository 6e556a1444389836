"""Finds the pages and documents that a figure needs beyond the passages of its question.

A ratio's operands stand on different statements, a development in different reports: each page is
searched for in its document by the titles of its kind. Found ones are remembered for one library
version.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Passage, Query
from foliotrace.ports import Retriever
from foliotrace.text_caches import clear_on_deletion

MOST_DOCUMENTS: Final = 8  # that one answer compares
PAGES_OF_A_KIND: Final = 8
_MEMORY: Final = 256  # searches; a few megabytes of passages


class NamedDocuments(Protocol):
    """Which documents a text names by their identity."""

    def preferred(self, tenant: str, collection: str, text: str) -> frozenset[str]:
        """Their ids; empty where it names none, or too many."""
        ...


@dataclass(slots=True, weakref_slot=True)
class PageLookup:
    """Searches inside single documents with one retriever; without one, it finds nothing."""

    retriever: Retriever | None = None
    documents: NamedDocuments | None = None
    _known: OrderedDict[tuple[str, str, str, str], tuple[Passage, ...]] = field(
        default_factory=OrderedDict
    )

    def __post_init__(self) -> None:
        clear_on_deletion(self)

    def clear(self) -> None:
        """Drop what was found."""
        self._known.clear()

    def named(self, query: Query, text: str) -> list[str]:
        """The ids of the documents that `text` names, within the question's own filters."""
        if self.documents is None or query.filters.metadata:
            return []
        found = self.documents.preferred(query.principal.tenant, query.collection, text)
        allowed = query.filters.document_ids
        return sorted(id for id in found if not allowed or id in allowed)

    async def pages(
        self, query: Query, document_id: str, text: str, deadline: Deadline
    ) -> Sequence[Passage]:
        """Passages of one document for `text`, best first; none where the index is out of order."""
        if self.retriever is None or not self.retriever.ready:
            return ()
        key = (query.principal.tenant, query.collection, document_id, text)
        known = self._known.get(key)
        if known is not None:
            return known
        inside = replace(query, text=text, filters=Filters(document_ids=(document_id,)))
        try:
            found = await self.retriever.retrieve(inside, top_k=PAGES_OF_A_KIND, deadline=deadline)
        except IndexUnavailable:
            return ()  # the passages of the question are left
        self._known[key] = tuple(found)
        if len(self._known) > _MEMORY:
            self._known.popitem(last=False)
        return self._known[key]
