"""Turns the lines of a tabular stretch into tables: rows of wrapped cells joined, tables parted.

By geometry alone: columns from the cells' edges, rows from the gaps between lines.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from foliotrace.adapters.local.readers.pdf.lines import (
    Line,
    columns_of,
    header_rows,
    is_figure,
    span_of,
    text_of,
)
from foliotrace.adapters.local.readers.pdf.wrapped_rows import rows_of

HEAD_WORDS = 8  # of a heading over columns
_SEPARATE = 1.6  # times the usual gap: another table may begin below so large a gap
_WRAPPED_LINES = 8  # of one cell
_SAME_EDGE = 1.5  # points
_OVERLAP = 0.25  # of the line height: lines of different rows do not share so much
_CLOSE = 0.6  # times the line height
_NOTE = re.compile(r"(\(\w{1,2}\)|\[\w{1,2}\]|[*\u2020\u2021\u00b9\u00b2\u00b3]+)\s?\S")
_HEADS = re.compile(
    r"\b(19|20)\d\d\b|\b(ended|months?|weeks?|year|quarter|change|total|as of|date|amount)\b"
    r"|\b(january|march|june|july|september|october|december)\b",
    re.I,
)


@dataclass(slots=True)
class Grid:
    """A table: its rows, the column of each cell, and how many rows are headers."""

    rows: list[Line]
    columns: list[list[int]]
    headers: int


Part = Grid | list[Line]  # a table, or lines that are not part of one


def parts_of(lines: Sequence[Line]) -> list[Part]:
    """The tables and other lines of a tabular stretch, in order."""
    if columns := _columns_of_prose(lines):
        return list(columns)
    parts: list[Part] = []
    for table in _stacked(lines):
        above, body, below = _without_edges(table)
        parts += [part for part in (above, _grid(body), below) if part]
    return parts


def _grid(lines: list[Line]) -> Grid | list[Line]:
    if len(lines) < 2 or not any(line.is_tabular for line in lines):
        return lines
    columns = columns_of(_spans(lines))
    rows = rows_of(lines, columns)
    if len(rows) < len(lines):
        columns = columns_of(_spans(rows))
    texts = [[text_of(cell) for cell in row.cells] for row in rows]
    headers = header_rows(texts)
    while headers > 1 and len(texts[headers - 1]) == 1 and columns[headers - 1] == [0]:
        headers -= 1  # the title of the rows below it
    return Grid(rows, columns, headers)


def _spans(lines: Sequence[Line]) -> list[list[tuple[float, float]]]:
    """The span of each cell; of a label alone on its line, even centred, from the left edge."""
    spans = [[span_of(cell) for cell in line.cells] for line in lines]
    left = min([row[0][0] for row in spans])
    second = min([row[1][0] for row in spans if len(row) > 1])
    return [[(left, row[0][1])] if len(row) == 1 and row[0][1] < second else row for row in spans]


def _columns_of_prose(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines column by column, if they are text set in columns; else nothing."""
    count = len(lines[0].cells)
    if len(lines) < 6 or count < 2 or any(len(line.cells) != count for line in lines):
        return []
    columns = [[line.cells[i] for line in lines] for i in range(count)]
    for column in columns:
        widths = [cell[-1].right - cell[0].x for cell in column]
        words = sum(len(cell) for cell in column) / len(column)
        if words < 4 or sum(widths) < 0.8 * max(widths) * len(widths):
            return []
    return [
        [Line([cell], line.top, line.bottom) for cell, line in zip(column, lines, strict=True)]
        for column in columns
    ]


# --- one table under the other -----------------------------------------------------------------


def _stacked(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of each of several tables that stand one under the other."""
    tables: list[list[Line]] = []
    start = 0
    for at in range(1, len(lines)):
        if _begins_table(lines, start, at):
            tables.append(list(lines[start:at]))
            start = at
    return [*tables, list(lines[start:])]


def _begins_table(lines: Sequence[Line], start: int, at: int) -> bool:
    line, above = lines[at], lines[start:at]
    if not line.is_tabular or not any(row.is_tabular for row in above):
        return False
    texts = [text_of(cell) for cell in line.cells]
    if _is_head(texts):
        narrow = max(len(row.cells) for row in above) <= 2 < len(texts) and _has_labels(
            above, lines
        )
        below = [row for row in lines[at + 1 : at + 10] if row.is_tabular]
        if narrow and below and max(len(row.cells) for row in below) > 2:
            return True
        figures = sum(1 for row in above if _has_figure(row)) >= 2
        all_head = all(_HEADS.search(text) for text in texts[-2:])
        if figures and all_head and any(_has_figure(row) for row in below[:3]):
            return True
    return _is_other_form(lines, start, at)


def _has_labels(above: Sequence[Line], lines: Sequence[Line]) -> bool:
    """Whether rows begin at the left edge, where headings over columns do not."""
    left = min(line.cells[0][0].x for line in lines)
    return any(row.is_tabular and row.cells[0][0].x < left + 10 for row in above)


def _is_head(texts: Sequence[str]) -> bool:
    return not any(is_figure(text) or text.endswith(":") for text in texts)


def _has_figure(line: Line) -> bool:
    return any(is_figure(text_of(cell)) for cell in line.cells[1:])


def _is_other_form(lines: Sequence[Line], start: int, at: int) -> bool:
    """Whether label/value lines begin here, below a table of three or more columns."""
    above = lines[start:at]
    below = lines[at : at + 3]
    if len(below) < 2 or max(len(row.cells) for row in above) < 3:
        return False
    if any(len(row.cells) != 2 or _has_figure(row) for row in below):
        return False
    gaps = [max(0.0, low.top - up.bottom) for up, low in pairwise(above)]
    height = lines[at].bottom - lines[at].top
    gap = lines[at].top - lines[at - 1].bottom
    lefts = {round(cell[0].x) for row in above for cell in row.cells[1:]}
    value = round(below[0].cells[1][0].x)
    apart = gap > _SEPARATE * (median(gaps) if gaps else 0.0) + 0.3 * height
    return apart and all(abs(value - left) > 4 for left in lefts)


def _without_edges(lines: list[Line]) -> tuple[list[Line], list[Line], list[Line]]:
    """Lines above the table, its own, and lines below: captions and notes belong to no row."""
    seconds = [line.cells[1][0].x for line in lines if line.is_tabular]
    if not seconds:
        return lines, [], []
    second = min(seconds)
    first, last = 0, len(lines)
    while first < last and not lines[first].is_tabular and not heads_columns(lines[first], lines):
        first += 1
    while last > first and _is_below_rows(lines, last - 1, second):
        last -= 1
    while last > first and _is_note(lines[last - 1]):
        last -= 1
    return lines[:first], lines[first:last], lines[last:]


def heads_columns(line: Line, table: Sequence[Line]) -> bool:
    """Whether a line of one cell is a heading over columns of the table, as "Six Months Ended"."""
    words = line.cells[0]
    text = text_of(words)
    if len(words) > HEAD_WORDS or (text.startswith("(") and text.endswith(")")):
        return False
    left = min(row.cells[0][0].x for row in table)
    second = min(row.cells[1][0].x for row in table if row.is_tabular)
    if words[0].x > second - 10:
        return True
    return words[0].x > left + (second - left) / 2 and bool(_HEADS.search(text))


def _is_below_rows(lines: Sequence[Line], at: int, second: float) -> bool:
    line = lines[at]
    if line.is_tabular or continues_row(line, lines[:at]):
        return False
    return _trails(line, second)


def continues_row(line: Line, above: Sequence[Line]) -> bool:
    """Whether a line of one cell can be the next line of a cell of the row above it."""
    if not above or stands_under_cell(line, above):
        return bool(above)
    last, height = above[-1], line.bottom - line.top
    if last.bottom - line.top > _OVERLAP * height:  # beside a cell that is centred
        return True
    begun = line.cells[0][0].text[:1].islower() and not text_of(line.cells[0]).endswith(".")
    aligned = abs(line.cells[0][0].x - last.cells[0][0].x) <= _SAME_EDGE
    return begun and aligned and line.top - last.bottom < _CLOSE * height


def stands_under_cell(line: Line, above: Sequence[Line]) -> bool:
    """Whether a line of one cell can be the next line of a cell right of the first column.

    Then it shares an edge or the middle with that cell and ends before the column to its right.
    """
    left, right = line.cells[0][0].x, line.cells[0][-1].right
    for row in reversed(above[-_WRAPPED_LINES:]):
        for index, cell in enumerate(row.cells):
            a, b = cell[0].x, cell[-1].right
            offsets = (left - a, right - b, (left + right - a - b) / 2)
            if index and min(abs(offset) for offset in offsets) <= _SAME_EDGE:
                following = row.cells[index + 1 :]
                return not following or right < following[0][0].x
        if row.is_tabular and row.bottom <= line.top + 1:
            return False
    return False


def _trails(line: Line, second: float) -> bool:
    text = text_of(line.cells[0])
    return line.cells[0][-1].right > second or text.endswith(".") or bool(_NOTE.match(text))


def _is_note(line: Line) -> bool:
    words = sum(len(cell) for cell in line.cells)
    text = text_of(line.cells[0]) + " "
    return len(line.cells) <= 2 and words > 5 and bool(_NOTE.match(text + text_of(line.cells[-1])))
