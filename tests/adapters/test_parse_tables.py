"""Forms, tables and what surrounds them, in PDF pages whose structure is known."""

from pathlib import Path

import pytest
from tests.adapters.files import pdf_of, placed
from tests.adapters.parsing import reading

from foliotrace.model import BlockKind, ParsedPage, Table

pytestmark = pytest.mark.anyio

Placed = tuple[float, float, str]

PROSE = (
    "Thank you for your order. The goods were delivered on the day that we agreed on and the",
    "invoice is payable without deduction to the account below within the time that is printed",
    "above, and late payments bear interest at five per cent above the base rate of the bank.",
)


async def pages_of(folder: Path, *contents: bytes) -> list[ParsedPage]:
    path = folder / "made.pdf"
    path.write_bytes(pdf_of(contents))
    async with reading(size=1) as local:
        return await local.read(path)


def rows_of(page: ParsedPage, table: Table) -> list[list[str]]:
    return [[page.text[c.start : c.end] for c in row.cells] for row in table.rows]


def headers_of(page: ParsedPage, table: Table) -> list[list[str]]:
    return [rows_of(page, table)[i] for i, row in enumerate(table.rows) if row.is_header]


def lines(top: float, pitch: float, *rows: tuple[tuple[float, str], ...]) -> list[Placed]:
    return [(x, top + pitch * i, text) for i, row in enumerate(rows) for x, text in row]


def paragraph(top: float, *texts: str, left: float = 72) -> list[Placed]:
    return [(left, top + 12 * i, text) for i, text in enumerate(texts)]


FORM = (
    ("Invoice number", "BT-2025-0417"),
    ("Invoice date", "14 March 2025"),
    ("Payment terms", "30 days net"),
    ("Due date", "13 April 2025"),
)


@pytest.mark.parametrize("value_at", [180, 212, 330])
@pytest.mark.parametrize("pitch", [12, 18, 26])
async def test_labels_of_a_form_keep_their_values_above_prose(
    tmp_path: Path, value_at: float, pitch: float
) -> None:
    form = lines(100, pitch, *(((72, label), (value_at, value)) for label, value in FORM))
    (page,) = await pages_of(tmp_path, placed(*form, *paragraph(120 + 4 * pitch, *PROSE)))
    assert "\n".join(f"{label}\t{value}" for label, value in FORM) in page.text
    assert rows_of(page, page.tables[0]) == [list(pair) for pair in FORM]
    assert page.text.index("13 April 2025") < page.text.index("Thank you")


async def test_a_form_above_a_table_of_the_same_pitch_keeps_its_pairs(tmp_path: Path) -> None:
    pairs = (
        ("Order number", "PO-2026-0088"),
        ("Order date", "3 March 2026"),
        ("Supplier", "Oakham Rope Works, 14 Mill Road"),
        ("Delivery terms", "Carriage paid, within 20 days"),
    )
    items = (
        ("Part", "Description", "Amount"),
        ("R-110", "Rope", "498.00"),
        ("C-2", "Chain", "9.00"),
    )
    form = lines(100, 15, *(((72, label), (160, value)) for label, value in pairs))
    starts = (72, 160, 400)
    below = lines(194, 15, *(tuple(zip(starts, row, strict=True)) for row in items))
    heading = [(72.0, 169.0, "Items of the yard")]
    (page,) = await pages_of(tmp_path, placed(*form, *heading, *below))
    assert "\n".join(f"{label}\t{value}" for label, value in pairs) in page.text


async def test_a_form_of_two_pairs_a_line_keeps_them(tmp_path: Path) -> None:
    form = lines(
        100,
        16,
        ((72, "Name:"), (150, "Hana Sato"), (330, "Patient ID:"), (420, "PAT-3847")),
        ((72, "Born:"), (150, "4 May 1981"), (330, "Ward:"), (420, "Cardiology")),
        ((72, "Doctor:"), (150, "R. Weir"), (330, "Admitted:"), (420, "2 June 2025")),
    )
    (page,) = await pages_of(tmp_path, placed(*form, *paragraph(180, *PROSE)))
    assert "Name:\tHana Sato\tPatient ID:\tPAT-3847" in page.text
    assert "Doctor:\tR. Weir\tAdmitted:\t2 June 2025" in page.text


async def test_two_columns_of_prose_are_still_read_one_after_the_other(tmp_path: Path) -> None:
    left = PROSE[0].split()
    right = "no trains ran on the coast line until the end of that year".split()  # noqa: SIM905

    def column(words: list[str], x: float) -> list[Placed]:
        text = [" ".join((words * 9)[i * 8 : i * 8 + 8]) for i in range(14)]
        return paragraph(100, *text, left=x)

    (page,) = await pages_of(tmp_path, placed(*column(left, 60), *column(right, 330)))
    assert not page.tables
    assert page.text.index("trains ran") > page.text.rindex("Thank you")


BLOCK = (("Account holder", "Hana Sato"), ("Account", "DE12 3456 7890"), ("Branch", "Otley"))
HEADS = ("Date", "Description", "Debit", "Credit", "Balance")


@pytest.mark.parametrize("gap", [0, 6, 14])
async def test_two_tables_one_under_the_other_stay_two(tmp_path: Path, gap: float) -> None:
    block = lines(100, 15, *(((72, label), (200, value)) for label, value in BLOCK))
    top = 145 + gap
    heads = [(x, top, t) for x, t in zip((72, 140, 330, 400, 470), HEADS, strict=True)]
    body = lines(
        top + 15,
        15,
        ((72, "2 May 2025"), (140, "Rent"), (-360, "850.00"), (-510, "1,150.00")),
        ((72, "9 May 2025"), (140, "Salary"), (-430, "2,400.00"), (-510, "3,550.00")),
        ((72, "21 May 2025"), (140, "Groceries"), (-360, "64.20"), (-510, "3,485.80")),
    )
    (page,) = await pages_of(tmp_path, placed(*block, *heads, *body))
    assert len(page.tables) == 2
    upper, lower = page.tables
    assert rows_of(page, upper) == [list(pair) for pair in BLOCK]
    assert headers_of(page, lower) == [list(HEADS)]
    assert rows_of(page, lower)[1] == ["2 May 2025", "Rent", "850.00", "1,150.00"]
    columns = [[cell.column for cell in row.cells] for row in lower.rows]
    assert columns == [[0, 1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 3, 4], [0, 1, 2, 4]]


async def test_a_cell_that_wraps_stays_one_cell_of_one_row(tmp_path: Path) -> None:
    heads = lines(100, 12, ((72, "Item"), (300, "Supplier"), (440, "Price")))
    body = lines(
        122,
        12,
        ((72, "Stainless steel bracket with two"), (300, "Weir Metal Works"), (-470, "318.00")),
        ((72, "rows of holes, galvanised on both"), (300, "of Otley, Yorkshire")),
        ((72, "sides"),),
    )
    more = lines(
        168,
        12,
        ((72, "Copper pipe of a diameter of 15"), (300, "Brown and Sons"), (-470, "131.40")),
        ((72, "millimetres"),),
    )
    last = lines(202, 12, ((72, "Delivery"), (300, "Fast Wheels"), (-470, "12.00")))
    (page,) = await pages_of(tmp_path, placed(*heads, *body, *more, *last))
    assert rows_of(page, page.tables[0])[1:] == [
        [
            "Stainless steel bracket with two rows of holes, galvanised on both sides",
            "Weir Metal Works of Otley, Yorkshire",
            "318.00",
        ],
        ["Copper pipe of a diameter of 15 millimetres", "Brown and Sons", "131.40"],
        ["Delivery", "Fast Wheels", "12.00"],
    ]


async def test_a_label_that_wraps_before_its_figures_is_one_row(tmp_path: Path) -> None:
    body = lines(
        140,
        13,
        ((-430, "2022"), (-510, "2021")),
        ((72, "Revenue"), (-430, "5,931"), (-510, "7,103")),
        ((72, "Reclassification adjustments for net realized gain"),),
        ((72, "included in net income"), (-430, "1,200"), (-510, "13")),
        ((72, "Total"), (-430, "7,131"), (-510, "7,116")),
    )
    (page,) = await pages_of(tmp_path, placed(*body))
    assert [
        "Reclassification adjustments for net realized gain included in net income",
        "1,200",
        "13",
    ] in rows_of(page, page.tables[0])


STATEMENT = (
    *paragraph(90, "Results of the two segments of the group are given in the table below."),
    (72, 120, "Table 3: Results by segment"),
    (72, 132, "(in millions, except per share amounts)"),
    (320, 152, "Three Months Ended"),
    (450, 152, "Nine Months Ended"),
    *lines(
        166,
        14,
        ((-360, "2023"), (-420, "2022"), (-490, "2023"), (-550, "2022")),
        ((72, "Revenue"), (-360, "1,204"), (-420, "1,100"), (-490, "3,604"), (-550, "3,321")),
        ((72, "Cost"), (-360, "(804)"), (-420, "(700)"), (-490, "(2,404)"), (-550, "(2,201)")),
        ((72, "Profit"), (-360, "400"), (-420, "400"), (-490, "1,200"), (-550, "1,120")),
    ),
)


async def test_caption_unit_and_period_of_a_table_are_found(tmp_path: Path) -> None:
    (page,) = await pages_of(tmp_path, placed(*STATEMENT))
    (table,) = page.tables
    assert table.caption == "Table 3: Results by segment"
    assert table.unit == "in millions, except per share amounts"
    assert table.period == (
        "Three Months Ended 2023; Three Months Ended 2022;"
        " Nine Months Ended 2023; Nine Months Ended 2022"
    )
    assert headers_of(page, table) == [
        ["Three Months Ended", "Nine Months Ended"],
        ["2023", "2022", "2023", "2022"],
    ]
    assert [[cell.column for cell in row.cells] for row in table.rows][:3] == [
        [1, 3],
        [1, 2, 3, 4],
        [0, 1, 2, 3, 4],
    ]


async def test_a_table_over_several_pages_carries_its_header(tmp_path: Path) -> None:
    columns = ((72, "Item"), (-430, "2022"), (-510, "2021"))

    def body(first: int, count: int, top: float) -> list[Placed]:
        return lines(
            top,
            14,
            *(
                ((72, f"Plant {n}"), (-430, f"{n},100"), (-510, f"{n},050"))
                for n in range(first, first + count)
            ),
        )

    start = [*paragraph(100, *PROSE), *lines(150, 14, columns), *body(1, 40, 164)]
    one, two, three = await pages_of(
        tmp_path,
        placed(*start),
        placed(*body(41, 48, 60)),
        placed(*body(89, 5, 60), *paragraph(200, *PROSE)),
    )
    assert not one.tables[0].continued_header
    assert two.tables[0].continued_header == "Item\t2022\t2021"
    assert three.tables[0].continued_header == "Item\t2022\t2021"
    assert len(two.tables[0].rows) == 48


@pytest.mark.parametrize("rotated", [90, 180, 270])
async def test_a_page_with_turned_text_reads_upright(tmp_path: Path, rotated: int) -> None:
    form = lines(100, 18, *(((72, label), (212, value)) for label, value in FORM))
    content = placed(*form, *paragraph(220, *PROSE), rotated=rotated)
    (page,) = await pages_of(tmp_path, content)
    assert "Invoice number\tBT-2025-0417\nInvoice date\t14 March 2025" in page.text
    assert " ".join(PROSE) in page.text


async def test_footnotes_are_marked_and_stay_out_of_the_table(tmp_path: Path) -> None:
    body = lines(
        100,
        14,
        ((-430, "2022"), (-510, "2021")),
        ((72, "Revenue (1)"), (-430, "5,931"), (-510, "7,103")),
        ((72, "Cost (2)"), (-430, "2,931"), (-510, "3,103")),
    )
    notes = [
        (72.0, 160.0, "(1) Revenue is stated before the taxes of the year, and after all refunds."),
        (72.0, 172.0, "(2) Cost holds the depreciation of the plants that were sold in the year."),
    ]
    (page,) = await pages_of(tmp_path, placed(*body, *notes))
    assert rows_of(page, page.tables[0])[-1] == ["Cost (2)", "2,931", "3,103"]
    marked = [page.text[b.start : b.end] for b in page.blocks if b.kind is BlockKind.FOOTNOTE]
    assert " ".join(" ".join(marked).split()) == " ".join(text for *_, text in notes)


async def test_lines_that_stand_on_three_pages_are_header_and_footer(tmp_path: Path) -> None:
    def page(number: int) -> bytes:
        return placed(
            (72, 40, "Weir Group plc"),
            *paragraph(100, f"Chapter {number} tells of the plant called {chr(64 + number)}."),
            (72, 760, f"Weir Group plc Annual Report 2024 {number + 12}"),
        )

    pages = await pages_of(tmp_path, *(page(n) for n in range(1, 5)))
    for found in pages:
        kinds = {found.text[b.start : b.end]: b.kind for b in found.blocks}
        number = found.number
        assert kinds.pop("Weir Group plc") is BlockKind.HEADER
        assert kinds.pop(f"Weir Group plc Annual Report 2024 {number + 12}") is BlockKind.FOOTER
        assert BlockKind.HEADER not in kinds.values()


async def test_a_line_on_two_pages_only_is_no_header(tmp_path: Path) -> None:
    contents = [placed((72, 40, "Weir Group plc"), *paragraph(100, *PROSE)) for _ in range(2)]
    for page in await pages_of(tmp_path, *contents):
        assert all(block.kind is not BlockKind.HEADER for block in page.blocks)
