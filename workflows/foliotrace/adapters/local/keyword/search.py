"""One question's search in one collection: what is looked for, and the best places it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tantivy import Query

from foliotrace.adapters.local.keyword import query as keyword_query
from foliotrace.adapters.local.keyword.places import by_place
from foliotrace.adapters.local.keyword.search_plan import PageTitles, Planner
from foliotrace.adapters.local.keyword.store import Hit, KeywordStore
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.text_caches import clear_on_deletion

OVER_FETCH: Final = 8  # hits that the library may have deleted meanwhile
PAGE_PREFERENCE: Final = 1.33  # factor on what stands on a kind of page that was asked for
_CHUNKS_OF_A_PAGE: Final = 6  # that may be found before the next page
_KEPT: Final = 32  # searches of questions under way


@dataclass(frozen=True, slots=True)
class Search:
    """A question's terms as a query, the kinds of page it prefers, its neighbours' rarity."""

    query: Query
    pages: tuple[PageTitles, ...]
    pairs: Mapping[tuple[str, str], float]


class Searches:
    """Prepares searches by one planner, once for a question that is searched for twice."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._kept: LruCache[tuple[str, str], Search] = clear_on_deletion(LruCache(_KEPT))

    def of(self, scope: str, text: str, store: KeywordStore) -> Search | None:
        """The search for a question; None if the index holds none of its terms."""
        self._kept.keep_for(store.version)
        known = self._kept.get((scope, text))
        if known is None:
            plan = self._planner.plan(text, store.languages())
            query = keyword_query.any_term(store, plan)
            if query is None:
                return None
            pairs = {pair: store.weight(pair[0]) + store.weight(pair[1]) for pair in plan.pairs}
            known = Search(query, plan.pages, pairs)
            self._kept.put((scope, text), known)
        return known


def find(
    store: KeywordStore, search: Search, ids: Sequence[str] | None, top_k: int
) -> list[tuple[Hit, ...]]:
    """The best places; those on the kinds of page that the question asks for are raised."""
    limit = _CHUNKS_OF_A_PAGE * top_k + OVER_FETCH
    query = keyword_query.within(store.schema, search.query, document_ids=ids)
    hits = store.search(query, limit)
    if search.pages:
        pages = search.pages
        query = keyword_query.within(store.schema, search.query, document_ids=ids, pages=pages)
        known = {hit.chunk: hit for hit in hits}
        for hit in store.search(query, limit):
            known[hit.chunk] = hit._replace(score=hit.score * PAGE_PREFERENCE)
        hits = list(known.values())
    return by_place(hits, top_k + OVER_FETCH)
