"""The recognised tables of a page as labelled rows and columns, ready to be matched."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from foliotrace.model import ParsedPage, Table, TableRow
from foliotrace.model.table_columns import column_headers
from foliotrace.query.answer.cells.column_lengths import dated, period_of_header, with_lengths
from foliotrace.query.answer.cells.form_lines import LINE_COLUMNS, labels_of_line
from foliotrace.query.answer.cells.lines_above import (
    announced_above,
    line_above,
    lines_above,
    lone_header,
)
from foliotrace.query.answer.cells.periods import Periods, periods_in
from foliotrace.text_caches import text_cache

Terms: TypeAlias = Callable[[str], Sequence[str]]

_GAP: Final = 160  # characters between two parts of one table, a heading among them
_HEADINGS: Final = 2  # of the path above a table that count as its context
PREFIX: Final = 5  # letters that words with other endings share
_FORM_COLUMNS: Final = 2  # a label and its value
_LEAST_NAMED: Final = 3  # columns that name the values of a table with one row
_FOOTNOTE: Final = re.compile(r"\s*(?:\(\d\)|\[\d\]|[®™*†‡¹²³])\s*")
_NUMERIC: Final = re.compile(
    r"[\s(\-\u2013+]*(?:US\$|[$€£¥]|[A-Z]{3}\s)?\s*[(\-\u2013]?\s*\d[\d.,'\u2019\u00a0 ]*\)?\s*"
    r"(?:%|pts?|x|bps|[$€£]|[A-Z]{3})?\s*\)?%?"
)
_LIMIT: Final = re.compile(
    r"(?:(?:max|min|up to|at (?:most|least))\.?|[<>\u2264\u2265])?\s*\d[\d.,]*"
    r"(?:\s*(?:-|\u2013|to)\s*\d[\d.,]*)?\s*%?",
    re.I,
)  # "0.15 - 0.25", "max 0.025"
_LETTER: Final = re.compile(r"[^\W\d_]")
_CURRENCY: Final = re.compile(r"US\$|[$€£¥]|\b(?:USD|EUR|GBP|CHF|JPY)\b")
_EMPTY: Final = re.compile(r"[\s$€£\-\u2013\u2014]*")


def money_in(text: str) -> bool:
    """Whether a currency is written in it."""
    return _CURRENCY.search(text) is not None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's header, what it says about time, and the terms of its other words.

    `sign` is the currency or percent sign that stands in some of its rows for all.
    """

    text: str
    periods: Periods
    terms: frozenset[str]
    sign: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value: its column and its span on the page."""

    column: int
    text: str
    start: int
    end: int

    @property
    def numeric(self) -> bool:
        """Whether it is a number, with or without a unit."""
        return _NUMERIC.fullmatch(self.text) is not None

    @property
    def measured(self) -> bool:
        """Whether it is a number, a range of numbers, or a limit."""
        return self.numeric or _LIMIT.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A row's label, the label of the group it stands in, and its values.

    `terms` is empty where the row has no label: it is the only one, and each column names a value.
    """

    label: str
    terms: frozenset[str]
    group: frozenset[str]
    cells: tuple[Cell, ...]
    start: int
    end: int
    label_end: int
    text: str
    group_label: str = ""


@dataclass(frozen=True, slots=True)
class CellTable:
    """A table: `context` are the terms of its caption and headings, `header` its header rows."""

    columns: tuple[Column, ...]
    rows: tuple[LabelledRow, ...]
    unit: str | None
    periods: Periods
    period: str | None
    context: frozenset[str]
    header: str
    start: int = 0
    end: int = 0
    caption: str = ""
    title: frozenset[str] = frozenset()  # the terms of its caption
    section: str = ""  # the caption of the header above it

    def column(self, cell: Cell) -> Column:
        """The column of a cell; an unnamed one where the header does not reach it."""
        return self.columns[cell.column] if cell.column < len(self.columns) else UNNAMED

    @property
    def description(self) -> str:
        """Its caption, unit and columns in one line, as a language model is shown it."""
        columns = " | ".join(column.text or "-" for column in self.columns)
        named = any(column.text for column in self.columns)
        parts = (self.caption, self.unit, f"columns: {columns}" if named else "")
        return "; ".join(part for part in parts if part)


UNNAMED: Final = Column("", Periods(), frozenset())


def recognised(page: ParsedPage, terms: Terms) -> list[CellTable]:
    """The tables of a page; those beside a form also know whose page it is."""
    read = [_table(page, table, terms) for table in page.tables]
    found = _with_subjects(list(_continued(page, read, terms)), terms)
    return [table for table in found if table.rows]


def _with_subjects(tables: Sequence[CellTable], terms: Terms) -> list[CellTable]:
    """The tables; those beside a form also know what its values say: whose page it is."""
    said = [_form_values(table, terms) for table in tables]
    return [
        replace(table, context=table.context.union(*said[:place], *said[place + 1 :]))
        for place, table in enumerate(tables)
    ]


def _form_values(table: CellTable, terms: Terms) -> frozenset[str]:
    """The terms of a form's values; none of a table whose columns are periods or numbers."""
    values = [cell for row in table.rows for cell in row.cells]
    words = [cell.text for cell in values if not any(sign.isdigit() for sign in cell.text)]
    if 2 * len(words) < len(values) or any(column.periods.named for column in table.columns):
        return frozenset()
    return frozenset(terms(" ".join(words)))


def _continued(page: ParsedPage, tables: Sequence[CellTable], terms: Terms) -> Iterator[CellTable]:
    """The tables; one without a header takes unit and columns from the part right above it."""
    above: CellTable | None = None
    for place, table in enumerate(tables):
        blank = not any(column.text for column in table.columns[1:])
        if above is not None and blank and 0 <= table.start - above.end <= _GAP:
            same = len(table.columns) == len(above.columns)
            alone = lone_header(page, page.tables[place - 1], len(table.columns))
            header = alone or ([column.text for column in above.columns] if same else [])
            if any(header):
                table = _under(table, above, header, terms, new=bool(alone))
                blank = False
        if blank:
            table = _under_lines(page, table, terms)
        above = table
        yield table


def _under_lines(page: ParsedPage, table: CellTable, terms: Terms) -> CellTable:
    """A table without headers with those of the lines above it, which no table took in."""
    lines = lines_above(page.text, table.start, len(table.columns) - 1)
    if lines is None:
        return table
    header = with_lengths(["", *lines.headers])
    return replace(
        table,
        columns=tuple(_column(text, at, table.rows, terms) for at, text in enumerate(header)),
        context=table.context.union(terms(lines.title)),
        header=" / ".join(filter(None, (lines.title, *lines.texts))),
    )


def _under(
    table: CellTable, above: CellTable, header: Sequence[str], terms: Terms, *, new: bool
) -> CellTable:
    """The table with the columns, unit and context of what stands above it."""
    months = table.periods.months if new else frozenset[int]()
    columns = tuple(
        _column(text, place, table.rows, terms, months)
        for place, text in enumerate(with_lengths(header))
    )
    return replace(
        table,
        columns=columns,
        unit=table.unit or above.unit,
        period=table.period if new else None,
        context=table.context | above.context,
        title=table.title | above.title,
        section=above.caption if new else "",
        header=table.header or above.header or " | ".join(filter(None, header)),
    )


def _table(page: ParsedPage, table: Table, terms: Terms) -> CellTable:
    headers = column_headers(page, table)
    if not any(headers[1:]) and table.continued_header:
        parts = [line.split("\t") for line in table.continued_header.split("\n")]
        width = max(map(len, parts))
        headers = [" ".join(p[i] for p in parts if i < len(p) and p[i]) for i in range(width)]
    is_form = not any(headers) and len(headers) <= LINE_COLUMNS
    rows = tuple(
        _only_values(page, table, headers, terms) or _rows(page, table, terms, is_form=is_form)
    )
    caption = " ".join(
        [table.caption or "", *table.header_path[-_HEADINGS:], headers[0] if headers else ""]
    )
    if not table.caption:
        caption = f"{caption} {announced_above(page.text, table.start)}"
    if is_form and all(len(row.cells) == 1 for row in rows):  # its values say what it is of
        caption = " ".join([caption, *(cell.text for row in rows for cell in row.cells)])
    head = [page.text[row.start : row.end] for row in table.rows if row.is_header]
    return CellTable(
        columns=tuple(
            _column(text, place, rows, terms)
            for place, text in enumerate(dated(headers, table.period))
        ),
        rows=rows,
        unit=table.unit,
        periods=periods_in(table.period or table.caption or ""),
        period=table.period,
        context=frozenset(terms(caption)),
        start=table.start,
        end=table.end,
        caption=table.caption or "",
        title=frozenset(terms(table.caption or "")),
        header=" / ".join(" ".join(line.split()) for line in head)
        or " ".join((table.continued_header or "").split()),
    )


def _column(
    text: str,
    place: int,
    rows: Sequence[LabelledRow],
    terms: Terms,
    months: frozenset[int] = frozenset(),
) -> Column:
    periods = period_of_header(text)
    if months and periods.named and not periods.months:
        periods = replace(periods, months=months)
    values = [cell.text for row in rows for cell in row.cells if cell.column == place]
    money = next((m.group() for value in values if (m := _CURRENCY.search(value))), "")
    if not money and values and values[0].endswith("%") and values[-1].endswith("%"):
        money = "%"  # like a currency, it is printed in the first and the last row only
    return Column(text, periods, frozenset(terms(periods.rest)), money)


def _rows(page: ParsedPage, table: Table, terms: Terms, *, is_form: bool) -> Iterator[LabelledRow]:
    group, above = frozenset[str](), ""
    for row in table.rows:
        if row.is_header or not row.cells:
            continue
        pairs = list(_pairs(page, row, terms)) if is_form else []
        if pairs:
            yield from pairs
            continue
        label = _label(page, row)
        named = frozenset(terms(label))
        cells = tuple(_cells(page, row))
        if not cells:
            group, above = named, label
        elif named:
            end = row.cells[0].end
            text = page.text[row.start : row.end]
            yield LabelledRow(label, named, group, cells, row.start, row.end, end, text, above)


def _pairs(page: ParsedPage, row: TableRow, terms: Terms) -> Iterator[LabelledRow]:
    """The rows of a form's line; none where it is no line of labels with their values."""
    texts = [" ".join(page.text[c.start : c.end].split()) for c in row.cells]
    for place in labels_of_line(texts, opens=row.cells[0].column == 0):
        cell, value = row.cells[place], row.cells[place + 1]
        name = texts[place].rstrip(" :.")
        yield LabelledRow(
            label=name,
            terms=frozenset(terms(name)),
            group=frozenset(),
            cells=(Cell(1, texts[place + 1], value.start, value.end),),
            start=cell.start,
            end=value.end,
            label_end=cell.end,
            text=page.text[cell.start : value.end],
        )


def _only_values(
    page: ParsedPage, table: Table, headers: Sequence[str], terms: Terms
) -> list[LabelledRow]:
    """The row of a table that has no other, where the first cell is a value as well; else none.

    Its label is the line above the table.
    """
    rows = [row for row in table.rows if not row.is_header and row.cells]
    if len(rows) != 1 or len(headers) < _LEAST_NAMED or not all(headers) or rows[0].cells[0].column:
        return []
    (row,) = rows
    cells = tuple(_cells(page, row, first=0))
    if not cells or cells[0].column or not cells[0].measured or _LETTER.search(cells[0].text):
        return []
    label = " ".join((table.caption or line_above(page.text, table.start)).split())
    text = page.text[row.start : row.end]
    group = frozenset(terms(label))
    return [
        LabelledRow(label, frozenset(), group, cells, row.start, row.end, row.cells[0].end, text)
    ]


def _label(page: ParsedPage, row: TableRow) -> str:
    first = row.cells[0]
    text = page.text[first.start : first.end] if first.column == 0 else ""
    return " ".join(_FOOTNOTE.sub(" ", text).split()).rstrip(" :.")


def _cells(page: ParsedPage, row: TableRow, first: int = 1) -> Iterator[Cell]:
    for cell in row.cells:
        text = " ".join(page.text[cell.start : cell.end].split())
        if cell.column >= first and not _EMPTY.fullmatch(text):
            yield Cell(cell.column, text, cell.start, cell.end)


@text_cache(8192)
def starts_of(terms: frozenset[str]) -> frozenset[str]:
    """The first letters of each term that is long enough to have endings."""
    return frozenset(term[:PREFIX] for term in terms if len(term) >= PREFIX)
