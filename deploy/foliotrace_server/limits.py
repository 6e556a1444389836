"""Bounded concurrency: so many at once, so many waiting, the next one is told when to come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from foliotrace.errors import TooBusy


class Slots:
    """`at_once` holders and `waiting` callers in a queue; anybody else gets TooBusy."""

    def __init__(self, at_once: int, *, waiting: int, retry_after_s: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._places = at_once + waiting
        self._retry_after_s = retry_after_s
        self._inside = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot, waiting for one if need be. Raises TooBusy when the queue is full."""
        self.refuse_if_full()
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1

    def refuse_if_full(self) -> None:
        """Raise TooBusy now rather than after an answer has begun."""
        if self._inside >= self._places:
            raise TooBusy("every slot is taken", retry_after_s=self._retry_after_s)
