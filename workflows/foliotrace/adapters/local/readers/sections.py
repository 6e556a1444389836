"""Pages for formats without pages: headings, paragraphs and tables become sections of bounded size.

A page ends before a heading once it is long enough, and before it exceeds `PAGE_CHARACTERS`. Its
label is the path of the headings above it. A table that continues on the next page repeats its
header rows there, so that each page can be read alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.catalog import PageProblem
from foliotrace.model import (
    Block,
    BlockKind,
    PageKind,
    PageStatus,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
)

PAGE_CHARACTERS = 6000
_ENOUGH_CHARACTERS = 1500
_HEADING_LEVELS_THAT_BREAK = 3
PATH_MARK = " > "


@dataclass(frozen=True, slots=True)
class Prose:
    """A heading (`level` from 1), paragraph, list item or block of code."""

    text: str
    kind: BlockKind = BlockKind.TEXT
    level: int = 0


@dataclass(frozen=True, slots=True)
class GridCell:
    """The text of a cell and its column, from 0; `ref` is its name in a sheet, such as "B7"."""

    text: str
    column: int
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class GridRow:
    """The non-empty cells of a row, left to right."""

    cells: tuple[GridCell, ...]
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class NewGrid:
    """Precedes the first row of each table, so that neighbouring tables stay apart."""


@dataclass(frozen=True, slots=True)
class NewPage:
    """Starts a page (a slide, a sheet), however short the previous one is."""

    kind: PageKind
    label: str | None


Element = Prose | GridRow | NewGrid | NewPage


@dataclass(slots=True)
class _Draft:
    kind: PageKind
    label: str | None
    parts: list[str] = field(default_factory=list)
    length: int = 0
    blocks: list[Block] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=list)

    @property
    def has_no_body(self) -> bool:
        """Whether it holds at most page headers."""
        return not self.rows and all(block.kind is BlockKind.HEADER for block in self.blocks)

    def put(self, text: str) -> int:
        """Append `text`; returns its offset."""
        start = self.length
        self.parts.append(text)
        self.length += len(text)
        return start

    def add_prose(self, prose: Prose) -> None:
        self.end_table()
        if self.length:
            self.put("\n\n")
        start = self.put(prose.text)
        self.blocks.append(Block(kind=prose.kind, start=start, end=self.length, level=prose.level))

    def add_row(self, row: GridRow) -> None:
        if self.rows:
            self.put("\n")
        elif self.length:
            self.put("\n\n")
        start = self.length
        cells: list[TableCell] = []
        for cell in row.cells:
            if cells:
                self.put("\t")
            at = self.put(cell.text)
            cells.append(TableCell(start=at, end=self.length, column=cell.column, ref=cell.ref))
        self.rows.append(
            TableRow(start=start, end=self.length, cells=tuple(cells), is_header=row.is_header)
        )

    def end_table(self) -> None:
        if not self.rows:
            return
        start, end = self.rows[0].start, self.rows[-1].end
        self.tables.append(Table(start=start, end=end, rows=tuple(self.rows)))
        self.blocks.append(Block(kind=BlockKind.TABLE, start=start, end=end))
        self.rows = []

    def finished(self, number: int) -> ParsedPage:
        self.end_table()
        return ParsedPage(
            number=number,
            text="".join(self.parts),
            kind=self.kind,
            label=self.label,
            blocks=tuple(self.blocks),
            tables=tuple(self.tables),
        )


def paginate(
    elements: Iterable[Element], kind: PageKind = PageKind.SECTION
) -> Iterator[ParsedPage]:
    """The elements as pages numbered from 1; a single empty page if there are none."""
    number = 0
    for number, draft in enumerate(_drafts(elements, kind), 1):
        yield draft.finished(number)
    if not number:
        yield ParsedPage(number=1, text="", kind=kind)


def as_needing_ocr(page: ParsedPage, options: ReadingOptions) -> ParsedPage:
    """A page without text but with pictures, marked `needs_ocr`; OCR ran if there are models."""
    problem = PageProblem.OCR_FOUND_NOTHING if options.tessdata else PageProblem.NEEDS_OCR
    return replace(page, status=PageStatus.NEEDS_OCR, problem=problem)


def _drafts(elements: Iterable[Element], kind: PageKind) -> Iterator[_Draft]:
    draft = _Draft(kind, None)
    path: list[tuple[int, str]] = []
    headers: list[GridRow] = []
    for element in elements:
        if isinstance(element, NewPage):
            if draft.length:
                yield draft
            draft, path, headers = _Draft(element.kind, element.label), [], []
        elif isinstance(element, NewGrid):
            draft.end_table()
            headers = []
        elif isinstance(element, GridRow):
            if _overflows(draft, _size(element)):
                yield draft
                draft = _Draft(draft.kind, _label(path) or draft.label)
                for header in headers:
                    draft.add_row(header)
            if element.is_header and len(headers) < 4:
                headers.append(element)
            draft.add_row(element)
        else:
            for piece in _pieces(element):
                if _starts_page(draft, piece):
                    yield draft
                    draft = _Draft(draft.kind, draft.label)
                if piece.kind is BlockKind.HEADING and draft.kind is PageKind.SECTION:
                    path = [above for above in path if above[0] < piece.level]
                    path.append((piece.level, piece.text))
                if draft.kind is PageKind.SECTION and draft.has_no_body:
                    draft.label = _label(path)
                draft.add_prose(piece)
    if draft.length:
        yield draft


def _starts_page(draft: _Draft, piece: Prose) -> bool:
    heads = piece.kind is BlockKind.HEADING and piece.level <= _HEADING_LEVELS_THAT_BREAK
    if heads and draft.kind is PageKind.SECTION and draft.length >= _ENOUGH_CHARACTERS:
        return True
    return _overflows(draft, len(piece.text))


def _overflows(draft: _Draft, characters: int) -> bool:
    """Whether this many more characters make the page too long. A slide is never split."""
    full = draft.length + characters > PAGE_CHARACTERS
    return full and draft.length > 0 and draft.kind is not PageKind.SLIDE


def _label(path: Sequence[tuple[int, str]]) -> str | None:
    return PATH_MARK.join(text[:120] for _, text in path) or None


def _size(row: GridRow) -> int:
    return sum(len(cell.text) + 1 for cell in row.cells)


def _pieces(prose: Prose) -> Iterator[Prose]:
    """The element itself, or the pieces of it that fit a page each."""
    text = prose.text
    while len(text) > PAGE_CHARACTERS:
        cut = cut_before(text, PAGE_CHARACTERS)
        if head := text[:cut].strip():
            yield Prose(head, prose.kind, prose.level)
        text = text[cut:].lstrip()
    if text:
        yield Prose(text, prose.kind, prose.level)


def cut_before(text: str, limit: int) -> int:
    """The offset at which to cut `text` so that its head has at most `limit` characters.

    After an empty line, else a line end, a sentence, a space; else anywhere.
    """
    for mark in ("\n\n", "\n", ". ", " "):
        at = text.rfind(mark, limit // 2, limit - len(mark))
        if at > 0:
            return at + len(mark)
    return limit


def grid(rows: Sequence[Sequence[GridCell]], header_rows: int) -> Iterator[Element]:
    """The elements of a table whose first `header_rows` rows are headers."""
    yield NewGrid()
    for index, cells in enumerate(rows):
        if cells:
            yield GridRow(tuple(cells), is_header=index < header_rows)
    yield NewGrid()
