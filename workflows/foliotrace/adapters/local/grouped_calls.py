"""Calls of a thread that wait for each other are made together.

A hand-off to a thread and a sync of the disk cost more than most work that needs them: under load
one of each serves many. A call that finds the thread idle does not wait.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Generic, TypeAlias, TypeVar

import structlog

Item = TypeVar("Item")

Outcomes: TypeAlias = Sequence[Any]
"""The result of each item, or its exception."""

_Waiting: TypeAlias = "asyncio.Future[Any]"
_AT_ONCE: Final = 64
_log = structlog.get_logger(__name__)


class GroupedCalls(Generic[Item]):
    """Calls `work` with the items that wait, on one thread; `done` after each call there."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Outcomes],
        *,
        name: str,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._done = work, done
        self._guard = threading.Lock()
        self._queue: list[tuple[Item, _Waiting]] = []
        self._working = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def call(self, item: Item) -> Any:
        """The outcome of `item`. Raises it if it is an exception."""
        waiting = asyncio.get_running_loop().create_future()
        with self._guard:
            self._queue.append((item, waiting))
            idle, self._working = not self._working, True
        if idle:
            self._thread.submit(self._work_off)
        # Shielded: queued work must not be dropped because its caller was cancelled.
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.add_done_callback(_ignore)  # nobody else would look at its exception
            raise

    async def run(self, work: Callable[[], None]) -> None:
        """Run `work` on the thread, between the calls."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(self._thread, work))

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._thread.shutdown(wait=True)

    def _work_off(self) -> None:
        while True:
            with self._guard:
                batch = self._queue[:_AT_ONCE]
                del self._queue[: len(batch)]
                self._working = bool(batch)
            if not batch:
                return
            items = [item for item, _ in batch]
            try:
                outcomes = self._work(items)
            except BaseException as error:  # noqa: BLE001 - whoever waits for it must get it
                outcomes = [error] * len(batch)
            _settle([waiting for _, waiting in batch], outcomes)
            try:
                self._done()
            except Exception as error:  # noqa: BLE001 - or nobody would be served any more
                _log.warning("grouped_calls.done_failed", error_type=type(error).__name__)


def _ignore(abandoned: _Waiting) -> None:
    if not abandoned.cancelled():
        abandoned.exception()


def _settle(waiting: Sequence[_Waiting], outcomes: Outcomes) -> None:
    """Wake those who wait, each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Any]]] = {}
    for future, outcome in zip(waiting, outcomes, strict=True):
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, done in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and with it those who waited
            loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: Sequence[tuple[_Waiting, Any]]) -> None:
    for future, outcome in done:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
