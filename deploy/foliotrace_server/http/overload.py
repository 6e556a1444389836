"""Refusing work that cannot be done in time: by the number of callers, and by how long they waited.

A question that has waited too long is refused before any work is spent on it: its caller has most
likely given up, and answering it makes everybody behind it wait longer still.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from foliotrace.errors import TooBusy

ARRIVAL: Final = "foliotrace.arrival"  # ASGI scope key


@dataclass(slots=True)
class Arrival:
    """When the last byte of a request came in, also if the event loop had no time for it since."""

    at_s: float = field(default_factory=monotonic)


_arrival: ContextVar[Arrival | None] = ContextVar("foliotrace_arrival", default=None)


def set_arrival(arrival: Arrival | None) -> None:
    """Set the arrival of the request for the rest of the running task."""
    _arrival.set(arrival)


class ConcurrencyLimit:
    """Admits `concurrent` callers and queues `waiting` more; the next ones get TooBusy.

    With `max_wait_s`, so does a request that has waited longer, be it here or for the event loop.
    """

    def __init__(
        self,
        concurrent: int,
        *,
        waiting: int,
        retry_after_s: float,
        max_wait_s: float | None = None,
    ) -> None:
        self._running = asyncio.Semaphore(concurrent)
        self._capacity = concurrent + waiting
        self._retry_after_s = retry_after_s
        self._max_wait_s = max_wait_s
        self._admitted = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot, queueing for it if necessary. Raises TooBusy."""
        self.refuse_if_full()
        self._admitted += 1
        try:
            await self._acquire()
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._admitted -= 1

    async def _acquire(self) -> None:
        if self._max_wait_s is None:
            await self._running.acquire()
            return
        arrival = _arrival.get()
        waited_s = monotonic() - arrival.at_s if arrival is not None else 0.0
        try:
            if waited_s >= self._max_wait_s:
                raise TimeoutError
            async with asyncio.timeout(self._max_wait_s - waited_s):
                await self._running.acquire()
        except TimeoutError:
            raise TooBusy(
                f"the request waited {self._max_wait_s:g} s", retry_after_s=self._retry_after_s
            ) from None

    def refuse_if_full(self) -> None:
        """Raise TooBusy if `slot` would; for responses that are about to start streaming."""
        if self._admitted >= self._capacity:
            raise TooBusy("every slot is taken", retry_after_s=self._retry_after_s)
