"""Lines whose cells stand closer than those of most tables, as narrow forms print them.

One such gap proves nothing: justified prose has them too. Gaps above each other do: cells then
begin at the same place in neighbouring lines, or figures end there.
"""

from collections.abc import Sequence

from foliotrace.adapters.local.readers.pdf.lines import (
    Line,
    PageWord,
    Region,
    close_cells,
    is_figure,
)
from foliotrace.model import BlockKind

_ALIGNED = 1.5  # points between the edges of two cells of one column
_REACH = 2  # lines above and below that are compared
_PITCH = 3.0  # times the line height: lines farther apart are not compared
_SPLIT = (BlockKind.TEXT, BlockKind.TABLE, BlockKind.CODE)


def split_aligned(lines: Sequence[tuple[Region, Line]]) -> None:
    """Part the lines of one cell whose narrow gaps stand above each other, in place."""
    parts = [_parts(region, line) for region, line in lines]
    found = [at for at, cells in enumerate(parts) if cells and _is_aligned(lines, parts, at, cells)]
    for at in found:
        lines[at][1].cells = parts[at]


def _parts(region: Region, line: Line) -> list[list[PageWord]]:
    """The cells of an unparted line, by its narrow gaps; empty without any."""
    if line.is_tabular or region.kind not in _SPLIT or len(line.cells[0]) < 2:
        return []
    cells = close_cells(line.cells[0])
    return cells if len(cells) > 1 else []


def _is_aligned(
    lines: Sequence[tuple[Region, Line]],
    parts: Sequence[list[list[PageWord]]],
    at: int,
    cells: Sequence[Sequence[PageWord]],
) -> bool:
    """Whether every cell but the first stands in a column with a cell of one line nearby."""
    line = lines[at][1]
    reach = _PITCH * (line.bottom - line.top)
    for other in range(max(0, at - _REACH), min(len(lines), at + _REACH + 1)):
        near = lines[other][1]
        if other == at or abs(near.top - line.top) > reach or near.top == line.top:
            continue
        columns = near.cells if near.is_tabular else parts[other]
        if columns and all(
            any(_share_edge(cell, column) for column in columns[1:]) for cell in cells[1:]
        ):
            return True
    return False


def _share_edge(one: Sequence[PageWord], other: Sequence[PageWord]) -> bool:
    if abs(one[0].x - other[0].x) <= _ALIGNED:
        return True
    figures = is_figure(one[-1].text) and is_figure(other[-1].text)
    return figures and abs(one[-1].right - other[-1].right) <= _ALIGNED
