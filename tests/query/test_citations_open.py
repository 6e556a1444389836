"""Every citation opens: pypdfium2, which made none of them, finds each quote inside its boxes.

Not only the quotes that some questions choose: every sentence and table row that could be quoted.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from bench.boxes import Opener
from tests.adapters.parsing import EXAMPLES, SHARED, Reading, reading

from foliotrace.errors import FileRefused
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import Citation, ParsedPage, Passage, RetrievalMode, Words
from foliotrace.query.answer.anchors import cell_range, page_map
from foliotrace.query.answer.quoting.pieces import quotable_spans

pytestmark = pytest.mark.anyio

FOLDERS = (EXAMPLES, SHARED / "sample-docs", SHARED / "sec10q-dev" / "pdfs")
PDFS = [pdf for folder in FOLDERS for pdf in sorted(folder.glob("*.pdf"))]
PAGES = 12  # of each file: this is a test, bench/answers.py goes through whole filings


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def reader(anyio_backend: str) -> AsyncIterator[Reading]:
    async with reading() as made:
        yield made


def quotable(pages: Sequence[ParsedPage], name: str) -> Iterator[tuple[Citation, ParsedPage]]:
    by_number = {page.number: page for page in pages}
    for chunk in chunk_pages(pages, document_id="doc", revision="r", first_ordinal=0):
        page = by_number[chunk.page]
        where = page_map(page)
        passage = Passage(
            chunk_id=chunk.id,
            document_id="doc",
            document_name=name,
            revision="r",
            page=chunk.page,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            context=chunk.context,
            score=1.0,
            path=RetrievalMode.KEYWORD,
        )
        for start, end, _ in quotable_spans(passage, where):
            yield (
                Citation(
                    marker=1,
                    document_id="doc",
                    document_name=name,
                    chunk_id=chunk.id,
                    quote=chunk.text[start - chunk.start : end - chunk.start],
                    anchor=where.anchor(chunk.page, start, end),
                    score=1.0,
                ),
                page,
            )


@pytest.mark.parametrize("pdf", PDFS, ids=lambda pdf: pdf.name)
async def test_every_quote_stands_inside_its_boxes(reader: Reading, pdf: Path) -> None:
    try:
        pages = await reader.pages(pdf, range(1, PAGES + 1))
    except FileRefused as refused:
        pytest.skip(f"refused: {refused.error_code}")
    in_order = []
    with Opener(pdf.parent) as opener:
        for citation, page in quotable(pages, pdf.name):
            anchor = citation.anchor
            assert page.text[anchor.start : anchor.end] == citation.quote
            opened = opener.open(citation, page)
            assert opened.valid, (anchor.page, citation.quote, opened)
            in_order.append(opened.in_order)
            under = [w for w in page.words if w.end > anchor.start and w.start < anchor.end]
            assert anchor.boxes == Words.pack(under).boxes(anchor.start, anchor.end)
    assert in_order.count(False) <= len(in_order) // 10  # TeX prints accents over letters


def test_a_range_of_cells_is_the_smallest_that_holds_them() -> None:
    assert cell_range([]) is None
    assert cell_range(["B7"]) == "B7"
    assert cell_range(["B7", "C7", "AA9"]) == "B7:AA9"
