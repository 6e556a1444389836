"""Caches of answers: fresh ones for repeated questions, stale ones for outages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from foliotrace.model import Answer
from foliotrace.ports.models import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticKey:
    """Lets differently worded questions find the same answer.

    `group` is a keyed hash of everything that must be equal, canonical wording included; `vector`
    is the question's embedding, which must be close as well. It is stored with its answer, for as
    long as the answer.
    """

    group: str
    vector: Vector


class AnswerCache(Protocol):
    """Answers by keyed hash; a key covers tenant, library version, filters, model and prompt.

    Every method may raise CacheUnavailable.
    """

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """The answer, or None if there is none or it has expired."""
        ...

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        """Store an answer of level 0. Callers never store degraded or abstained answers."""
        ...

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """(key, vector) of the newest questions of a semantic group, at most a few."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Delete every answer that cites the document, with its semantic key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAnswer:
    """An answer for outages, valid while every cited document still has its content hash."""

    answer: Answer
    content_hashes: dict[str, str]  # document id -> content hash
    stored_at: datetime


class StaleAnswers(Protocol):
    """Stale answers, stored outside the library's failure domain; keys omit the library version.

    Every method may raise CacheUnavailable.
    """

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        """The stored answer, or None."""
        ...

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        """Store an answer of level 0."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Delete every answer that cites the document."""
        ...
