"""Presentations: a page for each slide with its text, tables, charts, notes and comments."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.drawings import Drawings
from foliotrace.adapters.local.readers.office.ooxml import R_ID, Package, package
from foliotrace.adapters.local.readers.office.xlsx import hidden_label
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    NewPage,
    Prose,
    as_needing_ocr,
    grid,
    paginate,
)
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, PageKind, ParsedPage

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_DECK = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
_MARGIN_ROLES = {"ftr": BlockKind.FOOTER, "hdr": BlockKind.HEADER}
_MARGINS = (BlockKind.HEADER, BlockKind.FOOTER)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_NOT_CONTENT = frozenset({"sldNum", "dt", "sldImg"})


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The slides in presentation order."""
    with package(path, options.limits) as parts:
        drawings = Drawings(parts, options)
        for number, name in enumerate(_slides(parts), 1):
            elements = _slide(parts, name, drawings)
            page = replace(next(paginate(elements, PageKind.SLIDE)), number=number)
            bare = all(block.kind in _MARGINS for block in page.blocks)
            bare = bare and _has_pictures(parts, name)
            yield as_needing_ocr(page, options) if bare else page


def _has_pictures(parts: Package, slide: str) -> bool:
    return any(kind == "image" for kind, _ in parts.relations(slide).values())


def _slides(parts: Package) -> list[str]:
    deck = parts.require(_DECK)
    relations = parts.relations(_DECK)
    ids = [slide.get(R_ID, "") for slide in deck.iter(_P + "sldId")]
    names = [relations[i][1] for i in ids if i in relations]
    if not names:
        raise Refusal(ErrorCode.FILE_MALFORMED, "the presentation names no slide")
    return names


def _slide(parts: Package, name: str, drawings: Drawings) -> Iterator[Element]:
    root = parts.require(name)
    shapes = list(_shapes(root))
    hidden = root.get("show") in {"0", "false"}
    yield NewPage(PageKind.SLIDE, hidden_label(_title(shapes) or "", hidden=hidden).strip() or None)
    for shape in shapes:
        yield from _shape(shape)
        yield from drawings.inside(shape, name)
    for kind, target in parts.relations(name).values():
        more = parts.xml(target) if kind in ("notesSlide", "comments") else None
        if more is None:
            continue
        if kind == "notesSlide":
            for shape in _shapes(more):
                yield from _shape(shape)
        else:
            for comment in more.iter("{*}cm", "{*}reply"):
                yield from _comment(comment)


def _comment(comment: etree._Element) -> Iterator[Element]:
    """A comment, of the old or of the threaded kind, without its replies."""
    texts = comment.iterchildren("{*}text", "{*}txBody")
    text = " ".join(" ".join(str(t) for element in texts for t in element.itertext()).split())
    if text:
        yield Prose(f"Comment: {text}", BlockKind.FOOTNOTE)


def _shapes(root: etree._Element) -> Iterator[etree._Element]:
    """Shapes, pictures, and frames of tables and charts, also inside groups, in drawing order."""
    for element in root.iter(_P + "sp", _P + "graphicFrame", _P + "pic"):
        is_copy = next(element.iterancestors(_FALLBACK), None) is not None
        if not is_copy and _role(element) not in _NOT_CONTENT:
            yield element


def _role(shape: etree._Element) -> str | None:
    placeholder = shape.find(f".//{_P}nvPr/{_P}ph")
    return None if placeholder is None else placeholder.get("type", "body")


def _title(shapes: list[etree._Element]) -> str | None:
    for shape in shapes:
        if _role(shape) in _TITLES:
            return " ".join(" ".join(_paragraphs(shape)).split())[:200] or None
    return None


def _shape(shape: etree._Element) -> Iterator[Element]:
    for table in shape.iter(_A + "tbl"):
        yield from _table(table)
    if shape.tag != _P + "sp":
        return
    is_title = _role(shape) in _TITLES
    margin = _MARGIN_ROLES.get(_role(shape) or "", BlockKind.TEXT)
    for text in _paragraphs(shape):
        kind = BlockKind.HEADING if is_title else margin
        yield Prose(text, kind, 1 if is_title else 0)


def _paragraphs(element: etree._Element) -> list[str]:
    texts = (_text(paragraph) for paragraph in element.iter(_A + "p"))
    return [text for text in texts if text]


def _text(paragraph: etree._Element) -> str:
    pieces = [
        "\n" if piece.tag == _A + "br" else piece.text or ""
        for piece in paragraph.iter(_A + "t", _A + "br", _MATH_TEXT)
    ]
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _table(table: etree._Element) -> Iterator[Element]:
    rows = [
        [
            GridCell(text, column)
            for column, cell in enumerate(row.findall(_A + "tc"))
            if (text := " ".join(" ".join(_paragraphs(cell)).split()))
        ]
        for row in table.iter(_A + "tr")
    ]
    properties = table.find(_A + "tblPr")
    first_heads = properties is not None and properties.get("firstRow") in {"1", "true"}
    yield from grid(rows, int(first_heads and len(rows) > 1))


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
