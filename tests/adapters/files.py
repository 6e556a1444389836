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


_NARROW = dict.fromkeys(",.:' ", 0.278) | dict.fromkeys("()-", 0.333)


def width_of(text: str, size: float = 10.0) -> float:
    """The width of digits and punctuation in Helvetica."""
    return sum(_NARROW.get(character, 0.556) for character in text) * size


def placed(*texts: tuple[float, float, str], size: float = 10.0, rotated: int = 0) -> bytes:
    """A content stream with each (x, y from the top, text) on a page of 612 x 792 points.

    A negative x is the right edge of the text. `rotated` turns the page's content by so many
    degrees, clockwise.
    """
    turn = {
        0: b"1 0 0 1 0 0",
        90: b"0 -1 1 0 0 792",
        180: b"-1 0 0 -1 612 792",
        270: b"0 1 -1 0 612 0",
    }[rotated]
    height = 792 if rotated in (0, 180) else 612
    shown = [
        b"BT /F1 %.1f Tf %.2f %.2f Td (%s) Tj ET"
        % (size, x if x >= 0 else -x - width_of(text, size), height - y, _escaped(text))
        for x, y, text in texts
    ]
    return b"q " + turn + b" cm\n" + b"\n".join(shown) + b"\nQ"


def _escaped(text: str) -> bytes:
    return text.encode("cp1252").replace(b"(", b"\\(").replace(b")", b"\\)")
