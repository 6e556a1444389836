"""CSV and TSV, and rows of any sheet as bounded pages of one table."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from foliotrace.adapters.local.readers.pdf.lines import is_figure
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    GridRow,
    NewGrid,
    NewPage,
    paginate,
)
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import read_text
from foliotrace.catalog import ErrorCode
from foliotrace.model import PageKind, ParsedPage


def cell_name(row: int, column: int) -> str:
    """Row 7 (from 1) and column 1 (from 0) is "B7"."""
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(65 + digit) + letters
    return f"{letters}{row}"


def one_line(text: str) -> str:
    """The text without tabs and line ends, because those separate cells and rows."""
    return " ".join(text.split())


def elements(
    label: str | None, rows: Iterable[tuple[int, Sequence[tuple[int, str]]]]
) -> Iterator[Element]:
    """The elements of a sheet; a row is (number from 1, cells), a cell (column from 0, text)."""
    yield NewPage(PageKind.SHEET, label)
    in_table = False
    last = 0
    for number, cells in rows:
        if not cells or number > last + 1:
            in_table = False
        last = number
        if not cells:
            continue
        if len(cells) == 1 and not in_table:
            yield NewGrid()
            yield _row(number, cells, is_header=False)
            continue
        if not in_table:
            yield NewGrid()
        yield _row(number, cells, is_header=not in_table and _heads(cells))
        in_table = True


def _row(number: int, cells: Sequence[tuple[int, str]], *, is_header: bool) -> GridRow:
    return GridRow(
        tuple(GridCell(text, column, cell_name(number, column)) for column, text in cells),
        is_header=is_header,
    )


def _heads(cells: Sequence[tuple[int, str]]) -> bool:
    return len(cells) > 1 and not any(is_figure(text) for _, text in cells)


_FIELD_CHARACTERS = 1_000_000
_SAMPLE_LINES = 50
_DELIMITERS = ",;\t|"


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The rows of the file."""
    lines = _lines(read_text(path))
    sample = list(islice(lines, _SAMPLE_LINES))
    csv.field_size_limit(_FIELD_CHARACTERS)
    try:
        rows = csv.reader(chain(sample, lines), delimiter=delimiter_of(sample))
        yield from paginate(elements(None, _rows(rows)), PageKind.SHEET)
    except csv.Error as error:
        raise Refusal(
            ErrorCode.FILE_TOO_COMPLEX, "one of its fields is longer than a million characters"
        ) from error


def _rows(rows: Iterable[list[str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    for number, row in enumerate(rows, 1):
        yield number, [(c, text) for c, cell in enumerate(row) if (text := one_line(cell))]


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(rest) > _FIELD_CHARACTERS:
            yield rest
            rest = ""
    if rest:
        yield rest


def delimiter_of(lines: list[str]) -> str:
    """The delimiter that splits most lines into the same, largest number of fields."""

    def regularity(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        usual = max(set(counts), key=counts.count) if counts else 0
        return (counts.count(usual) if usual > 1 else 0, usual)

    return max(_DELIMITERS, key=regularity)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
