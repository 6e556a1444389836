"""Rich Text Format: headings, paragraphs, table rows, notes and margins; no pictures."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from striprtf.striprtf import rtf_to_text

from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, ParsedPage

# private use: no text has them
_CELL_END, _ROW_END, _ROW_START, _HEADINGS = "\ue000", "\ue001", "\ue002", "\ue010"
_LEVELS: Final = 6
_MARKS: Final = (  # what striprtf drops, as letters that it keeps
    (re.compile(r"\\cell(?![a-z])"), _CELL_END),
    (re.compile(r"\\row(?![a-z])"), _ROW_END),
    (re.compile(r"\\trowd(?![a-z])"), _ROW_START),
    (re.compile(r"\\nest(?:cell|row)(?![a-z])"), " "),  # a table in a cell is its text
)
_OUTLINE: Final = re.compile(r"\\outlinelevel([0-5])(?!\d)")
_STYLE: Final = re.compile(r"\{\\s(\d{1,3})\\[^{};]{0,600}(?i:heading) ([1-6]);")
_APART: Final = re.compile(
    r"\{(?:\\\*)?\\(?P<kind>footnote|annotation|shptxt|header[lrf]?|footer[lrf]?)(?![a-z])"
)
_KINDS: Final = {
    "header": BlockKind.HEADER, "footer": BlockKind.FOOTER, "footnote": BlockKind.FOOTNOTE,
    "annotation": BlockKind.FOOTNOTE, "shptxt": BlockKind.TEXT,  # a text box
}  # fmt: skip
_DELETED: Final = re.compile(r"\\deleted(?![a-z0-9])")
_BRACE: Final = re.compile(r"\\[\\{}]|[{}]")
_TABLE_ROW: Final = re.compile(f"{_ROW_START}([^{_ROW_END}]*{_CELL_END}[^{_ROW_END}]*){_ROW_END}")
_HEAD: Final = r"{\rtf1"
_MOST_GROUPS: Final = 2000  # notes and margins


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document as sections."""
    source = path.read_bytes().decode("latin-1")
    if not source.rstrip("\x00 \r\n\t\x1a").endswith("}"):
        raise Refusal(ErrorCode.FILE_TRUNCATED, "it ends inside a group")
    body, apart = _taken_apart(_without_deleted(source))
    headers = [element for element in apart if element.kind is BlockKind.HEADER]
    others = [element for element in apart if element.kind is not BlockKind.HEADER]
    yield from paginate([*headers, *_elements(_text(body)), *others])


def _text(source: str) -> str:
    """The text with a mark for each end of a cell and row, and each heading."""
    for style, level in _STYLE.findall(source):
        named = re.compile(rf"\\s{style}(?!\d)")
        source = named.sub(rf"\\outlinelevel{int(level) - 1}", source)
    for pattern, mark in _MARKS:
        source = pattern.sub(_escape(mark).replace("\\", "\\\\"), source)
    source = _OUTLINE.sub(lambda match: _escape(chr(ord(_HEADINGS) + int(match[1]))), source)
    try:
        text: str = rtf_to_text(source, encoding="cp1252", errors="replace")
    except (ValueError, IndexError, LookupError, TypeError) as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "its groups or codes are damaged") from error
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")


def _escape(mark: str) -> str:
    return rf"\u{ord(mark)}?"


# --- groups that stand apart from the text -------------------------------------------------------


def _taken_apart(source: str) -> tuple[str, list[Prose]]:
    """The source without its notes and margins, and these."""
    pieces: list[str] = []
    found: dict[tuple[str, BlockKind], None] = {}
    at = 0
    code_page = re.search(r"\\ansicpg\d+", source[:2000])
    head = _HEAD + (code_page[0] if code_page else "")
    for match in _APART.finditer(source):
        if match.start() < at or len(found) >= _MOST_GROUPS:
            continue
        end = _group_end(source, match.start())
        pieces.append(source[at : match.start()])
        at = end
        words = " ".join(_bare(_text(f"{head} {source[match.end() : end]}}}")).split())
        kind = next(kind for name, kind in _KINDS.items() if match["kind"].startswith(name))
        if any(c.isalpha() for c in words):
            found[words, kind] = None
    pieces.append(source[at:])
    return "".join(pieces), [Prose(words, kind) for words, kind in found]


def _without_deleted(source: str) -> str:
    """The source without text that is marked as deleted: from the mark to the end of its group."""
    pieces: list[str] = []
    at = 0
    for match in _DELETED.finditer(source):
        if match.start() >= at:
            pieces.append(source[at : match.start()])
            at = _group_end(source, match.start(), depth=1) - 1
    pieces.append(source[at:])
    return "".join(pieces)


def _group_end(source: str, start: int, depth: int = 0) -> int:
    """The offset after the brace that closes the group; the end of the source if none does."""
    for match in _BRACE.finditer(source, start):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
            if depth == 0:
                return match.end()
    return len(source)


# --- the text -----------------------------------------------------------------------------------


def _elements(text: str) -> Iterator[Element]:
    rows_whole = _TABLE_ROW.sub(lambda match: "\n" + " ".join(match[1].split("\n")) + "\n", text)
    lines = rows_whole.replace(_ROW_END, "\n").replace(_ROW_START, "").split("\n")
    lines = [line for line in lines if _bare(line) or _CELL_END in line]
    for is_table, group in groupby(lines, key=lambda line: _CELL_END in line):
        if is_table:
            rows = [[" ".join(_bare(c).split()) for c in line.split(_CELL_END)] for line in group]
            filled = [[GridCell(c, n) for n, c in enumerate(row) if c] for row in rows]
            yield from grid([row for row in filled if row], int(len(filled) > 1))
        else:
            for line in group:
                bare = " ".join(_bare(line).split())
                level = next((n for n in range(_LEVELS) if chr(ord(_HEADINGS) + n) in line), None)
                kind = BlockKind.TEXT if level is None else BlockKind.HEADING
                yield Prose(bare, kind, 0 if level is None else level + 1)


def _bare(text: str) -> str:
    """The text without marks and soft hyphens."""
    return re.sub("[\xad\ue000-\ue0ff]", "", text).strip()


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
