"""What every Parser promises, over every reader of the default install and the parse order."""

from pathlib import Path

import pytest
from tests.adapters.parsing import EXAMPLES, RealClock, in_s, source_of

from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.errors import DeadlineExceeded, FileRefused
from foliotrace.model import SourceFile
from foliotrace.parse import ParserChain
from foliotrace.ports import Parser

pytestmark = pytest.mark.anyio

GOOD = sorted(path for path in EXAMPLES.iterdir())


@pytest.fixture(params=["alone", "in an order"])
def wrap(request: pytest.FixtureRequest) -> bool:
    return request.param == "in an order"


async def parser_for(source: SourceFile, workers: WorkerPool, *, wrap: bool) -> Parser:
    found = [p for p in local_parsers(workers, RealClock()) if p.accepts(source.media_type)]
    assert len(found) == 1, "exactly one local reader takes a type"
    return ParserChain(found) if wrap else found[0]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
async def test_a_page_for_every_number_in_order_with_its_engine(path: Path, wrap: bool) -> None:
    workers = WorkerPool(size=1)
    try:
        source = source_of(path)
        parser = await parser_for(source, workers, wrap=wrap)
        seen = await parser.inspect(source, deadline=in_s(60))
        numbers = range(1, seen.pages_total + 1)
        parsed = parser.parse(source, pages=numbers, deadline=in_s(60))
        pages = [page async for page in parsed]
    finally:
        await workers.close()
    assert seen.pages_total >= 1
    assert [page.number for page in pages] == list(numbers)
    assert {page.engine for page in pages} == {parser.engine}
    assert all(page.text or page.problem for page in pages)


async def test_parsing_without_time_left_raises_deadline_exceeded(wrap: bool) -> None:
    workers = WorkerPool(size=1)
    source = source_of(GOOD[0])
    parser = await parser_for(source, workers, wrap=wrap)
    with pytest.raises(DeadlineExceeded):
        await parser.inspect(source, deadline=in_s(0))
    with pytest.raises(DeadlineExceeded):
        [page async for page in parser.parse(source, pages=range(1, 2), deadline=in_s(0))]


async def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, wrap: bool) -> None:
    workers = WorkerPool(size=1)
    path = tmp_path / "broken.pdf"
    path.write_bytes(b"%PDF-1.7\n%%EOF")
    try:
        parser = await parser_for(source_of(path), workers, wrap=wrap)
        with pytest.raises(FileRefused, match=r"broken\.pdf"):
            await parser.inspect(source_of(path), deadline=in_s(60))
    finally:
        await workers.close()
