"""Hedged requests: ask the next candidate while one is slow, and take the first answer.

Source: Dean and Barroso, "The Tail at Scale", 2013.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from foliotrace.errors import Unavailable

T = TypeVar("T")


@dataclass(slots=True)
class Outcome(Generic[T]):
    """`found` by `place`, or None when all failed. A place without a failure was overtaken."""

    found: T | None = None
    place: int = -1
    failures: dict[int, Unavailable] = field(default_factory=dict)


async def first_answer(
    ask: Callable[[int], Awaitable[T]], count: int, *, hedge_s: float
) -> Outcome[T]:
    """Ask places 0 to `count` - 1 in order until one does not raise Unavailable.

    A place that is silent for `hedge_s` seconds keeps its chance while the next one is asked too;
    of two answers at once the better place wins, and those still at work are cancelled. Any other
    exception ends all and is raised.
    """
    outcome: Outcome[T] = Outcome()
    pending: dict[int, asyncio.Future[T]] = {}
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


def _collect(outcome: Outcome[T], pending: dict[int, asyncio.Future[T]]) -> bool:
    """Record what has ended, the best place first; whether an answer is among it."""
    for place in sorted(pending):
        task = pending[place]
        if not task.done():
            continue
        del pending[place]
        try:
            outcome.found = task.result()
        except Unavailable as error:
            outcome.failures[place] = error
            continue
        outcome.place = place
        return True
    return False
