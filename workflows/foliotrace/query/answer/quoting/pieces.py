"""The pieces of a passage that can be quoted: table rows, headings, sentences and lists. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.anchors import PageMap

MAX_QUOTE_CHARACTERS: Final = 420
_LIST_CHARACTERS: Final = 700  # of an announcement with its items

_DIVIDED: Final = re.compile(r"([^\W\d_]{2,})[-\u2010\u00ad]\n[ \t]*([^\W\d_A-Z]{2,})")
_LONGEST_ABBREVIATION: Final = 6  # without its point

# A sentence that goes on in lower case behind a gap was divided by the layout of its page.
_PARAGRAPH_END: Final = re.compile(r"\n[ \t]*\n(?!\s*[a-z])|(?<=[.!?:;])\n[ \t]*\n")
_ROW_MARKS: Final = ("\t", " | ")
_SENTENCE_END: Final = re.compile(r"[.!?][\"')\]\u201d\u2019]*(?=\s)")
_NEXT_SENTENCE: Final = re.compile(
    r"\s+[\"'(\[\u201c\u2018]*[A-Z0-9]|\s+[\u2022\u25aa\u25e6\u25cf\u00b7]"
)
_ABBREVIATION: Final = re.compile(
    r"\b(?:[A-Z]|No|Nos|Mr|Mrs|Ms|Dr|St|Inc|Corp|Co|Ltd|vs|e\.g|i\.e|al|Fig|Sec|approx|U\.S)\.$"
)
_NUMBERED: Final = re.compile(
    r"(?:^|\n)[ \t]*(?:Item|Part|Note|Section|Article)?[ \t]*\d+\.$", re.I
)
_ITEM: Final = re.compile(
    r"(?:[\u2022\u25aa\u25e6\u25cf\u00b7*\u2013-]|\(?(?:[a-z]|[ivx]+|\d{1,2})[.)])\s"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of the page, the header of its table, and the heading that it stands under."""

    start: int
    end: int
    header: str = ""
    heading: str = ""
    is_heading: bool = False


def pieces(passage: Passage, page: PageMap) -> Iterator[Piece]:
    """The passage's rows, headings and sentences in order on the page; lists are whole.

    Page headers, footers and navigation are left out. Of a passage that is not placed on the page
    exactly, they are its own text's, from its start.
    """
    return _with_lists(passage, _under_headings(passage, _pieces(passage, page)))


def quotable_spans(passage: Passage, page: PageMap) -> Iterator[tuple[int, int, str]]:
    """(start, end, header) of the passage's pieces."""
    return ((piece.start, piece.end, piece.header) for piece in pieces(passage, page))


def _pieces(passage: Passage, page: PageMap) -> Iterator[Piece]:
    if not passage.exact:
        yield from _prose_of(passage, passage.start, passage.start + len(passage.text))
        return
    position = passage.start
    for row in page.rows:
        if row.end <= position or row.start >= passage.end or row.start < passage.start:
            continue
        yield from _marked(passage, page, position, row.start)
        end = min(row.end, passage.end)
        if row.is_prose:
            yield from _prose_of(passage, row.start, end)
        elif not row.is_header and row.has_values:
            yield Piece(row.start, end, _header(passage, row.headers))
        position = end
    yield from _marked(passage, page, position, passage.end)


def _marked(passage: Passage, page: PageMap, start: int, end: int) -> Iterator[Piece]:
    """Prose between what runs over all pages, and headings."""
    marks = [(*span, False) for span in page.running] + [(*span, True) for span in page.headings]
    for first, last, is_heading in sorted(marks):
        if start < last and first < end:
            yield from _prose_of(passage, start, max(start, first))
            if is_heading:
                text = passage.text[max(start, first) - passage.start : last - passage.start]
                for at, to in _trimmed(text, 0, len(text)):
                    offset = max(start, first)
                    yield Piece(offset + at, offset + to, is_heading=True)
            start = min(end, last)
    yield from _prose_of(passage, start, end)


def _prose_of(passage: Passage, start: int, end: int) -> Iterator[Piece]:
    text = passage.text[start - passage.start : end - passage.start]
    for first, last in _prose_spans(text):
        yield Piece(start + first, start + last)


def _under_headings(passage: Passage, found: Iterable[Piece]) -> Iterator[Piece]:
    """Each piece with the heading above it; headings that follow each other count together."""
    heading, before_is_heading = "", False
    for piece in found:
        if piece.is_heading:
            text = passage.text[piece.start - passage.start : piece.end - passage.start]
            heading = f"{heading}\n{text}" if before_is_heading else text
            yield piece
        else:
            yield replace(piece, heading=heading) if heading else piece
        before_is_heading = piece.is_heading


def _with_lists(passage: Passage, found: Iterable[Piece]) -> Iterator[Piece]:
    """Announcements ("They are:") reach to the end of the list that follows them."""
    held = list(found)
    taken = 0
    for place, piece in enumerate(held):
        if place < taken:
            continue
        end = piece.end
        if not piece.header and passage.text[: end - passage.start].endswith(":"):
            for before, item in pairwise(held[place:]):
                text = passage.text[item.start - passage.start : item.end - passage.start]
                if item.header or item.end - piece.start > _LIST_CHARACTERS:
                    break
                is_item = _ITEM.match(text) is not None
                if item.start < before.end or item.is_heading or not (is_item or before is piece):
                    break
                end = item.end
                taken = held.index(item) + 1
                if not is_item:
                    break  # one sentence: "It was determined that the cause was:"
        yield replace(piece, end=end, is_heading=piece.is_heading and end == piece.end)


def _prose_spans(text: str) -> Iterator[tuple[int, int]]:
    """Sentences and row-like lines of `text`, in order, without the white space around them."""
    start = 0
    for gap in _PARAGRAPH_END.finditer(text):
        yield from _paragraph(text, start, gap.start())
        start = gap.end()
    yield from _paragraph(text, start, len(text))


def _paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Rows by themselves, the lines between them together as prose."""
    prose_start, line_start = start, start
    while line_start < end:
        newline = text.find("\n", line_start, end)
        line_end = end if newline < 0 else newline
        if any(text.find(mark, line_start, line_end) >= 0 for mark in _ROW_MARKS):
            yield from _prose(text, prose_start, line_start)
            yield from _trimmed(text, line_start, line_end)
            prose_start = line_end
        line_start = line_end + 1
    yield from _prose(text, prose_start, end)


def _prose(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    sentence_start = start
    for stop in _SENTENCE_END.finditer(text, start, end):
        mark = stop.start()
        word = max(sentence_start, mark - _LONGEST_ABBREVIATION)
        if text[mark] == "." and (
            _ABBREVIATION.search(text, word, mark + 1)
            or _NUMBERED.search(text[max(sentence_start, mark - 16) : mark + 1])
        ):
            continue
        if _NEXT_SENTENCE.match(text, stop.end(), end):
            yield from _bounded(text, sentence_start, stop.end())
            sentence_start = stop.end()
    yield from _bounded(text, sentence_start, end)


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence, or its lines where it is too long to be one (forms, lists)."""
    if end - start <= MAX_QUOTE_CHARACTERS:
        yield from _trimmed(text, start, end)
        return
    while start < end:
        cut = min(start + MAX_QUOTE_CHARACTERS, end)
        newline = text.rfind("\n", start + 1, cut) if cut < end else -1
        space = text.rfind(" ", start + 1, cut) if cut < end else -1
        cut = newline if newline > start else space if space > start else cut
        yield from _trimmed(text, start, cut)
        start = cut


def whole_sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of `text`, grown to the sentence that it was cut from; rows are left as they are.

    A passage ends where its chunk does, which may be inside a sentence.
    """
    piece = text[start:end]
    if not piece or any(mark in piece for mark in _ROW_MARKS):
        return start, end
    limit = end + MAX_QUOTE_CHARACTERS
    if not _SENTENCE_END.search(f"{piece[-3:]} "):
        stop = _SENTENCE_END.search(text, end, limit)
        gap = _PARAGRAPH_END.search(text, end, limit)
        ends_at = min(m for m in (stop.end() if stop else limit, gap.start() if gap else limit))
        if ends_at < limit and not any(mark in text[end:ends_at] for mark in _ROW_MARKS):
            end = ends_at
    if piece[0].islower():
        above = text[max(0, start - MAX_QUOTE_CHARACTERS) : start]
        ends = [m.end() for m in (*_SENTENCE_END.finditer(above), *_PARAGRAPH_END.finditer(above))]
        begins = max(ends, default=len(above) if start > len(above) else 0)
        if not any(mark in above[begins:] for mark in _ROW_MARKS):
            start -= len(above[begins:].lstrip())
    return start, end


def joined_lines(text: str) -> str:
    """A quote on one line; words that were divided at line ends are whole again."""
    return " ".join(_DIVIDED.sub(r"\1\2", text).split())


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    part = text[start:end].rstrip()
    stripped = part.lstrip()
    if stripped:
        yield start + len(part) - len(stripped), start + len(part)


def _header(passage: Passage, headers: Sequence[tuple[int, int]]) -> str:
    """The text of the header rows: from the passage where it holds them, else its context."""
    inside = [
        " ".join(passage.text[s - passage.start : e - passage.start].split())
        for s, e in headers
        if passage.start <= s and e <= passage.end
    ]
    return " / ".join(inside) or passage.context
