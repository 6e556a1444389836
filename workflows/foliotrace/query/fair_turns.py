"""Questions take turns on the event loop, so that none of them makes everything else wait."""

import asyncio
from collections import deque


class FairTurns:
    """Lets one question go on in each turn of the event loop, in the order of arrival.

    A question computes for milliseconds without waiting for anything. 64 that are woken together,
    as by one commit of the audit log, would compute in the same turn: half a second in which no
    byte is read, no answer leaves and no event of a stream. libuv accepts one connection in each
    turn, so that the last of 64 new clients had waited for 64 such turns: over five seconds.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # whose turn is taken

    async def turn(self) -> None:
        """Return in a turn of the loop that no other question has."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._take(loop)
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the next turn to whoever has waited longest."""
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():  # cancelled: its question was given up
                first.set_result(None)
                self._take(loop)
                return
        self._loop = None
