"""Page headers, page footers and navigation: what repeats from page to page. Pure.

They are left out of chunks, of what the index knows of a page, and of quotes.
"""

import re
from typing import Final

from foliotrace.model.page import BlockKind, ParsedPage

RUNNING_KINDS: Final = (BlockKind.HEADER, BlockKind.FOOTER, BlockKind.NAVIGATION)

_LINE: Final = re.compile(r"[^\n]*\S[^\n]*")
_PAGE_LINE: Final = re.compile(r"(?:page\s+)?\d{1,4}(?:\s+of\s+\d{1,4})?|table of contents", re.I)
_PART: Final = " | "
_PART_WORDS: Final = 6  # more are not a label
_COVER_PAGES: Final = 20  # by which a printed page number may differ from the page's place


def running_lines(page: ParsedPage) -> tuple[tuple[int, int], ...]:
    """Spans of header, footer and navigation, in order: marked blocks, or by shape at the edges.

    Of a page's first and last line, those count that read "Home | Visitors | Contact", "Title |
    Form | 16" with about the page's number, "Page 16 of 20", or "Table of contents".
    """
    spans = {(b.start, b.end) for b in page.blocks if b.kind in RUNNING_KINDS}
    lines = [found.span() for found in _LINE.finditer(page.text)]
    rows = [row for table in page.tables for row in table.rows]
    for at, beside in ((0, 1), (-1, -2)):
        if len(lines) < 2 or any(r.start < lines[at][1] and r.end > lines[at][0] for r in rows):
            continue
        line, neighbour = (page.text[slice(*lines[i])].strip() for i in (at, beside))
        if _is_running(line, page.number) and _PART not in neighbour:
            spans.add(lines[at])
    return tuple(sorted(spans))


def _is_running(line: str, number: int) -> bool:
    if _PAGE_LINE.fullmatch(line):
        return True
    *parts, last = line.split(_PART)
    if not parts or any(len(part.split()) > _PART_WORDS for part in (*parts, last)):
        return False
    if last.isdecimal():
        return abs(int(last) - number) <= _COVER_PAGES
    return len(parts) >= 2 and not any(c.isdigit() for c in line)
