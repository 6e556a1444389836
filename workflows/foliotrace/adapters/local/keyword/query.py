"""Builds tantivy queries from search plans, term by term: no query syntax is ever parsed."""

from collections.abc import Sequence
from typing import Final

from tantivy import Occur, Query, Schema

from foliotrace.adapters.local.keyword.page_text import TABULAR
from foliotrace.adapters.local.keyword.search_plan import PageTitles, SearchPlan
from foliotrace.adapters.local.keyword.store import KeywordStore

_FEW_DOCUMENTS: Final = 32
MANY_CHUNKS: Final = 20_000
COMMON_SHARE: Final = 0.5
"""Of many chunks, words that more than this share hold are not searched for: they say next to
nothing, and reading through them is two thirds of a search (bench/query_scale.py)."""
FIELDS: Final = {"body": 1.0, "page": 2.0, "titles": 1.0}  # how much a match in each counts
FORM_FIELDS: Final = {"forms": 2.0, "parts": 0.5}


def any_term(store: KeywordStore, plan: SearchPlan) -> Query | None:
    """A query for any of the plan's terms that the index holds; None without one."""
    wanted = [
        (field, term, weight * field_weight, frequency)
        for terms, fields in ((plan.terms, FIELDS), (plan.forms, FORM_FIELDS))
        for term, weight in terms.items()
        for field, field_weight in fields.items()
        if (frequency := store.frequency(field, term))
    ]
    if store.chunks >= MANY_CHUNKS:
        most = COMMON_SHARE * store.chunks
        wanted = [one for one in wanted if one[3] <= most] or wanted
    # Nothing but terms: the engine then skips what cannot be among the best (block-max WAND).
    queries = [
        _boosted(Query.term_query(store.schema, field, term, "freq"), weight)
        for field, term, weight, _ in wanted
    ]
    return _any(queries) if queries else None


def within(
    schema: Schema,
    query: Query,
    *,
    document_ids: Sequence[str] | None,
    pages: Sequence[PageTitles] = (),
) -> Query:
    """The same in these documents, and with `pages` on these kinds of page only."""
    only = []
    if document_ids is not None:
        only.append(_one_of(schema, document_ids))
    if pages:
        only.append(_any([_page_query(schema, page) for page in pages]))
    if not only:
        return query
    return Query.boolean_query(
        [
            (Occur.Must, query),
            *((Occur.Must, Query.const_score_query(one, 0.0)) for one in only),
        ]
    )


def _boosted(query: Query, weight: float) -> Query:
    return query if weight == 1 else Query.boost_query(query, weight)


def _page_query(schema: Schema, page: PageTitles) -> Query:
    titles = _any([_title(schema, title) for title in page.titles])
    if not page.tabular:
        return titles
    tabular = Query.term_query(schema, "shape", TABULAR, "basic")
    return Query.boolean_query([(Occur.Must, titles), (Occur.Must, tabular)])


def _title(schema: Schema, title: Sequence[str]) -> Query:
    if len(title) == 1:
        return Query.term_query(schema, "titles", title[0], "basic")
    return Query.phrase_query(schema, "titles", list(title))


def _any(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _one_of(schema: Schema, document_ids: Sequence[str]) -> Query:
    """The chunks of these documents."""
    # A term set walks the whole dictionary, which costs 0.2 ms more for a few documents.
    if len(document_ids) > _FEW_DOCUMENTS:
        return Query.term_set_query(schema, "document", list(document_ids))
    return _any([Query.term_query(schema, "document", i, "basic") for i in document_ids])
