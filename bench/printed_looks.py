"""Forms and tables as several engines set them, and how many of their rows and fields are read.

`python -m bench.printed_looks [LOOK ...]`. Contents are drawn from a seed; fonts, spacing, rulings
and vertical alignment differ from page to page. Looks: `writer` (LibreOffice, from DOCX), `wk`
(wkhtmltopdf), `grid` and `flex` (Chromium). One whose engine is not installed is left out.
"""

import argparse
import html
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.printed_sources import print_page
from bench.reading import OURS, Known, find_browser, read_with, score, words_of

PAGES = 6  # of each look
VALUES = {
    "Order number": ("PO-2026-0088", "4711/26", "BT-2025-0417"),
    "Order date": ("3 March 2026", "2026-04-17", "04/11/2025"),
    "Supplier": (
        "Oakham Rope and Chain Works, 14 Mill Road, Oakham LE15 6AB",
        "Weir School, 12 Mill Lane, Ashford",
        "Harbour Board, North Quay 3, 20457 Hamburg, Germany",
    ),
    "Contact person": ("Ann Whitlock", "Bo Larsen", "Maria del Carmen Ruiz"),
    "Telephone": ("+44 1572 555 0143",),
    "E-mail": ("yard@oakham.example",),
    "Payment terms": ("30 days net", "Carriage paid, within 20 working days"),
    "Gross weight": ("1,240 kg",),
    "Net amount": ("5,331.20", "840.06"),
    "VAT 20 %": ("1,066.24", "168.01"),
    "Port of loading": ("Rotterdam",),
    "Insured value (EUR)": ("3,252.64",),
    "Remarks": (
        "Goods remain the property of the seller until they are paid in full; claims within "
        "eight days of receipt",
        "Deliver between 7 and 9 in the morning at the rear gate, ring twice and ask for the "
        "foreman on duty",
    ),
}
PARTS = (
    "Rope of polyamide, laid in three strands, with a thimble at each end",
    "Chain, galvanised",
    "Splicing by hand at the works",
    "Block, double, ash wood with brass sheaves and a becket",
    "Shackle 12 mm",
    "Inspection of the winch according to the yearly plan, with protocol",
    "Paint",
)
LINES = (
    "Revenue",
    "Cost of sales",
    "Gross profit",
    "Wages and salaries",
    "Depreciation of plant and machinery, including impairment of the year",
    "Other operating income",
)
LIBREOFFICE = ("soffice", "--headless", "--convert-to", "pdf", "--outdir")

Rows = list[list[str]]
Look = Callable[[Path, int, Rows, Sequence[Rows]], Path]


def contents(seed: int) -> Iterator[tuple[Rows, list[Rows]]]:
    """A form and two tables for each page."""
    for page in range(PAGES):
        draw = random.Random(100 * seed + page)
        form = [[label, draw.choice(VALUES[label])] for label in draw.sample(list(VALUES), 9)]
        parts = [["Part", "Description", "Quantity", "Price", "Amount"]]
        for _ in range(6):
            count, cents = draw.randint(1, 40), draw.randint(50, 9000)
            number = f"{draw.choice('RCSB')}-{draw.randint(100, 999)}"
            price, amount = f"{cents / 100:.2f}", f"{count * cents / 100:,.2f}"
            parts.append([number, draw.choice(PARTS), str(count), price, amount])
        years = [["Item", "2025", "2024", "2023"]]
        years += [
            [line, *(f"{draw.randint(100, 99999):,}" for _ in range(3))]
            for line in draw.sample(LINES, 5)
        ]
        yield form, [parts, years]


def writer(folder: Path, page: int, form: Rows, tables: Sequence[Rows]) -> Path:
    """A Word file printed by LibreOffice: rows without gaps, double rows, rulings or none."""
    import docx
    from docx.shared import Pt

    document = docx.Document()
    font = document.styles["Normal"].font
    font.name = ("Liberation Serif", "Liberation Sans")[page % 2]
    font.size = Pt((11, 10, 9)[page % 3])
    document.add_heading("Order of the boat yard", 1)
    for rows in (form, *tables):
        table = document.add_table(rows=0, cols=len(rows[0]))
        table.style = ("Normal Table", "Table Grid", "Light Shading Accent 1")[page % 3]
        for row in rows:
            for cell, value in zip(table.add_row().cells, row, strict=True):
                cell.text = value
        document.add_paragraph("")
    path = folder / f"writer{page}.docx"
    document.save(str(path))
    subprocess.run([*LIBREOFFICE, str(folder), str(path)], check=True, capture_output=True)
    return path.with_suffix(".pdf")


def wk(folder: Path, page: int, form: Rows, tables: Sequence[Rows]) -> Path:
    """An HTML page printed by wkhtmltopdf: values at the right edge, tight rows, typewriter."""
    style = (
        "body{font:13px 'DejaVu Sans'} td{padding:2px 6px} .form{width:100%}",
        "body{font:15px 'Liberation Serif'} td{padding:1px 10px;border-bottom:1px dotted #999}",
        "body{font:12px 'DejaVu Sans Mono'} td{padding:4px} .form{width:100%}",
    )[page % 3]
    path = folder / f"wk{page}.html"
    rows = (form, *tables)
    path.write_text(_page(f"{style} .r{{text-align:right}}", map(_table, rows)), "utf-8")
    pdf = path.with_suffix(".pdf")
    subprocess.run(["wkhtmltopdf", "-q", str(path), str(pdf)], check=True, capture_output=True)
    return pdf


def grid(folder: Path, page: int, form: Rows, tables: Sequence[Rows]) -> Path:
    """A form in a CSS grid, narrow first columns, cells centred beside wrapped ones."""
    css = (
        "body{font:10pt 'Liberation Sans'} .f{grid-template-columns:max-content 1fr}",
        "body{font:11pt/1.5 'Liberation Serif'} .f{grid-template-columns:5cm 1fr}"
        " .f>:nth-child(even){text-align:right}",
        "body{font:8.5pt 'DejaVu Serif'} .f{grid-template-columns:1fr 1fr}",
    )[page % 3]
    css += ".f{display:grid;gap:3pt 14pt} tr{break-inside:avoid} td{padding:3pt 7pt}"
    cells = "".join(f"<div>{html.escape(cell)}</div>" for row in form for cell in row)
    return _chromium(folder / f"grid{page}.html", css, [f"<div class=f>{cells}</div>"], tables)


def flex(folder: Path, page: int, form: Rows, tables: Sequence[Rows]) -> Path:
    """A form whose values stand at the right edge, or beside labels flush right."""
    css = (
        "body{font:8pt 'DejaVu Sans'} .f{justify-content:space-between}",
        "body{font:9pt 'Liberation Mono'} .f>:first-child{min-width:150pt;text-align:right}",
        "body{font:12pt 'Liberation Sans'} .f>:first-child{min-width:120pt}",
    )[page % 3]
    align = ("middle", "bottom", "top")[page % 3]
    css += f".f{{display:flex;gap:5mm;padding:2pt}} td{{padding:3pt 6pt;vertical-align:{align}}}"
    lines = [
        f"<div class=f>{''.join(f'<span>{html.escape(cell)}</span>' for cell in row)}</div>"
        for row in form
    ]
    return _chromium(folder / f"flex{page}.html", css, lines, tables)


LOOKS: dict[str, tuple[Look, str]] = {
    "writer": (writer, "soffice"),
    "wk": (wk, "wkhtmltopdf"),
    "grid": (grid, "chromium"),
    "flex": (flex, "chromium"),
}


def _table(rows: Rows) -> str:
    kind = "form" if len(rows[0]) == 2 else "table"
    first = 1 if len(rows[0]) < 5 else 2
    body = "".join(
        "<tr>"
        + "".join(f"<td class={'r' if n >= first else 'l'}>{html.escape(c)}" for n, c in row_of)
        for row_of in (list(enumerate(row)) for row in rows)
    )
    return f"<table class={kind}>{body}</table><p>"


def _page(css: str, parts: Iterator[str] | Sequence[str]) -> str:
    return f"<html><meta charset=utf-8><style>{css}</style><h2>Order</h2>{''.join(parts)}</html>"


def _chromium(path: Path, css: str, form: Sequence[str], tables: Sequence[Rows]) -> Path:
    style = f"{css} .r{{text-align:right}} table{{width:100%;margin-top:14pt}}"
    path.write_text(_page(style, [*form, *map(_table, tables)]), "utf-8")
    print_page(find_browser() or "chromium", path, path.with_suffix(".pdf"))
    return path.with_suffix(".pdf")


def known_of(pdf: Path, form: Rows, tables: Sequence[Rows]) -> Known:
    """What stands in a printed page."""
    import pypdfium2

    with pypdfium2.PdfDocument(pdf) as document:
        pages = range(1, len(document) + 1)
    rows = [row for table in tables for row in table]
    words = words_of(" ".join(cell for row in (*form, *rows) for cell in row))
    return Known(pdf, pages, Counter(words), rows, form)


def measured(names: Sequence[str], seed: int) -> dict[str, dict[str, float]]:
    """The shares of text, rows and fields that our reader recovers of each look."""
    figures: dict[str, dict[str, float]] = {}
    for name in names:
        look, program = LOOKS[name]
        if not shutil.which(program):
            print(f"{name} is left out: {program} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            known = [
                known_of(look(folder, page, form, tables), form, tables)
                for page, (form, tables) in enumerate(contents(seed))
            ]
            figures[name] = score(known, read_with(Path(sys.executable), OURS, known))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("looks", nargs="*", choices=[[], *LOOKS], help="all, if none is named")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(measured(options.looks or list(LOOKS), options.seed), indent=1))
