"""When an answer may be given again: the key of an exact hit, and what may be stored. Pure.

A key is a keyed hash (never plain text) over everything that could change the answer, but for the
index version: an exact hit's key has it in front, stale answers are checked against their documents
instead.
"""

import json
import re
from typing import Final

from foliotrace.model import Answer, AnswerMode, Level, Query
from foliotrace.ports import HashQuery

_NEGATIONS: Final = frozenset(
    {"no", "not", "never", "none", "without", "nor", "neither", "cannot", "except", "excluding"}
)
_WORD: Final = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_NUMBERED: Final = re.compile(r"\b[\w.-]*\d[\w.,-]*\b")
_CAPITALISED: Final = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][A-Za-z0-9-]*\b")
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


def may_stand_for(asked: str, cached: str, similarity: float, *, floor: float = 0.95) -> bool:
    """Whether an answer to `cached` may be given to `asked`: alike, and alike in all that decides.

    No similarity alone is safe: "overdue" and "not overdue" have .985 (shared measurements). So
    numbers, identifiers, negations and names must be the same.
    """
    return similarity >= floor and _deciding(asked) == _deciding(cached)


def _deciding(text: str) -> tuple[list[str], list[str], list[str]]:
    words = [w.lower() for w in _WORD.findall(text)]
    return (
        sorted(w.lower().rstrip(".,") for w in _NUMBERED.findall(text)),
        sorted(w for w in words if w in _NEGATIONS or w.endswith("n't")),
        sorted(w.lower() for w in _CAPITALISED.findall(text)),
    )
