"""Locates a quote on its page: the boxes of its words, or a range of cells."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from foliotrace.errors import NotFound
from foliotrace.model import Anchor, BlockKind, PageKind, ParsedPage, Passage, Words
from foliotrace.model.running_lines import running_lines
from foliotrace.ports import PageReader
from foliotrace.text_caches import clear_on_deletion

_MAX_PAGES: Final = 2048
_LABEL: Final = 80  # characters: a longer cell is prose, not the label of a group of rows
_CELL: Final = re.compile(r"([A-Z]+)(\d+)")


@dataclass(frozen=True, slots=True)
class RowOnPage:
    """A table row's span on its page; `headers` are the spans of its table's header rows."""

    start: int
    end: int
    is_header: bool
    headers: tuple[tuple[int, int], ...]
    has_values: bool = True  # False: a label without values, as above a group of rows
    is_prose: bool = False  # one long cell: sentences that the layout put into a table


@dataclass(frozen=True, slots=True)
class PageMap:
    """The places of words, rows and cells on a page, without its text."""

    kind: PageKind
    label: str | None
    words: Words
    rows: tuple[RowOnPage, ...]
    cells: tuple[tuple[int, int, str], ...]
    exact: bool = True
    running: tuple[tuple[int, int], ...] = ()  # page header, footer, navigation: never quoted
    headings: tuple[tuple[int, int], ...] = ()

    def anchor(self, page: int, start: int, end: int) -> Anchor:
        """The anchor of the text [start, end)."""
        return Anchor(
            kind=self.kind,
            page=page,
            start=start,
            end=end,
            label=self.label,
            boxes=self.words.boxes(start, end),
            cells=cell_range([ref for s, e, ref in self.cells if s < end and e > start]),
            exact=self.exact,
            confidence=self.words.confidence(start, end),
        )

    def whole(self, page: int) -> Anchor:
        """The anchor of the page as a whole, for text whose place on it is not known."""
        return Anchor(
            kind=self.kind, page=page, start=0, end=0, label=self.label, boxes=(), exact=False
        )


UNKNOWN_PAGE: Final = PageMap(PageKind.PAGE, None, Words(), (), (), exact=False)
"""For a page that the library does not hold."""


def page_map(page: ParsedPage) -> PageMap:
    """The map of a parsed page."""
    rows: list[RowOnPage] = []
    cells: list[tuple[int, int, str]] = []
    for table in page.tables:
        headers = tuple((row.start, row.end) for row in table.rows if row.is_header)
        single = all(len(row.cells) == 1 for row in table.rows)
        for row in table.rows:
            prose = not single and len(row.cells) == 1 and row.end - row.start > _LABEL
            has_values = single or len(row.cells) > 1
            rows.append(RowOnPage(row.start, row.end, row.is_header, headers, has_values, prose))
            cells += [(c.start, c.end, c.ref) for c in row.cells if c.ref]
    rows.sort(key=lambda row: row.start)
    running = running_lines(page)
    headings = tuple(
        (b.start, b.end)
        for b in page.blocks
        if b.kind is BlockKind.HEADING and (b.start, b.end) not in running
    )
    return PageMap(
        page.kind,
        page.label,
        page.words,
        tuple(rows),
        tuple(cells),
        running=running,
        headings=headings,
    )


def cell_range(refs: list[str]) -> str | None:
    """The smallest range that holds the cells: "B2", "B2:D3"; None without cells."""
    cells = [m.groups() for ref in refs if (m := _CELL.fullmatch(ref))]
    if not cells:
        return None
    columns = sorted({column for column, _ in cells}, key=lambda c: (len(c), c))
    lines = sorted({int(line) for _, line in cells})
    first, last = f"{columns[0]}{lines[0]}", f"{columns[-1]}{lines[-1]}"
    return first if first == last else f"{first}:{last}"


class PageMaps:
    """A cache of the maps of pages used lately: places on the page, and its heading."""

    def __init__(self, library: PageReader) -> None:
        self._library = library
        self._maps: OrderedDict[tuple[str, str, int], PageMap]
        self._maps = clear_on_deletion(OrderedDict())

    async def of(self, tenant: str, passage: Passage) -> PageMap:
        """The map of a passage's page, or UNKNOWN_PAGE. Raises LibraryUnavailable."""
        key = (tenant, passage.revision, passage.page)
        known = self._maps.get(key)
        if known is None:
            try:
                page = await self._library.page(
                    tenant, passage.document_id, passage.page, revision=passage.revision
                )
            except NotFound:
                return UNKNOWN_PAGE
            known = self._maps[key] = page_map(page)
            if len(self._maps) > _MAX_PAGES:
                self._maps.popitem(last=False)
        else:
            self._maps.move_to_end(key)
        return known
