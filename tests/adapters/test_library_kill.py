"""kill -9 at any moment: what was acknowledged is served and found after the next start."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.model import Deadline, Principal, Query

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent

DIES_BETWEEN_THE_TWO_COMMITS = """
import asyncio, os, signal, sys
from pathlib import Path
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from tests.ingest.pages import serve

async def main(folder):
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    await serve(library, "All of alpha.", name="a")
    await index.catch_up()
    await serve(library, "All of beta.", name="b")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1])))
"""

SERVES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from tests.ingest.pages import serve

async def main(folder, start):
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    for number in range(start, start + 10_000):
        name = f"word{number}"
        await serve(library, *(f"Page {p} of {name}." for p in range(20)), name=name)
        print("published", number, flush=True)
        await index.catch_up()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[SqliteLibrary, KeywordIndex]]:
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    yield library, index
    index.close()
    library.close()


async def names_of(index: KeywordIndex, word: str) -> set[str]:
    query = Query(text=word, principal=Principal(tenant="t1"))
    found = await index.retrieve(query, top_k=50, deadline=Deadline(float("inf")))
    return {passage.document_name for passage in found}


async def test_a_kill_between_the_two_commits_is_made_good_at_the_next_start(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BETWEEN_THE_TWO_COMMITS, str(tmp_path)], cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    async with opened(tmp_path) as (library, index):
        assert await names_of(index, "beta") == set()
        assert await index.catch_up() == await library.version() == 2
        assert await names_of(index, "beta") == {"b"}
        assert await names_of(index, "alpha") == {"a"}


async def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(7)
    published: list[int] = []
    for round_number in range(4):
        start = 1000 * round_number
        child = subprocess.Popen(
            [sys.executable, "-c", SERVES_UNTIL_KILLED, str(tmp_path), str(start)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(1, 12))]
        os.kill(child.pid, signal.SIGKILL)
        lines += [line for line in child.stdout if line.endswith("\n")]
        published += [int(line.split()[1]) for line in lines]
        child.stdout.close()
        child.wait()
    async with opened(tmp_path) as (library, index):
        await index.catch_up()
        for number in published:
            assert await names_of(index, f"word{number}") == {f"word{number}"}
        documents = await library.documents("t1", limit=1000)
        served = {d.name for d in documents if d.revision}
        assert {f"word{number}" for number in published} <= served
        for document in documents:
            if document.revision:
                assert len(await library.document_chunks("t1", document.id)) == 20
