"""Electronic books (EPUB): the chapters in reading order, each read as HTML."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from foliotrace.adapters.local.readers.office.ooxml import Package, package
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.html import elements_of_html
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """Every chapter of the spine as sections."""
    with package(path, options.limits) as parts:
        chapters = _chapters(parts)
        locked = _locked(parts)
        if any(chapter in locked for chapter in chapters):
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "its chapters are encrypted")
        yield from paginate(_elements(parts, chapters))


def _chapters(parts: Package) -> list[str]:
    """The names of the chapters' parts, in reading order."""
    found = parts.require(_CONTAINER).find(".//{*}rootfile")
    name = found.get("full-path", "") if found is not None else ""
    book = parts.require(name)
    items = {item.get("id"): item.get("href", "") for item in book.iterfind(".//{*}item")}
    hrefs = (items.get(ref.get("idref"), "") for ref in book.iterfind(".//{*}itemref"))
    folder = posixpath.dirname(name)
    return [
        posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))
        for href in hrefs
        if href
    ]


def _locked(parts: Package) -> set[str]:
    root = parts.xml(_ENCRYPTION)
    if root is None:
        return set()
    return {unquote(part.get("URI", "")) for part in root.iterfind(".//{*}CipherReference")}


def _elements(parts: Package, chapters: list[str]) -> Iterator[Element]:
    for chapter in chapters:
        if chapter not in parts.names:
            raise Refusal(ErrorCode.FILE_MALFORMED, "a chapter of its table of contents is missing")
        with parts.open(chapter) as part:
            content = part.read()
        parts.count(len(content))
        if content.strip():
            yield from elements_of_html(content)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
