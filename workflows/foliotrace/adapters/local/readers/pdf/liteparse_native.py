"""The names of liteparse's compiled parser that we use, in one place.

It is called directly because its Python pool fixes the pages to parse when it starts, and its
Python classes copy every result twice. The module is private to liteparse, so its version is
pinned to a minor and `tests/adapters/test_parse_pdf.py` holds what is used here.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from liteparse._liteparse import LiteParse  # type: ignore[import-not-found]  # compiled, no stub

EVERY_PAGE = 2_000_000_000  # liteparse's own default cuts at 1,000 pages without a word
NO_PAGE = str(EVERY_PAGE)  # as `target_pages`: counts the pages without parsing one


class NativeRect(Protocol):
    """Points, origin top-left."""

    x: float
    y: float
    width: float
    height: float


class NativeWord(NativeRect, Protocol):
    """A word without spaces."""

    text: str


class NativeItem(Protocol):
    """Words that stand together on a line. `confidence` is None for native text."""

    words: Sequence[NativeWord]
    confidence: float | None


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
    """The pages that were asked for; `total_pages` counts all."""

    pages: Sequence[NativePage]
    total_pages: int


class NativeComplexity(Protocol):
    """Why a page may need OCR: "scanned", "embedded-images", "sparse-text", "garbled" ..."""

    page_number: int
    needs_ocr: bool
    reasons: Sequence[str]


class NativeParser(Protocol):
    """Raises RuntimeError with a message for a document that cannot be opened."""

    def parse(self, path: str) -> NativeResult:
        """A file."""
        ...

    def parse_bytes(self, content: bytes) -> NativeResult:
        """A file's bytes."""
        ...

    def is_complex(self, path: str) -> Sequence[NativeComplexity]:
        """What the pages look like."""
        ...


def text_parser(target_pages: str, *, structured: bool) -> NativeParser:
    """A parser of the text layer; `structured` adds blocks and word boxes."""
    parser = LiteParse(
        ocr_enabled=False,  # on by default, and then downloads models
        max_pages=EVERY_PAGE,
        target_pages=target_pages,
        extract_blocks=structured,
        emit_word_boxes=structured,
        continue_on_page_error=True,
        keep_headers_footers=True,
        quiet=True,
    )
    return cast("NativeParser", parser)


def ocr_parser(target_pages: str, *, tessdata: str, language: str) -> NativeParser:
    """A parser that reads pictures of text with the Tesseract models in `tessdata`."""
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
