"""Word documents: page headers, the body in order, notes, page footers.

Text boxes, footnotes, endnotes, comments (as notes behind their paragraph), the data of charts and
the words of pictures are read. Deleted text, field codes and fallback copies of drawings are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.drawings import Drawings
from foliotrace.adapters.local.readers.office.ooxml import Package, package, whole_number
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.sections import (
    Element,
    GridCell,
    Prose,
    as_needing_ocr,
    grid,
    paginate,
)
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.model import BlockKind, ParsedPage

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = frozenset(
    {_W + "del", _W + "moveFrom", _W + "instrText", _W + "pPr", _W + "rPr", _FALLBACK}
)
_BOX = _W + "txbxContent"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_DOCUMENT = "word/document.xml"
_MARGINS = (BlockKind.HEADER, BlockKind.FOOTER)


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document's body, then its notes, as sections."""
    with package(path, options.limits) as parts:
        for page in paginate(_elements(parts, options)):
            is_bare = all(block.kind in _MARGINS for block in page.blocks)
            bare = is_bare and page.number == 1 and _has_pictures(parts)
            yield as_needing_ocr(page, options) if bare else page


def _has_pictures(parts: Package) -> bool:
    return any(name.startswith("word/media/") for name in parts.names)


def _elements(parts: Package, options: ReadingOptions) -> Iterator[Element]:
    relations = parts.relations(_DOCUMENT).values()
    styles = _styles(parts, Drawings(parts, options))
    yield from _margins(parts, [part for kind, part in relations if kind == "header"], styles)
    body = _transitional(parts.require(_DOCUMENT)).find(_W + "body")
    if body is not None:
        yield from _blocks(body, styles)
    for name in ("word/footnotes.xml", "word/endnotes.xml"):
        notes = parts.xml(name)
        for note in _transitional(notes) if notes is not None else ():
            if note.get(_W + "type") is None:
                yield from (_as_note(element) for element in _blocks(note, styles))
    yield from _margins(parts, [part for kind, part in relations if kind == "footer"], styles)


def _margins(parts: Package, names: Sequence[str], styles: "_Styles") -> Iterator[Element]:
    """Each different page header or footer once; lone page numbers are left out."""
    kind = BlockKind.HEADER if any("header" in name for name in names) else BlockKind.FOOTER
    seen: set[str] = set()
    for name in names:
        root = parts.xml(name)
        if root is None:
            continue
        paragraphs = (_text(p, []) for p in _paragraphs(_transitional(root)))
        text = "\n".join(line for line in paragraphs if line)
        if any(c.isalpha() for c in text) and text not in seen:
            seen.add(text)
            yield Prose(text, kind)


def _as_note(element: Element) -> Element:
    if isinstance(element, Prose) and element.kind is BlockKind.TEXT:
        return replace(element, kind=BlockKind.FOOTNOTE)
    return element


def _paragraphs(element: etree._Element) -> Iterator[etree._Element]:
    """The paragraphs inside, also those of text boxes; not the copies for older programs."""
    for paragraph in element.iter(_W + "p"):
        if next(paragraph.iterancestors(_FALLBACK), None) is None:
            yield paragraph


def _comments(parts: Package) -> dict[str, str]:
    """The text of each comment by its id, with its author."""
    root = parts.xml("word/comments.xml")
    found: dict[str, str] = {}
    for comment in _transitional(root).iter(_W + "comment") if root is not None else ():
        text = " ".join(" ".join(_text(p, []) for p in comment.iter(_W + "p")).split())
        author = comment.get(_W + "author", "").strip()
        if text:
            found[comment.get(_W + "id", "")] = f"Comment by {author}: {text}" if author else text
    return found


def _transitional(root: etree._Element) -> etree._Element:
    """Strict documents use another namespace for the same elements."""
    if _STRICT.encode() not in etree.tostring(root)[:4000]:
        return root
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.replace(f"{{{_STRICT}}}", _W)
    return root


@dataclass(frozen=True, slots=True)
class _Styles:
    """Heading levels and list styles by style id, comments by id, and what is drawn."""

    levels: dict[str, int]
    lists: frozenset[str]
    comments: dict[str, str]
    drawings: Drawings


def _styles(parts: Package, drawings: Drawings) -> _Styles:
    """Read from the name of a style, its outline level, or the style it is based on."""
    root = parts.xml("word/styles.xml")
    levels: dict[str, int] = {}
    lists: set[str] = set()
    based: dict[str, str] = {}
    for style in _transitional(root).iter(_W + "style") if root is not None else ():
        name = (_value(style, "name") or "").lower()
        style_id = style.get(_W + "styleId", "")
        outline = style.find(f"{_W}pPr/{_W}outlineLvl")
        if name.startswith("heading ") and name[8:9].isdecimal():
            levels[style_id] = int(name[8])
        elif name == "title":
            levels[style_id] = 1
        elif outline is not None and whole_number(outline.get(_W + "val", ""), 9) < 9:
            levels[style_id] = whole_number(outline.get(_W + "val", ""), 9) + 1
        elif name.startswith(("list bullet", "list number")):
            lists.add(style_id)
        based[style_id] = _value(style, "basedOn") or ""
    for style_id, parent in based.items():
        if style_id not in levels and parent in levels:
            levels[style_id] = levels[parent]
    return _Styles(levels, frozenset(lists), _comments(parts), drawings)


def _value(element: etree._Element, name: str) -> str | None:
    child = element.find(_W + name)
    return None if child is None else child.get(_W + "val")


def _blocks(container: etree._Element, styles: _Styles) -> Iterator[Element]:
    for child in container:
        if child.tag == _W + "p":
            yield from _paragraph(child, styles)
        elif child.tag == _W + "tbl":
            yield from _table(child, styles)
        elif child.tag not in _SKIPPED and isinstance(child.tag, str):
            yield from _blocks(child, styles)  # content controls, insertions


def _paragraph(paragraph: etree._Element, styles: _Styles) -> Iterator[Element]:
    boxes: list[etree._Element] = []
    text = _text(paragraph, boxes)
    if text:
        properties = paragraph.find(_W + "pPr")
        kind, level = BlockKind.TEXT, 0
        if properties is not None:
            style = _value(properties, "pStyle") or ""
            level = styles.levels.get(style, 0)
            if level:
                kind = BlockKind.HEADING
            elif properties.find(_W + "numPr") is not None or style in styles.lists:
                kind = BlockKind.LIST
        yield Prose(text, kind, level)
    yield from styles.drawings.inside(paragraph, _DOCUMENT)
    yield from _comments_on(paragraph, styles)
    for box in boxes:
        yield from _blocks(box, styles)


def _comments_on(paragraph: etree._Element, styles: _Styles) -> Iterator[Element]:
    for mark in paragraph.iter(_W + "commentReference"):
        if comment := styles.comments.get(mark.get(_W + "id", "")):
            yield Prose(comment, BlockKind.FOOTNOTE)


def _text(element: etree._Element, boxes: list[etree._Element]) -> str:
    """The text of a paragraph; text boxes inside it are appended to `boxes`."""
    pieces: list[str] = []
    _collect(element, pieces, boxes)
    whole = "".join(pieces).replace("\xad", "")  # a soft hyphen is no letter
    lines = (" ".join(line.split()) for line in whole.split("\n"))
    return "\n".join(line for line in lines if line)


def _collect(element: etree._Element, pieces: list[str], boxes: list[etree._Element]) -> None:
    for child in element:
        tag = child.tag
        if tag in {_W + "t", _MATH_TEXT}:
            pieces.append(child.text or "")
        elif tag == _W + "tab":
            pieces.append(" ")
        elif tag in {_W + "br", _W + "cr"}:
            pieces.append("\n")
        elif tag == _W + "noBreakHyphen":
            pieces.append("-")
        elif tag == _BOX:
            boxes.append(child)
        elif tag not in _SKIPPED:
            _collect(child, pieces, boxes)


def _table(table: etree._Element, styles: _Styles) -> Iterator[Element]:
    """A table, followed by the tables nested in it. A merged cell occupies all of its columns."""
    rows: list[list[GridCell]] = []
    headers = 0
    for row in table.iter(_W + "tr"):
        if _owner(row) is not table:
            continue
        marked = row.find(f"{_W}trPr/{_W}tblHeader") is not None
        rows.append(_row(row))
        headers = len(rows) if marked and headers == len(rows) - 1 else headers
    yield from grid(rows, headers or _header_rows_by_shape(rows))
    for cell in table.iter(_W + "p"):
        if _owner(cell) is table:
            yield from styles.drawings.inside(cell, _DOCUMENT)
            yield from _comments_on(cell, styles)
    for nested in table.iter(_W + "tbl"):
        if nested is not table and _owner(nested.getparent()) is table:
            yield from _table(nested, styles)


def _owner(element: etree._Element | None) -> etree._Element | None:
    while element is not None and element.tag != _W + "tbl":
        element = element.getparent()
    return element


def _row(row: etree._Element) -> list[GridCell]:
    cells: list[GridCell] = []
    column = 0
    for cell in row.iter(_W + "tc"):
        if _owner(cell) is not _owner(row):
            continue
        span = cell.find(f"{_W}tcPr/{_W}gridSpan")
        texts = [_text(p, []) for p in _paragraphs(cell) if _owner(p) is _owner(row)]
        text = " ".join(" ".join(texts).split())
        if text:
            cells.append(GridCell(text, column))
        value = span.get(_W + "val", "1") if span is not None else "1"
        column += whole_number(value, 1)
    return cells


def _header_rows_by_shape(rows: list[list[GridCell]]) -> int:
    """1 if the first row can be a header: as many cells as any row, none of them long; else 0."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0
    widest = max(len(row) for row in rows)
    return int(len(rows[0]) >= widest and all(len(cell.text) <= 60 for cell in rows[0]))


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
