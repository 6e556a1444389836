"""Anchors and citations of spans on parsed pages. Pure."""

import re

from foliotrace.model import Anchor, Citation, Document, ParsedPage

_CELL = re.compile(r"([A-Z]+)(\d+)")


def cite(page: ParsedPage, start: int, end: int, *, document: Document, score: float) -> Citation:
    """A citation that quotes [start, end) of the page's text verbatim; offsets in characters."""
    return Citation(
        marker=1,
        document_id=document.id,
        document_name=document.name,
        chunk_id="",
        quote=page.text[start:end],
        anchor=anchor(page, start, end),
        score=round(score, 4),
    )


def anchor(page: ParsedPage, start: int, end: int) -> Anchor:
    """The anchor of [start, end): with word boxes on a page, with a cell range on a sheet."""
    return Anchor(
        kind=page.kind,
        page=page.number,
        start=start,
        end=end,
        label=page.label,
        boxes=page.words.boxes(start, end),
        cells=_cells(page, start, end),
    )


def _cells(page: ParsedPage, start: int, end: int) -> str | None:
    """The smallest range of sheet cells that contains the span: "B2", "B2:D3"."""
    refs = [
        match.groups()
        for table in page.tables
        if table.start < end and table.end > start
        for row in table.rows
        for cell in row.cells
        if cell.start < end and cell.end > start and (match := _CELL.fullmatch(cell.ref or ""))
    ]
    if not refs:
        return None
    columns = sorted({column for column, _ in refs}, key=lambda c: (len(c), c))
    rows = sorted({int(row) for _, row in refs})
    first, last = f"{columns[0]}{rows[0]}", f"{columns[-1]}{rows[-1]}"
    return first if first == last else f"{first}:{last}"
