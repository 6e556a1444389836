"""Rich Text Format: paragraphs and table rows; pictures and hidden groups are left out."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_CELL_END, _ROW_END = "\ue000", "\ue001"  # private use: no text has them
_CELL = re.compile(r"\\(?:nest)?cell(?![a-z])")
_ROW = re.compile(r"\\(?:nest)?row(?![a-z])")


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document as sections."""
    source = path.read_bytes().decode("latin-1")
    if not source.rstrip("\x00 \r\n\t\x1a").endswith("}"):
        raise Refusal(ErrorCode.FILE_TRUNCATED, "it ends inside a group")
    marked = _ROW.sub(r"\\u57345?", _CELL.sub(r"\\u57344?", source))
    try:
        text = rtf_to_text(marked, encoding="cp1252", errors="replace")
    except (ValueError, IndexError, LookupError, TypeError) as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "its groups or codes are damaged") from error
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")
    yield from paginate(_elements(whole))


def _elements(text: str) -> Iterator[Element]:
    lines = text.replace(_ROW_END, "\n").split("\n")
    for is_table, group in groupby(lines, key=lambda line: _CELL_END in line):
        if is_table:
            rows = [[" ".join(cell.split()) for cell in line.split(_CELL_END)] for line in group]
            filled = [[GridCell(c, n) for n, c in enumerate(row) if c] for row in rows]
            yield from grid([row for row in filled if row], int(len(filled) > 1))
        else:
            for line in group:
                if bare := " ".join(line.replace("\xad", "").split()):
                    yield Prose(bare)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
