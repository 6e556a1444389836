"""Writes the text of a page in reading order, with the offsets of every word, block and cell.

A space separates the words of a line, a tab the cells of a row, a newline rows, an empty line
blocks. A word hyphenated over two lines is joined; each half keeps its own box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from foliotrace.adapters.local.readers.pdf.lines import (
    Line,
    PageWord,
    Region,
    box_of_lines,
    box_of_words,
    group_into_lines,
)
from foliotrace.adapters.local.readers.pdf.narrow_columns import split_aligned
from foliotrace.adapters.local.readers.pdf.tables import (
    HEAD_WORDS,
    Grid,
    continues_row,
    heads_columns,
    parts_of,
    stands_under_cell,
)
from foliotrace.model import Block, BlockKind, Table, TableCell, TableRow, Words

CELL_GAP, ROW_GAP, BLOCK_GAP = "\t", "\n", "\n\n"
_EARLY = 0.7  # of the widest line: a line that ends before was broken on purpose
_LABEL_WORDS = 4
_LABEL_LINES = 6  # that may stand between two rows of a table
_HEAD_LINES = 2  # over the columns of a table
_ROW_PITCH = 3.0  # times the line height: lines farther apart are not rows of one table
_WIDE_ROW_PITCH = 4.5  # unless they have three cells or more in the same columns
_SAME_EDGE = 1.5  # points


@dataclass(slots=True)
class PdfPageText:
    """The text under construction."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    words: list[tuple[int, int, float, float, float, float]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def put(self, text: str) -> None:
        """Append `text` unchanged."""
        self.parts.append(text)
        self.length += len(text)

    def put_words(self, words: Sequence[PageWord]) -> None:
        """Append words, separated by spaces."""
        at = self.length
        for text, x, y, width, height, _ in words:
            end = at + len(text)
            self.words.append((at, end, x, y, width, height))
            at = end + 1
        self.parts.append(" ".join([word[0] for word in words]))
        self.length = at - 1

    def text(self) -> str:
        """The text so far."""
        return "".join(self.parts)

    def packed(self) -> Words:
        """The words, packed."""
        return Words.pack_values(self.words)


def write(regions: Sequence[Region]) -> PdfPageText:
    """The text of a page whose regions are in reading order."""
    page = PdfPageText()
    lines = [(region, line) for region in regions for line in group_into_lines(region)]
    split_aligned(lines)
    at = 0
    while at < len(lines):
        if page.length:
            page.put(BLOCK_GAP)
        stop = _table_end(lines, at)
        if stop > at:
            _write_parts(page, [line for _, line in lines[at:stop]], lines[at][0])
        else:
            region = lines[at][0]
            stop = at + 1
            while (
                stop < len(lines) and lines[stop][0] is region and _table_end(lines, stop) == stop
            ):
                stop += 1
            _write_prose(page, region, [line for _, line in lines[at:stop]])
        at = stop
    return page


def _table_end(lines: Sequence[tuple[Region, Line]], start: int) -> int:
    """Where a tabular stretch that begins at line `start` ends; `start` itself if none begins.

    Single lines over the columns ("Six Months Ended") belong to the stretch below them.
    """
    first = start
    while (
        not lines[first][1].is_tabular
        and lines[first][0].kind is not BlockKind.TABLE
        and first - start < _HEAD_LINES
        and first + 1 < len(lines)
        and len(lines[first][1].cells[0]) <= HEAD_WORDS
        and _follows(lines[first], lines[first + 1])
    ):
        first += 1
    end = _stretch_end(lines, first)
    if end == first:
        return start
    body = [line for _, line in lines[first:end]]
    if first > start and not all(heads_columns(line, body) for _, line in lines[start:first]):
        return start
    return end


def _stretch_end(lines: Sequence[tuple[Region, Line]], start: int) -> int:
    region, first = lines[start]
    if not first.is_tabular and region.kind is not BlockKind.TABLE:
        return start
    end, tabular = start, 0
    second = float("inf")  # where the second column begins
    columns: list[tuple[float, float]] = []  # where cells right of the first one stand
    for index in range(start, len(lines)):
        region, line = lines[index]
        if index > start and not _follows(lines[index - 1], lines[index]):
            break
        if line.is_tabular:
            spans = [(cell[0].x, cell[-1].right) for cell in line.cells[1:]]
            if index - end > 1 and not any(_overlaps(span, columns) for span in spans):
                break
            columns += spans
            tabular += 1
            end = index + 1
            second = min(second, line.cells[1][0].x)
        elif region.kind is BlockKind.TABLE:
            end = max(end, index + 1) if tabular else end
        elif index - end >= _LABEL_LINES:
            break
        elif continues_row(line, [above for _, above in lines[start:index]]):
            end = index + 1 if index == end else end
        elif line.cells[0][-1].right > second:
            break
    return end if tabular >= 2 or (tabular and lines[start][0].kind is BlockKind.TABLE) else start


def _overlaps(span: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    return any(span[0] < right and left < span[1] for left, right in others)


def _follows(above: tuple[Region, Line], below: tuple[Region, Line]) -> bool:
    """Whether two lines can be rows of one table."""
    if above[0] is below[0] and above[0].kind is BlockKind.TABLE:
        return True
    upper, lower = above[1], below[1]
    height = max(upper.bottom - upper.top, lower.bottom - lower.top, 1.0)
    gap = lower.top - max(upper.bottom, upper.top + height)
    under = not lower.is_tabular and stands_under_cell(lower, [upper])
    pitch = _WIDE_ROW_PITCH if under or _share_columns(upper, lower) else _ROW_PITCH
    return -0.5 * height <= lower.top - upper.bottom and gap <= (pitch - 1) * height


def _share_columns(upper: Line, lower: Line) -> bool:
    """Whether two lines have three cells or more that begin, or that end, at the same places."""
    pairs = list(zip(upper.cells, lower.cells, strict=False))
    aligned = [
        min(abs(a[0].x - b[0].x), abs(a[-1].right - b[-1].right)) <= _SAME_EDGE for a, b in pairs
    ]
    return len(upper.cells) == len(lower.cells) >= 3 and all(aligned)


def _write_prose(page: PdfPageText, region: Region, lines: Sequence[Line]) -> None:
    start = page.length
    breaks = _line_breaks(region, lines)
    for line, breaks_before in zip(lines, breaks, strict=True):
        words = [word for cell in line.cells for word in cell]
        if page.length > start and not _remove_hyphen(page, words[0].text):
            page.put(ROW_GAP if breaks_before else " ")
        page.put_words(words)
    kind = BlockKind.TEXT if region.kind is BlockKind.TABLE else region.kind
    box = box_of_lines(lines)
    page.blocks.append(Block(kind=kind, start=start, end=page.length, level=region.level, box=box))


def _line_breaks(region: Region, lines: Sequence[Line]) -> list[bool]:
    """For each line, whether it starts on a new line of text instead of continuing the last one.

    Lines of code do, and so do lines after a line that ended early, and neighbouring lines that
    both begin with a short label and a colon.
    """
    if region.kind is BlockKind.CODE or region.keeps_lines:
        return [True] * len(lines)
    if region.kind is BlockKind.HEADING:
        return [False] * len(lines)
    rights = [line.cells[-1][-1].right for line in lines]
    left = min(line.cells[0][0].x for line in lines)
    early = left + _EARLY * (max(rights) - left)
    labelled = [_is_labelled(line) for line in lines]
    return [
        index > 0 and (rights[index - 1] < early or (labelled[index - 1] and labelled[index]))
        for index in range(len(lines))
    ]


def _is_labelled(line: Line) -> bool:
    return any(word.text.endswith(":") for word in line.cells[0][:_LABEL_WORDS])


def _remove_hyphen(page: PdfPageText, following: str) -> bool:
    """Remove the hyphen of a word that continues on the next line; whether there was one."""
    last = page.parts[-1]
    broken = len(last) > 2 and last[-1] in "-\u00ad\u2010" and last[-2].islower()
    if not (broken and following[:1].islower()):
        return False
    page.parts[-1] = last[:-1]
    page.length -= 1
    start, _, *box = page.words[-1]
    page.words[-1] = (start, page.length, box[0], box[1], box[2], box[3])
    return True


def _write_parts(page: PdfPageText, lines: Sequence[Line], region: Region) -> None:
    plain = Region(BlockKind.TEXT, 0, None, keeps_lines=region.keeps_lines)
    for index, part in enumerate(parts_of(lines)):
        if index:
            page.put(BLOCK_GAP)
        if isinstance(part, Grid):
            _write_table(page, part)
        else:
            _write_prose(page, plain, part)


def _write_table(page: PdfPageText, grid: Grid) -> None:
    start = page.length
    rows: list[TableRow] = []
    for index, (line, columns) in enumerate(zip(grid.rows, grid.columns, strict=True)):
        if index:
            page.put(ROW_GAP)
        rows.append(_write_row(page, line, columns, is_header=index < grid.headers))
    box = box_of_lines(grid.rows)
    page.tables.append(Table(start=start, end=page.length, rows=tuple(rows), box=box))
    page.blocks.append(Block(kind=BlockKind.TABLE, start=start, end=page.length, box=box))


def _write_row(
    page: PdfPageText, line: Line, columns: Sequence[int], *, is_header: bool
) -> TableRow:
    start = page.length
    cells: list[TableCell] = []
    for cell, column in zip(line.cells, columns, strict=True):
        if cells:
            page.put(CELL_GAP)
        cell_start = page.length
        page.put_words(cell)
        cells.append(
            TableCell(start=cell_start, end=page.length, column=column, box=box_of_words(cell))
        )
    return TableRow(start=start, end=page.length, cells=tuple(cells), is_header=is_header)
