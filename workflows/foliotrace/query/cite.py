"""Citations out of quotes: the anchor of a span on its stored page. Pure.

A quote is cited only if the page still holds it, letter by letter, where it was found.
"""

from collections.abc import Iterator

from foliotrace.model import Anchor, Citation, PageKind, ParsedPage, Passage, TableCell
from foliotrace.query.quotes import Quote


def cite(quote: Quote, page: ParsedPage | None, *, marker: int) -> Citation | None:
    """The citation; None when the page no longer holds the quote. `page` None: unreadable now."""
    start = quote.passage.start + quote.span.start
    end = quote.passage.start + quote.span.end
    if page is None:
        return _citation(quote, marker, _page_only(quote.passage, start, end))
    if page.text[start:end] != quote.text:
        return None
    return _citation(quote, marker, anchor(page, start, end))


def anchor(page: ParsedPage, start: int, end: int) -> Anchor:
    """Where [start, end) of the page's text can be shown."""
    return Anchor(
        kind=page.kind,
        page=page.number,
        start=start,
        end=end,
        label=page.label,
        boxes=page.words.boxes(start, end),
        cells=_cells(page, start, end),
    )


def _citation(quote: Quote, marker: int, found: Anchor) -> Citation:
    passage = quote.passage
    return Citation(
        marker=marker,
        document_id=passage.document_id,
        document_name=passage.document_name,
        chunk_id=passage.chunk_id,
        quote=quote.text,
        anchor=found,
        score=round(quote.score, 4),
    )


def _page_only(passage: Passage, start: int, end: int) -> Anchor:
    return Anchor(kind=PageKind.PAGE, page=passage.page, start=start, end=end, exact=False)


def _cells(page: ParsedPage, start: int, end: int) -> str | None:
    """The range of sheet cells under the span: "B2" or "B2:D4"."""
    refs = [cell.ref for cell in _cells_under(page, start, end) if cell.ref]
    if not refs:
        return None
    return refs[0] if len(refs) == 1 else f"{refs[0]}:{refs[-1]}"


def _cells_under(page: ParsedPage, start: int, end: int) -> Iterator[TableCell]:
    for table in page.tables:
        if table.start < end and table.end > start:
            for row in table.rows:
                for cell in row.cells:
                    if cell.start < end and cell.end > start:
                        yield cell
