"""Plain text: sections of bounded size, split between paragraphs."""

import re
from collections.abc import Iterator
from pathlib import Path

from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import read_text
from foliotrace.model import Block, BlockKind, PageKind, ParsedPage

PAGE_CHARACTERS = 6000
_PARAGRAPH = re.compile(r"\S(?:.*?\S)?(?=\s*\n\s*\n|\s*\Z)", re.DOTALL)


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The text in sections of at most PAGE_CHARACTERS."""
    for number, section in enumerate(sections(read_text(path)), 1):
        blocks = tuple(
            Block(kind=BlockKind.TEXT, start=m.start(), end=m.end())
            for m in _PARAGRAPH.finditer(section)
        )
        yield ParsedPage(number=number, text=section, kind=PageKind.SECTION, blocks=blocks)


def sections(pieces: Iterator[str]) -> Iterator[str]:
    """Text cut before PAGE_CHARACTERS: at an empty line, a line end, a space, or anywhere."""
    rest = ""
    for piece in pieces:
        rest += piece
        while len(rest) > PAGE_CHARACTERS:
            cut = _cut(rest)
            if head := rest[:cut].strip("\n"):
                yield head
            rest = rest[cut:]
    if last := rest.strip("\n"):
        yield last


def _cut(text: str) -> int:
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, PAGE_CHARACTERS // 2, PAGE_CHARACTERS)
        if at > 0:
            return at + len(mark)
    return PAGE_CHARACTERS


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
