"""PDF pages: order, places, boxes, OCR, and what happens when a page hangs or kills its worker."""

import asyncio
import math
import os
import re
import signal
import unicodedata
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from tests.adapters.files import endless_page, pdf_of, plain_pages
from tests.adapters.parsing import EXAMPLES, SAMPLES, SHARED, in_s, reading, source_of

from foliotrace.adapters.local.readers.reading_options import find_tessdata
from foliotrace.adapters.local.readers.worker_pool import WorkerLost, WorkerPool
from foliotrace.catalog import Reason
from foliotrace.errors import DeadlineExceeded
from foliotrace.model import Box, PageKind, PageStatus, ParsedPage

pytestmark = pytest.mark.anyio

NTSB = EXAMPLES / "ntsb-NYC08CA055-tallahassee.pdf"
REAL_PDFS = sorted(
    [p for p in SAMPLES.glob("*.pdf") if p.name != "password.pdf"]
    + list((SHARED / "sec10q-dev" / "pdfs").glob("*.pdf"))[:2]
    + list(EXAMPLES.glob("*.pdf"))
)
needs_tessdata = pytest.mark.skipif(find_tessdata() is None, reason="no Tesseract models found")


async def test_every_page_of_a_pdf_comes_back_in_order_with_its_text() -> None:
    async with reading() as local:
        pages = await local.read(NTSB)
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert all(page.status is PageStatus.OK and page.engine for page in pages)
    assert "Accident Number:\tNYC08CA055" in pages[0].text


async def test_pages_stored_equal_the_pages_there_are_far_beyond_a_thousand(tmp_path: Path) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf_of(plain_pages(1234)))
    async with reading() as local:
        pages = await local.read(path)
    assert [page.text for page in pages] == [f"page number {n}" for n in range(1, 1235)]


async def test_a_window_of_whole_parts_gives_exactly_its_pages() -> None:
    async with reading(limits={"part_pages": 2}) as local:
        everything = await local.read(NTSB)
        window = await local.pages(NTSB, range(3, 5))
    assert [(p.number, p.text, p.words, p.tables) for p in window] == [
        (p.number, p.text, p.words, p.tables) for p in everything[2:4]
    ]


async def test_words_blocks_and_cells_lie_where_they_say_in_the_text() -> None:
    async with reading() as local:
        pages = [page for path in REAL_PDFS[:8] for page in await local.read(path)]
    for page in pages:
        ends = [0]
        for word in page.words:
            assert ends[-1] <= word.start < word.end
            assert not any(c.isspace() for c in page.text[word.start : word.end])
            ends.append(word.end)
        assert all(0 <= b.start < b.end <= len(page.text) for b in page.blocks)
        for row in (row for table in page.tables for row in table.rows):
            assert page.text[row.start : row.end].split("\t") == [
                page.text[cell.start : cell.end] for cell in row.cells
            ]


async def test_columns_are_read_one_after_the_other() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared sample documents are not here")
    async with reading() as local:
        (page, *_) = await local.read(SAMPLES / "multi-column-2p.pdf")
    assert "question answering relies on efficient passage retrieval to select" in page.text
    assert page.text.index("often complicated and consist") < page.text.index(
        "Retrieval in open-domain QA is usually implemented using TF-IDF"
    )


async def test_rows_of_a_financial_statement_keep_label_and_amounts_together() -> None:
    path = SHARED / "sec10q-dev" / "pdfs" / "2022 Q3 NVDA.pdf"
    if not path.exists():
        pytest.skip("the shared 10-Q filings are not here")
    async with reading() as local:
        (page,) = await local.pages(path, range(3, 4))
    assert "Net income\t$ 680\t$ 2,464\t$ 2,954\t$ 6,749" in page.text
    (table, *_) = page.tables
    headers = [row for row in table.rows if row.is_header]
    assert page.text[headers[-1].start : headers[-1].end] == (
        "October 30, 2022\tOctober 31, 2021\tOctober 30, 2022\tOctober 31, 2021"
    )
    widths = [[cell.column for cell in row.cells] for row in table.rows if len(row.cells) == 5]
    assert len({tuple(columns) for columns in widths}) == 1


def _bare(text: str) -> str:
    """Without spaces and hyphens, compatibility forms and quotation marks folded."""
    text = text.translate(str.maketrans("\u2018\u2019\u201c\u201d", "''\"\""))
    return re.sub(r"[\s\-\u00ad\u2010-\u2015]", "", unicodedata.normalize("NFKC", text))


def _seen_by_pdfium(page: "pypdfium2.PdfPage", box: Box) -> str:
    left, _, _, top = page.get_mediabox()
    x, y = left + box.x, top - box.y
    seen = page.get_textpage().get_text_bounded(x - 1, y - box.height - 1, x + box.width + 1, y + 1)
    return _bare(seen)


def _is_upright(pdf_page: "pypdfium2.PdfPage", page: ParsedPage) -> bool:
    left, _, right, _ = pdf_page.get_mediabox()
    return not pdf_page.get_rotation() and math.isclose(right - left, page.width or 0, abs_tol=1)


@pytest.mark.parametrize("path", REAL_PDFS, ids=lambda p: p.name)
async def test_another_engine_finds_every_word_in_its_box(path: Path) -> None:
    async with reading() as local:
        pages = (await local.read(path))[:6]
    with pypdfium2.PdfDocument(path) as pdf:
        checked = missed = 0
        for page in pages:
            other = pdf[page.number - 1]
            if not _is_upright(other, page) or page.confidence is not None:
                continue
            words = list(page.words)
            for word in words[:: max(7, len(words) // 300)]:
                text = _bare(page.text[word.start : word.end])
                checked += 1
                missed += text not in _seen_by_pdfium(other, word.box)
    assert missed <= 0.002 * checked, f"{missed} of {checked} words are not in their boxes"


async def test_a_scanned_page_without_models_needs_ocr() -> None:
    async with reading() as local:
        (page,) = await local.read(EXAMPLES / "scanned-receipt.png")
    assert (page.status, page.problem, page.kind) == (
        PageStatus.NEEDS_OCR,
        "needs_ocr",
        PageKind.IMAGE,
    )


@needs_tessdata
async def test_a_scanned_page_is_read_by_ocr_with_boxes_and_confidence() -> None:
    async with reading(tessdata=find_tessdata()) as local:
        (page,) = await local.read(EXAMPLES / "scanned-receipt.png")
    assert page.status is PageStatus.OK
    assert "Receipt No: R-20418" in page.text
    assert page.confidence is not None
    assert page.confidence > 0.5
    boxes = page.words.boxes(page.text.index("R-20418"), page.text.index("R-20418") + 7)
    assert page.width is not None
    assert all(box.x > 0 and box.x + box.width < page.width for box in boxes)


async def test_a_page_that_hangs_costs_one_page(tmp_path: Path) -> None:
    path = tmp_path / "trap.pdf"
    path.write_bytes(pdf_of([*plain_pages(2), endless_page(), *plain_pages(2)]))
    async with reading(limits={"part_s": 3.0, "page_s": 3.0}) as local:
        pages = await local.read(path)
    assert [(page.status, page.problem) for page in pages] == [
        (PageStatus.OK, None),
        (PageStatus.OK, None),
        (PageStatus.FAILED, "parse_timed_out"),
        (PageStatus.OK, None),
        (PageStatus.OK, None),
    ]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")
async def test_a_machine_that_gives_a_worker_no_time_costs_no_page(tmp_path: Path) -> None:
    path = tmp_path / "plain.pdf"
    path.write_bytes(pdf_of(plain_pages(3)))
    async with reading(size=1, limits={"part_s": 0.5, "page_s": 0.5}) as local:
        await local.read(path)
        (process,) = local.workers.idle_processes
        os.kill(process, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(1.5, os.kill, process, signal.SIGCONT)
        pages = await local.pages(path, range(1, 4))
    assert [page.text for page in pages] == [f"page number {n}" for n in (1, 2, 3)]


async def test_a_page_that_kills_its_worker_costs_one_page(tmp_path: Path) -> None:
    path = tmp_path / "trap.pdf"
    path.write_bytes(pdf_of([*plain_pages(1), endless_page(), *plain_pages(1)]))
    async with reading() as local:
        local.workers.cpu_limit_s = 1  # the system kills the process
        pages = await local.read(path)
    assert [page.problem for page in pages] == [None, "parse_crashed", None]


async def test_pages_that_arrived_before_their_worker_died_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "three.pdf"
    path.write_bytes(pdf_of(plain_pages(3)))
    asked: list[range] = []
    ask = WorkerPool.ask

    async def dies_after_two(
        self: WorkerPool, request: dict[str, Any], **limits: float
    ) -> list[dict[str, Any]]:
        frames = await ask(self, request, **limits)
        if request["do"] == "pages":
            asked.append(range(request["start"], request["stop"]))
            if len(asked) == 1:
                raise WorkerLost(Reason.WORKER_CRASHED, frames[:2])
        return frames

    monkeypatch.setattr(WorkerPool, "ask", dies_after_two)
    async with reading() as local:
        pages = await local.read(path)
    assert [page.text for page in pages] == [f"page number {n}" for n in (1, 2, 3)]
    assert asked == [range(1, 4), range(3, 4)]


async def test_an_idle_worker_that_died_is_replaced() -> None:
    async with reading(size=1) as local:
        before = await local.read(NTSB)
        (idle,) = local.workers.idle_processes
        os.kill(idle, signal.SIGKILL)
        assert await local.read(NTSB) == before


async def test_workers_with_nothing_to_do_are_ended_and_started_again() -> None:
    async with reading(size=1) as local:
        local.workers.idle_s = 0.05
        before = await local.read(NTSB)
        (process,) = local.workers.idle_processes
        while local.workers.idle_processes:
            await asyncio.sleep(0.01)
        while Path(f"/proc/{process}").exists():
            await asyncio.sleep(0.01)
        assert await local.read(NTSB) == before


async def test_nobody_waits_beyond_the_deadline_and_the_worker_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "trap.pdf"
    path.write_bytes(pdf_of([endless_page()]))
    async with reading() as local:
        parsed = local.order.parse(source_of(path), pages=range(1, 2), deadline=in_s(1.0))
        with pytest.raises(DeadlineExceeded):
            [page async for page in parsed]
        assert local.workers.idle_processes == ()


async def test_a_pdf_stored_under_its_hash_is_read_like_one_named_pdf(tmp_path: Path) -> None:
    named = tmp_path / "plain.pdf"
    named.write_bytes(pdf_of(plain_pages(3)))
    stored = tmp_path / "0123abcd"
    stored.write_bytes(named.read_bytes())
    async with reading() as local:
        assert await local.read(stored) == await local.read(named)
