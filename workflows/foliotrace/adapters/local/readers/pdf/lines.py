"""Groups words with boxes into lines, cells and columns, by geometry alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from foliotrace.model import BlockKind, Box

_CELL_GAP = 0.8  # times the line height: this gap separates cells on a line known to be tabular
_LETTERS = 2.4  # letters are about as wide as the line is high
_FIGURE_GAP = 0.6  # times the line height: this gap separates figures there
_WIDE_GAP = 1.8  # times the line height: this gap makes a line tabular
_COLUMN_REACH = 30.0  # points between the two halves of one column
_BY_X = itemgetter(1)
OPENS = frozenset({"$", "€", "£", "¥", "(", "$(", "US$", "(in"})
CLOSES = frozenset({")", "%", ")%", "),"})


class PageWord(NamedTuple):
    """A word with its box. A tuple and no dataclass, because a page has a thousand of them."""

    text: str
    x: float
    y: float
    width: float
    height: float
    right: float  # x + width


@dataclass(slots=True)
class Line:
    """The words of one baseline in one block; `cells` are runs of words between wide gaps."""

    cells: list[list[PageWord]]
    top: float
    bottom: float

    @property
    def is_tabular(self) -> bool:
        """Whether it has more than one cell."""
        return len(self.cells) > 1


@dataclass(slots=True)
class Region:
    """A block of the page before its text is written."""

    kind: BlockKind
    level: int
    box: Box | None
    runs: list[list[PageWord]] = field(default_factory=list)  # grouped as by the engine
    keeps_lines: bool = False  # each line stays a line, as on a receipt


def group_into_lines(region: Region) -> list[Line]:
    """The words of the region as lines from top to bottom, each from left to right."""
    bands: list[tuple[float, float, list[PageWord], bool]] = []  # middle, height, words, one run
    middles = [(run[0].y + run[0].height / 2, index) for index, run in enumerate(region.runs)]
    for middle, index in sorted(middles):
        run = region.runs[index]
        height = run[0].height
        if bands:
            band_middle, band_height, words, _ = bands[-1]
            if abs(middle - band_middle) < 0.45 * max(height, band_height):
                words.extend(run)
                bands[-1] = (band_middle, band_height, words, False)
                continue
        bands.append((middle, height, list(run), True))
    keep_whole = region.kind is BlockKind.LIST
    is_table = region.kind is BlockKind.TABLE
    return [
        _whole_line(words)
        # the engine ends a run at a wide gap, but not on scans
        if one_run and not (is_table or region.keeps_lines)
        else _line(words, is_table=is_table, keep_whole=keep_whole)
        for _, _, words, one_run in bands
    ]


def _whole_line(words: list[PageWord]) -> Line:
    top = words[0].y
    return Line(cells=[words], top=top, bottom=top + words[0].height)


def _line(words: list[PageWord], *, is_table: bool, keep_whole: bool) -> Line:
    words.sort(key=_BY_X)
    cells = [words] if keep_whole else _cells(words, is_table=is_table)
    top = min([w.y for w in words])
    return Line(cells=cells, top=top, bottom=max([w.y + w.height for w in words]))


def _cells(words: Sequence[PageWord], *, is_table: bool) -> list[list[PageWord]]:
    height = _em(words)
    distances = [after.x - before.right for before, after in pairwise(words)]
    if not distances or max(distances) <= (_CELL_GAP if is_table else _WIDE_GAP) * height:
        return [list(words)]
    return close_cells(words)


def close_cells(words: Sequence[PageWord]) -> list[list[PageWord]]:
    """The cells of a line, by the gaps that separate cells where a line is known to be tabular."""
    height = _em(words)
    cells = [[words[0]]]
    for before, word in pairwise(words):
        gap = word.x - before.right
        if gap > _CELL_GAP * height or (
            gap > _FIGURE_GAP * height and is_figure(before.text) and is_figure(word.text)
        ):
            cells.append([word])
        else:
            cells[-1].append(word)
    return _join_marks(cells)


def _em(words: Sequence[PageWord]) -> float:
    """The height of the line; less where the font's boxes are taller than its letters are wide."""
    height = max([w.height for w in words])
    letters = sum([len(w.text) for w in words])
    return (
        min(height, _LETTERS * sum([w.width for w in words]) / letters) if letters > 7 else height
    )


def _join_marks(cells: list[list[PageWord]]) -> list[list[PageWord]]:
    """A currency sign belongs to the amount after it, a lone percent sign to the one before it."""
    joined: list[list[PageWord]] = []
    opening: list[PageWord] = []
    for words in cells:
        cell = opening + words
        opening = [cell.pop()] if cell[-1].text in OPENS else []
        if joined and len(cell) == 1 and cell[0].text in CLOSES and _ends_in_figure(joined[-1]):
            joined[-1].extend(cell)
        elif cell:
            joined.append(cell)
    return [*joined, opening] if opening else joined


def _ends_in_figure(cell: Sequence[PageWord]) -> bool:
    return is_figure(cell[-1].text)


def text_of(cell: Sequence[PageWord]) -> str:
    """The cell's words, separated by spaces."""
    return " ".join([word.text for word in cell])


def span_of(cell: Sequence[PageWord]) -> tuple[float, float]:
    """The left and right edge of the cell without a currency or percent sign set apart."""
    if len(cell) == 1:
        return cell[0].x, cell[0].right
    first, last = 0, len(cell) - 1
    if last > 0 and cell[0].text in OPENS and is_figure(cell[1].text):
        first = 1
    if last > first and cell[-1].text in CLOSES:
        last -= 1
    kept = cell[first : last + 1]
    return min([w.x for w in kept]), max([w.right for w in kept])


def columns_of(rows: Sequence[Sequence[tuple[float, float]]]) -> list[list[int]]:
    """The column, from 0, of each cell; a cell is (left, right).

    Narrow cells define the columns; a cell across several columns belongs to the first of them.
    """
    columns: list[list[float]] = []
    spans = sorted({span for row in rows for span in row}, key=lambda s: s[1] - s[0])
    for left, right in spans:
        under = [c for c in columns if c[0] < right and left < c[1]]
        if not under:
            columns.append([left, right])
        elif len(under) == 1:
            under[0][0] = min(under[0][0], left)
            under[0][1] = max(under[0][1], right)
    columns = _merge_unshared(sorted(columns), rows)
    return [_columns_of_row(columns, row) for row in rows]


def _merge_unshared(
    columns: Sequence[list[float]], rows: Sequence[Sequence[tuple[float, float]]]
) -> list[list[float]]:
    """Merge neighbouring columns that no row fills both: one column, aligned left and right."""
    merged: list[list[float]] = []
    for column in columns:
        last = merged[-1] if merged else None
        if (
            last
            and column[0] - last[1] < _COLUMN_REACH
            and not any(_fills_both(row, last, column) for row in rows)
        ):
            last[1] = max(last[1], column[1])
        else:
            merged.append(list(column))
    return merged


def _fills_both(
    row: Sequence[tuple[float, float]], one: Sequence[float], other: Sequence[float]
) -> bool:
    """Whether a row has a cell in each of two columns; a cell over both counts for neither."""
    in_one = in_other = False
    for left, right in row:
        over_one = left < one[1] and one[0] < right
        over_other = left < other[1] and other[0] < right
        in_one |= over_one and not over_other
        in_other |= over_other and not over_one
    return in_one and in_other


def _columns_of_row(
    columns: Sequence[Sequence[float]], row: Sequence[tuple[float, float]]
) -> list[int]:
    """The first column under each cell; two cells of a row have two columns where there are."""
    numbers: list[int] = []
    for left, right in row:
        under = (i for i, (a, b) in enumerate(columns) if a < right and left < b)
        number = next(under, 0)
        if numbers and number <= numbers[-1] < len(columns) - 1:
            number = numbers[-1] + 1
        numbers.append(number)
    return numbers


def header_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many leading rows are headers: rows without figures, above rows with figures.

    At most four, and never all rows. Years and dates are no figures, and a label that ends in a
    colon heads no column. A table of two columns has a header only if everything below it is a
    figure. In a table without figures, a first row of three or more cells without digits is the
    header of rows with digits.
    """
    if max((len(row) for row in rows), default=0) <= 2:
        below = [row[-1] for row in rows[1:]]
        heads = bool(below) and not any(is_figure(cell) for cell in rows[0])
        return int(heads and all(is_figure(cell) for cell in below))
    for index, row in enumerate(rows[:5]):
        if any(is_figure(cell) or cell.endswith(":") for cell in row):
            return index
    first, *rest = rows
    bare = not any(c.isdigit() or c == ":" for cell in first for c in cell)
    digits = any(c.isdigit() for row in rest for cell in row for c in cell)
    return int(len(first) >= 3 and bare and digits)


def is_figure(text: str) -> bool:
    """Whether a cell holds an amount rather than a word, a year or a date."""
    bare = text.strip("$€£¥()%-\u2013\u2014+ \u00a0").replace(",", "").replace(".", "")
    if not bare:
        return text.strip() in {"-", "\u2013", "\u2014"}
    if not bare.isdigit():
        return False
    return not (len(bare) == 4 and bare[:2] in {"19", "20"} and "," not in text)


def box_of_lines(lines: Sequence[Line]) -> Box:
    """The smallest box around the lines."""
    left = min([word.x for line in lines for word in line.cells[0]])
    right = max([word.right for line in lines for cell in line.cells for word in cell[-1:]])
    top, bottom = min([line.top for line in lines]), max([line.bottom for line in lines])
    return Box(left, top, right - left, bottom - top)


def box_of_words(words: Sequence[PageWord]) -> Box:
    """The smallest box around the words."""
    left, top = min([w.x for w in words]), min([w.y for w in words])
    right, bottom = max([w.right for w in words]), max([w.y + w.height for w in words])
    return Box(left, top, right - left, bottom - top)
