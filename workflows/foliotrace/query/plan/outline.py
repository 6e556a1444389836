"""The outline of a document where no language model can summarise it: its headings with pages."""

from collections.abc import Sequence
from typing import Final

from foliotrace.model import AnswerMode, BlockKind, Citation, Document, Passage, Query
from foliotrace.query.answer.quotes import Quote
from foliotrace.query.answer.quoting.passage_terms import QuoteSpan
from foliotrace.query.answer.synthesis import Degradations, Synthesis, with_notice
from foliotrace.query.services import QueryServices

MOST_HEADINGS: Final = 40
_PAGES: Final = 50  # read at once
_LONGEST: Final = 200  # characters of a heading
_NO_MODEL: Final = "No language model is configured"
_FAILED: Final = "No language model could answer"
NOTICE_OUTLINE: Final = "{why}: nothing is summarised, these are the document's headings."
NOTICE_MORE: Final = " The first {listed} are listed."
CANNOT: Final = "{why}, so this document is not summarised, and it has no headings to list."


async def outline(
    services: QueryServices,
    query: Query,
    document: Document,
    passages: Sequence[Passage],
    degradations: Degradations,
) -> Synthesis:
    """The headings, each cited on its page; or the sentence that there is no summary."""
    why = _FAILED if services.generators else _NO_MODEL
    headings = await _headings(services, query, document, passages)
    reasons = tuple(degradations.reasons)
    if not headings:
        text = CANNOT.format(why=why)
        return Synthesis(text=text, mode=AnswerMode.ABSTAINED, reasons=reasons)
    listed = headings[:MOST_HEADINGS]
    lines: list[str] = []
    citations: list[Citation] = []
    for marker, heading in enumerate(listed, 1):
        quoted = services.synthesizer.quoted
        citations.append(await quoted.citation(query, marker, heading))
        lines.append(f"- {' '.join(heading.text.split())} (page {heading.passage.page}) [{marker}]")
    notice = NOTICE_OUTLINE.format(why=why)
    if len(headings) > len(listed):
        notice += NOTICE_MORE.format(listed=len(listed))
    listing = Synthesis(
        text="\n".join(lines),
        mode=AnswerMode.EXTRACTIVE,
        citations=tuple(citations),
        reasons=reasons,
    )
    return with_notice(listing, notice)


async def _headings(
    services: QueryServices, query: Query, document: Document, passages: Sequence[Passage]
) -> list[Quote]:
    """The headings that the readers marked, in order, each once; not many more than are listed."""
    found: dict[str, Quote] = {}
    tenant, last = query.principal.tenant, max((p.page for p in passages), default=0)
    for first in range(1, last + 1, _PAGES):
        if len(found) > MOST_HEADINGS:
            break
        numbers = range(first, min(first + _PAGES, last + 1))
        for page in await services.library.pages(tenant, document.id, numbers):
            for block in page.blocks:
                text = page.text[block.start : block.end].strip()
                if block.kind is not BlockKind.HEADING or not 0 < len(text) <= _LONGEST:
                    continue
                holding = [
                    p
                    for p in passages
                    if p.page == page.number and p.start <= block.start and block.end <= p.end
                ]
                if holding:
                    span = QuoteSpan(block.start, block.end, frozenset())
                    found.setdefault(text.casefold(), Quote(holding[0], span, 1.0, text))
    return list(found.values())
