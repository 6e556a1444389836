"""Reading order and tables from plain geometry: no word is lost, none is written twice."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace.adapters.local.readers.pdf.lines import (
    PageWord,
    Region,
    columns_of,
    header_rows,
    is_figure,
)
from foliotrace.adapters.local.readers.pdf.page_text import write
from foliotrace.model import BlockKind, Box

places = st.floats(0, 600, allow_nan=False, width=32)
words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


@st.composite
def page_words(draw: st.DrawFn) -> PageWord:
    x, y, width = draw(places), draw(places), draw(st.floats(1, 80, width=32))
    return PageWord(draw(words), x, y, width, draw(st.floats(4, 24, width=32)), x + width)


regions = st.lists(
    st.builds(
        Region,
        st.sampled_from(list(BlockKind)),
        st.just(0),
        st.just(None),
        st.lists(st.lists(page_words(), min_size=1, max_size=5), min_size=1, max_size=6),
    ),
    max_size=5,
)


@given(regions)
@settings(max_examples=150, deadline=None)
def test_every_word_is_written_once_at_its_offsets(found: list[Region]) -> None:
    given = Counter(c for region in found for run in region.runs for word in run for c in word.text)
    page = write(found)
    text = page.text()
    hyphens = Counter({c: n for c, n in given.items() if c in "-\u00ad\u2010"})
    written = Counter(c for c in text if not c.isspace())
    assert given - written <= hyphens  # only the hyphen of a broken word may go
    assert written - given == Counter()
    spans = [(word.start, word.end) for word in page.packed()]
    assert len(spans) == sum(len(run) for region in found for run in region.runs)
    assert all(a_end <= b_start for (_, a_end), (b_start, _) in pairwise(spans))
    assert all(start < end <= len(text) for start, end in spans)


@given(regions)
@settings(max_examples=80, deadline=None)
def test_blocks_part_the_text_and_rows_part_their_table(found: list[Region]) -> None:
    page = write(found)
    text = page.text()
    blocks = page.blocks
    assert "\n\n".join(text[block.start : block.end] for block in blocks) == text
    for table in page.tables:
        rows = [text[row.start : row.end] for row in table.rows]
        assert "\n".join(rows) == text[table.start : table.end]


def line(y: float, *cells: tuple[float, str]) -> list[list[PageWord]]:
    return [[PageWord(text, x, y, 6.0 * len(text), 10.0, x + 6.0 * len(text))] for x, text in cells]


def table(*rows: list[list[PageWord]]) -> str:
    runs = [run for row in rows for run in row]
    return write([Region(BlockKind.TEXT, 0, Box(0, 0, 600, 800), runs)]).text()


def test_currency_and_percent_signs_stay_with_their_amounts() -> None:
    assert (
        table(
            line(10, (0, "Revenue"), (200, "$"), (220, "5,931"), (400, "12.5"), (440, "%")),
            line(24, (0, "Costs"), (220, "2,754"), (400, "9.1"), (440, "%")),
        )
        == "Revenue\t$ 5,931\t12.5 %\nCosts\t2,754\t9.1 %"
    )


def test_a_word_hyphenated_over_two_lines_is_joined_and_has_two_boxes() -> None:
    runs = [*line(10, (0, "infor-")), *line(24, (0, "mation"))]
    page = write([Region(BlockKind.TEXT, 0, None, runs)])
    assert page.text() == "information"
    assert len(page.packed().boxes(0, 11)) == 2


def test_lines_of_a_form_stay_lines_and_those_of_a_paragraph_flow() -> None:
    def starts(text: str) -> list[float]:
        return [0.0, *(6.0 * at + 6.0 for at, sign in enumerate(text) if sign == " ")]

    def lines(*texts: str) -> str:
        runs = [
            [
                word
                for at, word in zip(starts(text), text.split(), strict=True)
                for run in line(y, (at, word))
                for word in run
            ]
            for y, text in zip(range(10, 100, 14), texts, strict=False)
        ]
        return write([Region(BlockKind.TEXT, 0, None, runs)]).text()

    form = ("Client: Weir", "Date: 2026", "Total: 5,100")
    assert lines(*form) == "\n".join(form)
    assert lines("aaaaaaaaaa", "bbbbbbbbbb", "cc") == "aaaaaaaaaa bbbbbbbbbb cc"


def test_header_rows_stand_above_figures() -> None:
    assert header_rows([["", "2022", "2021"], ["Revenue", "$ 5", "6"]]) == 1
    assert header_rows([["Location:", "France", "No:"], ["Date:", "1 May 2026", "5"]]) == 0
    assert header_rows([["Customer", "Weir School"], ["Total", "5"], ["Paid", "yes"]]) == 0
    assert header_rows([["Item", "Price"], ["Tyre", "318.00"], ["Oil", "131.40"]]) == 1
    assert header_rows([["Phone", "Order", "Paid"], ["030 55", "PO1", "yes"]]) == 1
    assert [is_figure(t) for t in ("(65)", "-", "2022", "1,234.5", "R-1")] == [
        True,
        True,
        False,
        True,
        False,
    ]


@given(st.lists(st.lists(st.tuples(places, places).map(sorted).map(tuple), max_size=6), max_size=8))
def test_every_cell_has_a_column_and_order_is_kept(rows: list[list[tuple[float, float]]]) -> None:
    columns = columns_of(rows)
    assert [len(row) for row in columns] == [len(row) for row in rows]
    assert all(column >= 0 for row in columns for column in row)
