"""Server-sent events, with ids to resume from and heartbeats against idle timeouts."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse

_HEARTBEAT_S = 15.0


def event(name: str, body: bytes, *, id_: int | None = None) -> bytes:
    """One event; `body` is JSON on one line. A client resumes after the last `id_` it has seen."""
    head = b"" if id_ is None else b"id: %d\n" % id_
    return head + b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of events. It closes `source` when the client hangs up, so that its work stops."""

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            _with_heartbeats(source),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )


async def _with_heartbeats(source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """`source`, and a comment after each 15 s of silence, so that no proxy times out."""
    waiting: asyncio.Task[bytes] | None = None
    async with aclosing(source):
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(source))
                done, _ = await asyncio.wait({waiting}, timeout=_HEARTBEAT_S)
                if not done:
                    yield b": heartbeat\n\n"
                    continue
                finished, waiting = waiting, None
                try:
                    part = finished.result()
                except StopAsyncIteration:
                    return
                yield part
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
