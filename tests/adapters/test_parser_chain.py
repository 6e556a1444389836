"""Which parser reads a page, and what is said when it was not the first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.adapters.parsing import in_s

from foliotrace.errors import FileRefused, ParserUnavailable, UnsupportedFile
from foliotrace.model import Deadline, Inspection, PageStatus, ParsedPage, SourceFile
from foliotrace.parse import ParserChain

pytestmark = pytest.mark.anyio

SOURCE = SourceFile(
    path=Path("a.pdf"), name="a.pdf", media_type="application/pdf", content_hash="0", size_bytes=9
)


@dataclass
class Script:
    """A parser that fails the pages it is told to, and is away from a page on."""

    engine: str
    fails: frozenset[int] = frozenset()
    away_from: int = 99
    takes: str = "application/pdf"
    asked: list[int] = field(default_factory=list)

    def accepts(self, media_type: str) -> bool:
        return media_type == self.takes

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        if self.away_from <= 1:
            raise ParserUnavailable(f"{self.engine} is away")
        return Inspection(media_type=source.media_type, pages_total=4)

    async def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        for number in pages:
            if number >= self.away_from:
                raise ParserUnavailable(f"{self.engine} is away")
            self.asked.append(number)
            failed = number in self.fails
            yield ParsedPage(
                number=number,
                text="" if failed else f"{self.engine} {number}",
                status=PageStatus.FAILED if failed else PageStatus.OK,
                problem=f"{self.engine}_failed" if failed else None,
                engine=self.engine,
            )


async def read(*parsers: Script) -> list[ParsedPage]:
    parsed = ParserChain(parsers).parse(SOURCE, pages=range(1, 5), deadline=in_s(9))
    return [page async for page in parsed]


async def test_a_failed_page_is_read_by_the_next_parser_and_marked() -> None:
    local = Script("local")
    pages = await read(Script("cloud", fails=frozenset({2})), local)
    assert [(p.text, p.degraded_from) for p in pages] == [
        ("cloud 1", None),
        ("local 2", "cloud"),
        ("cloud 3", None),
        ("cloud 4", None),
    ]
    assert local.asked == [2]


async def test_pages_after_an_outage_come_from_the_next_parser() -> None:
    pages = await read(Script("cloud", away_from=3), Script("local"))
    assert [(p.text, p.degraded_from) for p in pages] == [
        ("cloud 1", None),
        ("cloud 2", None),
        ("local 3", "cloud"),
        ("local 4", "cloud"),
    ]


async def test_a_page_that_all_parsers_fail_has_the_first_parsers_problem() -> None:
    broken = frozenset({1})
    pages = await read(Script("cloud", fails=broken), Script("local", fails=broken))
    assert (pages[0].problem, pages[0].degraded_from) == ("cloud_failed", None)


async def test_a_third_parser_is_marked_by_the_first() -> None:
    every = frozenset(range(5))
    pages = await read(Script("one", away_from=1), Script("two", fails=every), Script("three"))
    assert (pages[0].text, pages[0].degraded_from) == ("three 1", "one")


async def test_an_outage_without_another_parser_is_raised() -> None:
    with pytest.raises(ParserUnavailable):
        await read(Script("cloud", away_from=2), Script("sheets", takes="text/csv"))


async def test_counting_pages_falls_to_the_next_parser() -> None:
    order = ParserChain([Script("cloud", away_from=1), Script("local")])
    assert (await order.inspect(SOURCE, deadline=in_s(9))).pages_total == 4
    assert order.engine_for("application/pdf") == "cloud > local"


async def test_what_nobody_takes_and_what_is_empty_is_refused() -> None:
    with pytest.raises(UnsupportedFile):
        await ParserChain([Script("sheets", takes="text/csv")]).inspect(SOURCE, deadline=in_s(9))
    empty = SourceFile(
        path=Path("e"), name="e", media_type="application/x-empty", content_hash="", size_bytes=0
    )
    with pytest.raises(FileRefused) as refused:
        await ParserChain([]).inspect(empty, deadline=in_s(9))
    assert refused.value.error_code == "file_empty"
