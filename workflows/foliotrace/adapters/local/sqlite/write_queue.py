"""Group commit: writes of one SQLite file that wait for each other share a transaction.

One thread serialises the transactions, so that they never meet SQLITE_BUSY. A hand-off to it and a
sync of the disk cost more than most writes: under load one of each serves many.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_WRITES_AT_ONCE: Final = 64  # in one transaction


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    acknowledged: bool
    done: "asyncio.Future[Any]"


def _within(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> Any:
    """The result of a write among others, or an error that leaves nothing of it behind.

    Raises what SQLite itself raises: the transaction may have ended.
    """
    connection.execute("SAVEPOINT one")
    try:
        result = work(connection)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - whoever waits for it must get it
        connection.execute("ROLLBACK TO one")
        result = error
    connection.execute("RELEASE one")
    return result


def _settle(batch: Sequence[_Write], outcomes: Sequence[Any]) -> None:
    """Tell those who wait, with one wake-up for each event loop."""
    waiting: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for write, outcome in zip(batch, outcomes, strict=True):
        waiting.setdefault(write.done.get_loop(), []).append((write.done, outcome))
    for loop, done in waiting.items():
        with suppress(RuntimeError):  # the loop has ended, and with it those who waited
            loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, outcome in done:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


class WriteQueue:
    """The only user of `connection`; `written` is called on its thread after each transaction."""

    def __init__(
        self, connection: sqlite3.Connection, *, name: str, written: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._written = written
        self._guard = threading.Lock()
        self._queue: list[_Write] = []
        self._writing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, acknowledged: bool) -> T:
        """The result of `work` once it is committed, and synced if it is `acknowledged`.

        Raises what `work` raises, and sqlite3.Error; either way nothing of it is stored.
        """
        queued = _Write(work, acknowledged, asyncio.get_running_loop().create_future())
        with self._guard:
            self._queue.append(queued)
            idle, self._writing = not self._writing, True
        if idle:
            self._thread.submit(self._write_queued)
        # Shielded: a queued write must not be dropped because its caller was cancelled.
        return cast("T", await asyncio.shield(queued.done))

    async def run(self, work: Callable[[], None]) -> None:
        """Run `work` on the thread, between transactions."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(self._thread, work))

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._thread.shutdown(wait=True)

    def _write_queued(self) -> None:
        """Commit what is queued together: one transaction, one sync of the disk, one wake-up."""
        while True:
            with self._guard:
                batch = self._queue[:_WRITES_AT_ONCE]
                del self._queue[: len(batch)]
                self._writing = bool(batch)
            if not batch:
                return
            _settle(batch, self._outcomes(batch))
            self._written()

    def _outcomes(self, batch: Sequence[_Write]) -> list[Any]:
        """The result of each write, or its exception."""
        try:
            return self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it must get it
            if len(batch) == 1:
                return [error]
        return [self._outcomes([write])[0] for write in batch]  # each fails or succeeds by itself

    def _commit(self, batch: Sequence[_Write]) -> list[Any]:
        connection = self._connection
        acknowledged = any(write.acknowledged for write in batch)
        connection.execute(f"PRAGMA synchronous={'FULL' if acknowledged else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if len(batch) == 1:
                outcomes = [batch[0].work(connection)]
            else:
                outcomes = [_within(connection, write.work) for write in batch]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes
