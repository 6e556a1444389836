"""Parsed pages: text, blocks, tables and words with their positions."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from struct import Struct


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points, origin top-left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page: its span in the page's text and its box."""

    start: int
    end: int
    box: Box


_WORD = Struct("<IIffff")
_START = Struct("<I")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a page with their boxes, packed (24 bytes each) in order of `start`."""

    packed: bytes = b""
    confidences: bytes = b""  # percent, a byte for each word; empty without OCR

    @classmethod
    def pack(cls, words: Sequence[Word]) -> "Words":
        """Pack `words`, which must be in order of `start`."""
        return cls(
            b"".join(
                _WORD.pack(w.start, w.end, w.box.x, w.box.y, w.box.width, w.box.height)
                for w in words
            )
        )

    @classmethod
    def pack_values(cls, values: Iterable[tuple[int, int, float, float, float, float]]) -> "Words":
        """Pack (start, end, x, y, width, height) tuples: `pack` without the objects."""
        pack = _WORD.pack
        return cls(b"".join([pack(*value) for value in values]))

    def __len__(self) -> int:
        return len(self.packed) // _WORD.size

    def __iter__(self) -> Iterator[Word]:
        for start, end, x, y, width, height in _WORD.iter_unpack(self.packed):
            yield Word(start, end, Box(x, y, width, height))

    def boxes(self, start: int, end: int) -> tuple[Box, ...]:
        """The boxes that cover the words of [start, end): one for each run of words on a line.

        A word continues a run if it is in the same baseline band, at most two heights away, and
        the box stays within 1.4 times the area of its words.
        """
        packed = self.packed
        first = max(0, self._from(start) - 1)  # a word may reach into the span
        nearby = packed[first * _WORD.size : self._from(end) * _WORD.size]
        found: list[Box] = []
        is_open = False
        left = top = right = bottom = area = 0.0  # of the run, and of its words
        for _, w_end, x, y, width, height in _WORD.iter_unpack(nearby):
            if w_end <= start:
                continue
            w_right, w_bottom, w_area = x + width, y + height, width * height
            if is_open and top <= y + height / 2 <= bottom and -1.0 <= x - right <= 2 * height:
                n_left, n_top = (left if left < x else x), (top if top < y else y)
                n_right = right if right > w_right else w_right
                n_bottom = bottom if bottom > w_bottom else w_bottom
                if (n_right - n_left) * (n_bottom - n_top) <= 1.4 * (area + w_area):
                    left, top, right, bottom = n_left, n_top, n_right, n_bottom
                    area += w_area
                    continue
            if is_open:
                found.append(Box(left, top, right - left, bottom - top))
            is_open = True
            left, top, right, bottom, area = x, y, w_right, w_bottom, w_area
        if is_open:
            found.append(Box(left, top, right - left, bottom - top))
        return tuple(found)

    def confidence(self, start: int, end: int) -> float | None:
        """The mean OCR confidence, 0 to 1, of the words of [start, end); None without OCR."""
        found = self.confidences[self._from(start) : self._from(end)]
        return round(sum(found) / len(found) / 100, 2) if found else None

    def _from(self, start: int) -> int:
        """The index of the first word that starts at `start` or later."""
        read, size, packed = _START.unpack_from, _WORD.size, self.packed
        return bisect_left(range(len(self)), start, key=lambda i: int(read(packed, i * size)[0]))


class PageKind(StrEnum):
    """What a numbered unit of a document is."""

    PAGE = "page"
    IMAGE = "image"
    SHEET = "sheet"
    SLIDE = "slide"
    SECTION = "section"


class PageStatus(StrEnum):
    """Whether the text of a page is usable."""

    OK = "ok"
    NEEDS_OCR = "needs_ocr"
    FAILED = "failed"


class BlockKind(StrEnum):
    """The role of a block on its page.

    Headers, footers and navigation repeat from page to page: they are stored like every block, but
    are not meant to be quoted. `code` is text whose line breaks matter.
    """

    TEXT = "text"
    HEADING = "heading"
    TABLE = "table"
    LIST = "list"
    CAPTION = "caption"
    HEADER = "header"
    FOOTER = "footer"
    NAVIGATION = "navigation"
    FOOTNOTE = "footnote"
    CODE = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch [start, end) of a page's text; `level` is 1 for a top heading, else 0."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell: its span in the page's text, its column from 0, and a sheet's cell name ("B7")."""

    start: int
    end: int
    column: int
    ref: str | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A table row: its span in the page's text and its cells, left to right."""

    start: int
    end: int
    cells: tuple[TableCell, ...]
    is_header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table recognised on a page: its rows, header rows first, and what they are about."""

    start: int
    end: int
    rows: tuple[TableRow, ...]
    box: Box | None = None
    caption: str | None = field(
        default=None, metadata={"description": "The table's title, as printed above or below it."}
    )
    unit: str | None = field(
        default=None, metadata={"description": "Unit of its figures as printed: `in millions`."}
    )
    period: str | None = field(
        default=None, metadata={"description": "Period of its figures: `three months ended ...`."}
    )
    header_path: tuple[str, ...] = field(
        default=(), metadata={"description": "The headings above the table, outermost first."}
    )
    continued_header: str | None = field(
        default=None,
        metadata={
            "description": "Of a table that goes on from the page before: the header rows there, "
            "one a line, a tab between columns."
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """One page, image, sheet, slide or section. Offsets are characters of `text`; boxes, points.

    A field declared here reaches the REST API and the clients.
    """

    number: int = field(metadata={"description": "From 1."})
    text: str
    kind: PageKind = PageKind.PAGE
    label: str | None = field(
        default=None, metadata={"description": "Sheet name, slide title or section heading."}
    )
    width: float | None = field(default=None, metadata={"description": "Points."})
    height: float | None = field(default=None, metadata={"description": "Points."})
    blocks: tuple[Block, ...] = ()
    tables: tuple[Table, ...] = ()
    status: PageStatus = PageStatus.OK
    problem: str | None = field(
        default=None, metadata={"description": "A stable error code when `status` is not `ok`."}
    )
    engine: str = field(
        default="", metadata={"description": "The parser and its version: `liteparse 2.18.0`."}
    )
    confidence: float | None = field(
        default=None, metadata={"description": "0 to 1, from OCR or LlamaParse."}
    )
    degraded_from: str | None = field(
        default=None, metadata={"description": "The parser that was preferred for this page."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPage(PageContent):
    """A page with the position of each of its words, packed."""

    words: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to be parsed; its media type was detected by content."""

    tenant: str = "default"
    path: Path
    name: str
    media_type: str
    content_hash: str  # sha256, hex
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Properties of a file that are known before its pages are parsed."""

    media_type: str
    pages_total: int
    title: str | None = None
