"""The blocks of a page in reading order, each with its words; forms and labels made whole.

The engine's blocks are taken, but where it reads the labels of a form, or of a table, as a text
column of their own, they are put beside their values again.
"""

from collections.abc import Sequence
from itertools import pairwise

from foliotrace.adapters.local.readers.pdf.lines import PageWord, Region
from foliotrace.adapters.local.readers.pdf.liteparse_native import NativeBlock, NativeRect
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
_SAME_LINE = 0.4  # times the line height
_LABEL_WORDS = 7.0  # a column of longer lines is text, not labels
_MATCHED = 0.7  # of a column's lines stand beside a line of the other


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
    return _heads_at_their_tables(with_parted_heads(whole))


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


def _is_within(left: Region, table: Region) -> bool:
    """Whether short lines at the left, of less height than the table, are labels of its rows."""
    a, t = left.box, table.box
    if a is None or t is None or table.kind is not BlockKind.TABLE or _is_prose(left):
        return False
    inside = t.y - 1 <= a.y and a.y + a.height <= t.y + t.height + 1
    return (
        inside
        and t.x - 1 <= a.x
        and a.x + a.width < t.x + t.width / 2
        and a.height < 0.5 * t.height
    )


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


def with_parted_columns(regions: list[Region]) -> list[Region]:
    """Labels with their values where the engine took one of the two for several blocks.

    It parts values that are flush right, and labels with a wrapped value between them. Nearly
    every line of the whole column has a line of a part beside it, and the parts have no others.
    """
    for whole in list(regions):
        if whole not in regions or not _is_column(whole) or _lines_in(whole) < 3:
            continue
        for is_left in (True, False):
            parts = [r for r in regions if r is not whole and _is_beside_column(whole, r, is_left)]
            beside = sum(_lines_in(part) for part in parts)
            if len(parts) > 1 and _MATCHED * _lines_in(whole) <= beside <= _lines_in(whole):
                whole.kind, whole.level = BlockKind.TABLE, 0
                for part in parts:
                    whole.runs += part.runs
                    regions.remove(part)
                whole.box = _box_of(whole.runs)
                break
    return regions


def _is_column(region: Region) -> bool:
    return region.kind in (BlockKind.TEXT, BlockKind.CODE) and not _is_prose(region)


def _is_beside_column(whole: Region, part: Region, is_left: bool) -> bool:
    """Whether all lines of the part stand beside a line of the column, on the other side of it."""
    left, right = (whole, part) if is_left else (part, whole)
    a, b = _box_of(left.runs), _box_of(right.runs)
    if not _is_column(part) or b.x < a.x + a.width:
        return False
    return _matched_lines(whole, part) == _lines_in(part)


def with_parted_heads(regions: list[Region]) -> list[Region]:
    """The head of a table that the engine took for several headings side by side, in the table."""
    for table in [r for r in regions if r.kind is BlockKind.TABLE and r.box]:
        heads = [region for region in regions if _may_head(region, table)]
        if len(heads) < 2 or len({round(head.runs[0][0].y) for head in heads}) > 1:
            continue
        for head in heads:
            table.runs += head.runs
            regions.remove(head)
        table.box = _box_of(table.runs)
    return regions


def _may_head(region: Region, table: Region) -> bool:
    """Whether one line of a few words stands right above the table, within its width."""
    a, t = region.box, table.box
    if a is None or t is None or region.kind is not BlockKind.HEADING or _lines_in(region) > 1:
        return False
    height = region.runs[0][0].height
    near = -height <= t.y - a.y - a.height <= 1.5 * height
    return near and t.x - height <= a.x and a.x + a.width <= t.x + t.width + height


def side_by_side(regions: list[Region]) -> list[Region]:
    """Labels and values that the engine took for columns of text, as one table again."""
    at = 0
    while at < len(regions):
        region = regions[at]
        for other in regions[at + 1 :]:
            if _is_beside(region, other):
                region.runs += other.runs
                region.kind, region.level = BlockKind.TABLE, 0
                region.box = _box_of(region.runs)
                regions.remove(other)
                break
        else:
            at += 1
    return regions


def _is_beside(one: Region, other: Region) -> bool:
    """Whether the lines of one stand beside those of the other, as the cells of rows do."""
    a, b = one.box, other.box
    if a is None or b is None:
        return False
    if a.y + a.height <= b.y or b.y + b.height <= a.y:
        return False
    has_table = BlockKind.TABLE in (one.kind, other.kind)
    in_columns = has_table or one.kind is BlockKind.CODE  # one long line must not part the others
    if not in_columns and a.x + a.width > b.x and b.x + b.width > a.x:
        return False
    left, right = (one, other) if a.x < b.x else (other, one)
    if has_table and (_is_within(left, right) or _is_within(right, left)):
        return True
    matched = _matched_lines(left, right)
    fewer = min(_lines_in(left), _lines_in(right))
    has_heading = BlockKind.HEADING in (one.kind, other.kind) and not has_table
    bold_labels = left.kind is BlockKind.HEADING and 2 <= _lines_in(left) == matched
    if has_heading and not (bold_labels and right.kind is not BlockKind.HEADING):
        return False
    if matched < (1 if has_table else 2) or matched < (0.3 if has_table else _MATCHED) * fewer:
        return False
    if not has_table and matched < 0.5 * max(
        _lines_beside(left, right), _lines_beside(right, left)
    ):
        return False
    return not (_is_prose(left) or (_is_prose(right) and _fills_lines(left)))


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


def _lines_in(region: Region) -> int:
    height = region.runs[0][0].height * _SAME_LINE
    tops = sorted(run[0].y for run in region.runs)
    return 1 + sum(low - up > height for up, low in pairwise(tops))


def _lines_beside(region: Region, other: Region) -> int:
    """The lines of the region; of text in a typewriter's font, those that stand beside the other.

    The engine takes a whole column of such text for one block of code, across its paragraphs.
    """
    if region.kind is not BlockKind.CODE or other.box is None:
        return _lines_in(region)
    top, bottom = other.box.y - 1, other.box.y + other.box.height + 1
    beside = [run for run in region.runs if top <= run[0].y + run[0].height / 2 <= bottom]
    return _lines_in(Region(region.kind, 0, None, beside)) if beside else 0


def _matched_lines(one: Region, other: Region) -> int:
    """How many lines of the region with fewer runs stand beside words of the other."""
    few, many = sorted((one, other), key=lambda region: len(region.runs))
    height = few.runs[0][0].height * _SAME_LINE
    there = [(run[0].y + run[0].height / 2, run[0].x, run[-1].right) for run in many.runs]
    matched: list[float] = []
    for run in few.runs:
        middle = run[0].y + run[0].height / 2
        beside = [(x, right) for y, x, right in there if abs(middle - y) <= height]
        if any(x < run[-1].right and run[0].x < right for x, right in beside):
            return 0
        if beside and all(abs(middle - y) > height for y in matched):
            matched.append(middle)
    return len(matched)


def _is_prose(region: Region) -> bool:
    """Whether the lines are as long as those of running text."""
    words = sum(len(run) for run in region.runs)
    return words > _LABEL_WORDS * len(region.runs)


def _fills_lines(region: Region) -> bool:
    """Whether most lines are about as wide as the widest."""
    widths = [run[-1].right - run[0].x for run in region.runs]
    return len(widths) > 2 and sum(widths) > 0.85 * max(widths) * len(widths)


def _box_of(runs: Sequence[Sequence[PageWord]]) -> Box:
    left, right = min(run[0].x for run in runs), max(run[-1].right for run in runs)
    top = min(run[0].y for run in runs)
    bottom = max(run[0].y + run[0].height for run in runs)
    return Box(left, top, right - left, bottom - top)


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
        region.keeps_lines = words < _PROSE_WORDS * _lines_in(region)
    return flow


def _are_columns(one: Region, other: Region) -> bool:
    """Whether two regions are columns of running text beside each other."""
    a, b = _box_of(one.runs), _box_of(other.runs)
    apart = a.x + a.width <= b.x or b.x + b.width <= a.x
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    if not apart or height < 3 * one.runs[0][0].height:
        return False
    return all(sum(map(len, region.runs)) >= 4 * _lines_in(region) >= 12 for region in (one, other))
