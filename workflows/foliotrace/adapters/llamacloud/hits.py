"""A hit of the managed index, brought back to the page it came from."""

from typing import Final

from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.adapters.llamacloud.align import locate_long
from foliotrace.errors import NotFound
from foliotrace.model import Document, ParsedPage, Passage, RetrievalMode
from foliotrace.ports import LibraryReader

_FEW_PAGES: Final = 20
"""Documents this short are searched whole for the words of a hit."""


async def passage_of(library: LibraryReader, tenant: str, result: Result) -> Passage | None:
    """The hit on our page; None when we no longer serve its document. Raises LibraryUnavailable."""
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
    """The words on one of our pages: those the cloud names, their neighbours, or any of few."""
    first, last = max(1, named.start - 1), min(document.pages_total, named.stop)
    if document.pages_total <= _FEW_PAGES:
        first, last = 1, document.pages_total
    pages = await library.pages(document.tenant, document.id, range(first, last + 1))
    for page in sorted(pages, key=lambda p: p.number not in named):
        found = locate_long(page.text, content)
        if found is not None:
            return page, *found
    return None
