"""Where a quote stands on its page: boxes from the words under it, or a range of cells."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from foliotrace.errors import NotFound
from foliotrace.model import Anchor, PageKind, ParsedPage, Passage, Words
from foliotrace.ports import PageReader

_KEPT_PAGES: Final = 2048
_CELL: Final = re.compile(r"([A-Z]+)(\d+)")


@dataclass(frozen=True, slots=True)
class Row:
    """A table row's span on its page; `headers` are the spans of its table's header rows."""

    start: int
    end: int
    is_header: bool
    headers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PageMap:
    """What stands where on a page, without its text."""

    kind: PageKind
    label: str | None
    words: Words
    rows: tuple[Row, ...]
    cells: tuple[tuple[int, int, str], ...]
    exact: bool = True

    def anchor(self, page: int, start: int, end: int) -> Anchor:
        """The place of [start, end)."""
        return Anchor(
            kind=self.kind,
            page=page,
            start=start,
            end=end,
            label=self.label,
            boxes=self.words.boxes(start, end),
            cells=cell_range([ref for s, e, ref in self.cells if s < end and e > start]),
            exact=self.exact,
        )


UNKNOWN_PAGE: Final = PageMap(PageKind.PAGE, None, Words(), (), (), exact=False)
"""For a page that the library does not hold, or holds no more."""


def page_map(page: ParsedPage) -> PageMap:
    """The map of a parsed page."""
    rows: list[Row] = []
    cells: list[tuple[int, int, str]] = []
    for table in page.tables:
        headers = tuple((row.start, row.end) for row in table.rows if row.is_header)
        for row in table.rows:
            rows.append(Row(row.start, row.end, row.is_header, headers))
            cells += [(c.start, c.end, c.ref) for c in row.cells if c.ref]
    rows.sort(key=lambda row: row.start)
    return PageMap(page.kind, page.label, page.words, tuple(rows), tuple(cells))


def cell_range(refs: list[str]) -> str | None:
    """The smallest range that holds the cells: "B2", "B2:D3"; None without cells."""
    found = [m.groups() for ref in refs if (m := _CELL.fullmatch(ref))]
    if not found:
        return None
    columns = sorted({column for column, _ in found}, key=lambda c: (len(c), c))
    lines = sorted({int(line) for _, line in found})
    first, last = f"{columns[0]}{lines[0]}", f"{columns[-1]}{lines[-1]}"
    return first if first == last else f"{first}:{last}"


class PageMaps:
    """The maps of the pages asked for lately; they hold places, never text."""

    def __init__(self, library: PageReader) -> None:
        self._library = library
        self._kept: OrderedDict[tuple[str, str, int], PageMap] = OrderedDict()

    async def of(self, tenant: str, passage: Passage) -> PageMap:
        """The map of a passage's page, or UNKNOWN_PAGE. Raises LibraryUnavailable."""
        key = (tenant, passage.revision, passage.page)
        found = self._kept.get(key)
        if found is None:
            try:
                page = await self._library.page(
                    tenant, passage.document_id, passage.page, revision=passage.revision
                )
            except NotFound:
                return UNKNOWN_PAGE
            found = self._kept[key] = page_map(page)
            if len(self._kept) > _KEPT_PAGES:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found
