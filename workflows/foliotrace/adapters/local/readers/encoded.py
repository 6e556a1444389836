"""Markup and encoded data in the text of a page: left out, or the page fails. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foliotrace.catalog import PageProblem
from foliotrace.model import BlockKind, PageStatus, ParsedPage, Table, Words

_LINES: Final = re.compile(
    r"[A-Za-z0-9+/=]{60,}(?:\s+[A-Za-z0-9+/=]{60,})*"
    r"(?P<tail>(?<!=)(?:[ \t]*\n| )[A-Za-z0-9+/]{1,59}={0,2}(?!\S))?"
)
_UUENCODED: Final = re.compile(r"^begin [0-7]{3,4} \S.*\n(?:M[ -`]{60}\n)+(?:[ -`]+\n)*?end$", re.M)
_LEAST_CHARACTERS: Final = 200  # of data that is left out
_TAIL_OF_DATA: Final = re.compile(r"[\d+/=]|\S{20}")
_HEX: Final = re.compile(r"[0-9a-fA-F\s]+")
_KINDS: Final = (str.isupper, str.islower, str.isdigit)
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]{0,2000}>")
_ENCODED_RUN = re.compile(r"[A-Za-z0-9+/=]{60,}")
_MOSTLY_TAGS, _MUCH_ENCODED = 0.5, 0.3
_LEAST_PAGE = 200  # a shorter page is not judged
_LEAST_LETTERS = 30  # beside encoded data: a page with fewer is failed

Spans = Sequence[tuple[int, int]]


def encoded_spans(text: str) -> list[tuple[int, int]]:
    """Where encoded data stands in the text, in order."""
    found = [match.span() for match in _UUENCODED.finditer(text)] if "\nend" in text else []
    for match in _LINES.finditer(text):
        tail = match["tail"]
        is_word = tail is not None and not _TAIL_OF_DATA.search(tail)
        start, end = match.start(), match.start("tail") if is_word else match.end()
        apart = all(end <= a or b <= start for a, b in found)
        if end - start >= _LEAST_CHARACTERS and apart and is_encoded(text[start:end]):
            found.append((start, end))
    return sorted(found)


def is_encoded(run: str) -> bool:
    """Whether long runs of letters and digits are base64, not hashes, a path or a ruler."""
    if max(run.count(letter) for letter in set(run[:40])) > 0.8 * len(run):
        return run[0].isalnum()
    if _HEX.fullmatch(run) or run.count("/") > len(run) / 12:
        return False
    return all(any(kind(letter) for letter in run) for kind in _KINDS)


def without(page: ParsedPage, spans: Spans) -> ParsedPage:
    """The page with a note in the place of each span; offsets and boxes follow."""
    pieces: list[str] = []
    moves: list[tuple[int, int, int, int]] = []  # a span, and where its note begins and ends
    at = length = 0
    for start, end in spans:
        note = f"[encoded data left out: {end - start:,} characters]"
        pieces += (page.text[at:start], note)
        length += start - at
        moves.append((start, end, length, length + len(note)))
        length += len(note)
        at = end
    pieces.append(page.text[at:])

    def moved(offset: int, *, is_end: bool = False) -> int:
        shift = 0
        for start, end, new_start, new_end in moves:
            if offset < start or (offset == start and not is_end):
                break
            if offset < end or (offset == end and is_end):
                return new_end if is_end else new_start
            shift = new_end - end
        return offset + shift

    def table_of(table: Table) -> Table:
        rows = []
        for row in table.rows:
            cells = [
                replace(cell, start=moved(cell.start), end=moved(cell.end, is_end=True))
                for cell in row.cells
            ]
            start, end = moved(row.start), moved(row.end, is_end=True)
            rows.append(replace(row, start=start, end=end, cells=tuple(cells)))
        start, end = moved(table.start), moved(table.end, is_end=True)
        return replace(table, start=start, end=end, rows=tuple(rows))

    kept = [
        (index, word)
        for index, word in enumerate(page.words)
        if not any(start < word.end and word.start < end for start, end in spans)
    ]
    confidences = page.words.confidences
    return replace(
        page,
        text="".join(pieces),
        blocks=tuple(
            replace(block, start=moved(block.start), end=moved(block.end, is_end=True))
            for block in page.blocks
        ),
        tables=tuple(table_of(table) for table in page.tables),
        words=replace(
            Words.pack(
                [
                    replace(word, start=moved(word.start), end=moved(word.end, is_end=True))
                    for _, word in kept
                ]
            ),
            confidences=bytes(confidences[index] for index, _ in kept) if confidences else b"",
        ),
    )


def checked(page: ParsedPage) -> ParsedPage:
    """The page without encoded data; without its text and failed, if it is markup or nothing else.

    A note stands where encoded data was left out.
    """
    if page.status is not PageStatus.OK or len(page.text) < _LEAST_PAGE:
        return page
    spans = encoded_spans(page.text)
    rest = page.text
    for start, end in reversed(spans):
        rest = rest[:start] + rest[end:]
    if spans and sum(map(str.isalpha, rest)) >= _LEAST_LETTERS:
        page = without(page, spans)
    if not is_markup(page):
        return page
    return ParsedPage(
        number=page.number,
        text="",
        kind=page.kind,
        label=page.label,
        status=PageStatus.FAILED,
        problem=PageProblem.MARKUP_NOT_TEXT,
    )


def is_markup(page: ParsedPage) -> bool:
    """Whether most of the page's text is tags, or much of it base64. Code may show tags."""
    size = len(page.text)
    if size < _LEAST_PAGE:
        return False
    encoded = sum(len(run) for run in _ENCODED_RUN.findall(page.text) if is_encoded(run))
    if encoded > _MUCH_ENCODED * size:
        return True
    if "<" not in page.text:
        return False
    code = [(b.start, b.end) for b in page.blocks if b.kind is BlockKind.CODE]
    tags = sum(
        match.end() - match.start()
        for match in _TAG.finditer(page.text)
        if not any(start <= match.start() < end for start, end in code)
    )
    return tags > _MOSTLY_TAGS * size
