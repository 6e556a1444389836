"""A file to pages: the first parser that accepts its type, and for a failed page the next one.

Shared by ingest and extract. Which parser follows is decided by the pure `order_for`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused, ParserUnavailable, UnsupportedFile
from foliotrace.events import ParserFellBack, emit
from foliotrace.model import Deadline, Inspection, PageStatus, ParsedPage, SourceFile
from foliotrace.ports import Parser


def order_for(parsers: Sequence[Parser], media_type: str) -> tuple[Parser, ...]:
    """The parsers that accept the type, in the configured order."""
    return tuple(parser for parser in parsers if parser.accepts(media_type))


@dataclass(frozen=True, slots=True)
class ParseOrder:
    """Parsers in order of preference; itself a Parser.

    A page that a later parser read is marked `degraded_from` the first accepting one. When all
    fail a page, the first parser's failed page is what is kept.
    """

    parsers: Sequence[Parser]

    @property
    def engine(self) -> str:
        """All engines, in order: any change of one is a change of the whole."""
        return " > ".join(parser.engine for parser in self.parsers)

    def engine_for(self, media_type: str) -> str:
        """The engines that can have parsed this type; part of a document's revision."""
        return " > ".join(parser.engine for parser in order_for(self.parsers, media_type))

    def accepts(self, media_type: str) -> bool:
        """Whether any parser takes the type."""
        return bool(order_for(self.parsers, media_type))

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """By the first accepting parser that works.

        Raises FileRefused from it, UnsupportedFile when none accepts, ParserUnavailable when
        none works.
        """
        failure: ParserUnavailable | None = None
        for parser in self._accepting(source):
            try:
                return await parser.inspect(source, deadline=deadline)
            except ParserUnavailable as error:
                failure = failure or error
        raise failure or ParserUnavailable(f"No parser works for {source.name}.")

    async def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The pages of `pages` in order, each from the first parser that could read it."""
        first, *later = self._accepting(source)
        done = pages.start
        try:
            async for page in first.parse(source, pages=pages, deadline=deadline):
                yield await self._mended(source, page, first.engine, later, deadline)
                done = page.number + 1
        except ParserUnavailable as error:
            rest = range(done, pages.stop)
            if not rest:
                return
            if not later:
                raise
            emit(ParserFellBack(reason=error.reason))
            following = ParseOrder(later)
            async for page in following.parse(source, pages=rest, deadline=deadline):
                yield replace(page, degraded_from=first.engine)

    async def _mended(
        self,
        source: SourceFile,
        page: ParsedPage,
        engine: str,
        later: Sequence[Parser],
        deadline: Deadline,
    ) -> ParsedPage:
        """`page`, or what a later parser makes of it when it failed."""
        if page.status is PageStatus.OK:
            return page
        for parser in later:
            try:
                async for again in parser.parse(
                    source, pages=range(page.number, page.number + 1), deadline=deadline
                ):
                    if again.status is PageStatus.OK:
                        return replace(again, degraded_from=engine)
            except ParserUnavailable:
                continue  # the page stays as the first parser left it
        return page

    def _accepting(self, source: SourceFile) -> tuple[Parser, ...]:
        if not source.size_bytes:
            raise FileRefused(
                f"{source.name}: it has no bytes.",
                name=source.name,
                code=ErrorCode.FILE_EMPTY,
                hint="Check the upload, and send the file again.",
            )
        found = order_for(self.parsers, source.media_type)
        if not found:
            raise UnsupportedFile(
                f"{source.name}: files of type {source.media_type} cannot be parsed.",
                name=source.name,
                code=ErrorCode.FILE_TYPE_UNSUPPORTED,
                hint="Convert it to PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text or an image.",
            )
        return found


class TypesLeft:
    """`parser`, for the types alone that `first` does not take."""

    def __init__(self, parser: Parser, first: Parser) -> None:
        self._parser, self._first = parser, first
        self.engine = parser.engine
        self.inspect, self.parse = parser.inspect, parser.parse

    def accepts(self, media_type: str) -> bool:
        """What the parser takes and `first` leaves."""
        return self._parser.accepts(media_type) and not self._first.accepts(media_type)
