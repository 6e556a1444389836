"""Answers that are given again: to the same question, to one alike, and old ones on a bad day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from foliotrace.model import Answer
from foliotrace.ports.retrieval import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question of a kept answer as others that ask the same find it.

    `group` is a keyed hash of all that must be equal (words included); `vector` is the question's,
    and has to agree. Both are kept with the answer, as long as the answer and nowhere else.
    """

    group: str
    vector: Vector


class AnswerCache(Protocol):
    """Answers by keyed hash. The key holds tenant, index version, filters, model, prompt."""

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """Raises CacheUnavailable."""
        ...

    async def store(
        self, tenant: str, key: str, answer: Answer, *, ttl_s: float, asked: Asked | None = None
    ) -> None:
        """Only level-0, not abstained answers are given. Raises CacheUnavailable."""
        ...

    async def alike(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """(key, vector) of the group's newest questions, a few at most. Raises CacheUnavailable."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop every answer that cites the document, with its question. Raises CacheUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAnswer:
    """An answer kept for bad days: served only while every cited document has its hash still."""

    answer: Answer
    content_hashes: dict[str, str]  # document id -> content hash
    stored_at: datetime


class StaleAnswers(Protocol):
    """A store outside the library's failure domain, keyed without the index version."""

    async def lookup(self, tenant: str, key: str) -> StaleAnswer | None:
        """Raises CacheUnavailable."""
        ...

    async def store(self, tenant: str, key: str, stale: StaleAnswer) -> None:
        """Raises CacheUnavailable."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop every answer that cites the document."""
        ...
