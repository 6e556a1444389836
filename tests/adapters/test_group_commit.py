"""Writes of one file that wait for each other share a transaction and a sync of the disk."""

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from foliotrace.adapters.local.sqlite.database import Database
from foliotrace.errors import LibraryUnavailable, NotFound

pytestmark = pytest.mark.anyio

SCHEMA = ("CREATE TABLE kept (name TEXT PRIMARY KEY);",)


def keep(name: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO kept VALUES (?)", (name,))
        return name

    return work


def keep_and_fail(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO kept VALUES ('half')")
    raise NotFound


async def written_together(
    database: Database, *works: Callable[[sqlite3.Connection], object]
) -> list[object]:
    """The outcomes of writes that all wait while another one is under way."""
    go_on = threading.Event()
    first = asyncio.create_task(database.write(lambda c: go_on.wait()))
    await asyncio.sleep(0.05)  # it has begun
    rest = [asyncio.create_task(database.write(work)) for work in works]
    await asyncio.sleep(0)
    go_on.set()
    await first
    return await asyncio.gather(*rest, return_exceptions=True)


async def test_writes_that_wait_share_one_transaction(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", SCHEMA)
    begun: list[str] = []
    await database.write(lambda c: c.set_trace_callback(begun.append))
    begun.clear()
    names = [f"n{number}" for number in range(20)]
    assert await written_together(database, *map(keep, names)) == names
    assert sum(statement == "COMMIT" for statement in begun) == 2
    assert len(database.rows("SELECT * FROM kept")) == 20
    database.close()


async def test_a_write_that_fails_among_others_leaves_nothing_and_disturbs_none(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "a.db", SCHEMA)
    outcomes = await written_together(
        database,
        keep("a"),
        keep_and_fail,
        keep("a"),  # violates the key
        keep("b"),
        lambda c: c.execute("INSERT INTO nowhere VALUES (1)"),
    )
    assert [type(outcome) for outcome in outcomes] == [
        str,
        NotFound,
        sqlite3.IntegrityError,
        str,
        LibraryUnavailable,
    ]
    assert database.rows("SELECT name FROM kept ORDER BY name") == [("a",), ("b",)]
    database.close()


async def test_the_write_ahead_log_is_cut_after_a_checkpoint(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", (*SCHEMA, "CREATE TABLE large (text BLOB);"))
    large = "INSERT INTO large VALUES (zeroblob(5000000))"
    await database.write(lambda c: c.execute(large))
    await database.write(keep("checkpointed"))
    await database.write(keep("in a new log"))
    assert (tmp_path / "a.db-wal").stat().st_size < 100_000
    database.close()


async def test_a_write_that_fails_after_its_caller_has_left_disturbs_nobody(
    tmp_path: Path,
) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    database = Database(tmp_path / "kept.db", SCHEMA)
    go_on = threading.Event()
    first = asyncio.create_task(database.write(lambda c: go_on.wait()))
    await asyncio.sleep(0.05)  # it has begun
    leaving = asyncio.create_task(database.write(keep_and_fail))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])  # it has left before its write is made
    go_on.set()
    await first
    del leaving
    await database.write(keep("after"))
    database.close()
    gc.collect()
    assert reported == []
