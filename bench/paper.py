"""Labelled paperwork made on the spot: PDFs of invoices, orders and inspection reports.

Each has a layout, spelling of dates and figures, and set of labels of its own; some fields are
absent, and other dates and sums stand near those that are asked for.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

LEFT, RIGHT_COLUMN, TOP, LEADING = 56.0, 310.0, 740.0, 18.0
MONTHS = date(2026, 1, 1)

SCHEMA: dict[str, Any] = {
    "title": "Paper",
    "type": "object",
    "properties": {
        "invoice_number": {"type": "string", "aliases": ["invoice no", "bill number"]},
        "invoice_date": {
            "type": "string",
            "format": "date",
            "aliases": ["date of issue", "date"],
        },
        "due_date": {"type": "string", "format": "date", "aliases": ["payable until"]},
        "customer": {"type": "string", "aliases": ["bill to", "client"]},
        "purchase_order": {"type": "string", "aliases": ["PO number", "your order"]},
        "grand_total": {"type": "number", "aliases": ["amount due", "total"]},
        "tax": {"type": "number", "aliases": ["VAT", "sales tax"]},
        "currency": {"type": "string", "enum": ["EUR", "USD", "GBP"]},
        "paid": {"type": "boolean"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["item"],
                "properties": {
                    "item": {"type": "string", "aliases": ["description", "article"]},
                    "quantity": {"type": "integer"},
                    "price": {"type": "number", "aliases": ["unit price"]},
                    "amount": {"type": "number"},
                },
            },
        },
    },
}

# how a page calls a field: most spellings are known to the schema, some are not
SPELLINGS = {
    "invoice_number": ("Invoice number", "Invoice No.", "Invoice #", "Bill number", "Doc. ref."),
    "invoice_date": ("Invoice date", "Date of issue", "Date", "Issued on"),
    "due_date": ("Due date", "Payable until", "Date due", "Pay by"),
    "customer": ("Customer", "Bill to", "Client", "Sold to"),
    "purchase_order": ("Purchase order", "PO number", "Your order", "PO"),
    "grand_total": ("Grand total", "Amount due", "Total", "To pay"),
    "tax": ("Tax", "VAT", "Sales tax", "VAT 19%"),
    "currency": ("Currency",),
    "paid": ("Paid",),
}
HEADERS = (
    ("Item", "Quantity", "Price", "Amount"),
    ("Description", "Qty", "Unit price", "Amount"),
    ("Article", "Qty", "Price (EUR)", "Amount (EUR)"),
    ("What", "Units", "Each", "Sum"),
)
CUSTOMERS = (
    "Larkfield Flying Club",
    "Moorham Aviation Supplies",
    "Adler & Roth GmbH",
    "Okafor Engineering Ltd",
    "City of Tallahassee",
    "North Weir School",
)
ITEMS = ("Tyre 6.00-6", "Battery G-25", "Oil W100", "Spark plug", "Brake pad", "Landing light")


@dataclass
class Paper:
    """A document and what is true of it."""

    pdf: bytes
    truth: dict[str, Any]
    layout: str


@dataclass
class Sheet:
    """A page being drawn: words at places, Helvetica."""

    content: list[str] = field(default_factory=list)
    y: float = TOP

    def put(self, x: float, text: str, size: int = 10) -> None:
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self.content.append(f"BT /F1 {size} Tf {x:.1f} {self.y:.1f} Td ({escaped}) Tj ET")

    def down(self, lines: float = 1.0) -> None:
        self.y -= LEADING * lines


def papers(count: int, seed: int) -> list[Paper]:
    """`count` documents, the same for the same seed."""
    random = Random(seed)
    return [_paper(random) for _ in range(count)]


def _paper(random: Random) -> Paper:
    truth, shown = _facts(random)
    sheet = Sheet()
    sheet.put(LEFT, random.choice(("INVOICE", "Invoice", "Statement of account")), 16)
    sheet.down(2)
    layout = random.choice(("colon", "cells", "two columns", "below", "form row", "sentence"))
    pairs = [(random.choice(SPELLINGS[name]), text) for name, text in shown]
    pairs += _distractions(random)
    random.shuffle(pairs)
    _DRAW[layout](sheet, pairs)
    if truth["lines"]:
        _draw_lines(sheet, random, truth["lines"])
    sheet.down()
    sheet.put(LEFT, "Thank you for your custom. Goods remain ours until paid for in full.")
    return Paper(pdf_of("\n".join(sheet.content)), truth, layout)


def _facts(random: Random) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    issued = MONTHS + timedelta(days=random.randrange(360))
    due = issued + timedelta(days=random.choice((14, 30, 60)))
    write_day = random.choice(
        (
            lambda d: d.isoformat(),
            lambda d: d.strftime("%d %B %Y"),
            lambda d: d.strftime("%B %d, %Y"),
            lambda d: d.strftime("%d.%m.%Y"),
        )
    )
    write_sum = random.choice(
        (
            lambda v: f"{v:,.2f}",
            lambda v: f"$ {v:,.2f}",
            lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")) + " EUR",
        )
    )
    lines = [
        {
            "item": item,
            "quantity": random.randrange(1, 20),
            "price": random.randrange(500, 90000) / 100,
        }
        for item in random.sample(ITEMS, random.randrange(2, 5))
    ]
    for line in lines:
        line["amount"] = round(line["quantity"] * line["price"], 2)
    total = round(sum(line["amount"] for line in lines), 2)
    number = f"{random.choice(('R', 'INV', '2026'))}-{random.randrange(1000, 99999)}"
    order = f"PO{random.randrange(10_000, 99_999)}"
    paid = random.random() < 0.5
    facts: dict[str, tuple[Any, str]] = {
        "invoice_number": (number, number),
        "invoice_date": (issued.isoformat(), write_day(issued)),
        "due_date": (due.isoformat(), write_day(due)),
        "customer": (customer := random.choice(CUSTOMERS), customer),
        "purchase_order": (order, order),
        "grand_total": (total, write_sum(total)),
        "tax": (tax := round(total * 0.19, 2), write_sum(tax)),
        "currency": (currency := random.choice(("EUR", "USD", "GBP")), currency),
        "paid": (paid, "yes" if paid else "no"),
    }
    kept = {name for name in facts if random.random() < 0.75}
    truth = {name: facts[name][0] if name in kept else None for name in facts}
    with_lines = random.random() < 0.7
    return truth | {"lines": lines if with_lines else None}, [
        (name, facts[name][1]) for name in facts if name in kept
    ]


def _distractions(random: Random) -> list[tuple[str, str]]:
    others = (
        ("Delivery date", "02 February 2026"),
        ("Subtotal", "1,111.11"),
        ("Our reference", "XK-77"),
        ("Discount", "12.50"),
        ("Phone", "+49 30 5551234"),
        ("Contact person", "Ines Adler"),
    )
    return random.sample(others, random.randrange(0, 4))


def _draw_colons(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for label, text in pairs:
        sheet.put(LEFT, f"{label}: {text}")
        sheet.down()


def _draw_cells(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for label, text in pairs:
        sheet.put(LEFT, label)
        sheet.put(LEFT + 130, text)
        sheet.down()


def _draw_two_columns(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for index, (label, text) in enumerate(pairs):
        x = LEFT if index % 2 == 0 else RIGHT_COLUMN
        sheet.put(x, f"{label}:")
        sheet.put(x + 110, text)
        if index % 2:
            sheet.down()
    sheet.down()


def _draw_below(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for label, text in pairs:
        sheet.put(LEFT, label, 8)
        sheet.down(0.8)
        sheet.put(LEFT, text)
        sheet.down(1.6)


def _draw_form_row(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for start in range(0, len(pairs), 4):
        row = pairs[start : start + 4]
        for column, (label, _) in enumerate(row):
            sheet.put(LEFT + column * 128, label, 9)
        sheet.down()
        for column, (_, text) in enumerate(row):
            sheet.put(LEFT + column * 128, text, 9)
        sheet.down(2)


def _draw_sentence(sheet: Sheet, pairs: Sequence[tuple[str, str]]) -> None:
    for label, text in pairs:
        sheet.put(LEFT, f"Please note that the {label.lower()} is {text} as agreed.")
        sheet.down()


_DRAW = {
    "colon": _draw_colons,
    "cells": _draw_cells,
    "two columns": _draw_two_columns,
    "below": _draw_below,
    "form row": _draw_form_row,
    "sentence": _draw_sentence,
}


def _draw_lines(sheet: Sheet, random: Random, lines: Sequence[dict[str, Any]]) -> None:
    sheet.down(1.5)
    places = (LEFT, LEFT + 190, LEFT + 280, LEFT + 380)
    for x, header in zip(places, random.choice(HEADERS), strict=True):
        sheet.put(x, header)
    for line in lines:
        sheet.down()
        row = (
            line["item"],
            str(line["quantity"]),
            f"{line['price']:,.2f}",
            f"{line['amount']:,.2f}",
        )
        for x, text in zip(places, row, strict=True):
            sheet.put(x, text)
    sheet.down(2)


def pdf_of(content: str, *, font: str = "Helvetica", size: tuple[int, int] = (612, 792)) -> bytes:
    """One page, one font."""
    packed = zlib.compress(content.encode("cp1252", "replace"))
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /%s"
        b" /Encoding /WinAnsiEncoding >>" % font.encode(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 5 0 R" % size
        + b" /Resources << /Font << /F1 3 0 R >> >> >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed),
    )
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(
        b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    )
    return out.getvalue()
