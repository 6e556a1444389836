"""One event loop in a thread of its own, so that plain calls also work inside a running loop.

Connections and worker pools belong to one loop: whatever the doors do, they do it there.
"""

import asyncio
from collections.abc import Coroutine
from functools import cache
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="foliotrace-cloud", daemon=True).start()
    return loop


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` there and wait for it, blocking the calling thread."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


async def hand_over(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` there; the caller's loop goes on meanwhile, and a cancel reaches the work."""
    if asyncio.get_running_loop() is _loop():
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop()))
