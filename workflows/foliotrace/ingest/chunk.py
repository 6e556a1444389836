"""Splits pages into chunks of about 256 words, with an overlap of 64 words.

A chunk is a span of one page that starts and ends at a boundary of sentences, paragraphs, lines or
table rows. A chunk that starts inside a table has the table's header row as its context. Page
headers, page footers and navigation start and end no chunk: they repeat on every page.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from foliotrace.model import Chunk, PageKind, ParsedPage, Table
from foliotrace.model.running_lines import running_lines

CHUNKER: Final = "words-256-64-3"
"""The name and version of this chunking; part of a document's revision."""

TARGET_WORDS: Final = 256
OVERLAP_WORDS: Final = 64
TAIL_WORDS: Final = 32  # so few words at the end of a page join the previous chunk
UNIT_WORDS: Final = 64  # a longer sentence is split at line ends, then between words
HEADER_CHARACTERS: Final = 4000  # limit of a header row, which every chunk of its table repeats
UNIT_CHARACTERS: Final = 800  # a longer run without spaces is split anywhere

_PARAGRAPH_END: Final = re.compile(r"\n[^\S\n]*\n")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]\u201d]*\s+(?=[\"'(\[\u201c]?[A-Z0-9])")
_LINE_END: Final = re.compile(r"\n")
_WORD: Final = re.compile(r"\S+")
_IDEOGRAPH: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LABELLED: Final = (PageKind.SHEET, PageKind.SLIDE, PageKind.SECTION)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span that is never split, its length in words, and its table's header row."""

    start: int
    end: int
    words: int
    header: str = ""


def chunk_pages(
    pages: Iterable[ParsedPage], *, document_id: str, revision: str, first_ordinal: int
) -> list[Chunk]:
    """The chunks of consecutive pages, numbered from `first_ordinal`."""
    chunks: list[Chunk] = []
    for page in pages:
        for start, end, header in _spans(page):
            text = page.text[start:end]
            chunks.append(
                Chunk(
                    id=chunk_id(document_id, revision, page.number, start, end),
                    document_id=document_id,
                    revision=revision,
                    ordinal=first_ordinal + len(chunks),
                    page=page.number,
                    start=start,
                    end=end,
                    text=text,
                    context="\n".join(part for part in (_label(page, text), header) if part),
                )
            )
    return chunks


def chunk_id(document_id: str, revision: str, page: int, start: int, end: int) -> str:
    """A stable id: the same span of the same parse always gets the same id."""
    return sha256(f"{document_id}|{revision}|{page}|{start}|{end}".encode()).hexdigest()[:24]


def _label(page: ParsedPage, text: str) -> str:
    """The name of the sheet, slide or section, unless the chunk's text contains it."""
    if page.kind not in _LABELLED or not page.label or page.label in text:
        return ""
    return page.label


def _spans(page: ParsedPage) -> Iterator[tuple[int, int, str]]:
    """(start, end, header row) of each chunk of the page.

    A page of running lines only has them as its chunk: no page with words goes without.
    """
    units = list(_units(page, running_lines(page))) or list(_units(page, ()))
    first = 0
    while first < len(units):
        last = _last_of_chunk(units, first)
        yield units[first].start, units[last - 1].end, units[first].header
        if last == len(units):
            return
        first = _first_of_next(units, first, last)


def _last_of_chunk(units: Sequence[_Unit], first: int) -> int:
    """The index after the last unit of the chunk that starts at unit `first`."""
    words = units[first].words
    last = first + 1
    while last < len(units) and words + units[last].words <= TARGET_WORDS:
        words += units[last].words
        last += 1
    if sum(unit.words for unit in units[last : last + TAIL_WORDS + 1]) <= TAIL_WORDS:
        return len(units)
    return last


def _first_of_next(units: Sequence[_Unit], first: int, last: int) -> int:
    """The first unit of the next chunk: up to OVERLAP_WORDS before `last`, but after `first`."""
    start = last
    words = 0
    while start - 1 > first and words + units[start - 1].words <= OVERLAP_WORDS:
        start -= 1
        words += units[start].words
    return start


_Spans: TypeAlias = Sequence[tuple[int, int]]


def _units(page: ParsedPage, running: _Spans) -> Iterator[_Unit]:
    """The page's units in order; a table row is one unit unless it is too long."""
    position = 0
    for table in sorted(page.tables, key=lambda t: t.start):
        if table.start < position or not table.rows:
            continue  # a nested table: its text belongs to the outer one
        yield from _prose_beside(running, page.text, position, table.start)
        yield from _rows(page.text, table)
        position = max(table.end, table.rows[-1].end)
    yield from _prose_beside(running, page.text, position, len(page.text))


def _prose_beside(running: _Spans, text: str, start: int, end: int) -> Iterator[_Unit]:
    """The units of the prose without the running lines in it."""
    for first, last in running:
        if start < last and first < end:
            yield from _prose(text, start, max(start, first))
            start = min(end, last)
    yield from _prose(text, start, end)


def _rows(text: str, table: Table) -> Iterator[_Unit]:
    rows = [text[row.start : row.end] for row in table.rows if row.is_header]
    header = " ".join(" ".join([table.continued_header or "", *rows]).split())[:HEADER_CHARACTERS]
    position = table.start
    for row in table.rows:
        yield from _prose(text, position, row.start)  # text that the parser left between rows
        context = "" if row.is_header else header
        yield from _cut(text, row.start, row.end, context)
        position = max(position, row.end)
    yield from _prose(text, position, table.end)


def _prose(text: str, start: int, end: int) -> Iterator[_Unit]:
    for paragraph in _split(_PARAGRAPH_END, text, start, end):
        for sentence in _split(_SENTENCE_END, text, *paragraph):
            yield from _cut(text, *sentence, "")


def _cut(text: str, start: int, end: int, header: str) -> Iterator[_Unit]:
    """One unit, or several if the span is too long: split at lines, then between words."""
    unit = _trimmed(text, start, end, header)
    if unit is None:
        return
    if unit.words <= UNIT_WORDS and unit.end - unit.start <= UNIT_CHARACTERS * 4:
        yield unit
        return
    for line in _split(_LINE_END, text, unit.start, unit.end):
        yield from _by_words(text, *line, header)


def _by_words(text: str, start: int, end: int, header: str) -> Iterator[_Unit]:
    """Units of at most UNIT_WORDS. Plain short words, the usual case, take a fast path."""
    spans = [match.span() for match in _WORD.finditer(text, start, end)]
    if text[start:end].isascii() and all(b - a <= UNIT_CHARACTERS for a, b in spans):
        for at in range(0, len(spans), UNIT_WORDS):
            run = spans[at : at + UNIT_WORDS]
            yield _Unit(run[0][0], run[-1][1], len(run), header)
        return
    first = None
    last = start
    weight = 0
    for word_start, word_end in _short_words(text, start, end):
        word_weight = _weight(text[word_start:word_end])
        if first is not None and weight + word_weight > UNIT_WORDS:
            yield _Unit(first, last, weight, header)
            first, weight = None, 0
        if first is None:
            first = word_start
        last = word_end
        weight += word_weight
    if first is not None:
        yield _Unit(first, last, weight, header)


def _short_words(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of words; longer runs without spaces are cut into pieces that fit a unit."""
    for match in _WORD.finditer(text, start, end):
        step = UNIT_WORDS if _IDEOGRAPH.search(match.group()) else UNIT_CHARACTERS
        for piece in range(match.start(), match.end(), step):
            yield piece, min(piece + step, match.end())


def _split(bound: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in bound.finditer(text, start, end):
        yield start, match.end()
        start = match.end()
    if start < end:
        yield start, end


def _trimmed(text: str, start: int, end: int, header: str) -> _Unit | None:
    piece = text[start:end]
    bare = piece.strip()
    if not bare:
        return None
    first = start + len(piece) - len(piece.lstrip())
    return _Unit(first, first + len(bare), _weight(bare), header)


def _weight(text: str) -> int:
    """The number of words; in scripts without spaces, two characters count as one word."""
    words = len(text.split())
    return words if text.isascii() else words + len(_IDEOGRAPH.findall(text)) // 2
