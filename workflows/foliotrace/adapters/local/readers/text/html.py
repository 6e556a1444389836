"""HTML: the visible headings, paragraphs, list items, code and tables."""

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree
from lxml.html import HTMLParser

from foliotrace.adapters.local.readers.pdf.lines import header_rows, is_figure
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import encoding_of
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, ParsedPage

# fmt: off
_HIDDEN = frozenset((
    "script", "style", "noscript", "template", "svg", "head", "iframe", "object", "canvas",
    "select", "textarea", "button",
))
_BLOCKS = frozenset((
    "html", "body", "main", "header", "footer", "nav", "article", "section", "aside", "div",
    "p", "blockquote", "address", "center", "figure", "figcaption", "details", "summary", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ul", "ol", "li", "dl", "dt", "dd",
    "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "form", "fieldset",
))
# fmt: on
_DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{2,40})""", re.I)
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_SPACES = re.compile(r"[^\S\n]+")
_ANY_SPACES = re.compile(r"\s+")
_SAMPLE_BYTES = 64 * 1024


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document's body as sections."""
    yield from paginate(elements_of_html(path.read_bytes()))


def elements_of_html(content: bytes) -> Iterator[Element]:
    """The visible content of an HTML document or fragment. Raises Refusal."""
    yield from _elements(_root(content))


def _root(content: bytes) -> etree._Element:
    sample = content[:_SAMPLE_BYTES]
    declared = _DECLARED.search(sample)
    encoding = encoding_of(sample, declared.group(1).decode() if declared else None)
    text = content.decode(encoding, errors="replace").replace("\x00", "")
    parser = HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
    )
    root = etree.fromstring(text.encode("utf-8", errors="replace"), parser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "its elements are nested too deeply")
    if root is None:
        raise Refusal(ErrorCode.FILE_MALFORMED, "it holds no HTML element")
    return root


def _elements(root: etree._Element) -> Iterator[Element]:
    title = root.findtext(".//head/title")
    body = root.find("body")
    walker = _Walker()
    yield from walker.walk(body if body is not None else root)
    yield from walker.flush()
    for behind in root.itersiblings(tag=etree.Element):  # content after </html>: browsers show it
        yield from walker.walk(behind)
        yield from walker.flush()
    if not walker.has_content and title and title.strip():
        yield Prose(" ".join(title.split()), BlockKind.HEADING, 1)


class _Walker:
    """Walks the tree once and gathers inline text until a block begins or ends."""

    def __init__(self) -> None:
        self.has_content = False
        self._inline: list[str] = []
        self._kind = BlockKind.TEXT
        self._level = 0

    def walk(self, element: etree._Element) -> Iterator[Element]:
        """The blocks below `element`."""
        self._inline.append(_collapsed(element.text))
        for child in element:
            if isinstance(child.tag, str):
                yield from self._child(child)
            self._inline.append(_collapsed(child.tail))

    def _child(self, child: etree._Element) -> Iterator[Element]:
        tag = str(child.tag).lower()
        if tag in _HIDDEN or _is_hidden(child):
            return
        if tag == "br":
            self._inline.append("\n")
        elif tag == "table" and not _is_layout(child):
            yield from self.flush()
            self.has_content = True
            yield from _table(child)
        elif tag == "pre":
            yield from self.flush()
            code = _all_text(child).strip("\n")
            if code.strip():
                self.has_content = True
                yield Prose(code, BlockKind.CODE)
        elif tag in _BLOCKS:
            yield from self._block(child, tag)
        else:
            yield from self.walk(child)

    def _block(self, child: etree._Element, tag: str) -> Iterator[Element]:
        yield from self.flush()
        outer = (self._kind, self._level)
        if tag[0] == "h" and tag[1:].isdecimal():
            self._kind, self._level = BlockKind.HEADING, int(tag[1:])
        elif tag == "li":
            self._kind, self._level = BlockKind.LIST, 0
        yield from self.walk(child)
        yield from self.flush()
        self._kind, self._level = outer

    def flush(self) -> Iterator[Element]:
        """The inline text gathered so far, as one block."""
        text = _tidy("".join(self._inline))
        self._inline = []
        if text:
            self.has_content = True
            yield Prose(text, self._kind, self._level)


def _all_text(element: etree._Element) -> str:
    return "".join(str(piece) for piece in element.itertext())


def _collapsed(text: str | None) -> str:
    """The text with white space collapsed, as HTML shows it."""
    return _ANY_SPACES.sub(" ", text or "")


def _tidy(text: str) -> str:
    """The text with spaces collapsed and empty lines removed; line ends of `<br>` stay."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _is_hidden(element: etree._Element) -> bool:
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or bool(_INVISIBLE.search(element.get("style", "")))
    )


def _is_layout(table: etree._Element) -> bool:
    """Whether a table is only layout: it contains a table, or no row with two filled cells."""
    if table.find(".//table") is not None:
        return True
    return not any(len(_row(row)) > 1 for row in table.iter("tr"))


def _table(table: etree._Element) -> Iterator[Element]:
    caption = table.find("caption")
    if caption is not None and (text := _tidy(_all_text(caption))):
        yield Prose(text)
    rows = [cells for row in table.iter("tr") if (cells := _row(row))]
    marked = _marked_headers(table)
    yield from grid(rows, marked or header_rows([[c.text for c in row] for row in rows]))


def _marked_headers(table: etree._Element) -> int:
    """How many leading rows consist of `th` cells or belong to `thead`."""
    count = 0
    for row in table.iter("tr"):
        cells = [c for c in row if c.tag in {"td", "th"} and _all_text(c).strip()]
        if not cells:
            continue
        parent = row.getparent()
        in_head = parent is not None and parent.tag == "thead"
        if not in_head and not all(c.tag == "th" for c in cells):
            break
        count += 1
    return count


def _row(row: etree._Element) -> list[GridCell]:
    """The non-empty cells; a lone currency sign joins the next amount, a lone "%" the previous."""
    cells: list[GridCell] = []
    column, opening = 0, ""
    for cell in row:
        if cell.tag not in {"td", "th"}:
            continue
        text = " ".join("".join(_visible(cell)).split())
        if text in {"$", "€", "£", "¥"}:
            opening = f"{text} "
        elif text in {")", "%", ")%"} and cells and is_figure(cells[-1].text):
            last = cells[-1]
            cells[-1] = GridCell(last.text + text, last.column)
        elif text:
            cells.append(GridCell(opening + text, column))
            opening = ""
        span = cell.get("colspan", "1")
        column += min(int(span), 1000) if span.isdecimal() and len(span) < 10 else 1
    return cells


def _visible(element: etree._Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _HIDDEN and not _is_hidden(child):
            if child.tag in _BLOCKS or child.tag == "br":
                yield " "
            yield from _visible(child)
        yield child.tail or ""


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
