"""PDF pages by liteparse, as words, blocks and tables in reading order."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from foliotrace.adapters.local.readers.pdf.liteparse_native import (
    NO_PAGE,
    NativePage,
    NativeResult,
    text_parser,
)
from foliotrace.adapters.local.readers.pdf.ocr import read_picture
from foliotrace.adapters.local.readers.pdf.written_page import page_of
from foliotrace.adapters.local.readers.reading_options import Overview, ReadingOptions, Refusal
from foliotrace.adapters.local.readers.table_context import pages_in_context
from foliotrace.catalog import ErrorCode, PageProblem
from foliotrace.model import PageStatus, ParsedPage

_OCR_DPI = 200.0
_ITEMS_SEEN = 12  # a page without turned text among them is not turned


def overview(path: Path, options: ReadingOptions) -> Overview:
    """The number of pages.

    Raises Refusal `file_encrypted`, `file_truncated`, `file_malformed` or `file_too_complex`.
    """
    with _named_pdf(path) as named:
        result = _parse(named, NO_PAGE, structured=False)
    if not result.total_pages:
        raise Refusal(ErrorCode.FILE_MALFORMED, "the PDF has no page")
    if result.total_pages > options.limits.pages:  # the number a damaged file states can be absurd
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, f"it claims to have {result.total_pages} pages")
    return Overview(pages_total=result.total_pages)


def pages(path: Path, numbers: range, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The pages of `numbers`; scanned ones are read by OCR if there are models."""
    with _named_pdf(path) as named:
        yield from _pages(named, numbers, options)


@contextmanager
def _named_pdf(path: Path) -> Iterator[Path]:
    """A path to the file that ends in .pdf, because liteparse refuses any other name."""
    if path.suffix.lower() == ".pdf":
        yield path
        return
    with TemporaryDirectory(prefix="foliotrace-") as folder:
        named = Path(folder) / "document.pdf"
        named.symlink_to(path.absolute())
        yield named


def _pages(path: Path, numbers: range, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The pages in order. The page before them is read too: a table may go on from it."""
    alone = len(numbers) == 1  # read again after a crash: its neighbour may be the cause
    context = range(numbers.start if alone else max(1, numbers.start - 1), numbers.stop)
    for page in pages_in_context(_text_pages(path, context)):
        if page.number in numbers:
            readable = page.text or page.status is PageStatus.FAILED
            yield page if readable else _page_without_text(path, page, options)


def _text_pages(path: Path, numbers: range) -> list[ParsedPage]:
    """The pages by their text layer."""
    result = _parse(path, f"{numbers.start}-{numbers.stop - 1}", structured=True)
    parsed = {page.page_num: page for page in result.pages}
    turns = [(number, turn) for number, page in parsed.items() if (turn := _turn(page))]
    if turns:
        upright = text_parser(
            ",".join(str(number) for number, _ in turns), structured=True, turns=turns
        )
        parsed |= {page.page_num: page for page in upright.parse(str(path)).pages}
    return [page_of(parsed[n]) if n in parsed else _unreadable(n) for n in numbers]


def _turn(native: NativePage) -> int:
    """The degrees, clockwise, by which most of the page's text is turned."""
    if not any(item.rotation for item in native.text_items[:_ITEMS_SEEN]):
        return 0
    seen: Counter[int] = Counter()
    for item in native.text_items:
        seen[round(item.rotation / 90) % 4 * 90] += len(item.words)
    turn, words = seen.most_common(1)[0]
    return turn if words > seen.total() / 2 else 0


def _unreadable(number: int) -> ParsedPage:
    return ParsedPage(
        number=number,
        text="",
        status=PageStatus.FAILED,
        problem=PageProblem.PAGE_UNREADABLE,
    )


def _page_without_text(path: Path, page: ParsedPage, options: ReadingOptions) -> ParsedPage:
    """A page without a text layer: blank, read by OCR, or marked `needs_ocr`."""
    target = str(page.number)
    if not any(s.needs_ocr for s in text_parser(target, structured=False).is_complex(str(path))):
        return page
    if options.tessdata is None:
        return replace(page, status=PageStatus.NEEDS_OCR, problem=PageProblem.NEEDS_OCR)
    picture = text_parser(target, structured=False, dpi=_OCR_DPI).screenshot(
        str(path), [page.number]
    )
    with Image.open(io.BytesIO(picture[0].image_bytes)) as image:
        read = read_picture(image, _OCR_DPI, options)
    if read is None:
        return replace(page, status=PageStatus.NEEDS_OCR, problem=PageProblem.OCR_FOUND_NOTHING)
    return replace(read, number=page.number, label=page.label)


def _parse(path: Path, target_pages: str, *, structured: bool) -> NativeResult:
    try:
        return text_parser(target_pages, structured=structured).parse(str(path))
    except RuntimeError as error:
        raise _refusal(path, str(error)) from error


def _refusal(path: Path, message: str) -> Refusal:
    if "password" in message.lower():
        return Refusal(ErrorCode.FILE_ENCRYPTED, "the PDF needs a password to open")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2048))
        if b"%%EOF" not in file.read():
            return Refusal(ErrorCode.FILE_TRUNCATED, "the PDF ends before its end mark")
    return Refusal(ErrorCode.FILE_MALFORMED, "the PDF's structure is damaged")
