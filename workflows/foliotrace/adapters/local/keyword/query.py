"""Builds tantivy queries from questions, term by term: no query syntax is ever parsed."""

import re
from collections.abc import Sequence
from typing import Final

from tantivy import Filter, Occur, Query, Schema, TextAnalyzerBuilder, Tokenizer

# The Snowball English stop words, shortened to those that questions contain.
_STOP_WORDS: Final = (
    "a about an and any are as at be been but by can could did do does for from had has have how"
    " i if in into is it its me my of on or our shall should so than that the their them then"
    " there these they this those to us was we were what when where which who whom whose why will"
    " with would you your"
)
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
_IDEOGRAPHS: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_FEW_DOCUMENTS: Final = 32
MAX_TERMS: Final = 64  # a question is a sentence; more terms only cost time

_content = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(40))
    .filter(Filter.lowercase())
    .filter(Filter.custom_stopword(list(STOP_WORDS)))
    .filter(Filter.stemmer("english"))
    .build()
)
_stems = (
    TextAnalyzerBuilder(Tokenizer.simple())
    .filter(Filter.remove_long(40))
    .filter(Filter.lowercase())
    .filter(Filter.stemmer("english"))
    .build()
)


def content_terms(text: str) -> list[str]:
    """The stemmed terms of a text in order, without stop words."""
    return _content.analyze(with_pairs(text))


def with_pairs(text: str) -> str:
    """The text, followed by each pair of neighbouring CJK characters.

    Pairs make Chinese, Japanese and Korean searchable without a dictionary of words.
    """
    if text.isascii():
        return text
    runs = _IDEOGRAPHS.findall(text)
    pairs = (run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1)))
    return f"{text} {' '.join(pairs)}" if runs else text


def terms(text: str) -> list[str]:
    """The stemmed terms of a question, each once; stop words only if there is nothing else."""
    return list(dict.fromkeys(content_terms(text) or _stems.analyze(with_pairs(text))))[:MAX_TERMS]


def scope_of(tenant: str, collection: str) -> str:
    """One index term for a tenant and a collection; neither can contain the separator."""
    return f"{tenant}\x1f{collection}"


def build(
    schema: Schema, text: str, *, scope: str, document_ids: Sequence[str] | None
) -> Query | None:
    """A query for any of the terms, within the scope and the documents; None without a term."""
    question_terms = terms(text)
    if not question_terms:
        return None
    any_term = Query.boolean_query(
        [(Occur.Should, Query.term_query(schema, "body", term, "freq")) for term in question_terms]
    )
    only = [Query.term_query(schema, "scope", scope, "basic")]
    if document_ids is not None:
        only.append(_one_of(schema, document_ids))
    return Query.boolean_query(
        [
            (Occur.Must, any_term),
            *((Occur.Must, Query.const_score_query(query, 0.0)) for query in only),
        ]
    )


def _one_of(schema: Schema, document_ids: Sequence[str]) -> Query:
    """The chunks of these documents."""
    # A term set walks the whole dictionary, which costs 0.2 ms more for a few documents.
    if len(document_ids) > _FEW_DOCUMENTS:
        return Query.term_set_query(schema, "document", list(document_ids))
    return Query.boolean_query(
        [(Occur.Should, Query.term_query(schema, "document", i, "basic")) for i in document_ids]
    )
