"""Answers that are given again: exact ones, and old ones on a bad day."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from foliotrace.model import Answer


class AnswerCache(Protocol):
    """Exact answers by keyed hash. The key holds tenant, index version, filters, model, prompt."""

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """Raises CacheUnavailable."""
        ...

    async def store(self, tenant: str, key: str, answer: Answer, *, ttl_s: float) -> None:
        """Only level-0, not abstained answers are given. Raises CacheUnavailable."""
        ...

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop every answer that cites the document."""
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
