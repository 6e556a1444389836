"""Markdown: headings, paragraphs, lists, fenced code and pipe tables, read line by line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import read_text
from foliotrace.model import BlockKind, ParsedPage

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+\S")
_RULE = re.compile(r"^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_CELL_MARK = re.compile(r"(?<!\\)\|")


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document as sections."""
    yield from paginate(elements(_lines(read_text(path))))


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from lines
    yield rest


@dataclass(slots=True)
class _OpenBlock:
    """The lines of the block being read: a paragraph, list item, table or code."""

    kind: BlockKind = BlockKind.TEXT
    lines: list[str] = field(default_factory=list)
    fence: str = ""

    def close(self) -> Iterator[Element]:
        lines, self.lines = self.lines, []
        kind, self.kind = self.kind, BlockKind.TEXT
        text = "\n".join(lines).strip("\n") if kind is BlockKind.CODE else "\n".join(lines).strip()
        if kind is BlockKind.TABLE:
            yield from _table(lines)
        elif text:
            yield Prose(text, kind)


def elements(lines: Iterator[str]) -> Iterator[Element]:
    """The blocks of the document, in order."""
    block = _OpenBlock()
    for line in lines:
        if block.fence:
            yield from _in_code(block, line)
        elif fence := _FENCE.match(line):
            yield from block.close()
            block.fence, block.kind = fence.group(1), BlockKind.CODE
        else:
            yield from _in_text(block, line)
    yield from block.close()


def _in_code(block: _OpenBlock, line: str) -> Iterator[Element]:
    if line.strip().startswith(block.fence) and not line.strip().strip(block.fence[0]):
        block.fence = ""
        yield from block.close()
    else:
        block.lines.append(line)


def _in_text(block: _OpenBlock, line: str) -> Iterator[Element]:
    heading = _HEADING.match(line)
    if heading:
        yield from block.close()
        if heading.group(2):
            yield Prose(heading.group(2), BlockKind.HEADING, len(heading.group(1)))
    elif not line.strip():
        yield from block.close()
    elif _underlines(block, line):
        text = " ".join(block.lines).strip()
        block.lines = []
        yield Prose(text, BlockKind.HEADING, 1 if line.lstrip().startswith("=") else 2)
    elif _RULE.match(line):
        yield from block.close()
    elif block.kind is BlockKind.TABLE and "|" in line:
        block.lines.append(line)
    elif len(block.lines) == 1 and "|" in block.lines[0] and _is_table_rule(line, block.lines[0]):
        block.kind = BlockKind.TABLE
    else:
        if _ITEM.match(line) or block.kind is BlockKind.TABLE:
            yield from block.close()
            block.kind = BlockKind.LIST if _ITEM.match(line) else BlockKind.TEXT
        block.lines.append(line.rstrip())


def _underlines(block: _OpenBlock, line: str) -> bool:
    is_text = bool(block.lines) and block.kind is BlockKind.TEXT and len(block.lines) <= 3
    return is_text and bool(re.fullmatch(r" {0,3}(?:=+|-{2,})[ \t]*", line))


def _is_table_rule(line: str, header: str) -> bool:
    return bool(_TABLE_RULE.match(line)) and len(_cells(line)) == len(_cells(header))


def _table(lines: list[str]) -> Iterator[Element]:
    rows = [
        [GridCell(text, column) for column, text in enumerate(_cells(line)) if text]
        for line in lines
    ]
    yield from grid(rows, 1)


def _cells(line: str) -> list[str]:
    bare = line.strip().removeprefix("|")
    bare = bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare
    return [" ".join(c.replace("\\|", "|").split()) for c in _CELL_MARK.split(bare)]


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
