"""Small files made on the spot, good and hostile."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

LINE = b"BT /F1 12 Tf 72 720 Td (%s) Tj ET"


def pdf_of(contents: Sequence[bytes]) -> bytes:
    """A PDF with one page for each content stream."""
    count = len(contents)
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, kids),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, content in enumerate(contents):
        packed = zlib.compress(content)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * index)
        )
        objects.append(
            b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed)
        )
    return _with_directory(objects)


def _with_directory(objects: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1))
    out.write(b"startxref\n%d\n%%%%EOF\n" % start)
    return out.getvalue()


def plain_pages(count: int) -> list[bytes]:
    """Content streams that say "page number 1", "page number 2" ..."""
    return [LINE % f"page number {number}".encode() for number in range(1, count + 1)]


def endless_page() -> bytes:
    """A content stream that takes PDFium minutes and little space."""
    return b"BT /F1 1 Tf " + b"(wwwwwwwwww) Tj 0 -1 Td " * 3_000_000 + b"ET"


def zip_of(path: Path, parts: Mapping[str, bytes]) -> Path:
    """A zip archive at `path`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx_of(path: Path, body: str, **more: bytes) -> Path:
    """A Word document whose body is the given XML (prefix `w`)."""
    document = f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    return zip_of(path, {"word/document.xml": document.encode(), **more})
