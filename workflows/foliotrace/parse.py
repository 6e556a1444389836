"""Parse a file with a chain of parsers: the next one takes over where one fails.

Shared by ingestion and extraction.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused, ParserUnavailable, UnsupportedFile
from foliotrace.events import ParserFellBack, emit
from foliotrace.model import (
    Deadline,
    Document,
    Inspection,
    PageNumbers,
    PageStatus,
    ParsedPage,
    SourceFile,
    page_numbers,
)
from foliotrace.ports import GroupParser, Parser, WholeFile


def parsers_for(parsers: Sequence[Parser], media_type: str) -> tuple[Parser, ...]:
    """The parsers that accept the type, in order of preference."""
    return tuple(parser for parser in parsers if parser.accepts(media_type))


def wanted_pages(document: Document, pages_total: int) -> PageNumbers:
    """The numbers of the pages to read of the document's file, which has `pages_total`.

    Raises FileRefused `pages_out_of_range`.
    """
    numbers = page_numbers(document.pages, pages_total)
    if numbers and numbers[-1] > pages_total:
        raise FileRefused(
            f"{document.name} has {pages_total} pages; page {numbers[-1]} was asked for.",
            name=document.name,
            code=ErrorCode.PAGES_OUT_OF_RANGE,
        )
    return numbers


@dataclass(frozen=True, slots=True)
class ParserChain:
    """Parsers in order of preference; itself a `Parser`.

    A page that a later parser read is marked `degraded_from` the first accepting one. If all of
    them fail on a page, the failed page of the first one is kept.
    """

    parsers: Sequence[Parser]

    @property
    def engine(self) -> str:
        """All engines, in order: a change of one changes the whole."""
        return " > ".join(parser.engine for parser in self.parsers)

    def engine_for(self, media_type: str) -> str:
        """The engines that can have parsed this type; part of a document's revision."""
        return " > ".join(parser.engine for parser in parsers_for(self.parsers, media_type))

    def accepts(self, media_type: str) -> bool:
        """Whether any parser accepts the type."""
        return bool(parsers_for(self.parsers, media_type))

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """Inspect with the first accepting parser that works.

        Raises FileRefused from that parser, UnsupportedFile if none accepts the type,
        ParserUnavailable if none works.
        """
        failure: ParserUnavailable | None = None
        for parser in self._accepting(source):
            try:
                return await parser.inspect(source, deadline=deadline)
            except ParserUnavailable as error:
                failure = failure or error
        raise failure or ParserUnavailable(f"No parser works for {source.name}.")

    async def parse(
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The pages in order, each from the first parser that could read it."""
        first, *later = self._accepting(source)
        done = 0
        try:
            async for page in first.parse(source, pages=pages, deadline=deadline):
                yield await self._repaired(source, page, first.engine, later, deadline)
                done += 1
        except ParserUnavailable as error:
            rest = pages[done:]
            if not rest:
                return
            if not later:
                raise
            emit(ParserFellBack(reason=error.reason))
            following = ParserChain(later)
            async for page in following.parse(source, pages=rest, deadline=deadline):
                yield replace(page, degraded_from=first.engine)

    async def _repaired(
        self,
        source: SourceFile,
        page: ParsedPage,
        engine: str,
        later: Sequence[Parser],
        deadline: Deadline,
    ) -> ParsedPage:
        """`page`, or if it failed, the same page from a later parser that can read it."""
        if page.status is PageStatus.OK:
            return page
        for parser in later:
            try:
                async for other in parser.parse(
                    source, pages=range(page.number, page.number + 1), deadline=deadline
                ):
                    if other.status is PageStatus.OK:
                        return replace(other, degraded_from=engine)
            except ParserUnavailable:
                continue  # the page stays as the first parser left it
        if page.text.strip():  # raw text of a page that failed: better than none, and marked
            return replace(page, status=PageStatus.OK, degraded_from=engine)
        return page

    async def read_whole(
        self, sources: Sequence[SourceFile], *, deadline: Deadline
    ) -> Sequence[WholeFile | None]:
        """Read small files together where their first parser can do so; see `GroupParser`."""
        by_parser: dict[int, tuple[GroupParser, list[int]]] = {}
        for number, source in enumerate(sources):
            first = next((p for p in self.parsers if p.accepts(source.media_type)), None)
            if isinstance(first, GroupParser) and source.size_bytes:
                by_parser.setdefault(id(first), (first, []))[1].append(number)
        read: list[WholeFile | None] = [None] * len(sources)
        for parser, numbers in by_parser.values():
            files = await parser.read_whole([sources[n] for n in numbers], deadline=deadline)
            for number, file in zip(numbers, files, strict=True):
                read[number] = file
        return read

    def _accepting(self, source: SourceFile) -> tuple[Parser, ...]:
        if not source.size_bytes:
            raise FileRefused(
                f"{source.name} is empty.", name=source.name, code=ErrorCode.FILE_EMPTY
            )
        accepting = parsers_for(self.parsers, source.media_type)
        if not accepting:
            raise UnsupportedFile(
                f"{source.name}: files of type {source.media_type} cannot be parsed.",
                name=source.name,
            )
        return accepting


class RemainingTypesParser:
    """`parser`, restricted to the types that `first` does not accept."""

    def __init__(self, parser: Parser, first: Parser) -> None:
        self._parser, self._first = parser, first
        self.engine = parser.engine
        self.inspect, self.parse = parser.inspect, parser.parse

    def accepts(self, media_type: str) -> bool:
        """Whether the parser accepts the type and `first` does not."""
        return self._parser.accepts(media_type) and not self._first.accepts(media_type)
