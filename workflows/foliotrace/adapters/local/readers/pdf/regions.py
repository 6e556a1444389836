"""The blocks of a page in reading order, each with its words; forms and labels made whole.

The engine's blocks are taken, but where it reads the labels of a form, or of a table, as a text
column of their own, they are put beside their values again.
"""

from collections.abc import Sequence

from foliotrace.adapters.local.readers.pdf.lines import PageWord, Region
from foliotrace.adapters.local.readers.pdf.liteparse_native import NativeBlock, NativeRect
from foliotrace.adapters.local.readers.pdf.parted_blocks import (
    box_of,
    lines_in,
    side_by_side,
    with_fragments,
    with_parted_columns,
    with_parted_heads,
    with_parted_lines,
)
from foliotrace.model import BlockKind, Box

_KINDS = {
    "heading": BlockKind.HEADING,
    "paragraph": BlockKind.TEXT,
    "list_item": BlockKind.LIST,
    "table": BlockKind.TABLE,
    "code": BlockKind.CODE,
    "grid_fallback": BlockKind.TABLE,
}
_WRAPPED = (BlockKind.TEXT, BlockKind.CODE)  # what the line of a wrapped cell is taken for
_PARAGRAPH_GAP = 0.9  # times the line height
_PROSE_WORDS = 8  # a line, on the average, of a scanned paragraph


def regions_of(blocks: Sequence[NativeBlock], runs: Sequence[list[PageWord]]) -> list[Region]:
    """The regions in reading order; every word is in one."""
    regions = [_region(b, b.bbox) for b in blocks if b.kind in _KINDS and b.bbox is not None]
    strays: list[list[PageWord]] = []
    for run in runs:
        region = _enclosing_region(regions, run)
        (region.runs if region else strays).append(run)
    for run in strays:
        _insert_stray(regions, run)
    whole = with_wrapped_cells([region for region in regions if region.runs])
    whole = side_by_side(with_parted_columns(whole))
    return _heads_at_their_tables(with_parted_heads(with_fragments(with_parted_lines(whole))))


def _region(block: NativeBlock, bbox: NativeRect) -> Region:
    kind = _KINDS[block.kind]
    level = block.level or 0 if kind is BlockKind.HEADING else 0
    return Region(kind=kind, level=level, box=Box(bbox.x, bbox.y, bbox.width, bbox.height))


def _enclosing_region(regions: Sequence[Region], run: Sequence[PageWord]) -> Region | None:
    """The smallest region that contains the middle of `run`."""
    x = (run[0].x + run[-1].right) / 2
    y = run[0].y + run[0].height / 2
    best: Region | None = None
    best_area = float("inf")
    for region in regions:
        box = region.box
        if (
            box is not None
            and box.x - 1 <= x <= box.x + box.width + 1
            and box.y - 1 <= y <= box.y + box.height + 1
            and box.width * box.height < best_area
        ):
            best, best_area = region, box.width * box.height
    return best


def _insert_stray(regions: list[Region], run: list[PageWord]) -> None:
    """Insert words outside all blocks (running heads, page numbers) before the block below them."""
    top, height = run[0].y, run[0].height
    for index, region in enumerate(regions):
        box = region.box
        if box is None and abs(region.runs[0][0].y - top) < 0.5 * height:
            region.runs.append(run)
            return
        if (
            box is not None
            and box.y > top
            and box.x < run[-1].right
            and run[0].x < box.x + box.width
        ):
            while index and _is_level(regions[index - 1], box, top):
                index -= 1
            regions.insert(index, Region(BlockKind.TEXT, 0, None, [run]))
            return
    regions.append(Region(BlockKind.TEXT, 0, None, [run]))


def _is_level(region: Region, box: Box, top: float) -> bool:
    """Whether the region stands below `top`, but not below the upper edge of `box`."""
    return region.box is not None and top < region.box.y <= box.y


def with_wrapped_cells(regions: list[Region]) -> list[Region]:
    """The second lines of cells, which the engine took for paragraphs, in their tables again."""
    for table in [r for r in regions if r.kind is BlockKind.TABLE]:
        for region in [r for r in regions if r.kind in _WRAPPED and r is not table]:
            if _is_wrapped_cell(region, table):
                table.runs += region.runs
                regions.remove(region)
    return regions


def _is_wrapped_cell(region: Region, table: Region) -> bool:
    """Whether the lines stand inside the table, right below words that have the same edge."""
    a, t = region.box, table.box
    if a is None or t is None or not (t.y < a.y and a.y + a.height < t.y + t.height):
        return False
    first = region.runs[0]
    top, height = first[0].y, first[0].height
    above = [
        run for run in table.runs if -0.5 * height < top - run[0].y - run[0].height < 0.4 * height
    ]
    return any(
        abs(run[0].x - first[0].x) <= 1 or abs(run[-1].right - first[-1].right) <= 1
        for run in above
        if run[0].x > t.x + height
    )


def _heads_at_their_tables(regions: list[Region]) -> list[Region]:
    """The headings over a table's columns moved to right before it, where other text was between.

    The engine reads "Six Months Ended" at the right edge before the titles at the left.
    """
    for table in [r for r in regions if r.kind is BlockKind.TABLE and r.box]:
        at = regions.index(table)
        for region in [*regions[: max(0, at - 1)], *regions[at + 1 :]]:
            if _heads(region, table) and not any(
                _between(region, other, table) for other in regions if other is not region
            ):
                regions.remove(region)
                regions.insert(regions.index(table), region)
    return regions


def _heads(region: Region, table: Region) -> bool:
    a, t = region.box, table.box
    if a is None or t is None or region.kind is BlockKind.TABLE:
        return False
    height = region.runs[0][0].height
    near = -height <= t.y - a.y - a.height <= 2.5 * height
    words = sum(len(run) for run in region.runs)
    return near and words <= 12 and t.x + 0.3 * t.width < a.x and a.x + a.width < t.x + t.width + 9


def _between(region: Region, other: Region, table: Region) -> bool:
    """Whether another region stands between the two, across their width."""
    a, o, t = region.box, other.box, table.box
    if a is None or o is None or t is None or other is table:
        return False
    return a.y + a.height <= o.y < t.y and o.x < a.x + a.width and a.x < o.x + o.width


def flow_of_scan(regions: Sequence[Region]) -> list[Region]:
    """The regions of a scanned page as one flow of lines from top to bottom.

    OCR breaks lines at every wide gap, and the engine takes the pieces for columns: amounts leave
    their items. Pages with columns of prose keep the engine's order.
    """
    if any(_are_columns(one, other) for i, one in enumerate(regions) for other in regions[i + 1 :]):
        return list(regions)
    runs = sorted((run for region in regions for run in region.runs), key=lambda run: run[0].y)
    flow: list[Region] = []
    bottom = float("-inf")
    for run in runs:
        if not flow or run[0].y - bottom > _PARAGRAPH_GAP * run[0].height:
            flow.append(Region(BlockKind.TEXT, 0, None))
        flow[-1].runs.append(run)
        bottom = max(bottom, run[0].y + run[0].height)
    for region in flow:
        words = sum(len(run) for run in region.runs)
        region.keeps_lines = words < _PROSE_WORDS * lines_in(region)
    return flow


def _are_columns(one: Region, other: Region) -> bool:
    """Whether two regions are columns of running text beside each other."""
    a, b = box_of(one.runs), box_of(other.runs)
    apart = a.x + a.width <= b.x or b.x + b.width <= a.x
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    if not apart or height < 3 * one.runs[0][0].height:
        return False
    return all(sum(map(len, region.runs)) >= 4 * lines_in(region) >= 12 for region in (one, other))
