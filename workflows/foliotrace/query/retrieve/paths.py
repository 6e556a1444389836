"""The `retrieve` stage: passages from the best path that answers, and why better paths did not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from foliotrace.catalog import Reason, ReasonFamily
from foliotrace.errors import DeadlineExceeded, IndexUnavailable, Unavailable
from foliotrace.events import PassagesRetrieved, RetrievalPathFailed, emit
from foliotrace.model import Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Clock, Retriever
from foliotrace.query.retrieve.rerank import Reranking

NO_RERANKING: Final = Reranking()
SPARE: Final = 3  # fetched beyond top_k, because duplicates are dropped


@dataclass(frozen=True, slots=True)
class RetrievalPath:
    """A retriever and its place on the ladder."""

    mode: RetrievalMode
    retriever: Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """The passages, the path they came from (NONE when none answered), and the failures before."""

    passages: tuple[Passage, ...]
    mode: RetrievalMode
    failures: tuple[Unavailable, ...] = ()

    def trace_view(self) -> dict[str, object]:
        """What an observer that exports content may show."""
        return {
            "documents": self.passages,
            "mode": self.mode.value,
            "failures": [error.reason for error in self.failures],
        }


@dataclass(slots=True)
class _Outcome:
    """The `passages` of the path at `place`, or None when all paths failed."""

    passages: Sequence[Passage] | None = None
    place: int = -1
    failures: dict[int, Unavailable] = field(default_factory=dict)


async def retrieve(
    query: Query,
    paths: Sequence[RetrievalPath],
    *,
    clock: Clock,
    deadline: Deadline,
    limit_s: float,
    hedge_s: float | None = None,
    reranking: Reranking = NO_RERANKING,
) -> Retrieval:
    """Try the paths in order until one answers; an answer without passages is an answer.

    With `hedge_s` (seconds), a path that is silent for that long keeps its chance while the next
    one is asked too; a lower path that wins is a failure `<mode>_hedged` of the better one.
    """
    outcome = _Outcome()
    depth = reranking.depth(query.top_k) + SPARE
    ask = partial(
        _ask,
        paths=paths,
        query=query,
        clock=clock,
        deadline=deadline,
        limit_s=limit_s,
        depth=depth,
    )

    if hedge_s is None or len(paths) < 2:
        for place in range(len(paths)):
            try:
                outcome.passages = await ask(place)
            except Unavailable as error:
                outcome.failures[place] = error
            else:
                outcome.place = place
                break
    else:
        outcome = await _first_answer(ask, len(paths), hedge_s=hedge_s)
    if outcome.passages is None:
        failures = [outcome.failures[place] for place in range(len(paths))]
        return Retrieval(passages=(), mode=RetrievalMode.NONE, failures=tuple(failures))
    failures = [
        outcome.failures.get(place) or _overtaken(paths[place]) for place in range(outcome.place)
    ]
    distinct, skipped = await reranking.apply(
        query,
        without_duplicates(outcome.passages)[: depth - SPARE],
        clock=clock,
        deadline=deadline,
        limit_s=limit_s,
    )
    failures.extend(skipped)
    passages = tuple(distinct[: query.top_k])
    mode = paths[outcome.place].mode
    if mode is RetrievalMode.MANAGED and any(p.unplaced for p in passages):
        failures.append(IndexUnavailable(reason=Reason.MANAGED_INDEX_INCOMPLETE, answered=True))
    emit(
        PassagesRetrieved(
            collection=query.collection,
            top_k=query.top_k,
            mode=mode.value,
            passages=len(passages),
            top_score=round(passages[0].score, 4) if passages else None,
        )
    )
    return Retrieval(passages=passages, mode=mode, failures=tuple(failures))


async def _ask(
    place: int,
    *,
    paths: Sequence[RetrievalPath],
    query: Query,
    clock: Clock,
    deadline: Deadline,
    limit_s: float,
    depth: int,
) -> Sequence[Passage]:
    """Ask one path within its share of the remaining time. Raises its Unavailable."""
    path = paths[place]
    now_s = clock.monotonic_s()
    allowed_s = rung_s(
        deadline.remaining_s(now_s), limit_s=limit_s, has_lower_rung=place + 1 < len(paths)
    )
    try:
        async with asyncio.timeout(allowed_s):
            return await path.retriever.retrieve(
                query, top_k=depth, deadline=Deadline(now_s + allowed_s)
            )
    except TimeoutError:
        late = DeadlineExceeded(
            f"The {path.mode.value} path did not answer in time.",
            reason=ReasonFamily.PATH_TIMEOUT.of(path.mode.value),
        )
        emit(RetrievalPathFailed(path=path.mode.value, reason=late.reason))
        raise late from None
    except Unavailable as error:
        emit(RetrievalPathFailed(path=path.mode.value, reason=error.reason))
        raise


async def _first_answer(
    ask: Callable[[int], Awaitable[Sequence[Passage]]], count: int, *, hedge_s: float
) -> _Outcome:
    """Hedged requests: ask places 0 to `count` - 1 in order until one does not raise Unavailable.

    A place that is silent for `hedge_s` seconds keeps its chance while the next one is asked too;
    of two answers at once the better place wins, and those still at work are cancelled. Any other
    exception ends all and is raised.
    Source: Dean and Barroso, "The Tail at Scale", 2013.
    """
    outcome: _Outcome = _Outcome()
    pending: dict[int, asyncio.Future[Sequence[Passage]]] = {}
    asked = 0
    try:
        while True:
            if asked < count:
                pending[asked] = asyncio.ensure_future(ask(asked))
                asked += 1
            patience_s = hedge_s if asked < count else None
            while not _collect(outcome, pending) and pending:
                done, _ = await asyncio.wait(
                    pending.values(), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
            if outcome.place >= 0 or (asked == count and not pending):
                return outcome
    finally:
        for task in pending.values():
            task.cancel()
        await asyncio.gather(*pending.values(), return_exceptions=True)


def _collect(outcome: _Outcome, pending: dict[int, asyncio.Future[Sequence[Passage]]]) -> bool:
    """Record what has ended, the best place first; whether an answer is among it."""
    for place in sorted(pending):
        task = pending[place]
        if not task.done():
            continue
        del pending[place]
        try:
            outcome.passages = task.result()
        except Unavailable as error:
            outcome.failures[place] = error
            continue
        outcome.place = place
        return True
    return False


def rung_s(remaining_s: float, *, limit_s: float, has_lower_rung: bool) -> float:
    """Seconds one retrieval path may take: half of what is left while another could follow."""
    return min(limit_s, remaining_s * (0.5 if has_lower_rung else 1.0))


def _overtaken(path: RetrievalPath) -> Unavailable:
    """The failure of a better path that was slower than the one that answered."""
    mode = path.mode.value
    overtaken = DeadlineExceeded(
        f"A lower path answered while the {mode} path was still at work.",
        reason=ReasonFamily.PATH_HEDGED.of(mode),
    )
    emit(RetrievalPathFailed(path=mode, reason=overtaken.reason))
    return overtaken


def without_duplicates(passages: Sequence[Passage]) -> list[Passage]:
    """The passages without those that repeat a better one of the same file.

    Equal text in two files (two quarters' filings) stays: each is a source of its own. One file
    under two names counts once.
    """
    seen: set[tuple[str, str]] = set()
    distinct: list[Passage] = []
    for passage in passages:
        content = (passage.revision, passage.text)
        if content not in seen and not any(_covers(better, passage) for better in distinct):
            seen.add(content)
            distinct.append(passage)
    return distinct


def _covers(better: Passage, other: Passage) -> bool:
    """Whether at least 80 % of `other` lies within `better`, on the same page."""
    if (better.revision, better.page) != (other.revision, other.page):
        return False
    shared = min(better.end, other.end) - max(better.start, other.start)
    return shared >= 0.8 * (other.end - other.start)


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


class VectorRetriever:
    """A `Retriever` by vectors alone, for the time in which the keyword index is rebuilt."""

    def __init__(self, vectors: Retriever) -> None:
        self._vectors = vectors

    @property
    def ready(self) -> bool:
        """Whether vectors can be searched now."""
        return self._vectors.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, by cosine. Raises IndexUnavailable."""
        found = await self._vectors.retrieve(query, top_k=top_k, deadline=deadline)
        return [replace(p, path=RetrievalMode.VECTOR) for p in found]


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
