"""Small files of text are read many at a time, each exactly as it is read by itself."""

from pathlib import Path
from typing import Any

import pytest
from tests.adapters.parsing import source_of

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerLost, WorkerPool
from foliotrace.catalog import Reason
from foliotrace.model import Deadline, ParsedPage, SourceFile
from foliotrace.parse import ParserChain
from foliotrace.ports import WholeFile

pytestmark = pytest.mark.anyio

FOREVER = Deadline(float("inf"))

FILES = {
    "note.txt": "A note.\n\nThe whale sings.",
    "guide.md": "# Guide\n\nFirst part.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "rates.csv": "city,rate\nOslo,3\nRome,4\n",
    "page.html": "<!doctype html><html><body><h1>Title</h1><p>Words.</p></body></html>",
    "data.json": '{"name": "whale", "tons": 120}',
}


def written(folder: Path, **more: str) -> list[SourceFile]:
    for name, text in {**FILES, **more}.items():
        (folder / name).write_text(text)
    return [source_of(path) for path in sorted(folder.iterdir())]


async def pages_alone(chain: ParserChain, source: SourceFile) -> list[ParsedPage]:
    seen = await chain.inspect(source, deadline=FOREVER)
    numbers = range(1, seen.pages_total + 1)
    return [page async for page in chain.parse(source, pages=numbers, deadline=FOREVER)]


async def test_files_read_together_have_the_pages_they_have_alone(tmp_path: Path) -> None:
    pool = WorkerPool(size=1)
    chain = ParserChain(local_parsers(pool, SystemClock()))
    try:
        sources = written(tmp_path)
        for source, whole in zip(
            sources, await chain.read_whole(sources, deadline=FOREVER), strict=True
        ):
            assert whole is not None, source.name
            assert list(whole.pages) == await pages_alone(chain, source)
            seen = await chain.inspect(source, deadline=FOREVER)
            assert (len(whole.pages), whole.title) == (seen.pages_total, seen.title)
    finally:
        await pool.close()


async def test_what_cannot_be_read_in_one_go_is_left_and_the_others_are_read(
    tmp_path: Path,
) -> None:
    pool = WorkerPool(size=1)
    chain = ParserChain(local_parsers(pool, SystemClock()))
    try:
        many_pages = "\n\n".join("word " * 1000 for _ in range(12))
        markup = "<b><i></i></b>" * 100
        left = {"long.txt": many_pages, "markup.txt": markup, "blank.txt": "\n \n"}
        sources = written(tmp_path, **left)
        read = await chain.read_whole(sources, deadline=FOREVER)
        unread = {s.name for s, whole in zip(sources, read, strict=True) if whole is None}
        assert {"long.txt", "markup.txt"} <= unread <= set(left)
    finally:
        await pool.close()


async def test_a_worker_that_is_lost_over_a_group_reads_none_of_it(tmp_path: Path) -> None:
    class DyingPool(WorkerPool):
        async def ask(self, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
            raise WorkerLost(Reason.WORKER_CRASHED, [])

    chain = ParserChain(local_parsers(DyingPool(), SystemClock()))
    nothing: list[WholeFile | None] = [None] * len(FILES)
    assert await chain.read_whole(written(tmp_path), deadline=FOREVER) == nothing


async def test_a_format_that_is_no_text_is_read_by_itself(tmp_path: Path) -> None:
    pool = WorkerPool(size=1)
    chain = ParserChain(local_parsers(pool, SystemClock()))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n")
    assert await chain.read_whole([source_of(tmp_path / "a.pdf")], deadline=FOREVER) == [None]
    assert pool.idle_processes == ()
