"""Blocks of the engine that are parts of one table: labels and values, heads, single rows.

The engine reads the labels of a form, or values that are flush right, as text columns of their own.
"""

from collections.abc import Sequence
from itertools import pairwise

from foliotrace.adapters.local.readers.pdf.lines import PageWord, Region
from foliotrace.model import BlockKind, Box

_SAME_LINE = 0.4  # times the line height
_LABEL_WORDS = 7.0  # a column of longer lines is text, not labels
_MATCHED = 0.7  # of a column's lines stand beside a line of the other
_FRAGMENTS = 4  # fewer are page numbers and notes beside the text
_SHORT_WORDS = 8  # of a part of a line


def with_parted_columns(regions: list[Region]) -> list[Region]:
    """Labels with their values where the engine took one of the two for several blocks.

    It parts values that are flush right, and labels with a wrapped value between them. Nearly
    every line of the whole column has a line of a part beside it, and the parts have no others.
    """
    for whole in list(regions):
        if whole not in regions or not _is_column(whole) or lines_in(whole) < 3:
            continue
        for is_left in (True, False):
            parts = [r for r in regions if r is not whole and _is_beside_column(whole, r, is_left)]
            beside = sum(lines_in(part) for part in parts)
            if len(parts) > 1 and _MATCHED * lines_in(whole) <= beside <= lines_in(whole):
                whole.kind, whole.level = BlockKind.TABLE, 0
                for part in parts:
                    whole.runs += part.runs
                    regions.remove(part)
                whole.box = box_of(whole.runs)
                break
    return regions


def _is_column(region: Region) -> bool:
    return region.kind in (BlockKind.TEXT, BlockKind.CODE) and not is_prose(region)


def _is_beside_column(whole: Region, part: Region, is_left: bool) -> bool:
    """Whether all lines of the part stand beside a line of the column, on the other side of it."""
    left, right = (whole, part) if is_left else (part, whole)
    starts = min(run[0].x for run in right.runs)
    if not _is_column(part) or starts < min(run[-1].right for run in left.runs):
        return False
    return _matched_lines(whole, part) == lines_in(part)


def with_parted_lines(regions: list[Region]) -> list[Region]:
    """A line of three cells or more that the engine took for as many blocks, as one."""
    for first in list(regions):
        if first not in regions or not _is_short_line(first):
            continue
        top, height = first.runs[0][0].y, first.runs[0][0].height
        beside = [
            r for r in regions
            if r is not first and _is_short_line(r)
            and abs(r.runs[0][0].y - top) < _SAME_LINE * height
        ]  # fmt: skip
        if len(beside) >= 2:
            first.kind, first.level = BlockKind.TABLE, 0
            for other in beside:
                first.runs += other.runs
                regions.remove(other)
            first.box = box_of(first.runs)
    return regions


def with_fragments(regions: list[Region]) -> list[Region]:
    """Short lines, each at the right of a line of another block: cells that left their rows."""
    fragments = [(f, home) for f in regions if (home := _home_of(f, regions))]
    if len(fragments) < _FRAGMENTS:
        return regions
    for fragment, home in fragments:
        if fragment in regions and home in regions:
            home.kind, home.level = BlockKind.TABLE, 0
            home.runs += fragment.runs
            home.box = box_of(home.runs)
            regions.remove(fragment)
    return _overlapping_made_one(regions, [home for _, home in fragments])


def _overlapping_made_one(regions: list[Region], parts: Sequence[Region]) -> list[Region]:
    """The regions, with those of `parts` that overlap as one table."""
    ordered = sorted((r for r in regions if r in parts), key=lambda r: r.runs[0][0].y)
    for upper, lower in pairwise(ordered):
        a, b = box_of(upper.runs), box_of(lower.runs)
        if b.y < a.y + a.height and b.x < a.x + a.width and a.x < b.x + b.width:
            lower.runs += upper.runs
            lower.box = box_of(lower.runs)
            regions.remove(lower)
            regions[regions.index(upper)] = lower
    return regions


def _home_of(fragment: Region, regions: Sequence[Region]) -> Region | None:
    """The block with a line that ends left of the fragment, on its line; None if there is none."""
    if not _is_short_line(fragment):
        return None
    first = fragment.runs[0][0]
    middle = first.y + first.height / 2
    around = [
        (region.box.x, region)
        for region in regions
        if region.box is not None and region.kind is not BlockKind.LIST and not is_prose(region)
        and region.box.y < middle < region.box.y + region.box.height
        and region.box.x + region.box.width < first.x and lines_in(region) > 1
    ]  # fmt: skip
    left = around + [
        (run[0].x, region)
        for region in regions
        if region is not fragment and region.kind is not BlockKind.LIST and not is_prose(region)
        for run in region.runs
        if abs(run[0].y + run[0].height / 2 - middle) <= _SAME_LINE * first.height
        and run[-1].right < first.x
    ]
    return min(left, key=lambda each: each[0])[1] if left else None


def _is_short_line(region: Region) -> bool:
    kinds = (BlockKind.TEXT, BlockKind.HEADING, BlockKind.CODE)
    short = sum(len(run) for run in region.runs) <= _SHORT_WORDS
    return region.kind in kinds and region.box is not None and short and lines_in(region) == 1


def with_parted_heads(regions: list[Region]) -> list[Region]:
    """The head of a table that the engine took for several headings side by side, in the table."""
    for table in [r for r in regions if r.kind is BlockKind.TABLE and r.box]:
        heads = [region for region in regions if _may_head(region, table)]
        if len(heads) < 2 or len({round(head.runs[0][0].y) for head in heads}) > 1:
            continue
        for head in heads:
            table.runs += head.runs
            regions.remove(head)
        table.box = box_of(table.runs)
    return regions


def _may_head(region: Region, table: Region) -> bool:
    """Whether one line of a few words stands right above the table, within its width."""
    a, t = region.box, table.box
    if a is None or t is None or region.kind is not BlockKind.HEADING or lines_in(region) > 1:
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
                region.box = box_of(region.runs)
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
    fewer = min(lines_in(left), lines_in(right))
    has_heading = BlockKind.HEADING in (one.kind, other.kind) and not has_table
    bold_labels = left.kind is BlockKind.HEADING and 2 <= lines_in(left) == matched
    if has_heading and not (bold_labels and right.kind is not BlockKind.HEADING):
        return False
    if matched < (1 if has_table else 2) or matched < (0.3 if has_table else _MATCHED) * fewer:
        return False
    if not has_table and matched < 0.5 * max(
        _lines_beside(left, right), _lines_beside(right, left)
    ):
        return False
    return not (is_prose(left) or (is_prose(right) and _fills_lines(left)))


def _is_within(left: Region, table: Region) -> bool:
    """Whether short lines at the left, of less height than the table, are labels of its rows."""
    a, t = left.box, table.box
    if a is None or t is None or table.kind is not BlockKind.TABLE or is_prose(left):
        return False
    inside = t.y - 1 <= a.y and a.y + a.height <= t.y + t.height + 1
    return (
        inside
        and t.x - 1 <= a.x
        and a.x + a.width < t.x + t.width / 2
        and a.height < 0.5 * t.height
    )


def lines_in(region: Region) -> int:
    """The number of lines of the region."""
    height = region.runs[0][0].height * _SAME_LINE
    tops = sorted(run[0].y for run in region.runs)
    return 1 + sum(low - up > height for up, low in pairwise(tops))


def _lines_beside(region: Region, other: Region) -> int:
    """The lines of the region; of text in a typewriter's font, those that stand beside the other.

    The engine takes a whole column of such text for one block of code, across its paragraphs.
    """
    if region.kind is not BlockKind.CODE or other.box is None:
        return lines_in(region)
    top, bottom = other.box.y - 1, other.box.y + other.box.height + 1
    beside = [run for run in region.runs if top <= run[0].y + run[0].height / 2 <= bottom]
    return lines_in(Region(region.kind, 0, None, beside)) if beside else 0


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


def is_prose(region: Region) -> bool:
    """Whether the lines are as long as those of running text."""
    words = sum(len(run) for run in region.runs)
    return words > _LABEL_WORDS * len(region.runs)


def _fills_lines(region: Region) -> bool:
    """Whether most lines are about as wide as the widest."""
    widths = [run[-1].right - run[0].x for run in region.runs]
    return len(widths) > 2 and sum(widths) > 0.85 * max(widths) * len(widths)


def box_of(runs: Sequence[Sequence[PageWord]]) -> Box:
    """The smallest box around the runs."""
    left, right = min(run[0].x for run in runs), max(run[-1].right for run in runs)
    top = min(run[0].y for run in runs)
    bottom = max(run[0].y + run[0].height for run in runs)
    return Box(left, top, right - left, bottom - top)
