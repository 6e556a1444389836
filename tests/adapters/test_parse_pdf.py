"""PDF and text through killable worker processes."""

from pathlib import Path

import pytest
from tests.adapters.parsing import EXAMPLES, reading

from foliotrace.errors import FileRefused, UnsupportedFile
from foliotrace.model import PageKind, PageStatus

pytestmark = pytest.mark.anyio

NTSB = EXAMPLES / "ntsb-NYC08CA055-tallahassee.pdf"


async def test_every_page_of_a_pdf_comes_back_in_order_with_its_text() -> None:
    async with reading() as local:
        pages = await local.read(NTSB)
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert all(page.status is PageStatus.OK and page.engine for page in pages)
    assert "Accident Number:\tNYC08CA055" in pages[0].text


async def test_words_blocks_and_cells_lie_where_they_say_in_the_text() -> None:
    async with reading() as local:
        pages = await local.read(NTSB)
    for page in pages:
        assert all(not page.text[w.start : w.end].isspace() and w.end > w.start for w in page.words)
        assert all(0 <= b.start < b.end <= len(page.text) for b in page.blocks)
        for row in (row for table in page.tables for row in table.rows):
            assert page.text[row.start : row.end].split("\t") == [
                page.text[cell.start : cell.end] for cell in row.cells
            ]


async def test_text_is_read_in_sections_that_together_hold_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("\n\n".join(f"Paragraph {n} speaks of lanterns." for n in range(1000)))
    async with reading() as local:
        pages = await local.read(path)
    assert len(pages) > 3
    assert all(page.kind is PageKind.SECTION and len(page.text) <= 6000 for page in pages)
    assert sum(page.text.count("lanterns") for page in pages) == 1000


async def test_an_empty_file_and_an_unknown_type_are_refused_by_name(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.pdf", tmp_path / "tool.pdf"
    empty.touch()
    binary.write_bytes(bytes(range(256)) * 10)
    async with reading() as local:
        with pytest.raises(UnsupportedFile, match=r"tool\.pdf") as unknown:
            await local.read(binary)
        with pytest.raises(FileRefused, match=r"empty\.pdf") as nothing:
            await local.read(empty)
    assert (unknown.value.error_code, nothing.value.error_code) == (
        "file_type_unsupported",
        "file_empty",
    )
