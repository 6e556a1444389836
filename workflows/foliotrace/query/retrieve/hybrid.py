"""Keyword and vector search as one path: both lists fused by score."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.model import Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Retriever

FUSION_DEPTH: Final = 50
DENSE_WEIGHT: Final = 0.5


class HybridRetriever:
    """A `Retriever` that fuses keyword and vector search by score; fails when either fails."""

    def __init__(self, keyword: Retriever, vectors: Retriever) -> None:
        self._keyword = keyword
        self._vectors = vectors

    @property
    def ready(self) -> bool:
        """Whether both can answer now."""
        return self._vectors.ready and self._keyword.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, by fused score. Raises the IndexUnavailable of either search."""
        depth = max(FUSION_DEPTH, top_k)
        dense = await self._vectors.retrieve(query, top_k=depth, deadline=deadline)
        sparse = await self._keyword.retrieve(query, top_k=depth, deadline=deadline)
        return fused(sparse, dense)[:top_k]


def fused(sparse: Sequence[Passage], dense: Sequence[Passage]) -> list[Passage]:
    """Best first by (1 - w) * BM25 / max + w * min-max cosine, w = 0.5; missing counts as 0.

    Source: measured against reciprocal rank fusion on SciFact, Cranfield and CISI (2026-11).
    """
    scores: dict[str, float] = {}
    top = max((p.score for p in sparse), default=0.0) or 1.0
    for p in sparse:
        scores[p.chunk_id] = (1 - DENSE_WEIGHT) * p.score / top
    low = min((p.score for p in dense), default=0.0)
    span = (max((p.score for p in dense), default=0.0) - low) or 1.0
    for p in dense:
        scores[p.chunk_id] = scores.get(p.chunk_id, 0.0) + DENSE_WEIGHT * (p.score - low) / span
    passages = {p.chunk_id: p for p in (*dense, *sparse)}
    return sorted(
        (replace(p, score=scores[i], path=RetrievalMode.HYBRID) for i, p in passages.items()),
        key=lambda p: (-p.score, p.chunk_id),
    )
