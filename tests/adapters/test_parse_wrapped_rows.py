"""Rows whose cells wrap, as Writer, Calc and browsers set them: no gap, centred, at the bottom."""

from pathlib import Path

import pytest
from tests.adapters.files import pdf_of, placed, width_of
from tests.adapters.parsing import reading

from foliotrace.model import ParsedPage

pytestmark = pytest.mark.anyio

Placed = tuple[float, float, str]
HEAD = ("Part", "Description", "Quantity", "Amount")
LEFT, TEXT, QUANTITY, AMOUNT = 90.0, 176.0, 263.0, 436.0


async def page_of(folder: Path, *texts: Placed) -> ParsedPage:
    path = folder / "made.pdf"
    path.write_bytes(pdf_of([placed(*texts)]))
    async with reading(size=1) as local:
        (page,) = await local.read(path)
    return page


def rows_of(page: ParsedPage) -> list[list[str]]:
    cells = [[page.text[c.start : c.end] for c in r.cells] for t in page.tables for r in t.rows]
    return [[" ".join(cell.split()) for cell in row] for row in cells]


def row(top: float, *cells: str) -> list[Placed]:
    return [(x, top, c) for x, c in zip((LEFT, TEXT, QUANTITY, AMOUNT), cells, strict=True) if c]


ROPE = ("Rope of three", "strands, with a", "thimble")
ITEMS = [
    ["R-1", "Rope of three strands, with a thimble", "12", "498.00"],
    ["C-2", "Chain", "30", "246.00"],
    ["R-3", "Rope of three strands, with a thimble", "7", "290.50"],
]


async def test_rows_without_a_gap_between_them_keep_their_wrapped_cells(tmp_path: Path) -> None:
    texts = row(100, *HEAD)
    at = 112.0
    for part, text, quantity, amount in ITEMS:
        lines = ROPE if text.startswith("Rope") else (text,)
        texts += row(at, part, lines[0], quantity, amount)
        texts += [(TEXT, at + 11.5 * n, line) for n, line in enumerate(lines[1:], 1)]
        at += 11.5 * len(lines) + 0.5
    page = await page_of(tmp_path, *texts)
    assert rows_of(page) == [list(HEAD), *ITEMS]


async def test_cells_centred_beside_a_wrapped_one_are_in_its_row(tmp_path: Path) -> None:
    texts = row(100, *HEAD)
    for at, (part, quantity, amount) in (
        (130.0, ("R-1", "12", "498.00")),
        (180.0, ("R-3", "7", "290.50")),
    ):
        texts += [(TEXT, at - 6, "Rope of three"), *row(at, part, "", quantity, amount)]
        texts.append((TEXT, at + 6, "strands"))
    texts += row(155, "C-2", "Chain", "30", "246.00")
    rows = rows_of(await page_of(tmp_path, *texts))
    assert ["R-1", "Rope of three strands", "12", "498.00"] in rows
    assert ["R-3", "Rope of three strands", "7", "290.50"] in rows


async def test_figures_at_the_bottom_of_wrapped_cells_are_in_their_rows(tmp_path: Path) -> None:
    texts = row(100, *HEAD)
    texts += [(TEXT, 128, "Rope of three"), *row(140, "R-1", "strands", "12", "498.00")]
    texts += row(166, "C-2", "Chain", "30", "246.00")
    texts += [(TEXT, 194, "Rope of three"), *row(206, "R-3", "strands", "7", "290.50")]
    rows = rows_of(await page_of(tmp_path, *texts))
    assert rows[1:] == [
        ["R-1", "Rope of three strands", "12", "498.00"],
        ["C-2", "Chain", "30", "246.00"],
        ["R-3", "Rope of three strands", "7", "290.50"],
    ]


async def test_the_last_row_keeps_its_second_line(tmp_path: Path) -> None:
    texts = [*row(100, *HEAD), *row(122, "C-2", "Chain", "30", "246.00")]
    texts += [*row(144, "R-1", "Rope of three", "12", "498.00"), (TEXT, 155.5, "strands")]
    rows = rows_of(await page_of(tmp_path, *texts))
    assert rows[-1] == ["R-1", "Rope of three strands", "12", "498.00"]


async def test_a_code_broken_at_its_hyphen_is_one_cell(tmp_path: Path) -> None:
    texts = row(100, *HEAD)
    for at, number in ((130.0, "687"), (170.0, "699"), (210.0, "846")):
        texts += [(LEFT, at - 6, "S-"), *row(at, "", "Chain", "30", "246.00")]
        texts.append((LEFT, at + 6, number))
    rows = rows_of(await page_of(tmp_path, *texts))
    assert ["S- 687", "Chain", "30", "246.00"] in rows
    assert ["S- 846", "Chain", "30", "246.00"] in rows


async def test_dots_between_label_and_value_are_no_text(tmp_path: Path) -> None:
    pairs = (("Delivery terms", "Carriage paid"), ("Net amount", "6,188.56"), ("Due", "3 March"))
    texts = [
        (LEFT, 100.0 + 16 * n, f"{label}{'.' * 60}{value}")
        for n, (label, value) in enumerate(pairs)
    ]
    page = await page_of(tmp_path, *texts)
    assert rows_of(page) == [list(pair) for pair in pairs]
    (word,) = [w for w in page.words if page.text[w.start : w.end] == "6,188.56"]
    right = LEFT + width_of(f"Net amount{'.' * 60}6,188.56")
    assert word.box.x + word.box.width == pytest.approx(right, abs=2)


async def test_values_flush_right_in_several_blocks_stay_with_their_labels(tmp_path: Path) -> None:
    pairs = (
        ("Amount payable", "4,531.15"), ("Valid until", "04/11/2025"), ("Port", "Rotterdam"),
        ("Gross weight", "1,240 kg"), ("E-mail", "harbour.office@oakham.example"),
        ("Telephone", "+44 1572 555 0143"), ("Order date", "2026-04-17"), ("VAT", "5,110.23"),
    )  # fmt: skip
    texts: list[Placed] = []
    for n, (label, value) in enumerate(pairs):
        at = 100 + 22.5 * n
        texts += [(46.0, at, label), (550.0 - width_of(value), at, value)]
    page = await page_of(tmp_path, *texts)
    lines = page.text.split("\n")
    assert all(f"{label}\t{value}" in lines for label, value in pairs)
