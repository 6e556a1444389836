"""OpenDocument: texts (ODT) as sections, sheets (ODS) with cell names, slides (ODP) as pages.

Notes and comments follow their paragraph; page headers and footers are marked.
"""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.drawings import Drawings
from foliotrace.adapters.local.readers.office.ooxml import Package, package, whole_number
from foliotrace.adapters.local.readers.office.xlsx import hidden_label
from foliotrace.adapters.local.readers.reading_options import ReadingLimits, ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    NewPage,
    Prose,
    grid,
    paginate,
)
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.csv_table import elements
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, PageKind, ParsedPage

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_SHOW = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_NOT_TEXT = frozenset({f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}note"})
_ROWS = frozenset({f"{_TABLE}table-header-rows", f"{_TABLE}table-rows", f"{_TABLE}table-row-group"})
_MOST_REPEATS = 1000


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document's pages."""
    with package(path, options.limits) as parts:
        manifest = parts.xml("META-INF/manifest.xml")
        if manifest is not None and manifest.find(f".//{_MANIFEST}encryption-data") is not None:
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "it needs a password to open")
        root = parts.require("content.xml")
        body = root.find(f"{_OFFICE}body")
        content = body[0] if body is not None and len(body) else None
        if content is None:
            raise Refusal(ErrorCode.FILE_MALFORMED, "it holds no document")
        drawings = Drawings(parts, options)
        if content.tag == f"{_OFFICE}spreadsheet":
            yield from paginate(_sheets(root, content, options.limits), PageKind.SHEET)
        elif content.tag == f"{_OFFICE}presentation":
            yield from paginate(_slides(content, drawings), PageKind.SLIDE)
        else:
            yield from paginate(_text_document(parts, content, drawings))


def _text_document(
    parts: Package, content: etree._Element, drawings: Drawings
) -> Iterator[Element]:
    styles = parts.xml("styles.xml")
    margins: dict[BlockKind, list[str]] = {BlockKind.HEADER: [], BlockKind.FOOTER: []}
    for name, kind in (("header", BlockKind.HEADER), ("footer", BlockKind.FOOTER)):
        for margin in styles.iter(f"{_STYLE}{name}") if styles is not None else ():
            lines = (
                "".join(_inline(line)).strip()
                for line in margin.iter(f"{_TEXT}p")
                if next(line.iterancestors(f"{_TEXT}p"), None) is None
            )
            text = "\n".join(line for line in lines if line)
            if any(c.isalpha() for c in text) and text not in margins[kind]:
                margins[kind].append(text)
    yield from (Prose(text, BlockKind.HEADER) for text in margins[BlockKind.HEADER])
    yield from _blocks(content, BlockKind.TEXT)
    for image in content.iter(f"{_DRAW}image"):
        yield from drawings.picture(image.get(_HREF, ""))
    yield from (Prose(text, BlockKind.FOOTER) for text in margins[BlockKind.FOOTER])


def _slides(content: etree._Element, drawings: Drawings) -> Iterator[Element]:
    for slide in content.iterchildren(f"{_DRAW}page"):
        titles = (f for f in slide.iter(f"{_DRAW}frame") if f.get(f"{_SHOW}class") == "title")
        title = next(titles, None)
        lines = title.iter(f"{_TEXT}p") if title is not None else ()
        label = " ".join(" ".join("".join(_inline(line)) for line in lines).split())
        yield NewPage(PageKind.SLIDE, label[:200] or slide.get(f"{_DRAW}name"))
        yield from _blocks(slide, BlockKind.TEXT)
        for image in slide.iter(f"{_DRAW}image"):
            yield from drawings.picture(image.get(_HREF, ""))


def _sheets(
    root: etree._Element, content: etree._Element, limits: ReadingLimits
) -> Iterator[Element]:
    hidden = {
        style.get(f"{_STYLE}name")
        for style in root.iter(f"{_STYLE}style")
        if any(p.get(f"{_TABLE}display") == "false" for p in style)
    }
    for sheet in content.iterchildren(f"{_TABLE}table"):
        name = sheet.get(f"{_TABLE}name", "")
        is_hidden = sheet.get(f"{_TABLE}style-name") in hidden
        yield from elements(hidden_label(name, hidden=is_hidden), _sheet_rows(sheet, limits))
        for note in sheet.iter(f"{_OFFICE}annotation"):
            yield from _comment(note)


def _sheet_rows(
    sheet: etree._Element, limits: ReadingLimits
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    number = seen = 0
    for row in _rows(sheet):
        times = whole_number(row.get(f"{_TABLE}number-rows-repeated", "1"), 1)
        cells = [(cell.column, cell.text) for cell in _cells(row)]
        for again in range(min(times, _MOST_REPEATS) if cells else 0):
            seen += len(cells)
            if seen > limits.cells:
                raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "a sheet has too many cells")
            yield number + again + 1, cells
        number += times


def _comment(note: etree._Element) -> Iterator[Element]:
    author = note.findtext("{http://purl.org/dc/elements/1.1/}creator") or ""
    text = " ".join(" ".join("".join(_inline(p)) for p in note.iter(f"{_TEXT}p")).split())
    if text:
        yield Prose(f"Comment by {author}: {text}" if author else text, BlockKind.FOOTNOTE)


def _blocks(parent: etree._Element, kind: BlockKind) -> Iterator[Element]:
    for child in parent:
        if child.tag == f"{_TEXT}h":
            level = whole_number(child.get(f"{_TEXT}outline-level", "1"), 1)
            yield from _prose(child, BlockKind.HEADING, max(level, 1))
        elif child.tag == f"{_TEXT}p":
            yield from _prose(child, kind)
        elif child.tag == f"{_TABLE}table":
            yield from _grid(child)
        elif child.tag == f"{_TEXT}list":
            yield from _blocks(child, BlockKind.LIST)
        elif isinstance(child.tag, str) and child.tag not in _NOT_TEXT:
            yield from _blocks(child, kind)


def _prose(element: etree._Element, kind: BlockKind, level: int = 0) -> Iterator[Element]:
    text = "".join(_inline(element)).strip()
    if text:
        yield Prose(text, kind, level)
    for note in element.iter(f"{_TEXT}note-body"):
        yield from _blocks(note, BlockKind.FOOTNOTE)
    for comment in element.iter(f"{_OFFICE}annotation"):
        yield from _comment(comment)


def _inline(element: etree._Element) -> Iterator[str]:
    yield _plain(element.text)
    for child in element:
        if child.tag == f"{_TEXT}s" or child.tag == f"{_TEXT}tab":
            yield " "
        elif child.tag == f"{_TEXT}line-break":
            yield "\n"
        elif isinstance(child.tag, str) and child.tag not in _NOT_TEXT:
            if child.tag == f"{_TEXT}p":  # of a text box, between the words of its paragraph
                yield " "
            yield from _inline(child)
        yield _plain(child.tail)


def _plain(text: str | None) -> str:
    """Text of an element: line ends are spaces, and a soft hyphen is no letter."""
    return " ".join((text or "").replace("\xad", "").split("\n"))


def _grid(table: etree._Element) -> Iterator[Element]:
    head = table.find(f"{_TABLE}table-header-rows")
    rows = [cells for row in _rows(table) if (cells := _cells(row))]
    headers = len(head) if head is not None else 1
    yield from grid(rows, headers)


def _rows(parent: etree._Element) -> Iterator[etree._Element]:
    for child in parent:
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in _ROWS:
            yield from _rows(child)


def _cells(row: etree._Element) -> list[GridCell]:
    cells: list[GridCell] = []
    column = 0
    for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        lines = (
            "".join(_inline(line))
            for line in cell.iter(f"{_TEXT}p", f"{_TEXT}h")
            if next(line.iterancestors(f"{_OFFICE}annotation", f"{_TEXT}p"), None) is None
        )
        text = " ".join(" ".join(lines).split())
        times = whole_number(cell.get(f"{_TABLE}number-columns-repeated", "1"), 1)
        if text:
            cells += [GridCell(text, column + n) for n in range(min(times, _MOST_REPEATS))]
        column += min(times, _MOST_REPEATS)
    return cells


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
