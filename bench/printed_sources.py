"""DOCX, XLSX and HTML files printed to PDF, and the rows and fields that stand in them.

The structure is read by python-docx, openpyxl and lxml, not by foliotrace. DOCX and XLSX become
HTML (paragraphs and tables in order, cells with thin borders or none) and Chromium prints that: no
office program is involved. Files: the shipped examples, ../shared/data/sample-docs, two of its own.
"""

import html
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.labelled import FOLDERS

FILES = {
    "examples": (
        "larkfield-handbook.docx",
        "larkfield-maintenance-2026.xlsx",
        "larkfield-visitors.html",
    ),
    "samples": (
        "tables-with-incomplete-rows.docx",
        "test.docx",
        "handbook-1p.docx",
        "docx-tables.docx",
        "test.xlsx",
        "ideas-page.html",
        "example-10k-1p.html",
    ),
}
STYLE = """@page{size:A4 landscape;margin:12mm} body{font:9pt sans-serif} pre{white-space:pre-wrap}
table{border-collapse:collapse;margin:8pt 0} td{padding:2pt 8pt;vertical-align:top}
.ruled td{border:1px solid #555}"""
FORM = (
    ("Order number", "PO-2026-0088"),
    ("Order date", "3 March 2026"),
    ("Supplier", "Oakham Rope and Chain Works, 14 Mill Road"),
    ("Delivery terms", "Carriage paid, within 20 working days"),
)
ROWS = (
    ("Part", "Description", "Quantity", "Price (EUR)", "Amount (EUR)"),
    ("R-110", "Rope of polyamide, laid in three strands, with a thimble", "12", "41.50", "498.00"),
    ("C-204", "Chain, galvanised", "30", "8.20", "246.00"),
    ("S-001", "Splicing by hand at the works", "1", "65.00", "65.00"),
)

Table = list[list[str]]


@dataclass(frozen=True)
class PrintedSource:
    """A file, its print, and what stands in it; `kind` is the source's ending without the dot."""

    source: Path
    pdf: Path
    kind: str
    text: str
    rows: Table
    fields: Table  # rows of two cells


def printed_sources(folder: Path, browser: str) -> Iterator[PrintedSource]:
    """Every file that is here, printed into `folder` with and without rulings (HTML as it is)."""
    write_order(folder)
    here = [folder / "order.docx", folder / "order.xlsx"]
    named = (FOLDERS[kind] / name for kind, names in FILES.items() for name in names)
    for source in [*here, *(path for path in named if path.exists())]:
        parts = PARTS[source.suffix](source)
        rows = [
            [cell for cell in row if cell]
            for part in parts
            if not isinstance(part, str)
            for row in part
        ]
        if source.suffix == ".html":
            text = str(parts[-1])  # all of the body, its tables too
        else:
            text = "\n".join(part if isinstance(part, str) else _flat(part) for part in parts)
        known = [row for row in rows if len(row) > 2], [row for row in rows if len(row) == 2]
        for look in ("",) if source.suffix == ".html" else ("plain", "ruled"):
            page = source if source.suffix == ".html" else folder / f"{source.stem}-{look}.html"
            if page is not source:
                page.write_text(_html(parts, look), encoding="utf-8")
            pdf = folder / f"{source.name}-{look}.pdf"
            print_page(browser, page, pdf)
            yield PrintedSource(source, pdf, source.suffix[1:], text, *known)


def write_order(folder: Path) -> None:
    """A form above a table, as DOCX and as XLSX."""
    import docx
    import openpyxl

    document = docx.Document()
    book: Any = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in (("Order", FORM), ("Items", ROWS)):
        document.add_paragraph(f"{name} of the boat yard")
        table = document.add_table(rows=0, cols=len(rows[0]))
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
            for cell, value in zip(table.add_row().cells, row, strict=True):
                cell.text = value
    document.save(str(folder / "order.docx"))
    book.save(folder / "order.xlsx")


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Print an HTML file."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer")
    command = [browser, *options, f"--print-to-pdf={pdf}", page.absolute().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


# --- the structure, by other programs -------------------------------------------------------------


def docx_parts(path: Path) -> list[str | Table]:
    """Paragraphs and tables in order; a merged cell stands once."""
    import docx
    from docx.table import Table as DocxTable

    parts: list[str | Table] = []
    for part in docx.Document(str(path)).iter_inner_content():
        if not isinstance(part, DocxTable):
            parts.append(part.text)
            continue
        seen: set[object] = set()
        rows: Table = []
        for row in part.rows:
            cells = []
            for cell in row.cells:
                if cell._tc not in seen:
                    seen.add(cell._tc)
                    cells.append(" ".join(cell.text.split()))
            rows.append(cells)
        parts.append(rows)
    return parts


def xlsx_parts(path: Path) -> list[str | Table]:
    """The title and the cells of each visible sheet."""
    import openpyxl

    parts: list[str | Table] = []
    for sheet in openpyxl.load_workbook(path, data_only=True):
        if sheet.sheet_state == "visible":
            parts.append(sheet.title)
            parts.append([[_shown(v) for v in row] for row in sheet.iter_rows(values_only=True)])
    return parts


def html_parts(path: Path) -> list[str | Table]:
    """The text of the body and its innermost tables."""
    from lxml import html as reader

    tree: Any = reader.fromstring(path.read_bytes())
    for other in tree.xpath("//script|//style|//title|//noscript"):
        other.drop_tree()
    parts: list[str | Table] = []
    for table in tree.xpath("//table[not(.//table)]"):
        rows = [
            [" ".join(cell.text_content().split()) for cell in row.xpath("./td|./th")]
            for row in table.xpath(".//tr")
        ]
        parts.append(rows)
    return [*parts, tree.text_content()]


PARTS = {".docx": docx_parts, ".xlsx": xlsx_parts, ".html": html_parts}


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return "" if value is None else str(value)


def _flat(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(" ".join(row) for row in rows)


def _html(parts: Sequence[str | Table], look: str) -> str:
    body = []
    for part in parts:
        if isinstance(part, str):
            body.append(f"<p>{html.escape(part)}</p>")
            continue
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in part)
        body.append(f"<table class='{look}'>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
    return f"<html><meta charset=utf-8><style>{STYLE}</style><body>{''.join(body)}</body></html>"
