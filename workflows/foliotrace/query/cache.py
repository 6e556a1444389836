"""Which answers may be kept, and under what key. Pure."""

import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from foliotrace.model import Answer, AnswerMode, Document, Level, Query
from foliotrace.ports import StaleAnswer

_NEGATIONS: Final = frozenset(
    {"no", "not", "never", "none", "without", "nor", "neither", "cannot", "except", "excluding"}
)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_NUMBERED = re.compile(r"\b[\w.-]*\d[\w.,-]*\b")
_CAPITALISED = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][A-Za-z0-9-]*\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKeyParts:
    """What an answer depends on besides its question."""

    index_version: int
    model: str | None
    prompt_version: str
    code_version: str


def exact_key(query: Query, parts: CacheKeyParts, secret: bytes) -> str:
    """A keyed hash over all an answer depends on; tells nothing without the key."""
    return _keyed(
        secret,
        [*_identity(query), parts.index_version, parts.model, parts.prompt_version],
        parts.code_version,
    )


def stale_key(query: Query, secret: bytes) -> str:
    """The question alone: a stale answer is one the index has moved on from."""
    return _keyed(secret, _identity(query), "stale")


def _identity(query: Query) -> list[object]:
    filters = {name: sorted(map(str, values)) for name, values in query.filters.metadata.items()}
    return [
        query.principal.tenant,
        query.collection,
        " ".join(query.text.split()),
        query.top_k,
        sorted(query.filters.document_ids),
        filters,
    ]


def _keyed(secret: bytes, parts: Sequence[object], last: str) -> str:
    message = json.dumps([*parts, last], sort_keys=True, ensure_ascii=False).encode()
    return hmac.digest(secret, message, "sha256").hex()


def may_be_cached(answer: Answer) -> bool:
    """Whole answers only: nothing degraded, abstained or cut."""
    return (
        answer.degradation.level is Level.NONE
        and not answer.degradation.reasons
        and answer.degradation.answer in (AnswerMode.GENERATED, AnswerMode.EXTRACTIVE)
        and bool(answer.citations)
    )


def still_holds(stale: StaleAnswer, documents: Sequence[Document]) -> bool:
    """Whether every document the answer cites still has the content it had."""
    now = {document.id: document.content_hash for document in documents}
    return all(now.get(i) == content_hash for i, content_hash in stale.content_hashes.items())


def age_s(stale: StaleAnswer, now: datetime) -> float:
    """Seconds since the stale answer was made."""
    return max(0.0, (now - stale.stored_at).total_seconds())


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
