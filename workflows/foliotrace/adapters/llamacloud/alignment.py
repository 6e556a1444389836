"""Finds the cloud's quotes and hits in our stored pages, so that their citations can be opened."""

import re
from collections.abc import Sequence
from typing import Final

from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.errors import NotFound
from foliotrace.model import Document, ParsedPage, Passage, RetrievalMode
from foliotrace.ports import LibraryReader

_FEW_PAGES: Final = 20
"""In documents this short, every page is searched for the text of a hit."""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MARKUP = re.compile(r"[*_`#|>]+|<[^>]{1,40}>")


def locate(text: str, words: str, *, near: int = 0) -> tuple[int, int] | None:
    """[start, end) of `words` in `text`, ignoring white space, case and markup.

    The first place at or behind `near`, else the first at all; None when it is not there.
    """
    tokens = _TOKEN.findall(_MARKUP.sub(" ", words))
    if not tokens:
        return None
    pattern = re.compile(r"[\s\-\u00ad|]*".join(map(re.escape, tokens)), re.IGNORECASE)
    found = pattern.search(text, near) or pattern.search(text)
    return found.span() if found else None


def locate_long(text: str, words: str, *, least: float = 0.6) -> tuple[int, int] | None:
    """`locate` for a chunk that may differ in places: from its first to its last line found.

    None unless lines with `least` of its characters stand in `text` in this order.
    """
    exact = locate(text, words)
    if exact is not None:
        return exact
    first: int | None = None
    last, known, total = 0, 0, 0
    for line in filter(None, (line.strip() for line in words.splitlines())):
        total += len(line)
        found = locate(text, line, near=last)
        if found is not None and found[0] >= last:
            first = found[0] if first is None else first
            last, known = found[1], known + len(line)
    if first is None or known < least * total:
        return None
    return first, last


def locate_on(
    pages: Sequence[ParsedPage], words: str, *, page_number: int | None = None
) -> tuple[ParsedPage, int, int] | None:
    """The page and span of `words`, on page `page_number` if possible, else on any."""
    order = sorted(pages, key=lambda page: page.number != page_number)
    for page in order:
        found = locate(page.text, words)
        if found is not None:
            return page, *found
    return None


async def passage_of(library: LibraryReader, tenant: str, result: Result) -> Passage | None:
    """The hit as a passage; None if its document is gone. Raises LibraryUnavailable."""
    document_id = str((result.metadata or {}).get("document_id") or "")
    try:
        document = await library.document(tenant, document_id)
    except NotFound:
        return None
    static = result.static_fields
    named = (static.page_range_start if static else None) or 1
    last = (static.page_range_end if static else None) or named
    aligned = await place_on_page(library, document, result.content, range(named, last + 1))
    page, start, end = aligned or (None, 0, 0)
    score = result.rerank_score if result.rerank_score is not None else result.score
    return Passage(
        chunk_id=f"{document_id}:{static.chunk_index if static else 0}",
        document_id=document_id,
        document_name=document.name,
        revision=document.revision or "",
        page=page.number if page else min(named, max(1, document.pages_total)),
        start=start,
        end=end,
        text=page.text[start:end] if page else result.content,
        header=document.identity.header(),
        score=score or 0.0,
        path=RetrievalMode.MANAGED,
        exact=page is not None,
    )


async def place_on_page(
    library: LibraryReader, document: Document, content: str, named: range
) -> tuple[ParsedPage, int, int] | None:
    """The page and span of a hit: on the pages `named` or next to them; in few pages, on any."""
    first, last = max(1, named.start - 1), min(document.pages_total, named.stop)
    if document.pages_total <= _FEW_PAGES:
        first, last = 1, document.pages_total
    pages = await library.pages(document.tenant, document.id, range(first, last + 1))
    for page in sorted(pages, key=lambda p: p.number not in named):
        found = locate_long(page.text, content)
        if found is not None:
            return page, *found
    return None
