"""Joins the lines of a table into rows: a cell that wraps is one cell.

Lines of one cell stand closer than rows do, or go on in lower case, where the cell above is full.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from foliotrace.adapters.local.readers.pdf.lines import (
    Line,
    PageWord,
    is_figure,
    span_of,
    text_of,
)

_WRAP_GAP = 0.6  # times the line height: a larger gap never separates two lines of one cell
_GAP_STEP = 0.2  # times the line height: by so much rows are farther apart than wrapped lines
_ROWS = 0.6  # of the close lines fill the same columns: they are rows
_TALLEST = 1.4  # times the median height: what a line with ascenders and descenders can be
_OVERLAP = 0.25  # of the height: lines of different rows do not share so much
_FULL = 0.4  # times the line height: room that a full line leaves beside the next word


@dataclass(slots=True)
class _Cell:
    line: int
    column: int
    words: list[PageWord]
    top: float
    bottom: float
    left: float
    right: float
    figure: bool


def rows_of(lines: list[Line], columns: Sequence[Sequence[int]]) -> list[Line]:
    """The rows: each a line, or several lines whose cells continue each other."""
    usual = _usual_height(lines)
    cells = [
        _cell(words, line, index, column, usual)
        for index, (line, numbers) in enumerate(zip(lines, columns, strict=True))
        for words, column in zip(line.cells, numbers, strict=True)
    ]
    by_column: dict[int, list[_Cell]] = defaultdict(list)
    for cell in cells:
        if above := by_column[cell.column]:
            cell.figure &= not _is_broken(above[-1])
        by_column[cell.column].append(cell)
    group = list(range(len(lines)))  # of each line: the first line of its row
    for chain in _chains(by_column, columns):
        _join(group, chain[0].line, [cell.line for cell in chain])
    for middle in range(1, len(lines) - 1):
        if _is_centred(lines, middle):
            _join(group, middle - 1, [middle, middle + 1])
    if group == list(range(len(lines))):
        return lines
    return _joined(lines, group, columns, by_column)


def _is_centred(lines: Sequence[Line], at: int) -> bool:
    """Whether the line stands half in the line above and half in the one below, beside them.

    So stands a label that is centred beside a cell of an even number of lines.
    """
    above, line, below = lines[at - 1 : at + 2]
    height = _OVERLAP * min(row.bottom - row.top for row in (above, line, below))
    if min(above.bottom - line.top, line.bottom - below.top) < height:
        return False
    beside = [(cell[0].x, cell[-1].right) for row in (above, below) for cell in row.cells]
    if any(a < cell[-1].right and cell[0].x < b for cell in line.cells for a, b in beside):
        return False
    return any(
        min(abs(up[0].x - low[0].x), abs(up[-1].right - low[-1].right)) <= 1
        for up in above.cells
        for low in below.cells
    )


def _usual_height(lines: Sequence[Line]) -> float:
    """The height of a line with ascenders and descenders.

    Some engines give the boxes of the letters alone: "rope" is then lower than "Splicing".
    """
    heights = [line.bottom - line.top for line in lines]
    return min(max(heights), _TALLEST * median(heights))


def _cell(words: list[PageWord], line: Line, number: int, column: int, usual: float) -> _Cell:
    left, right = span_of(words)
    figure = all(is_figure(word.text) for word in words) or is_figure(text_of(words))
    bottom = max(line.bottom, line.top + usual)
    return _Cell(number, column, words, line.top, bottom, left, right, figure)


def _chains(
    by_column: dict[int, list[_Cell]], columns: Sequence[Sequence[int]]
) -> list[list[_Cell]]:
    """Runs of cells of one column that are the lines of one cell."""
    height = median([c.bottom - c.top for cells in by_column.values() for c in cells])
    wrapped = _largest_wrap_gap(by_column, height, columns)
    by_line: dict[int, list[_Cell]] = defaultdict(list)
    for cells in by_column.values():
        for cell in cells:
            by_line[cell.line].append(cell)
    heads = _head_lines(by_line)
    chains: list[list[_Cell]] = []
    for cells in by_column.values():
        edge = max(cell.right for cell in cells)
        chain = [cells[0]]
        for above, below in pairwise(cells):
            if _continues(above, below, edge, wrapped, height, columns) and not (
                _spans(above, by_line[below.line])
                or _spans(below, by_line[above.line])
                or (below.line < heads and _is_group(by_line[above.line], by_line[below.line]))
            ):
                if cut := _row_end(chain, below, by_line):
                    chains.append(chain[:cut])
                    chain = chain[cut:]
                chain.append(below)
            else:
                chains.append(chain)
                chain = [below]
        chains.append(chain)
    return [chain for chain in chains if len(chain) > 1]


def _largest_wrap_gap(
    by_column: dict[int, list[_Cell]], height: float, columns: Sequence[Sequence[int]]
) -> float | None:
    """The largest gap inside a cell, if gaps between rows are clearly larger; else None.

    Lines that nearly all fill the same columns are rows, however close: wider gaps part groups.
    """
    pairs = [pair for cells in by_column.values() for pair in pairwise(cells)]
    gaps = sorted(below.top - above.bottom for above, below in pairs)
    if not gaps or gaps[0] > _WRAP_GAP * height:
        return None
    limit = gaps[0] + _GAP_STEP / 2 * height
    close = {(a.line, b.line) for a, b in pairs if b.top - a.bottom <= limit}
    alike = sum(len(columns[a]) > 1 and columns[a] == columns[b] for a, b in close)
    if alike >= _ROWS * len(close):
        return None
    above = [gap for gap in gaps if gap > limit]
    return limit if above and above[0] >= gaps[0] + _GAP_STEP * height else None


def _continues(
    above: _Cell,
    below: _Cell,
    edge: float,
    wrapped: float | None,
    height: float,
    columns: Sequence[Sequence[int]],
) -> bool:
    gap = below.top - above.bottom
    if gap > _WRAP_GAP * height or above.figure or below.figure or _ends(above):
        return False
    if len(text_of(above.words)) == 1:  # a letter or a mark is whole
        return False
    if _is_broken(above) or above.words[-1].text.endswith(","):  # "October 30," over "2022"
        return True
    upper, lower = columns[above.line], columns[below.line]
    same = set(upper) == set(lower) and len(upper) > 1
    full = above.right + below.words[0].width + _FULL * height >= edge
    if wrapped is not None and gap <= wrapped and full:
        return not (same and _is_flush_right(above, below))
    if same:
        return False
    if below.words[0].text[:1].islower():
        return True
    return full and 0 not in lower and not above.words[-1].text.endswith(":")


def _is_flush_right(above: _Cell, below: _Cell) -> bool:
    """Whether both end at the right edge alone: that they reach it shows no full line."""
    return abs(above.right - below.right) <= 1 < abs(above.left - below.left)


def _head_lines(by_line: dict[int, list[_Cell]]) -> int:
    """How many lines stand above the first line with figures."""
    return min((n for n, cells in by_line.items() if any(c.figure for c in cells)), default=0)


def _row_end(chain: list[_Cell], below: _Cell, by_line: dict[int, list[_Cell]]) -> int:
    """How many cells of the chain belong to the row above, if `below` is of another; else 0.

    Two lines with a figure and another cell in one column are two rows. They part at the widest
    gap between them, the lowest one of equals: most tables are aligned at the top.
    """
    conflicts = (
        at
        for at in range(len(chain) - 1, -1, -1)
        if _are_rows(by_line[chain[at].line], by_line[below.line])
    )
    first = next(conflicts, None)
    if first is None:
        return 0
    cells = [*chain[first:], below]
    gaps = [low.top - up.bottom for up, low in pairwise(cells)]
    widest = max(gaps) - 0.05 * (below.bottom - below.top)
    return first + max(at for at, gap in enumerate(gaps, 1) if gap >= widest)


def _are_rows(above: Sequence[_Cell], below: Sequence[_Cell]) -> bool:
    """Whether a column has a cell in each of two lines, and one of the cells is a figure."""
    held = {cell.column: cell.figure for cell in above}
    return any((cell.figure or held.get(cell.column)) and cell.column in held for cell in below)


def _is_group(above: Sequence[_Cell], below: Sequence[_Cell]) -> bool:
    """Whether a heading line stands over groups of the columns that the line below names."""
    return sum(c.column > 0 for c in above) < sum(c.column > 0 for c in below)


def _spans(cell: _Cell, others: Sequence[_Cell]) -> bool:
    """Whether the cell stands over several of the others."""
    return sum(other.left < cell.right and cell.left < other.right for other in others) > 1


def _is_broken(cell: _Cell) -> bool:
    """Whether the cell ends in the hyphen of a code that goes on below: "PO-" over "2026"."""
    last = cell.words[-1].text
    return len(last) > 1 and last.endswith("-") and last[-2].isalnum()


def _ends(cell: _Cell) -> bool:
    return cell.words[-1].text.endswith(":")


def _join(group: list[int], first: int, members: Sequence[int]) -> None:
    """Put the members' rows, and every line between them, into one row."""
    low = min(group[first], *(group[m] for m in members))
    for line in range(low, max(members) + 1):
        group[line] = min(group[line], low)


def _joined(
    lines: list[Line],
    group: Sequence[int],
    columns: Sequence[Sequence[int]],
    by_column: dict[int, list[_Cell]],
) -> list[Line]:
    members: dict[int, list[int]] = defaultdict(list)
    for index, first in enumerate(group):
        members[first].append(index)
    rows: list[Line] = []
    for indexes in members.values():
        if len(indexes) == 1 or not _is_one_row(indexes, by_column):
            rows += [lines[i] for i in indexes]
            continue
        cells: dict[int, list[PageWord]] = defaultdict(list)
        for i in indexes:
            for words, column in zip(lines[i].cells, columns[i], strict=True):
                cells[column] += words
        top = min(lines[i].top for i in indexes)
        bottom = max(lines[i].bottom for i in indexes)
        rows.append(Line([cells[column] for column in sorted(cells)], top, bottom))
    return rows


def _is_one_row(indexes: Sequence[int], by_column: dict[int, list[_Cell]]) -> bool:
    """Whether no column has two figures, or two lines far apart, in these lines."""
    for cells in by_column.values():
        held = [cell for cell in cells if indexes[0] <= cell.line <= indexes[-1]]
        if sum(cell.figure for cell in held) > 1 or (
            len(held) > 1 and any(cell.figure for cell in held)
        ):
            return False
        for above, below in pairwise(held):
            if below.top - above.bottom > _WRAP_GAP * (above.bottom - above.top):
                return False
    return True
