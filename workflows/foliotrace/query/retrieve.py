"""Passages for a question: the first configured path that can answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliotrace.errors import IndexUnavailable, Unavailable
from foliotrace.events import tell
from foliotrace.model import Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Clock, Retriever

FUSED_DEPTH: Final = 50
"""Passages taken of each path before fusing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalPath:
    """One rung: its name and the retriever behind it."""

    mode: RetrievalMode
    retriever: Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """The passages, best first, the path they came by, and why better paths were left."""

    passages: tuple[Passage, ...]
    mode: RetrievalMode
    reasons: tuple[str, ...] = ()


async def retrieve(
    query: Query, paths: Sequence[RetrievalPath], *, deadline: Deadline, clock: Clock
) -> Retrieved:
    """Walk `paths` until one answers; each but the last leaves time for those behind it."""
    reasons: list[str] = []
    for place, path in enumerate(paths):
        now_s = clock.monotonic_s()
        left_s = deadline.remaining_s(now_s)
        share_s = left_s / 2 if place + 1 < len(paths) else left_s
        try:
            async with asyncio.timeout(share_s):
                passages = await path.retriever.retrieve(
                    query, top_k=query.top_k, deadline=deadline.capped(now_s, share_s)
                )
        except TimeoutError:
            reasons.append(f"{path.mode}_timeout")
        except Unavailable as error:
            reasons.append(error.reason)
        else:
            found = Retrieved(passages=distinct(passages), mode=path.mode, reasons=tuple(reasons))
            _tell(query, found)
            return found
    return Retrieved(passages=(), mode=RetrievalMode.NONE, reasons=tuple(reasons))


def _tell(query: Query, found: Retrieved) -> None:
    tell(
        "foliotrace.retrieved",
        gen_ai__data_source__id=query.collection,
        gen_ai__retrieval__top_k=query.top_k,
        foliotrace__retrieval__mode=found.mode.value,
        foliotrace__retrieval__count=len(found.passages),
        foliotrace__retrieval__top_score=round(found.passages[0].score, 4)
        if found.passages
        else None,
    )


def distinct(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Without passages whose text was seen already (equal files under two names)."""
    seen: dict[str, Passage] = {}
    for passage in passages:
        seen.setdefault(passage.text, passage)
    return tuple(seen.values())


class HybridRetriever:
    """Keyword and vectors, fused by score: a `Retriever` that needs both to answer."""

    def __init__(
        self, keyword: Retriever, vector: Retriever, *, vector_weight: float = 0.5
    ) -> None:
        self._keyword = keyword
        self._vector = vector
        self._vector_weight = vector_weight

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """As the port says. Raises what either path raises."""
        depth = max(top_k, FUSED_DEPTH)
        try:
            lexical, semantic = await asyncio.gather(
                self._keyword.retrieve(query, top_k=depth, deadline=deadline),
                self._vector.retrieve(query, top_k=depth, deadline=deadline),
            )
        except IndexUnavailable:
            raise
        except Unavailable as error:
            raise IndexUnavailable("the embedder cannot answer", reason=error.reason) from error
        return fuse(lexical, semantic, vector_weight=self._vector_weight)[:top_k]


def fuse(
    lexical: Sequence[Passage], semantic: Sequence[Passage], *, vector_weight: float
) -> list[Passage]:
    """Both lists in one, best first, scored 0 to 1: BM25 over its best, cosine from its worst.

    Weight 0.5 beat reciprocal ranks by a point on SciFact and CISI (shared measurements).
    """
    bm25_best = max((p.score for p in lexical), default=0.0) or 1.0
    cosines = [p.score for p in semantic]
    low, high = (min(cosines), max(cosines)) if cosines else (0.0, 1.0)
    spread = (high - low) or 1.0
    scores: dict[str, float] = {}
    passages: dict[str, Passage] = {}
    for passage in lexical:
        passages[passage.chunk_id] = passage
        scores[passage.chunk_id] = (1 - vector_weight) * passage.score / bm25_best
    for passage in semantic:
        passages.setdefault(passage.chunk_id, passage)
        scores[passage.chunk_id] = (
            scores.get(passage.chunk_id, 0.0) + vector_weight * (passage.score - low) / spread
        )
    order = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [
        replace(passages[chunk_id], score=scores[chunk_id], path=RetrievalMode.HYBRID)
        for chunk_id in order
    ]
