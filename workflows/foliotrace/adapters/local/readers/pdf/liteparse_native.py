"""The parts of liteparse's compiled parser that foliotrace uses, as typed protocols.

The compiled parser is called directly, because liteparse's own process pool fixes the pages to
parse when it starts, and its Python classes copy every result twice. The module is private to
liteparse: its minor version is pinned, and `tests/adapters/test_parse_pdf.py` tests these names.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from liteparse._liteparse import LiteParse  # type: ignore[import-not-found]  # compiled, no stub

EVERY_PAGE = 2_000_000_000  # by default liteparse silently stops after 1,000 pages
NO_PAGE = str(EVERY_PAGE)  # as `target_pages`: count the pages, parse none


class NativeRect(Protocol):
    """A box in points, origin top-left."""

    x: float
    y: float
    width: float
    height: float


class NativeWord(NativeRect, Protocol):
    """A word without spaces."""

    text: str


class NativeItem(Protocol):
    """Neighbouring words on a line. `confidence` is None for text that needed no OCR."""

    words: Sequence[NativeWord]
    confidence: float | None
    rotation: float
    text: str


class NativeBlock(Protocol):
    """A region of the page, in reading order."""

    kind: str
    level: int | None
    bbox: NativeRect | None


class NativePage(Protocol):
    """A page as parsed."""

    page_num: int
    page_label: str | None
    width: float
    height: float
    text_items: Sequence[NativeItem]
    blocks: Sequence[NativeBlock] | None


class NativeResult(Protocol):
    """The requested pages; `total_pages` counts all pages of the file."""

    pages: Sequence[NativePage]
    total_pages: int


class NativeComplexity(Protocol):
    """Why a page may need OCR: "scanned", "embedded-images", "sparse-text", "garbled" ..."""

    page_number: int
    needs_ocr: bool
    reasons: Sequence[str]


class NativePicture(Protocol):
    """A page drawn, as PNG."""

    image_bytes: bytes


class NativeParser(Protocol):
    """Raises RuntimeError for a document that cannot be opened."""

    def parse(self, path: str) -> NativeResult:
        """Parse a file."""
        ...

    def parse_bytes(self, content: bytes) -> NativeResult:
        """Parse the bytes of a file."""
        ...

    def screenshot(self, path: str, page_numbers: Sequence[int]) -> Sequence[NativePicture]:
        """Draw pages."""
        ...

    def is_complex(self, path: str) -> Sequence[NativeComplexity]:
        """Why each page may need OCR."""
        ...


def text_parser(
    target_pages: str,
    *,
    structured: bool,
    turns: Sequence[tuple[int, int]] = (),
    dpi: float | None = None,
) -> NativeParser:
    """A parser of the text layer; `structured` adds blocks and word boxes.

    `turns`: pages and the degrees, clockwise, by which their text is turned. `dpi`: of pictures.
    """
    parser = LiteParse(
        ocr_enabled=False,  # the default, True, downloads models
        max_pages=EVERY_PAGE,
        target_pages=target_pages,
        extract_blocks=structured,
        emit_word_boxes=structured,
        continue_on_page_error=True,
        keep_headers_footers=True,
        page_orientation_corrections=list(turns),
        dpi=dpi,
        quiet=True,
    )
    return cast("NativeParser", parser)


def ocr_parser(target_pages: str, *, tessdata: str, language: str) -> NativeParser:
    """A parser that reads images of text with the Tesseract models in `tessdata`."""
    parser = LiteParse(
        ocr_enabled=True,
        tessdata_path=tessdata,
        ocr_language=language,
        ocr_failure_fatal=False,
        max_pages=EVERY_PAGE,
        target_pages=target_pages,
        extract_blocks=True,
        emit_word_boxes=True,
        continue_on_page_error=True,
        keep_headers_footers=True,
        quiet=True,
        num_workers=1,
    )
    return cast("NativeParser", parser)
