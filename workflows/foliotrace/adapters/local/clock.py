"""The clock of the machine, and the turns of the event loop."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """A `Clock`; tests use one of their own."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


class LoopTurn:
    """Says whether something is done for the first time in this turn of the event loop.

    Nothing else of this process runs on the loop meanwhile, and what arrives from outside waits for
    the next turn: what was read at the start of a turn need not be read again in it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def is_new(self) -> bool:
        """True once in each turn of the running loop, and always where no loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True
        if self._loop is loop:
            return False
        self._loop = loop
        loop.call_soon(self.end)
        return True

    def end(self) -> None:
        """Let the next call be the first again."""
        self._loop = None
