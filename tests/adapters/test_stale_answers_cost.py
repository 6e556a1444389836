"""What keeping a stale answer costs as more of them are kept."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.test_answer_cache_contract import stale

from foliotrace.adapters.local.sqlite import database
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers

pytestmark = pytest.mark.anyio

LIMIT = 2_000
BATCH = 50


class CountedSteps:
    """Counts hundreds of instructions of every SQLite connection that is opened."""

    def __init__(self) -> None:
        self.count = 0
        self._connect = sqlite3.connect

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = self._connect(*arguments, **options)
        connection.set_progress_handler(self._step, 100)
        return connection

    def _step(self) -> int:
        self.count += 1
        return 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> CountedSteps:
    counted = CountedSteps()
    monkeypatch.setattr(database.sqlite3, "connect", counted.connect)
    return counted


async def keep(kept: SqliteStaleAnswers, first: int, count: int) -> None:
    """Store `count` answers, each a second newer than the one before, and write them."""
    for number in range(first, first + count):
        made = stale(f"doc_{number % 7}")
        newer = replace(made, stored_at=made.stored_at + timedelta(seconds=number))
        await kept.store("t1", f"key-{number}", newer)
    await kept.flush()


async def test_keeping_an_answer_costs_the_same_with_many_kept_as_with_few(
    steps: CountedSteps, tmp_path: Path
) -> None:
    kept = SqliteStaleAnswers(tmp_path, limit=LIMIT)
    await keep(kept, 0, BATCH)
    begun = steps.count
    await keep(kept, BATCH, BATCH)
    few = steps.count - begun
    for first in range(2 * BATCH, LIMIT + BATCH, BATCH):
        await keep(kept, first, BATCH)
    begun = steps.count
    await keep(kept, LIMIT + BATCH, BATCH)
    many = steps.count - begun
    await kept.close()
    # Finding the oldest ones reads one index entry for each kept answer, once a batch.
    assert many <= 3 * few + LIMIT * 10 / 100


async def test_an_answer_beyond_the_limit_leaves_no_citation_behind(tmp_path: Path) -> None:
    kept = SqliteStaleAnswers(tmp_path, limit=10)
    await keep(kept, 0, 30)
    await kept.close()
    with sqlite3.connect(tmp_path / "stale.db") as file:
        answers = {key for (key,) in file.execute("SELECT key FROM answers")}
        cited = {key for (key,) in file.execute("SELECT key FROM cited")}
    file.close()
    assert answers == cited == {f"key-{number}" for number in range(20, 30)}
