"""Parts of Office files that programs write seldom: equations, copies, diagrams, units of cells."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.parsing import reading

from foliotrace.model import BlockKind, ParsedPage

pytestmark = pytest.mark.anyio

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
BOX = f"""<w:r xmlns:w="{W}" xmlns:mc="{MC}"><mc:AlternateContent>
<mc:Choice Requires="wps"><w:drawing><w:txbxContent><w:p><w:r><w:t>MOORING</w:t></w:r></w:p>
</w:txbxContent></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p><w:r>
<w:t>MOORING</w:t></w:r></w:p></w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r>"""


async def read(path: Path) -> list[ParsedPage]:
    async with reading(size=1) as at:
        return await at.read(path)


def texts(page: ParsedPage, kind: BlockKind) -> list[str]:
    return [page.text[b.start : b.end] for b in page.blocks if b.kind is kind]


def cells(page: ParsedPage) -> list[list[str]]:
    return [[page.text[c.start : c.end] for c in r.cells] for t in page.tables for r in t.rows]


def word(path: Path, build: Any) -> Path:
    import docx

    document = docx.Document()
    build(document)
    document.save(str(path))
    return path


def parsed(xml: str) -> Any:
    from docx.oxml import parse_xml  # type: ignore[attr-defined]

    return parse_xml(xml)


async def test_equations_of_a_word_file_are_read(tmp_path: Path) -> None:
    def build(document: Any) -> None:
        math = f'<m:oMath xmlns:m="{M}"><m:r><m:t>F=m·a</m:t></m:r></m:oMath>'
        document.add_paragraph("The load is ")._p.append(parsed(math))

    (page,) = await read(word(tmp_path / "a.docx", build))
    assert page.text == "The load is F=m·a"


async def test_text_boxes_in_cells_and_headers_are_read_once(tmp_path: Path) -> None:
    def build(document: Any) -> None:
        document.add_table(1, 2).cell(0, 1).paragraphs[0]._p.append(parsed(BOX))
        document.sections[0].header.paragraphs[0]._p.append(parsed(BOX))

    (page,) = await read(word(tmp_path / "a.docx", build))
    assert texts(page, BlockKind.HEADER) == ["MOORING"]
    assert cells(page) == [["MOORING"]]


async def test_comments_in_table_cells_are_kept(tmp_path: Path) -> None:
    def build(document: Any) -> None:
        cell = document.add_table(1, 1).cell(0, 0)
        cell.text = "500 kg"
        document.add_comment(cell.paragraphs[0].runs, text="Check this", author="Bo")

    (page,) = await read(word(tmp_path / "a.docx", build))
    assert texts(page, BlockKind.FOOTNOTE) == ["Comment by Bo: Check this"]


async def test_soft_hyphens_are_no_letters(tmp_path: Path) -> None:
    path = word(tmp_path / "a.docx", lambda d: d.add_paragraph("Prüf\u00adprotokoll"))
    (page,) = await read(path)
    assert page.text == "Prüfprotokoll"


def with_footnote(path: Path) -> Path:
    """A document with the part that python-docx does not write."""
    plain = word(path.with_suffix(".plain"), lambda d: d.add_paragraph("The crane lifts 40 t."))
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>Tested in 2026.</w:t></w:r></w:p></w:footnote>'
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("word/footnotes.xml", f'<w:footnotes xmlns:w="{W}">{note}</w:footnotes>')
    return path


async def test_footnotes_of_a_word_file_are_marked(tmp_path: Path) -> None:
    (page,) = await read(with_footnote(tmp_path / "a.docx"))
    assert texts(page, BlockKind.FOOTNOTE) == ["Tested in 2026."]


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1234.5, "[$€-407] #,##0.00", "€ 1234.5"),
        (-99, '"$"#,##0.00', "-$99"),
        (5, '#,##0.00 "EUR"', "5 EUR"),
        (41.5, '0.0 "kg"', "41.5 kg"),
        (3, '_("$"* #,##0.00_);_("$"* (#,##0.00)', "$3"),
        (0.256, "0.0%;-0.0%", "25.6%"),
        (1234567, '0.0,,"M"', "1234567"),
        (7, "General", "7"),
        (7, "#,##0_);[Red](#,##0)", "7"),
        (12, "#,##0.00\\ [$CHF]", "12 CHF"),
    ],
)
async def test_cells_keep_the_unit_that_they_show(
    tmp_path: Path, value: float, code: str, shown: str
) -> None:
    import openpyxl

    book: Any = openpyxl.Workbook()
    book.active["A1"] = value
    book.active["A1"].number_format = code
    book.save(tmp_path / "a.xlsx")
    (page,) = await read(tmp_path / "a.xlsx")
    assert page.text == shown


async def test_a_hidden_slide_says_so(tmp_path: Path) -> None:
    from pptx import Presentation

    deck: Any = Presentation()
    for title in ("Shown", "Kept back"):
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = title
    deck.slides[1]._element.set("show", "0")
    deck.save(str(tmp_path / "a.pptx"))
    assert [page.label for page in await read(tmp_path / "a.pptx")] == [
        "Shown",
        "Kept back (hidden)",
    ]
