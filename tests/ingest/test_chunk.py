"""Chunks are exact spans of one page that together hold every word."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace.ingest.chunk import (
    OVERLAP_WORDS,
    TAIL_WORDS,
    TARGET_WORDS,
    UNIT_WORDS,
    chunk_pages,
)
from foliotrace.model import (
    Block,
    BlockKind,
    Chunk,
    PageKind,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
)

PLAIN = ("net", "sales", "rose.", "U.S.", "(see", "note", "3)", "1,234.5", "Why?", "of", "We", "It")
ODD = ("\u5e74\u5831\u544a\u66f8", "\ud55c\uad6d\uc5b4" * 90, "x" * 3000, "\U0001f642", "\u00a0")
GAPS = (" ", " ", " ", " ", "\n", "\n\n", "\t", "   ", " \n \n ", "\u2003", "\r\n")


def text_of(words: int, odd_share: float, seed: int) -> str:
    chance = random.Random(seed)
    return "".join(
        chance.choice(ODD if chance.random() < odd_share else PLAIN) + chance.choice(GAPS)
        for _ in range(words)
    )


TEXTS = st.builds(
    text_of, st.integers(0, 1500), st.sampled_from([0.0, 0.02, 0.3]), st.integers(0, 2**32)
)


@st.composite
def pages(draw: st.DrawFn) -> ParsedPage:
    """A page of any text, with tables laid over some of its lines."""
    text = draw(TEXTS)
    lines: list[tuple[int, int]] = []
    start = 0
    for line in text.splitlines(keepends=True):
        lines.append((start, start + len(line.rstrip())))
        start += len(line)
    tables = []
    position = 0
    while position < len(lines) and len(tables) < 3:
        position += draw(st.integers(0, 20))
        rows = lines[position : position + draw(st.integers(1, 30))]
        position += len(rows)
        rows = [(a, b) for a, b in rows if a < b]
        if rows:
            header = draw(st.booleans())
            tables.append(
                Table(
                    start=rows[0][0],
                    end=rows[-1][1],
                    rows=tuple(row(a, b, header and n == 0) for n, (a, b) in enumerate(rows)),
                )
            )
    number = draw(st.integers(1, 9))
    kind = draw(st.sampled_from(PageKind))
    return ParsedPage(number=number, text=text, tables=tuple(tables), kind=kind, label="net")


def row(start: int, end: int, is_header: bool = False) -> TableRow:
    cell = TableCell(start=start, end=end, column=0)
    return TableRow(start=start, end=end, cells=(cell,), is_header=is_header)


def chunked(*given_pages: ParsedPage, first_ordinal: int = 0) -> list[Chunk]:
    return chunk_pages(given_pages, document_id="doc_1", revision="r1", first_ordinal=first_ordinal)


@given(pages())
@settings(max_examples=150, deadline=None)
def test_every_chunk_is_an_exact_span_and_no_word_is_lost(page: ParsedPage) -> None:
    chunks = chunked(page)
    covered: set[int] = set()
    for chunk in chunks:
        assert page.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        covered |= set(range(chunk.start, chunk.end))
    assert [i for i, c in enumerate(page.text) if not c.isspace() and i not in covered] == []


@given(pages())
@settings(max_examples=100, deadline=None)
def test_chunks_advance_overlap_a_little_and_are_no_longer_than_agreed(page: ParsedPage) -> None:
    chunks = chunked(page)
    longest = TARGET_WORDS + TAIL_WORDS + 1
    for chunk in chunks:
        assert len(chunk.text.split()) <= longest
    for before, after in pairwise(chunks):
        assert before.start < after.start
        assert before.end < after.end
        shared = page.text[after.start : before.end]
        assert len(shared.split()) <= OVERLAP_WORDS + 1


@given(st.lists(pages(), max_size=4), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_windows_of_pages_give_the_chunks_of_the_whole(given: list[ParsedPage], cut: int) -> None:
    numbered = [
        ParsedPage(number=n, text=page.text, tables=page.tables) for n, page in enumerate(given, 1)
    ]
    whole = chunked(*numbered)
    first = chunked(*numbered[:cut])
    rest = chunked(*numbered[cut:], first_ordinal=len(first))
    assert first + rest == whole
    assert [chunk.ordinal for chunk in whole] == list(range(len(whole)))
    assert len({chunk.id for chunk in whole}) == len(whole)


def test_a_long_page_is_cut_at_sentence_ends() -> None:
    text = " ".join(f"This is sentence number {n} and it says a little more." for n in range(100))
    chunks = chunked(ParsedPage(number=1, text=text))
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.text.startswith("This is sentence")
        assert chunk.text.endswith("more.")
        assert len(chunk.text.split()) <= TARGET_WORDS + TAIL_WORDS


def test_a_sentence_longer_than_a_unit_is_cut_between_words() -> None:
    words = [f"w{n}" for n in range(4 * UNIT_WORDS * 3)]
    chunks = chunked(ParsedPage(number=1, text=" ".join(words)))
    assert all(word in words for chunk in chunks for word in chunk.text.split())


def test_rows_below_the_first_chunk_of_a_table_carry_the_header_row() -> None:
    lines = ["Item\tJan\tFeb"] + [f"Line {n} of goods sold\t{n}\t{n + 1}" for n in range(200)]
    text = "\n".join(lines)
    rows = []
    start = 0
    for n, line in enumerate(lines):
        rows.append(row(start, start + len(line), is_header=n == 0))
        start += len(line) + 1
    page = ParsedPage(
        number=1, text=text, tables=(Table(start=0, end=len(text), rows=tuple(rows)),)
    )
    first, *later = chunked(page)
    assert first.context == ""
    assert first.text.startswith("Item\tJan")
    assert len(later) > 2
    assert {chunk.context for chunk in later} == {"Item Jan Feb"}
    assert all(chunk.text.startswith("Line ") for chunk in later)


def test_a_sheets_name_is_context_where_the_text_does_not_show_it() -> None:
    page = ParsedPage(number=1, text="A1\t5", kind=PageKind.SHEET, label="Budget 2024")
    assert [chunk.context for chunk in chunked(page)] == ["Budget 2024"]
    shown = ParsedPage(number=1, text="Budget 2024\t5", kind=PageKind.SHEET, label="Budget 2024")
    assert [chunk.context for chunk in chunked(shown)] == [""]


def test_a_page_without_words_makes_no_chunk() -> None:
    assert chunked(ParsedPage(number=1, text=" \n\t ")) == []


def test_page_headers_and_footers_are_in_no_chunk() -> None:
    text = "Annual plan\nRefunds are paid within\nthirty days\nAcme Inc. | Q3 2023 Form 10-Q | 16"
    header = Block(start=0, end=11, kind=BlockKind.HEADER)
    page = ParsedPage(number=18, text=text, blocks=(header,))
    (chunk,) = chunked(page)
    assert chunk.text == "Refunds are paid within\nthirty days"


def test_a_page_of_nothing_but_a_header_has_a_chunk() -> None:
    header = Block(start=0, end=11, kind=BlockKind.HEADER)
    (chunk,) = chunked(ParsedPage(number=1, text="Annual plan", blocks=(header,)))
    assert chunk.text == "Annual plan"
