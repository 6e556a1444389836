"""Finds every pair of a possible label and its possible value on a page. Pure.

`weight` (0 to 1) is the confidence in pairs of that shape: a value after a colon or in the cell to
the right of its label is more certain than one below it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from foliotrace.model import Box, ParsedPage, Table, TableRow

_COLON = re.compile(r"[:\uff1a](?=\s|$)|[:\uff1a](?=[^\s\d/\\])")
_WORD = re.compile(r"\S+")
_LABEL_WORDS = 6
_INLINE_WORDS = 5
_BESIDE_POINTS = 60.0
_COLONS = (":", "\uff1a")

INLINE, RIGHT, HEADED, BELOW, START, FARTHER = 0.97, 0.95, 0.88, 0.75, 0.8, 0.7
CAPTIONED = 0.96
_IN_BRACKETS = re.compile(r"\s*\(([^()]*[^\W\d_]{3}[^()]*)\)\s*")


@dataclass(frozen=True, slots=True)
class Pair:
    """A possible label, the span of its possible value, and the nearest heading above."""

    label: str
    start: int
    end: int
    weight: float
    heading: str = ""


@dataclass(frozen=True, slots=True)
class PairedCell:
    """A stretch of a line without a tab."""

    text: str
    start: int
    end: int


def pairs(page: ParsedPage) -> list[Pair]:
    """All pairs of the page, in reading order of their labels."""
    lines = list(_lines(page))
    found: list[Pair] = []
    heading = ""
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else []
        if len(line) == 1 and not below[1:] and _is_label(line[0].text):
            found.extend(_below(page, line[0], below, heading))
        found.extend(_captioned(line, below, heading))
        header = _header_at(page, line)
        if not header:
            found.extend(_right(line, heading))
        for cell in line:
            found.extend(_inline(cell, heading))
        if len(line) == 1 and _is_label(line[0].text):
            heading = line[0].text
    for table in page.tables:
        found.extend(_headed(page, table))
    return found


def _lines(page: ParsedPage) -> Iterator[list[PairedCell]]:
    at = 0
    for line in page.text.split("\n"):
        cells: list[PairedCell] = []
        start = at
        for text in line.split("\t"):
            if text.strip():
                cells.append(PairedCell(text, start, start + len(text)))
            start += len(text) + 1
        if cells:
            yield cells
        at += len(line) + 1


def _is_label(text: str) -> bool:
    return len(text.split()) <= _LABEL_WORDS and any(c.isalpha() for c in text)


def _ends_in_colon(text: str) -> bool:
    return text.rstrip().endswith(_COLONS)


def _header_at(page: ParsedPage, line: Sequence[PairedCell]) -> bool:
    """Whether the line is a table's header row, whose cells are not values of each other."""
    for table in page.tables:
        if table.start <= line[0].start < table.end:
            return any(r.is_header and r.start <= line[0].start < r.end for r in table.rows)
    return False


def _captioned(
    line: Sequence[PairedCell], below: Sequence[PairedCell], heading: str
) -> Iterator[Pair]:
    """Values whose label stands below them in brackets, as on the covers of filings."""
    if len(line) != len(below):
        return
    for value, label in zip(line, below, strict=True):
        match = _IN_BRACKETS.fullmatch(label.text)
        if match and not _IN_BRACKETS.fullmatch(value.text):
            yield Pair(match[1], value.start, value.end, CAPTIONED, heading)


def _right(line: Sequence[PairedCell], heading: str) -> Iterator[Pair]:
    """Pairs of cells in one line. If any cell ends in a colon, only such cells are labels."""
    colons = any(_ends_in_colon(cell.text) for cell in line)
    if not colons and _is_label(line[0].text):  # "Sales tax  10.2%  278.46"
        for value in line[2:4]:
            yield Pair(line[0].text, value.start, value.end, FARTHER, heading)
    for label, value in pairwise(line):
        ends_in_colon = _ends_in_colon(label.text)
        if _ends_in_colon(value.text) or not _is_label(label.text):
            continue
        weight = RIGHT if ends_in_colon or not colons else RIGHT / 2
        yield Pair(label.text.rstrip(" :\uff1a"), value.start, value.end, weight, heading)


def _inline(cell: PairedCell, heading: str) -> Iterator[Pair]:
    """Values after a colon; the label may be any number of the last words before it."""
    colons = list(_COLON.finditer(cell.text))
    for index, colon in enumerate(colons):
        before = list(_WORD.finditer(cell.text, 0, colon.start()))[-_INLINE_WORDS:]
        if not before:
            continue
        end = len(cell.text)
        if index + 1 < len(colons):
            end = _label_start(cell.text, colon.end(), colons[index + 1].start())
        if not cell.text[colon.end() : end].strip():
            continue
        for word in before:
            label = cell.text[word.start() : colon.start()]
            weight = INLINE if word.start() == 0 else INLINE - 0.12
            yield Pair(label, cell.start + colon.end(), cell.start + end, weight, heading)


def _label_start(text: str, start: int, colon: int) -> int:
    """The start of the next label: the last capitalised words before its colon."""
    words = list(_WORD.finditer(text, start, colon))
    first = len(words) - 1
    while first > 0 and words[first - 1][0][:1].isupper() and len(words) - first < 3:
        first -= 1
    return words[first].start() if words else colon


def _below(
    page: ParsedPage, label: PairedCell, below: Sequence[PairedCell], heading: str
) -> Iterator[Pair]:
    if not below or _ends_in_colon(below[0].text) or _IN_BRACKETS.fullmatch(label.text):
        return
    value = below[0]
    ends_in_colon = _ends_in_colon(label.text)
    if _apart(page, label, value):
        return
    weight = BELOW if ends_in_colon else BELOW - 0.2
    yield Pair(label.text.rstrip(" :\uff1a"), value.start, value.end, weight, heading)


def _apart(page: ParsedPage, label: PairedCell, value: PairedCell) -> bool:
    """Whether the boxes of the two lie in different parts of the page; False without boxes."""
    one, other = _box(page, label), _box(page, value)
    if one is None or other is None:
        return False
    gap = other.y - (one.y + one.height)
    return abs(one.x - other.x) > _BESIDE_POINTS or not -one.height <= gap <= 4 * one.height


def _box(page: ParsedPage, cell: PairedCell) -> Box | None:
    boxes = page.words.boxes(cell.start, cell.end)
    return boxes[0] if boxes else None


def _headed(page: ParsedPage, table: Table) -> Iterator[Pair]:
    """The cells of a table with a single body row, each under its header."""
    headers = [row for row in table.rows if row.is_header]
    body = [row for row in table.rows if not row.is_header]
    if not headers or len(body) != 1:
        return
    for column, label in column_labels(page, headers).items():
        for cell in body[0].cells:
            if cell.column == column and not _ends_in_colon(label):
                yield Pair(label, cell.start, cell.end, HEADED)


def column_labels(page: ParsedPage, headers: Sequence[TableRow]) -> dict[int, str]:
    """The header texts of each column, from top to bottom."""
    labels: dict[int, str] = {}
    for row in headers:
        for cell in row.cells:
            text = page.text[cell.start : cell.end]
            labels[cell.column] = f"{labels[cell.column]} {text}" if cell.column in labels else text
    return labels
