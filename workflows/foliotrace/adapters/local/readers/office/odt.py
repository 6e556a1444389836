"""OpenDocument text (ODT): headings, paragraphs, lists, tables and notes as sections."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.ooxml import package, whole_number
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, ParsedPage

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_NOT_TEXT = frozenset({f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}note"})
_ROWS = frozenset({f"{_TABLE}table-header-rows", f"{_TABLE}table-rows", f"{_TABLE}table-row-group"})
_MOST_REPEATS = 1000


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document's body as sections."""
    with package(path, options.limits) as parts:
        manifest = parts.xml("META-INF/manifest.xml")
        if manifest is not None and manifest.find(f".//{_MANIFEST}encryption-data") is not None:
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "it needs a password to open")
        body = parts.require("content.xml").find(f"{_OFFICE}body/{_OFFICE}text")
        if body is None:
            raise Refusal(ErrorCode.FILE_MALFORMED, "it holds no text document")
        yield from paginate(_blocks(body, BlockKind.TEXT))


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


def _inline(element: etree._Element) -> Iterator[str]:
    yield " ".join((element.text or "").split("\n"))
    for child in element:
        if child.tag == f"{_TEXT}s" or child.tag == f"{_TEXT}tab":
            yield " "
        elif child.tag == f"{_TEXT}line-break":
            yield "\n"
        elif isinstance(child.tag, str) and child.tag not in _NOT_TEXT:
            yield from _inline(child)
        yield " ".join((child.tail or "").split("\n"))


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
        lines = ("".join(_inline(line)) for line in cell.iter(f"{_TEXT}p", f"{_TEXT}h"))
        text = " ".join(" ".join(lines).split())
        times = whole_number(cell.get(f"{_TABLE}number-columns-repeated", "1"), 1)
        if text:
            cells += [GridCell(text, column + n) for n in range(min(times, _MOST_REPEATS))]
        column += min(times, _MOST_REPEATS)
    return cells


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
