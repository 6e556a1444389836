"""The tables of the pages used lately, and the lines that count as rows of a table.

They hold text, so they are forgotten with the library version that they were read at. A line
"Label: value" outside tables counts as a row of one column.
"""

import re
from collections import OrderedDict
from typing import Final

from foliotrace.errors import NotFound
from foliotrace.model import BlockKind, ParsedPage, Passage
from foliotrace.ports import PageReader
from foliotrace.query.answer.cells.periods import Periods
from foliotrace.query.answer.cells.tables import (
    Cell,
    CellTable,
    LabelledRow,
    Terms,
    recognised,
)
from foliotrace.text_caches import clear_function_caches, clear_on_deletion

_MAX_PAGES: Final = 512
_LABELLED: Final = re.compile(
    r"^[ \t]*(?P<label>[^\W\d][^:\n|]{1,60}?)[ \t]*:[ \t]+(?P<value>\S[^\n]{0,160})$", re.M
)
_SIDE: Final = (BlockKind.HEADER, BlockKind.FOOTER, BlockKind.NAVIGATION, BlockKind.CODE)


def tables_of(page: ParsedPage, terms: Terms) -> tuple[CellTable, ...]:
    """The tables of a page, and last its lines of the form "Label: value"."""
    lines = _labelled_lines(page, terms)
    return (*recognised(page, terms), *([lines] if lines else []))


def _labelled_lines(page: ParsedPage, terms: Terms) -> CellTable | None:
    taken = [(t.start, t.end) for t in page.tables]
    taken += [(b.start, b.end) for b in page.blocks if b.kind in _SIDE]
    rows = []
    for line in _LABELLED.finditer(page.text):
        if any(start < line.end() and line.start() < end for start, end in taken):
            continue
        label = line["label"].strip()
        value = Cell(1, line["value"].strip(), line.start("value"), line.end("value"))
        named = frozenset(terms(label))
        if named:
            rows.append(
                LabelledRow(
                    label=label,
                    terms=named,
                    group=frozenset(),
                    cells=(value,),
                    start=line.start("label"),
                    end=value.end,
                    label_end=line.end("label"),
                    text=page.text[line.start("label") : value.end],
                )
            )
    if not rows:
        return None
    about = [page.label or "", page.text.lstrip().split("\n", 1)[0]]
    context = frozenset(terms(" ".join([*about, *(row.cells[0].text for row in rows)])))
    return CellTable((), tuple(rows), None, Periods(), None, context, "")


class PageTables:
    """The tables of the pages used lately, at one library version."""

    def __init__(self, library: PageReader, terms: Terms) -> None:
        self._library = library
        self._terms = terms
        self._pages: OrderedDict[tuple[str, str, int], tuple[str, tuple[CellTable, ...]]]
        self._pages = OrderedDict()
        self._version = -1
        clear_on_deletion(self)

    def clear(self) -> None:
        """Drop all tables."""
        self._pages.clear()

    def keep_for(self, version: int) -> bool:
        """Forget what another library version held, so that nothing deleted stays in memory.

        Whether the version is another one than before.
        """
        if version == self._version:
            return False
        clear_function_caches()  # another process may have deleted what this one has read
        self._version = version
        return True

    async def of(self, tenant: str, passage: Passage) -> tuple[CellTable, ...]:
        """The tables of a passage's page. Raises LibraryUnavailable."""
        return (await self._page(tenant, passage))[1]

    async def text_of(self, tenant: str, passage: Passage) -> str:
        """The text of a passage's page. Raises LibraryUnavailable."""
        return (await self._page(tenant, passage))[0]

    async def _page(self, tenant: str, passage: Passage) -> tuple[str, tuple[CellTable, ...]]:
        key = (tenant, passage.revision, passage.page)
        known = self._pages.get(key)
        if known is None:
            try:
                page = await self._library.page(
                    tenant, passage.document_id, passage.page, revision=passage.revision
                )
            except NotFound:
                return "", ()
            known = self._pages[key] = (page.text, tables_of(page, self._terms))
            if len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        return known
