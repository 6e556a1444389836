"""Group commit: writes of one SQLite file that wait for each other share a transaction.

One thread serialises the transactions, so that they never meet SQLITE_BUSY. A hand-off to it and a
sync of the disk cost more than most writes: under load one of each serves many.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from foliotrace.adapters.local.grouped_calls import GroupedCalls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    acknowledged: bool


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


class WriteQueue:
    """The only user of `connection`; `written` is called on its thread after each transaction."""

    def __init__(
        self, connection: sqlite3.Connection, *, name: str, written: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._calls = GroupedCalls(self._outcomes, name=name, done=written)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, acknowledged: bool) -> T:
        """The result of `work` once it is committed, and synced if it is `acknowledged`.

        Raises what `work` raises, and sqlite3.Error; either way nothing of it is stored.
        """
        return cast("T", await self._calls.call(_Write(work, acknowledged)))

    async def run(self, work: Callable[[], None]) -> None:
        """Run `work` on the thread, between transactions."""
        await self._calls.run(work)

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._calls.close()

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
