"""Asking several in order, the next beside one that is slow; the first good answer is taken.

Source: hedged requests, Dean and Barroso, "The Tail at Scale", 2013.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from foliotrace.errors import Unavailable

T = TypeVar("T")


@dataclass(slots=True)
class Outcome(Generic[T]):
    """`found` by `place`, or None when all failed. Who is not in `failures` was overtaken."""

    found: T | None = None
    place: int = -1
    failures: dict[int, Unavailable] = field(default_factory=dict)


async def first_good(
    ask: Callable[[int], Awaitable[T]], count: int, *, hedge_s: float | None
) -> Outcome[T]:
    """Ask places 0 to `count` - 1 in order until one does not raise Unavailable.

    Without `hedge_s` (seconds) one at a time. With it, one that is silent for so long keeps its
    chance while the next is asked; of two answers at once the better place wins, and whoever is
    still at work is cancelled. Any other exception ends all and is raised.
    """
    if hedge_s is None or count < 2:
        return await _one_at_a_time(ask, count)
    return await _hedged(ask, count, hedge_s)


async def _one_at_a_time(ask: Callable[[int], Awaitable[T]], count: int) -> Outcome[T]:
    outcome: Outcome[T] = Outcome()
    for place in range(count):
        try:
            outcome.found = await ask(place)
        except Unavailable as error:
            outcome.failures[place] = error
        else:
            outcome.place = place
            break
    return outcome


async def _hedged(ask: Callable[[int], Awaitable[T]], count: int, hedge_s: float) -> Outcome[T]:
    outcome: Outcome[T] = Outcome()
    at_work: dict[int, asyncio.Future[T]] = {}
    asked = 0
    try:
        while True:
            if asked < count:
                at_work[asked] = asyncio.ensure_future(ask(asked))
                asked += 1
            patience_s = hedge_s if asked < count else None
            while not _settle(outcome, at_work) and at_work:
                done, _ = await asyncio.wait(
                    at_work.values(), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
            if outcome.place >= 0 or (asked == count and not at_work):
                return outcome
    finally:
        for task in at_work.values():
            task.cancel()
        await asyncio.gather(*at_work.values(), return_exceptions=True)


def _settle(outcome: Outcome[T], at_work: dict[int, asyncio.Future[T]]) -> bool:
    """Take in what has ended, the best place first; whether an answer is among it."""
    for place in sorted(at_work):
        task = at_work[place]
        if not task.done():
            continue
        del at_work[place]
        try:
            outcome.found = task.result()
        except Unavailable as error:
            outcome.failures[place] = error
            continue
        outcome.place = place
        return True
    return False
