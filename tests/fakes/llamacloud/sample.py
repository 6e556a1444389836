"""A small real PDF and other files for tests and demonstrations of the fake."""

INVOICE = [
    ["ACME Supplies Ltd"],
    ["Invoice Number: INV-2026-117", "Invoice Date: 2026-11-03"],
    ["Customer: Northwind Traders"],
    ["Description", "Quantity", "Amount"],
    ["Copper wire", "12", "240.00"],
    ["Steel bolts", "300", "75.50"],
    ["Total Due: $315.50"],
]
TERMS = [
    ["Payment terms"],
    ["Payment is due within 30 days of the invoice date."],
    ["A late fee of 2 percent applies to overdue amounts each month."],
]


def pdf(*pages: list[list[str]]) -> bytes:
    """A valid PDF: per page, rows of cells; the first row is set larger."""
    objects: list[bytes] = []
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, rows in enumerate(pages):
        content = f"{5 + 2 * number} 0 R"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            b"/Resources << /Font << /F1 3 0 R >> >> /Contents " + content.encode() + b" >>"
        )
        stream = "\n".join(_row(index, cells) for index, cells in enumerate(rows)).encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream")
    return _file(objects)


def _row(index: int, cells: list[str]) -> str:
    size = 18 if index == 0 else 11
    top = 720 - 24 * index
    shown = []
    for column, cell in enumerate(cells):
        text = cell.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        shown.append(f"BT /F1 {size} Tf {72 + 220 * column} {top} Td ({text}) Tj ET")
    return "\n".join(shown)


def _file(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def invoice_pdf() -> bytes:
    """A two-page invoice with a table and terms."""
    return pdf(INVOICE, TERMS)
