"""Reranking: LlamaIndex node postprocessors put the passages of a path into a better order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, Unavailable
from foliotrace.events import RetrievalPathFailed, emit
from foliotrace.model import Deadline, Passage, Query
from foliotrace.ports import Clock, Reranker


@dataclass(frozen=True, slots=True)
class Reranking:
    """Rerankers in order, and how many passages the first one is given at least."""

    rerankers: Sequence[Reranker] = ()
    candidates: int = 0

    def depth(self, top_k: int) -> int:
        """How many passages to retrieve for `top_k` in the answer."""
        return max(top_k, self.candidates) if self.rerankers else top_k

    async def apply(
        self,
        query: Query,
        passages: Sequence[Passage],
        *,
        clock: Clock,
        deadline: Deadline,
        limit_s: float,
    ) -> tuple[Sequence[Passage], list[Unavailable]]:
        """The reranked passages, and the failures of those rerankers that were skipped."""
        failures: list[Unavailable] = []
        for reranker in self.rerankers if passages else ():
            try:
                passages = await _in_time(reranker, query, passages, clock, deadline, limit_s)
            except Unavailable as error:
                emit(RetrievalPathFailed(path="rerank", reason=error.reason))
                failures.append(error)
        return passages, failures


async def _in_time(
    reranker: Reranker,
    query: Query,
    passages: Sequence[Passage],
    clock: Clock,
    deadline: Deadline,
    limit_s: float,
) -> Sequence[Passage]:
    """The passages in the reranker's order, within half of the question's remaining time."""
    now_s = clock.monotonic_s()
    allowed_s = min(limit_s, 0.5 * deadline.remaining_s(now_s))
    try:
        async with asyncio.timeout(allowed_s):
            return await reranker.rerank(query, passages, deadline=Deadline(now_s + allowed_s))
    except TimeoutError:
        raise IndexUnavailable(reason=Reason.RERANKER_TIMEOUT) from None
