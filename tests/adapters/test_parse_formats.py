"""Office, text and sheet files: sections, slides and cells with their places."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.files import docx_of
from tests.adapters.parsing import EXAMPLES, SAMPLES, reading
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.reading_options import find_tessdata
from foliotrace.adapters.local.readers.sections import (
    PAGE_CHARACTERS,
    Element,
    GridCell,
    GridRow,
    NewGrid,
    Prose,
    paginate,
)
from foliotrace.adapters.local.readers.text.csv_table import cell_name
from foliotrace.errors import FileRefused
from foliotrace.model import BlockKind, PageKind, PageStatus, ParsedPage

Workbook = lazy_call("openpyxl:Workbook")
Word = lazy_call("docx:Document")

pytestmark = pytest.mark.anyio

# kind, pages and a stretch of text; or the code of the refusal
SAMPLE_TABLE: dict[str, tuple[str, int, str] | str] = {
    "20071229X02007.pdf": ("page", 4, "NYC08CA055"),
    "20071231X02009.pdf": ("page", 4, "National Transportation Safety Board"),
    "20080102X00002.pdf": ("page", 3, "Location:\tChevroux, France"),
    "DHS2020.pdf": ("page", 36, "Department of Homeland Security"),
    "MEDRPT-2024-PAT-3847_medical_report_scan.pdf": ("page", 3, "SEATTLE GENERAL HOSPITAL"),
    "REPAIR-2022-INV-001_multipage.pdf": ("page", 3, "Insured name\tGabriel Diaz"),
    "contains-pictures.docx": ("section", 1, ""),
    "docx-tables.docx": ("section", 1, "Header Col 1\tHeader Col 2"),
    "example-10k-1p.html": ("section", 1, "Galaxy Gaming, Inc."),
    "example-steelJIS-datasheet-utf-16.html": ("section", 1, "Chemical composition 成分"),
    "fake-power-point-malformed.pptx": ("slide", 1, "Test Slide"),
    "fake-power-point-many-pages.pptx": ("slide", 2, ""),
    "handbook-1p.docx": ("section", 1, ""),
    "header-test-doc.pdf": ("page", 1, ""),
    "ideas-page.html": ("section", 1, ""),
    "korean-text-with-tables.pdf": ("page", 1, "업종\t적립 대상"),
    "layout-parser-paper-fast.pdf": ("page", 2, "LayoutParser: A Unified Toolkit"),
    "list-item-example.pdf": ("page", 2, ""),
    "loremipsum-flat.pdf": ("page", 1, "Lorem ipsum"),
    "multi-column-2p.pdf": ("page", 2, "Dense Passage Retrieval"),
    "password.pdf": "file_encrypted",
    "sample-presentation.pptx": ("slide", 4, "Table\tA\tB\tC\n1\tA1\tB1\tC1"),
    "table-multi-row-column-cells.pdf": ("page", 1, "Low Vision"),
    "tables-with-incomplete-rows.docx": ("section", 1, "a\tb\tc\nd"),
    "test.docx": ("section", 2, "AutoGen"),
    "test.xlsx": ("sheet", 2, "Alpha\tBeta\tGamma\tDelta\n89\t82\t100\t12"),
    "test_blog.html": ("section", 4, ""),
    "test_outlook_msg.msg": ("section", 1, "Test Email Message\n\nFrom: "),
}


@pytest.mark.parametrize("name", SAMPLE_TABLE)
async def test_every_sample_document_is_read_or_refused_with_its_code(name: str) -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared sample documents are not here")
    expected = SAMPLE_TABLE[name]
    tessdata = find_tessdata()
    async with reading(tessdata=tessdata) as local:
        if isinstance(expected, str):
            with pytest.raises(FileRefused, match=name) as refused:
                await local.read(SAMPLES / name)
            assert (refused.value.error_code, bool(refused.value.hint)) == (expected, True)
            return
        pages = await local.read(SAMPLES / name)
    kind, count, words = expected
    assert ({page.kind for page in pages}, len(pages)) == ({PageKind(kind)}, count)
    if tessdata is None and any(page.status is PageStatus.NEEDS_OCR for page in pages):
        return
    assert words in "\n".join(page.text for page in pages)
    assert all(page.text.strip() for page in pages)


async def test_the_table_names_every_sample_document() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared sample documents are not here")
    assert {p.name for p in SAMPLES.iterdir()} - {"SOURCE.md"} == set(SAMPLE_TABLE)


def every_place_holds(page: ParsedPage) -> bool:
    rows = [row for table in page.tables for row in table.rows]
    return all(0 <= b.start < b.end <= len(page.text) for b in page.blocks) and all(
        page.text[row.start : row.end].split("\t")
        == [page.text[cell.start : cell.end] for cell in row.cells]
        for row in rows
    )


async def test_a_word_document_keeps_headings_lists_tables_and_their_places(tmp_path: Path) -> None:
    document = Word()
    document.add_heading("Rules", 1)
    document.add_paragraph("Members sign in.")
    document.add_heading("Guests", 2)
    document.add_paragraph("Bring a pass.", style="List Bullet")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ["Day", "Hours", "Monday", "9 to 5"], strict=True):
        cell.text = text
    document.save(str(tmp_path / "rules.docx"))
    async with reading() as local:
        (page,) = await local.read(tmp_path / "rules.docx")
    kinds = [(b.kind, b.level, page.text[b.start : b.end]) for b in page.blocks]
    assert kinds == [
        (BlockKind.HEADING, 1, "Rules"),
        (BlockKind.TEXT, 0, "Members sign in."),
        (BlockKind.HEADING, 2, "Guests"),
        (BlockKind.LIST, 0, "Bring a pass."),
        (BlockKind.TABLE, 0, "Day\tHours\nMonday\t9 to 5"),
    ]
    assert page.label == "Rules"
    assert page.tables[0].rows[0].is_header


async def test_deleted_text_is_left_out_and_inserted_text_is_read(tmp_path: Path) -> None:
    path = docx_of(
        tmp_path / "draft.docx",
        "<w:p><w:ins><w:r><w:t>kept</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>struck</w:delText></w:r></w:del></w:p>",
    )
    async with reading() as local:
        (page,) = await local.read(path)
    assert page.text == "kept"


async def test_a_document_with_only_pictures_needs_ocr(tmp_path: Path) -> None:
    path = docx_of(tmp_path / "scan.docx", "<w:p/>", **{"word/media/image1.png": b"x"})
    async with reading() as local:
        (page,) = await local.read(path)
    assert (page.status, page.problem) == (PageStatus.NEEDS_OCR, "needs_ocr")


async def test_cells_have_names_and_show_dates_shares_and_formulas(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet.title = "Costs"
    sheet["B2"], sheet["C2"], sheet["D2"] = "Day", "Share", "Sum"
    sheet["B3"], sheet["C3"], sheet["D3"] = date(2026, 3, 4), 0.155, "=1+1"
    sheet["B3"].number_format, sheet["C3"].number_format = "yyyy-mm-dd", "0.0%"
    book.save(tmp_path / "costs.xlsx")
    async with reading() as local:
        (page,) = await local.read(tmp_path / "costs.xlsx")
    assert (page.kind, page.label) == (PageKind.SHEET, "Costs")
    assert page.text == "Day\tShare\tSum\n2026-03-04\t15.5%\t=1+1"
    header, row = page.tables[0].rows
    assert [cell.ref for cell in row.cells] == ["B3", "C3", "D3"]
    assert header.is_header


async def test_a_large_sheet_comes_in_windows_that_repeat_the_header(tmp_path: Path) -> None:
    rows = [f"{n},name {n},{n * 1.5}" for n in range(1, 2001)]
    path = tmp_path / "big.csv"
    path.write_text("\n".join(["id,label,amount", *rows]))
    async with reading() as local:
        pages = await local.read(path)
    assert len(pages) > 5
    assert all(len(page.text) <= PAGE_CHARACTERS and every_place_holds(page) for page in pages)
    assert all(page.text.startswith("id\tlabel\tamount\n") for page in pages)
    assert [line for page in pages for line in page.text.split("\n")[1:]] == [
        row.replace(",", "\t") for row in rows
    ]
    last = pages[-1].tables[0].rows[-1]
    assert [cell.ref for cell in last.cells] == ["A2001", "B2001", "C2001"]


async def test_a_window_of_a_huge_text_is_reached_without_reading_twice(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    path.write_text("".join(f"line {n} of a very long log file\n" for n in range(900_000)))
    async with reading(size=1) as local:
        first = await local.pages(path, range(1, 3))
        second = await local.pages(path, range(3, 5))
    assert first[0].text.startswith("line 0 of")
    joined = "\n".join(page.text for page in [*first, *second])
    numbers = [int(line.split()[1]) for line in joined.split("\n")]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "shift_jis", "utf-32"]
)
async def test_text_is_read_whatever_its_encoding(tmp_path: Path, encoding: str) -> None:
    japanese = "料金は九千円です。これは日本語の文章です。"
    said = japanese if encoding == "shift_jis" else "Gebühr für Späße: 5"
    path = tmp_path / "note.txt"
    path.write_bytes(("\n".join([said] * 20)).encode(encoding))
    assert sniff(path) == "text/plain"
    async with reading() as local:
        (page,) = await local.read(path)
    assert said in page.text


async def test_html_is_read_as_its_reader_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<html><head><title>T</title><script>var x</script></head><body><h1>Fees</h1>"
        "<p>Pay\n <b>now</b>.<br>Or later.<span style='display:none'>secret</span></p>"
        "<ul><li>cash</li></ul>"
        "<table><tr><td><table><tr><th>Item</th><th>Price</th></tr>"
        "<tr><td>Tea</td><td>$</td><td>2.50</td></tr></table></td></tr></table></body></html>"
    )
    async with reading() as local:
        (page,) = await local.read(path)
    assert page.text == "Fees\n\nPay now.\nOr later.\n\ncash\n\nItem\tPrice\nTea\t$ 2.50"
    assert every_place_holds(page)


async def test_markdown_keeps_code_tables_and_headings(tmp_path: Path) -> None:
    path = tmp_path / "readme.md"
    code, table = "```\n# not a heading\n```", "| a | b |\n|---|---|\n| 1 | 2 |"
    path.write_text(f"# Top\n\ntext\nmore\n\n{code}\n\n{table}\n")
    async with reading() as local:
        (page,) = await local.read(path)
    assert [(b.kind, page.text[b.start : b.end]) for b in page.blocks] == [
        (BlockKind.HEADING, "Top"),
        (BlockKind.TEXT, "text\nmore"),
        (BlockKind.CODE, "# not a heading"),
        (BlockKind.TABLE, "a\tb\n1\t2"),
    ]


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda p: p.name)
async def test_the_type_of_an_example_is_found_under_a_wrong_name(
    path: Path, tmp_path: Path
) -> None:
    disguised = tmp_path / "disguised.bin"
    disguised.write_bytes(path.read_bytes())
    text_kinds = {"text/markdown", "text/plain"}
    found, named = sniff(disguised), sniff(path)
    assert found == named or {found, named} <= text_kinds


words = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1).filter(
    lambda text: text.strip() == text
)
elements = st.lists(
    st.one_of(
        st.builds(Prose, words, st.just(BlockKind.TEXT)),
        st.builds(Prose, words, st.just(BlockKind.HEADING), st.integers(1, 6)),
        st.just(NewGrid()),
        st.builds(
            GridRow,
            st.lists(words, min_size=1, max_size=4).map(
                lambda texts: tuple(GridCell(text, n) for n, text in enumerate(texts))
            ),
            st.booleans(),
        ),
    ),
    max_size=30,
)


@given(elements)
@settings(max_examples=60, deadline=None)
def test_sections_keep_every_word_in_order_and_every_place_true(found: list[Element]) -> None:
    pages = list(paginate(found))
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert all(every_place_holds(page) for page in pages)
    said = [e.text for e in found if isinstance(e, Prose)]
    written = [
        page.text[b.start : b.end]
        for page in pages
        for b in page.blocks
        if b.kind is not BlockKind.TABLE
    ]
    assert written == said


def test_cell_names_count_as_spreadsheets_do() -> None:
    names = [cell_name(1, column) for column in (0, 25, 26, 701, 702)]
    assert names == ["A1", "Z1", "AA1", "ZZ1", "AAA1"]
