"""Small and narrow tables of PDF pages, placed as browsers print real DOCX files."""

from pathlib import Path

import pytest
from tests.adapters.files import pdf_of, placed, width_of
from tests.adapters.parsing import reading

from foliotrace.adapters.local.readers.pdf.lines import PageWord, Region
from foliotrace.adapters.local.readers.pdf.regions import side_by_side, with_wrapped_cells
from foliotrace.model import BlockKind, Box, ParsedPage

pytestmark = pytest.mark.anyio

PROSE = "Example of a table where one or more rows are missing cells from the end of the table."


async def page_of(folder: Path, *texts: tuple[float, float, str], size: float = 10) -> ParsedPage:
    path = folder / "made.pdf"
    path.write_bytes(pdf_of([placed(*texts, size=size)]))
    async with reading(size=1) as local:
        (page,) = await local.read(path)
    return page


async def test_two_rows_that_stand_close_are_a_table(tmp_path: Path) -> None:
    page = await page_of(
        tmp_path,
        (40, 40, "Simple uniform table"),
        (48, 64, "Header Col 1"),
        (148, 64, "Header Col 2"),
        (48, 82, "Lorem ipsum"),
        (148, 82, "A link example"),
        (40, 120, PROSE),
        size=14,
    )
    assert "Header Col 1\tHeader Col 2\nLorem ipsum\tA link example" in page.text
    assert len(page.tables) == 1


async def test_cells_of_one_letter_are_not_one_wrapped_cell(tmp_path: Path) -> None:
    page = await page_of(
        tmp_path,
        (40, 40, PROSE),
        *((48, 64, "a"), (72, 64, "b")),
        *((48, 82, "c"), (72, 82, "d")),
        (48, 100, "a"),
        *((48, 118, "b"), (72, 118, "c")),
        size=13,
    )
    assert "a\tb\nc\td" in page.text
    assert "b\tc" in page.text


async def test_values_at_the_right_edge_are_rows_of_their_own(tmp_path: Path) -> None:
    rows = (
        (85, "Name", "Hana Sato"),
        (97, "Born", "4 May 1988"),
        (117, "Telephone, home", "+44 20 7946 0991"),
        (129, "Telephone, work", "+44 20 7946 1200"),
    )
    labels = [(61.0, float(y), label) for y, label, _ in rows]
    values = [(300 - width_of(value), float(y), value) for y, _, value in rows]
    address = (61.0, 141.0, "Address: 12 Weir Lane, Oakham")
    page = await page_of(tmp_path, *labels, *values, address, (57, 180, PROSE))
    assert "\n".join(f"{label}\t{value}" for _, label, value in rows) in page.text


def word(text: str, x: float, y: float) -> PageWord:
    width = width_of(text)
    return PageWord(text, x, y, width, 9.3, x + width)


def column(kind: BlockKind, x: float, *texts: str) -> Region:
    runs = [[word(text, x, 164 + 12 * at)] for at, text in enumerate(texts)]
    return Region(kind, 0, Box(x, 164, 40, 12 * len(texts)), runs)


async def test_bold_labels_beside_their_values_are_no_heading() -> None:
    labels = column(BlockKind.HEADING, 60, "Net", "VAT", "Gross")
    values = column(BlockKind.TEXT, 326, "522.60", "99.29", "621.89")
    (form,) = side_by_side([labels, values])
    assert form.kind is BlockKind.TABLE


async def test_a_heading_beside_one_line_of_text_stays_a_heading() -> None:
    heading = column(BlockKind.HEADING, 60, "Terms of the lease")
    other = column(BlockKind.TEXT, 326, "Page 2", "of 3", "of the lease")
    assert side_by_side([heading, other]) == [heading, other]


async def test_the_second_line_of_a_cell_belongs_to_its_table() -> None:
    rows = [(60.0, "1"), (82.0, "Rope of polyamide, laid in three strands"), (488.0, "12")]
    lines = [[word(text, x, y)] for y in (201.6, 234.6) for x, text in rows]
    table = Region(BlockKind.TABLE, 0, Box(60, 179, 476, 66), lines)
    wrapped = Region(BlockKind.TEXT, 0, Box(82, 212, 44, 10), [[word("other end", 82, 212.1)]])
    (whole,) = with_wrapped_cells([wrapped, table])
    assert wrapped.runs[0] in whole.runs


async def test_gaps_of_justified_prose_that_do_not_stand_above_each_other_stay(
    tmp_path: Path,
) -> None:
    page = await page_of(
        tmp_path,
        *((57, 60, "The river rose in the"), (170, 60, "night and took the bridge")),
        *((57, 72, "away with it before"), (160, 72, "the morning came to them")),
        *((57, 84, "all and the mail was then"), (183, 84, "brought by boat until")),
    )
    assert "\t" not in page.text
    assert not page.tables
