"""Delimited text (CSV, TSV and similar): one sheet; the delimiter is detected by content."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from foliotrace.adapters.local.readers.contract import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import paginate
from foliotrace.adapters.local.readers.sheets import elements, one_line
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import read_text
from foliotrace.catalog import ErrorCode
from foliotrace.model import PageKind, ParsedPage

_FIELD_CHARACTERS = 1_000_000
_SAMPLE_LINES = 50
_DELIMITERS = ",;\t|"


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The rows of the file."""
    lines = _lines(read_text(path))
    sample = list(islice(lines, _SAMPLE_LINES))
    csv.field_size_limit(_FIELD_CHARACTERS)
    try:
        rows = csv.reader(chain(sample, lines), delimiter=delimiter_of(sample))
        yield from paginate(elements(None, _rows(rows)), PageKind.SHEET)
    except csv.Error as error:
        raise Refusal(
            ErrorCode.FILE_TOO_COMPLEX, "one of its fields is longer than a million characters"
        ) from error


def _rows(rows: Iterable[list[str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    for number, row in enumerate(rows, 1):
        yield number, [(c, text) for c, cell in enumerate(row) if (text := one_line(cell))]


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(rest) > _FIELD_CHARACTERS:
            yield rest
            rest = ""
    if rest:
        yield rest


def delimiter_of(lines: list[str]) -> str:
    """The delimiter that splits most lines into the same, largest number of fields."""

    def regularity(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        usual = max(set(counts), key=counts.count) if counts else 0
        return (counts.count(usual) if usual > 1 else 0, usual)

    return max(_DELIMITERS, key=regularity)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
