"""The second stage: passages from the best path that answers, and why better ones did not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.catalog import ReasonFamily
from foliotrace.errors import DeadlineExceeded, Unavailable
from foliotrace.events import PassagesRetrieved, RetrievalPathFailed, emit
from foliotrace.model import Deadline, Passage, Query, RetrievalMode
from foliotrace.ports import Clock, Retriever
from foliotrace.query.retrieve.hedging import first_good

SPARE: Final = 3  # fetched beyond top_k, for the duplicates that are dropped


@dataclass(frozen=True, slots=True)
class RetrievalPath:
    """One way to passages, and what it is called."""

    mode: RetrievalMode
    retriever: Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What was found, by which path (NONE when none answered), and the failures before it."""

    passages: tuple[Passage, ...]
    mode: RetrievalMode
    failures: tuple[Unavailable, ...] = ()


async def retrieve(
    query: Query,
    paths: Sequence[RetrievalPath],
    *,
    clock: Clock,
    deadline: Deadline,
    limit_s: float,
    hedge_s: float | None = None,
) -> Retrieval:
    """Try the paths in order until one answers; an answer without passages is an answer.

    With `hedge_s`, a path that has not answered for so long gets the next one beside it, and the
    first answer is taken: a lower path that overtakes is a reason (`<mode>_hedged`) like a failure.
    """

    async def ask(place: int) -> Sequence[Passage]:
        now_s = clock.monotonic_s()
        allowed_s = rung_s(
            deadline.remaining_s(now_s), limit_s=limit_s, has_lower_rung=place + 1 < len(paths)
        )
        try:
            return await _within(paths[place], query, now_s, allowed_s)
        except Unavailable as error:
            emit(RetrievalPathFailed(path=paths[place].mode.value, reason=error.reason))
            raise

    outcome = await first_good(ask, len(paths), hedge_s=hedge_s)
    if outcome.found is None:
        failures = [outcome.failures[place] for place in range(len(paths))]
        return Retrieval(passages=(), mode=RetrievalMode.NONE, failures=tuple(failures))
    won = paths[outcome.place]
    failures = [
        outcome.failures.get(place) or _overtaken(paths[place]) for place in range(outcome.place)
    ]
    passages = tuple(without_duplicates(outcome.found)[: query.top_k])
    emit(
        PassagesRetrieved(
            collection=query.collection,
            top_k=query.top_k,
            mode=won.mode.value,
            passages=len(passages),
            top_score=round(passages[0].score, 4) if passages else None,
        )
    )
    return Retrieval(passages=passages, mode=won.mode, failures=tuple(failures))


def _overtaken(path: RetrievalPath) -> Unavailable:
    """Why a better path is not the one that answered: it was slower."""
    mode = path.mode.value
    overtaken = DeadlineExceeded(
        f"A lower path answered while the {mode} path was still at work.",
        reason=ReasonFamily.PATH_HEDGED.of(mode),
    )
    emit(RetrievalPathFailed(path=mode, reason=overtaken.reason))
    return overtaken


def rung_s(remaining_s: float, *, limit_s: float, has_lower_rung: bool) -> float:
    """Seconds one retrieval path may take: half of what is left while another could follow."""
    return min(limit_s, remaining_s * (0.5 if has_lower_rung else 1.0))


async def _within(
    path: RetrievalPath, query: Query, now_s: float, allowed_s: float
) -> Sequence[Passage]:
    try:
        async with asyncio.timeout(allowed_s):
            return await path.retriever.retrieve(
                query, top_k=query.top_k + SPARE, deadline=Deadline(now_s + allowed_s)
            )
    except TimeoutError:
        raise DeadlineExceeded(
            f"The {path.mode.value} path did not answer in time.",
            reason=ReasonFamily.PATH_TIMEOUT.of(path.mode.value),
        ) from None


def without_duplicates(passages: Sequence[Passage]) -> list[Passage]:
    """The passages without those that repeat a better one: the same file, the same words.

    Two files may say the same (two quarters' filings), and then each is a source of its own; one
    file under two names is not.
    """
    seen: set[tuple[str, str]] = set()
    kept: list[Passage] = []
    for passage in passages:
        said = (passage.revision, passage.text)
        if said not in seen and not any(_covers(better, passage) for better in kept):
            seen.add(said)
            kept.append(passage)
    return kept


def _covers(better: Passage, other: Passage) -> bool:
    """Whether `other` is, for four fifths, a part of the same page that `better` shows."""
    if (better.revision, better.page) != (other.revision, other.page):
        return False
    shared = min(better.end, other.end) - max(better.start, other.start)
    return shared >= 0.8 * (other.end - other.start)
