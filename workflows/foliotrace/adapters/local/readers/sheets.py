"""Turns the rows of a sheet into titles and tables with header rows.

A run of filled rows is a table, which an empty row ends. Rows of a single cell above it are titles.
The first row of several cells is its header if none of them is a figure.
"""

from collections.abc import Iterable, Iterator, Sequence

from foliotrace.adapters.local.readers.pdf.lines import is_figure
from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    GridRow,
    NewGrid,
    NewPage,
)
from foliotrace.model import PageKind


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
