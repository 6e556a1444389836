"""PDF pages by liteparse, as words, blocks and tables in reading order."""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from foliotrace.adapters.local.readers.pdf.lines import PageWord, Region
from foliotrace.adapters.local.readers.pdf.liteparse_native import (
    NO_PAGE,
    NativeBlock,
    NativeItem,
    NativePage,
    NativeRect,
    NativeResult,
    ocr_parser,
    text_parser,
)
from foliotrace.adapters.local.readers.pdf.page_text import write
from foliotrace.adapters.local.readers.reading_options import Overview, ReadingOptions, Refusal
from foliotrace.catalog import ErrorCode, PageProblem
from foliotrace.model import BlockKind, Box, PageStatus, ParsedPage

# Half the time of PageWord(...), whose __new__ is a Python function.
_page_word = partial(tuple.__new__, PageWord)
_KINDS = {
    "heading": BlockKind.HEADING,
    "paragraph": BlockKind.TEXT,
    "list_item": BlockKind.LIST,
    "table": BlockKind.TABLE,
    "code": BlockKind.CODE,
    "grid_fallback": BlockKind.TABLE,
}


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
    result = _parse(path, f"{numbers.start}-{numbers.stop - 1}", structured=True)
    parsed = {page.page_num: page for page in result.pages}
    for number in numbers:
        native = parsed.get(number)
        if native is None:
            yield ParsedPage(
                number=number,
                text="",
                status=PageStatus.FAILED,
                problem=PageProblem.PAGE_UNREADABLE,
            )
        else:
            page = _page(native)
            yield page if page.text else _page_without_text(path, page, options)


def _page_without_text(path: Path, page: ParsedPage, options: ReadingOptions) -> ParsedPage:
    """A page without a text layer: blank, read by OCR, or marked `needs_ocr`."""
    target = str(page.number)
    if not any(s.needs_ocr for s in text_parser(target, structured=False).is_complex(str(path))):
        return page
    if options.tessdata is None:
        return replace(page, status=PageStatus.NEEDS_OCR, problem=PageProblem.NEEDS_OCR)
    parser = ocr_parser(target, tessdata=options.tessdata, language=options.ocr_language)
    return recognised(parser.parse(str(path))) or replace(
        page, status=PageStatus.NEEDS_OCR, problem=PageProblem.OCR_FOUND_NOTHING
    )


def recognised(result: NativeResult) -> ParsedPage | None:
    """The page of an OCR result, with its mean confidence; None if it has no word."""
    page = _page(result.pages[0]) if result.pages else None
    return page if page and page.text else None


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


def _page(native: NativePage) -> ParsedPage:
    runs, confidences = _runs(native.text_items)
    written = write(_regions(native.blocks or (), runs))
    return ParsedPage(
        number=native.page_num,
        text=written.text(),
        label=native.page_label,
        width=native.width,
        height=native.height,
        words=written.packed(),
        blocks=tuple(written.blocks),
        tables=tuple(written.tables),
        confidence=sum(confidences) / len(confidences) if confidences else None,
    )


def _runs(items: Sequence[NativeItem]) -> tuple[list[list[PageWord]], list[float]]:
    """The words of the page, cleaned and grouped as by the engine; and the OCR confidences."""
    runs: list[list[PageWord]] = []
    confidences: list[float] = []
    for item in items:
        run = [
            _page_word((text, x := word.x, word.y, width := word.width, word.height, x + width))
            for word in item.words
            if (raw := word.text)
            and (text := raw if raw.isascii() and raw.isprintable() else clean(raw))
        ]
        if run:
            runs.append(run)
            if item.confidence is not None:
                confidences.append(item.confidence)
    return runs, confidences


def clean(text: str) -> str:
    """The word without control characters and lone surrogates, with ligatures spelled out."""
    spelled = "".join(
        unicodedata.normalize("NFKC", c) if "\ufb00" <= c <= "\ufb06" else c for c in text
    )
    return "".join(c for c in spelled if (c.isprintable() and not c.isspace()) or c == "\u00ad")


def _regions(blocks: Sequence[NativeBlock], runs: Sequence[list[PageWord]]) -> list[Region]:
    """The blocks in the engine's reading order, each with its words; every word is in one."""
    regions = [_region(b, b.bbox) for b in blocks if b.kind in _KINDS and b.bbox is not None]
    strays: list[list[PageWord]] = []
    for run in runs:
        region = _enclosing_region(regions, run)
        (region.runs if region else strays).append(run)
    for run in strays:
        _insert_stray(regions, run)
    return [region for region in regions if region.runs]


def _region(block: NativeBlock, bbox: NativeRect) -> Region:
    kind = _KINDS[block.kind]
    level = block.level or 0 if kind is BlockKind.HEADING else 0
    return Region(kind=kind, level=level, box=Box(bbox.x, bbox.y, bbox.width, bbox.height))


def _enclosing_region(regions: Sequence[Region], run: Sequence[PageWord]) -> Region | None:
    """The smallest region that contains the middle of `run`."""
    x = (run[0].x + run[-1].right) / 2
    y = run[0].y + run[0].height / 2
    best: Region | None = None
    best_area = float("inf")
    for region in regions:
        box = region.box
        if (
            box is not None
            and box.x - 1 <= x <= box.x + box.width + 1
            and box.y - 1 <= y <= box.y + box.height + 1
            and box.width * box.height < best_area
        ):
            best, best_area = region, box.width * box.height
    return best


def _insert_stray(regions: list[Region], run: list[PageWord]) -> None:
    """Insert words outside all blocks (running heads, page numbers) before the block below them."""
    top, height = run[0].y, run[0].height
    for index, region in enumerate(regions):
        box = region.box
        if box is None and abs(region.runs[0][0].y - top) < 0.5 * height:
            region.runs.append(run)
            return
        if (
            box is not None
            and box.y > top
            and box.x < run[-1].right
            and run[0].x < box.x + box.width
        ):
            regions.insert(index, Region(BlockKind.TEXT, 0, None, [run]))
            return
    regions.append(Region(BlockKind.TEXT, 0, None, [run]))
