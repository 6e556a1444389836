"""Reads one PDF from standard input with pypdfium2 and writes what it found to standard output.

Runs as its own process: PDFium is not thread-safe, and a test may use it in the main thread while
the fake parses in its own. `text` writes JSON pages of lines of words with boxes (points, origin
top left); `png N` writes page N (1-based) as a PNG.
"""

import ctypes
import io
import json
import sys
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

SCALE = 1000
HYPHEN_MARK = 0x02


def page_transform(page: Any, width: float, height: float) -> tuple[float, ...]:
    """The affine map from page space to points from the top left (crop box, rotation applied)."""

    def corner(x: float, y: float) -> tuple[float, float]:
        dx, dy = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(
            page.raw, 0, 0, round(width * SCALE), round(height * SCALE), 0, x, y, dx, dy
        )
        return dx.value / SCALE, dy.value / SCALE

    x0, y0 = corner(0, 0)
    x1, y1 = corner(100, 0)
    x2, y2 = corner(0, 100)
    return (x1 - x0) / 100, (y1 - y0) / 100, (x2 - x0) / 100, (y2 - y0) / 100, x0, y0


def chars_of(page: Any, width: float, height: float) -> list[tuple[str, float, Any]]:
    """Every character in content order: text, font size, box or None for a break."""
    text_page = page.get_textpage()
    a, b, c, d, e, f = page_transform(page, width, height)
    found: list[tuple[str, float, Any]] = []
    rect = raw.FS_RECTF()
    for index in range(text_page.count_chars()):
        code = raw.FPDFText_GetUnicode(text_page.raw, index)
        if code in (10, 13, 0):
            found.append(("\n", 0.0, None))
            continue
        letter = "-" if code == HYPHEN_MARK else chr(code)
        if not raw.FPDFText_GetLooseCharBox(text_page.raw, index, rect):
            continue
        xs = [a * x + c * y + e for x in (rect.left, rect.right) for y in (rect.top, rect.bottom)]
        ys = [b * x + d * y + f for x in (rect.left, rect.right) for y in (rect.top, rect.bottom)]
        box = (min(xs), min(ys), max(xs), max(ys))
        found.append((letter, raw.FPDFText_GetFontSize(text_page.raw, index), box))
    text_page.close()
    return found


def words_of(chars: list[tuple[str, float, Any]]) -> list[dict[str, Any]]:
    """Runs of characters without a space, break or gap between them."""
    words: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for letter, size, box in chars:
        if box is None or letter.isspace() or 0xD800 <= ord(letter) <= 0xDFFF:
            current = None
            continue
        if current is not None and not _touches(current["box"], box):
            current = None
        if current is None:
            current = {"text": letter, "box": list(box), "size": size}
            words.append(current)
            continue
        held = current["box"]
        current["text"] += letter
        current["box"] = [
            min(held[0], box[0]),
            min(held[1], box[1]),
            max(held[2], box[2]),
            max(held[3], box[3]),
        ]
    return words


def _touches(held: list[float], box: tuple[float, ...]) -> bool:
    height = max(1.0, held[3] - held[1])
    same_line = min(held[3], box[3]) - max(held[1], box[1]) > 0.3 * height
    return same_line and -height < box[0] - held[2] < 0.6 * height


def lines_of(words: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Words on one baseline that follow each other to the right, in content order."""
    lines: list[list[dict[str, Any]]] = []
    for word in words:
        if lines:
            last = lines[-1][-1]["box"]
            box = word["box"]
            height = max(1.0, min(last[3] - last[1], box[3] - box[1]))
            overlap = min(last[3], box[3]) - max(last[1], box[1])
            if overlap > 0.5 * height and box[0] >= last[0]:
                lines[-1].append(word)
                continue
        lines.append([word])
    return lines


def read_text(document: Any) -> list[dict[str, Any]]:
    """All pages with their size and lines."""
    pages = []
    for page in document:
        width, height = page.get_size()
        words = words_of(chars_of(page, width, height))
        pages.append({"width": width, "height": height, "lines": lines_of(words)})
        page.close()
    return pages


def main(arguments: list[str]) -> int:
    """Exit code 3 means that the PDF cannot be read; the reason is on standard error."""
    try:
        document = pdfium.PdfDocument(sys.stdin.buffer.read())
    except pdfium.PdfiumError as error:
        sys.stderr.write(str(error))
        return 3
    if arguments[0] == "png":
        image = document[int(arguments[1]) - 1].render(scale=1.0).to_pil()
        out = io.BytesIO()
        image.save(out, "PNG")
        sys.stdout.buffer.write(out.getvalue())
    else:
        sys.stdout.write(json.dumps(read_text(document)))
    document.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
