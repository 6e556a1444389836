"""What stands around the body of Office files: margins, comments, charts, pictures."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.adapters.files import zip_of
from tests.adapters.parsing import reading

from foliotrace.adapters.local.files.filetype import BMP, HEIC, ODP, ODS, sniff
from foliotrace.adapters.local.readers.reading_options import (
    ReadingOptions,
    Refusal,
    find_tessdata,
)
from foliotrace.catalog import PageProblem
from foliotrace.errors import FileRefused
from foliotrace.model import BlockKind, PageKind, PageStatus, ParsedPage

pytestmark = pytest.mark.anyio
TESSDATA = find_tessdata()
needs_models = pytest.mark.skipif(TESSDATA is None, reason="no Tesseract models")


async def read(path: Path, tessdata: str | None = None) -> list[ParsedPage]:
    async with reading(size=1, tessdata=tessdata) as at:
        return await at.read(path)


def texts(page: ParsedPage, kind: BlockKind) -> list[str]:
    return [page.text[b.start : b.end] for b in page.blocks if b.kind is kind]


def picture(words: str = "MOORING FEE 42", form: str = "PNG") -> bytes:
    image = Image.new("RGB", (900, 200), "white")
    font = ImageFont.load_default(size=60)
    ImageDraw.Draw(image).text((40, 60), words, fill="black", font=font)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def word(path: Path, build: Any) -> Path:
    import docx

    document = docx.Document()
    build(document)
    document.save(str(path))
    return path


# --- DOCX ----------------------------------------------------------------------------------------


async def test_headers_footers_and_comments_of_a_word_file_are_kept_and_marked(
    tmp_path: Path,
) -> None:
    def build(document: Any) -> None:
        document.sections[0].header.paragraphs[0].text = "Harbour Club, internal"
        document.sections[0].footer.paragraphs[0].text = "Filed by Ann"
        document.add_heading("Fees", 1)
        paragraph = document.add_paragraph("The winch costs 9.00.")
        document.add_comment(paragraph.runs, text="Check this price.", author="Ben")

    (page,) = await read(word(tmp_path / "a.docx", build))
    assert texts(page, BlockKind.HEADER) == ["Harbour Club, internal"]
    assert texts(page, BlockKind.FOOTER) == ["Filed by Ann"]
    assert texts(page, BlockKind.FOOTNOTE) == ["Comment by Ben: Check this price."]
    assert page.label == "Fees"


@needs_models
async def test_the_words_of_a_picture_in_a_word_file_are_read_in_their_place(
    tmp_path: Path,
) -> None:
    def build(document: Any) -> None:
        document.add_paragraph("Before")
        document.add_picture(io.BytesIO(picture()))
        document.add_paragraph("After")

    (page,) = await read(word(tmp_path / "a.docx", build), TESSDATA)
    before, words, after = page.text.split("\n\n")
    assert (before, after) == ("Before", "After")
    assert "MOORING FEE 42" in words


async def test_a_word_file_of_pictures_alone_still_needs_ocr(tmp_path: Path) -> None:
    path = word(tmp_path / "a.docx", lambda d: d.add_picture(io.BytesIO(picture())))
    (page,) = await read(path)
    assert (page.status, page.problem) == (PageStatus.NEEDS_OCR, PageProblem.NEEDS_OCR)


# --- PPTX ----------------------------------------------------------------------------------------


def deck(path: Path) -> Path:
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Berths"
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Guests", (310, 352))
    data.add_series("Members", (120, 118))
    place = (Inches(1), Inches(2), Inches(6), Inches(4))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Nights by kind"
    slide.shapes.add_picture(io.BytesIO(picture()), *place)
    presentation.save(str(path))
    return path


async def test_the_data_of_a_chart_are_a_table_with_its_title(tmp_path: Path) -> None:
    (page,) = await read(deck(tmp_path / "a.pptx"))
    assert texts(page, BlockKind.CAPTION) == ["Nights by kind"]
    assert "Guests\tMembers\n2024\t310\t120\n2025\t352\t118" in page.text


@needs_models
async def test_the_words_of_a_picture_on_a_slide_are_read(tmp_path: Path) -> None:
    (page,) = await read(deck(tmp_path / "a.pptx"), TESSDATA)
    assert "MOORING FEE 42" in page.text


# --- XLSX, ODS, XLS ------------------------------------------------------------------------------


async def test_hidden_sheets_comments_margins_and_charts_of_a_workbook_are_marked(
    tmp_path: Path,
) -> None:
    import openpyxl
    from openpyxl.chart import BarChart, Reference
    from openpyxl.comments import Comment

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Fees"
    for row in (("Item", "EUR"), ("Winch", 9), ("Crane", 40)):
        sheet.append(row)
    sheet["B2"].comment = Comment("Raised in May", "Ben")
    sheet.oddFooter.center.text = "Harbour Club &P"
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
    sheet.add_chart(chart, "D2")
    secret = book.create_sheet("Salaries")
    secret["A1"] = "Ann 100"
    secret.sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    shown, hidden = await read(tmp_path / "a.xlsx")
    assert shown.label == "Fees"
    assert texts(shown, BlockKind.FOOTNOTE) == ["Comment on B2: Raised in May"]
    assert texts(shown, BlockKind.FOOTER) == ["Harbour Club"]
    assert hidden.label == "Salaries (hidden)"


ODF = "urn:oasis:names:tc:opendocument:xmlns"
NAMES = " ".join(
    f'xmlns:{name}="{ODF}:{whole}:1.0"'
    for name, whole in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("style", "style"),
        ("draw", "drawing"), ("presentation", "presentation"),
    )
)  # fmt: skip


def opendocument(path: Path, media_type: str, body: str, styles: str = "") -> Path:
    content = (
        f"<office:document-content {NAMES}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body>{body}</office:body></office:document-content>"
    )
    return zip_of(path, {"mimetype": media_type.encode(), "content.xml": content.encode()})


async def test_an_ods_is_read_by_sheets_with_cell_names_and_hidden_ones_marked(
    tmp_path: Path,
) -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>".format
    hidden = (
        '<style:style style:name="ta2"><style:table-properties table:display="false"/>'
        "</style:style>"
    )
    rows = f"<table:table-row>{cell('Item')}{cell('EUR')}</table:table-row>"
    gap = '<table:table-row table:number-rows-repeated="2"/>'
    more = f"<table:table-row>{cell('Winch')}{cell('9')}</table:table-row>"
    path = opendocument(
        tmp_path / "a.ods",
        ODS,
        f'<office:spreadsheet><table:table table:name="Fees">{rows}{more}{gap}{more}</table:table>'
        f'<table:table table:name="Old" table:style-name="ta2">{more}</table:table>'
        "</office:spreadsheet>",
        hidden,
    )
    first, second = await read(path)
    assert (first.kind, first.label, second.label) == (PageKind.SHEET, "Fees", "Old (hidden)")
    assert first.text == "Item\tEUR\nWinch\t9\n\nWinch\t9"
    assert [row.cells[0].ref for table in first.tables for row in table.rows] == ["A1", "A2", "A5"]


async def test_an_odp_is_read_by_slides(tmp_path: Path) -> None:
    def slide(title: str, text: str) -> str:
        return (
            f'<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{title}'
            f"</text:p></draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>{text}"
            "</text:p></draw:text-box></draw:frame></draw:page>"
        )

    body = (
        f"<office:presentation>{slide('Berths', 'Full')}{slide('Fees', '9')}</office:presentation>"
    )
    pages = await read(opendocument(tmp_path / "a.odp", ODP, body))
    assert [(page.kind, page.label, page.text) for page in pages] == [
        (PageKind.SLIDE, "Berths", "Berths\n\nFull"),
        (PageKind.SLIDE, "Fees", "Fees\n\n9"),
    ]


# --- pictures ------------------------------------------------------------------------------------


async def test_a_bmp_and_each_frame_of_a_tiff_are_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(picture(form="BMP"))
    assert sniff(tmp_path / "a.bmp") == BMP
    (page,) = await read(tmp_path / "a.bmp")
    assert page.problem == PageProblem.NEEDS_OCR
    frames = [Image.new("L", (40, 40), shade) for shade in (0, 128, 255)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    assert len(await read(tmp_path / "a.tiff")) == 3


async def test_a_large_valid_png_is_read(tmp_path: Path) -> None:
    Image.new("1", (9990, 9990), 1).save(tmp_path / "a.png")
    (page,) = await read(tmp_path / "a.png")
    assert page.status is PageStatus.NEEDS_OCR


async def test_a_heic_picture_is_known_by_its_content_and_damage_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(200))
    assert sniff(path) == HEIC
    with pytest.raises(FileRefused) as refused:
        await read(path)
    assert refused.value.error_code in ("file_malformed", "file_truncated")


def test_a_heic_picture_without_its_decoder_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foliotrace.adapters.local.readers.pdf import image

    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(200))
    with pytest.raises(Refusal) as refused:
        image.overview(tmp_path / "a.heic", ReadingOptions())
    assert refused.value.error_code == "needs_converter"
    assert "heic" in refused.value.message
