"""What the index knows of a page beyond its chunks: its text, its titles, and its shape.

Running headers and footers, and navigation, are left out of all three: they repeat on every page
and say nothing of this one.
"""

import re
from dataclasses import dataclass
from typing import Final

from foliotrace.adapters.local.keyword.languages import language_of
from foliotrace.model import BlockKind, Chunk, ParsedPage
from foliotrace.model.running_lines import running_lines

_TITLE: Final = (BlockKind.HEADING, BlockKind.CAPTION)
_TOP_LINES: Final = 6  # titles that no parser marked stand here
_TITLE_CHARACTERS: Final = 160  # a longer line is a sentence
_PAGE_CHARACTERS: Final = 20_000  # around a chunk; a longer "page" is a whole document
_FIGURE: Final = re.compile(r"\d[\d.,\u2009\u202f]*\d|\d")
_MIN_FIGURES: Final = 25
_MIN_DIGITS: Final = 4

TABULAR: Final = "tabular"
PROSE: Final = "prose"


@dataclass(frozen=True, slots=True)
class PageText:
    """A page without what repeats from page to page; `shape` is tabular or prose."""

    text: str
    titles: str
    shape: str
    language: str

    def context_of(self, chunk: Chunk) -> str:
        """The text of the page, or of a long page the part near the chunk."""
        if len(self.text) <= _PAGE_CHARACTERS:
            return self.text
        first = max(0, (chunk.start + chunk.end - _PAGE_CHARACTERS) // 2)
        return self.text[first : first + _PAGE_CHARACTERS]


def page_text(page: ParsedPage) -> PageText:
    """Read a stored page once, for all of its chunks."""
    text = _without_repeated(page)
    figures = sum(_is_large(found) for found in _FIGURE.findall(text))
    shape = TABULAR if figures >= _MIN_FIGURES else PROSE
    return PageText(text, _titles(page, text), shape, language_of(text))


def _without_repeated(page: ParsedPage) -> str:
    parts, position = [], 0
    for start, end in running_lines(page):
        parts.append(page.text[position:start])
        position = max(position, end)
    return "".join([*parts, page.text[position:]])


def _titles(page: ParsedPage, text: str) -> str:
    """Headings, captions with unit and period, and the short lines at the top of the page."""
    marked = [page.text[b.start : b.end] for b in page.blocks if b.kind in _TITLE]
    for table in page.tables:
        marked += [*table.header_path, table.caption or "", table.unit or "", table.period or ""]
    top = [line for line in text.splitlines() if line.strip()][:_TOP_LINES]
    lines = [*([page.label] if page.label else ()), *top, *marked]
    whole = (" ".join(line.split()) for line in lines)
    return "\n".join(dict.fromkeys(line for line in whole if 0 < len(line) <= _TITLE_CHARACTERS))


def _is_large(figure: str) -> bool:
    return sum(map(str.isdigit, figure)) >= _MIN_DIGITS
