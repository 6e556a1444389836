"""The title of a document: its first heading, or the tallest lines at its head. Pure."""

from collections.abc import Sequence
from statistics import median

from foliotrace.adapters.local.rules.unlabelled.head_block import Found
from foliotrace.adapters.local.rules.visual_lines import VisualLine
from foliotrace.model import BlockKind, ParsedPage

_CHARACTERS = 200
_HEAD_LINES = 12
_TALLER = 1.15  # times the height of a usual line
_SAME_HEIGHT = 0.12


def title(page: ParsedPage, lines: Sequence[VisualLine]) -> Found | None:
    """Where the first page says what the document is called; None if nothing stands out."""
    return _tallest(lines) or _first_heading(page)


def _tallest(lines: Sequence[VisualLine]) -> Found | None:
    """The first run of lines of the tallest type, if it is taller than the text."""
    heights = [line.height for line in lines if line.height]
    head = [line for line in lines[:_HEAD_LINES] if line.height]
    if not head or len(heights) < 3:
        return None
    tallest = max(line.height for line in head if sum(c.isalpha() for c in line.text) >= 3)
    if tallest < _TALLER * median(heights):
        return None
    run: list[VisualLine] = []
    for line in head:
        if abs(line.height - tallest) <= _SAME_HEIGHT * tallest:
            run.append(line)
        elif run:
            break
    text = " ".join(line.text for line in run)
    spans = tuple(span for line in run for span in line.spans)
    return Found(spans, 0.66) if len(text) <= _CHARACTERS else None


def _first_heading(page: ParsedPage) -> Found | None:
    """The first of the page's highest headings."""
    headings = [block for block in page.blocks if block.kind is BlockKind.HEADING]
    if not headings:
        return None
    highest = min(block.level for block in headings)
    first = next(block for block in headings if block.level == highest)
    text = page.text[first.start : first.end]
    return Found(((first.start, first.end),), 0.66) if len(text) <= _CHARACTERS else None
