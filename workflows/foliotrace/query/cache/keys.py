"""The keys of cached answers, which answers may be stored, and which vectors agree. Pure.

A key is a keyed hash (never plain text) of everything that could change the answer. An exact key
adds the library's index version; stale answers are checked against their documents instead.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.model import Answer, AnswerMode, Level, Query
from foliotrace.ports import HashQuery, Vector
from foliotrace.query.cache.semantic_key import Synonyms, canonical_question

_STORED_MODES: Final = (AnswerMode.GENERATED, AnswerMode.EXTRACTIVE)


def stale_key(query: Query, *, best: str, hash_query: HashQuery) -> str:
    """The key of a stale answer, whatever the index version.

    `best` names the best configured path: models, prompt, modes.
    """
    filters = query.filters
    content = json.dumps(
        [
            "answer",
            query.principal.tenant,
            query.collection,
            best,
            query.top_k,
            sorted(filters.document_ids),
            sorted((name, sorted(map(repr, values))) for name, values in filters.metadata.items())
            if filters.metadata
            else None,
            " ".join(query.text.split()),
        ],
        ensure_ascii=False,
    )
    return hash_query(query.principal.tenant, content)[1]


def exact_key(stale: str, *, index_version: int) -> str:
    """The key of an exact hit: the stale key at one version of the index."""
    return f"{index_version}-{stale}"


def may_store(answer: Answer, *, redacted: int) -> bool:
    """Whether an answer may be stored: level 0, cited, and nothing redacted from it."""
    return (
        answer.degradation.level is Level.NONE
        and answer.degradation.answer in _STORED_MODES
        and bool(answer.citations)
        and not redacted
    )


def semantic_key(
    query: Query,
    *,
    index_version: int,
    best: str,
    model: str,
    synonyms: Synonyms,
    hash_query: HashQuery,
) -> str:
    """The key that questions with the same meaning share, for vectors of one `model`.

    The key covers all that an exact key covers, with the canonical question in place of the text.
    So no similarity of vectors can join two questions that differ.
    """
    canonical = canonical_question(query.text, synonyms)
    text = json.dumps(["semantic", canonical, model, synonyms.groups], ensure_ascii=False)
    key = stale_key(replace(query, text=text), best=best, hash_query=hash_query)
    return exact_key(key, index_version=index_version)


def similar_keys(
    vector: Vector, stored: Sequence[tuple[str, Vector]], *, min_similarity: float
) -> list[tuple[float, str]]:
    """(cosine, key) of the stored questions whose vectors agree with `vector`, best first.

    A vector of length 0, of another dimension or with a number that is not finite never agrees.
    """
    import numpy as np  # not at import: it costs every start 0.1 s

    wanted = np.asarray(vector, dtype=np.float64)
    agreeing: list[tuple[float, str]] = []
    for key, values in stored:
        other = np.asarray(values, dtype=np.float64)
        if other.shape != wanted.shape:
            continue
        lengths = float(np.linalg.norm(wanted) * np.linalg.norm(other))
        cosine = float(wanted @ other) / lengths if lengths > 0 else 0.0
        if cosine >= min_similarity:  # never true of nan
            agreeing.append((cosine, key))
    return sorted(agreeing, reverse=True)
