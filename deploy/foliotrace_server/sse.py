"""Server-sent events: ids to resume from, comments to keep proxies awake."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse

from foliotrace_server.wire import dumps

_HEARTBEAT_S = 15.0


def event(name: str, body: object, *, id_: int | None = None) -> bytes:
    """One event; `body` as JSON on one line."""
    head = b"" if id_ is None else b"id: %d\n" % id_
    return head + b"event: " + name.encode() + b"\ndata: " + dumps(body) + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of events. A client that hangs up closes the source, so that work can stop."""

    def __init__(
        self, source: AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            _with_heartbeats(source),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no", **(headers or {})},
        )


async def _with_heartbeats(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`source`, and a comment whenever it is silent for long."""
    waiting: asyncio.Task[bytes] | None = None
    iterator: Any = source  # an async generator: it can be closed
    async with aclosing(iterator):
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(iterator))
                done, _ = await asyncio.wait({waiting}, timeout=_HEARTBEAT_S)
                if not done:
                    yield b": still here\n\n"
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
