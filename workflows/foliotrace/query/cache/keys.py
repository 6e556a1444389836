"""When an answer may be given again: the key of an exact hit, and what may be stored. Pure.

A key is a keyed hash (never plain text) over everything that could change the answer, but for the
index version: an exact hit's key has it in front, stale answers are checked against their documents
instead.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.model import Answer, AnswerMode, Level, Query
from foliotrace.ports import HashQuery, Vector
from foliotrace.query.cache.semantic_key import Synonyms, canonical_question

_KEPT_MODES: Final = (AnswerMode.GENERATED, AnswerMode.EXTRACTIVE)


def stale_key(query: Query, *, best: str, hash_query: HashQuery) -> str:
    """The key of a stale answer, for whatever index version.

    `best` names the best configured path: models, prompt, modes.
    """
    filters = query.filters
    said = json.dumps(
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
    return hash_query(query.principal.tenant, said)[1]


def exact_key(stale: str, *, index_version: int) -> str:
    """The key of an exact hit: the stale answer's `stale`, at one version of the index."""
    return f"{index_version}-{stale}"


def may_be_kept(answer: Answer, *, redacted: int) -> bool:
    """Whether an answer may be stored: the best there is, and nothing personal taken out of it."""
    return (
        answer.degradation.level is Level.NONE
        and answer.degradation.answer in _KEPT_MODES
        and bool(answer.citations)
        and not redacted
    )


def group_key(
    query: Query,
    *,
    index_version: int,
    best: str,
    model: str,
    synonyms: Synonyms,
    hash_query: HashQuery,
) -> str:
    """Where questions stand that ask the same in other words, for vectors of one `model`.

    The key covers all that an exact key covers, with the canonical question in place of the text.
    So no similarity of vectors can join two questions that differ.
    """
    canonical = canonical_question(query.text, synonyms)
    asked = json.dumps(["alike", canonical, model, synonyms.groups], ensure_ascii=False)
    alike_key = stale_key(replace(query, text=asked), best=best, hash_query=hash_query)
    return exact_key(alike_key, index_version=index_version)


def near(
    vector: Vector, kept: Sequence[tuple[str, Vector]], *, floor: float
) -> list[tuple[float, str]]:
    """(cosine, key) of the kept questions whose vectors agree with `vector`, the best first.

    What has no direction, another length or no finite number agrees with nothing.
    """
    import numpy as np  # not before a question asks for it: 0.1 s of every start

    asked = np.asarray(vector, dtype=np.float64)
    found: list[tuple[float, str]] = []
    for key, other in kept:
        known = np.asarray(other, dtype=np.float64)
        if known.shape != asked.shape:
            continue
        lengths = float(np.linalg.norm(asked) * np.linalg.norm(known))
        cosine = float(asked @ known) / lengths if lengths > 0 else 0.0
        if cosine >= floor:  # never true of nan
            found.append((cosine, key))
    return sorted(found, reverse=True)
