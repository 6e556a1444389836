"""Stored and transmitted pages: nothing is lost, and pages of earlier versions still open."""

import zlib
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliotrace.adapters.local.page_codec import pack_page, pack_words, unpack_page
from foliotrace.adapters.local.readers.worker import page_from_frame, page_to_frame
from foliotrace.model import (
    Block,
    BlockKind,
    Box,
    PageKind,
    PageStatus,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
    Word,
    Words,
)

BOX = Box(1.5, 2.25, 3.125, 4.0625)
WORDS = Words.pack([Word(0, 5, BOX), Word(6, 7, Box(9.5, 9.25, 9.0, 1.0))])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.none() | texts
offsets = st.integers(0, 9999)
boxes = st.none() | st.just(BOX)
blocks = st.builds(
    Block, kind=st.sampled_from(BlockKind), start=offsets, end=offsets, level=offsets, box=boxes
)
cells = st.builds(TableCell, start=offsets, end=offsets, column=offsets, ref=maybe, box=boxes)
rows = st.builds(
    TableRow,
    start=offsets,
    end=offsets,
    cells=st.lists(cells, max_size=3).map(tuple),
    is_header=st.booleans(),
)
tables = st.builds(
    Table,
    start=offsets,
    end=offsets,
    rows=st.lists(rows, max_size=3).map(tuple),
    box=boxes,
    caption=maybe,
    unit=maybe,
    period=maybe,
    header_path=st.lists(texts, max_size=3).map(tuple),
    continued_header=maybe,
)
pages = st.builds(
    ParsedPage,
    number=st.integers(1, 9999),
    text=texts,
    kind=st.sampled_from(PageKind),
    label=maybe,
    width=st.none() | st.just(612.0),
    words=st.sampled_from([WORDS, replace(WORDS, confidences=b"\x60\x05")]),
    blocks=st.lists(blocks, max_size=3).map(tuple),
    tables=st.lists(tables, max_size=2).map(tuple),
    status=st.sampled_from(PageStatus),
    problem=maybe,
    engine=texts,
    confidence=st.none() | st.floats(0, 1),
    degraded_from=maybe,
)


@given(pages)
@settings(deadline=None)
def test_a_stored_page_round_trips(page: ParsedPage) -> None:
    assert unpack_page(*pack_page(page)) == page


@given(pages)
@settings(deadline=None)
def test_a_page_sent_by_a_parser_process_round_trips(page: ParsedPage) -> None:
    assert page_from_frame(orjson.loads(orjson.dumps(page_to_frame(page)))) == page


def test_a_table_keeps_its_caption_unit_period_and_header_path() -> None:
    table = Table(
        start=0,
        end=9,
        rows=(),
        caption="Condensed statements of operations",
        unit="in millions",
        period="three months ended July 1, 2023",
        header_path=("Item 1", "Financial statements"),
    )
    page = ParsedPage(number=1, text="Net sales", tables=(table,))
    assert unpack_page(*pack_page(page)).tables == (table,)


def test_pages_stored_by_earlier_versions_open() -> None:
    words = Words.pack([Word(0, 5, BOX)])
    table = [0, 5, None, [[0, 5, True, [[0, 5, 0, "A1", [1.5, 2.25, 3.125, 4.0625]]]]]]
    kinds = ["paragraph", "list_item", "figure", "heading", "table", "code"]
    stored_blocks = [[kind, 0, 5, 0, None] for kind in kinds]
    values = [3, "Total", "page", None, 612.0, None, stored_blocks, [table], "ok", None, "e 1"]
    old = zlib.compress(orjson.dumps([*values, None, None]), 1)
    page = unpack_page(old, pack_words(words))
    assert (page.number, page.text, page.words) == (3, "Total", words)
    assert [block.kind.value for block in page.blocks] == [
        "text",
        "list",
        "caption",
        "heading",
        "table",
        "code",
    ]
    assert page.tables[0].rows[0].cells[0].ref == "A1"
    assert (page.tables[0].caption, page.tables[0].header_path) == (None, ())
    assert unpack_page(*pack_page(page)) == page


def test_a_lone_surrogate_in_a_label_or_caption_is_replaced() -> None:
    table = Table(start=0, end=1, rows=(), caption="a\ud800b", header_path=("\udfff",))
    page = ParsedPage(number=1, text="x", label="\ud800", tables=(table,))
    found = unpack_page(*pack_page(page))
    assert (found.label, found.tables) == (
        "\ufffd",
        (replace(table, caption="a\ufffdb", header_path=("\ufffd",)),),
    )


@pytest.mark.parametrize(
    "change", [{"page": [1, "x"]}, {"page": None}, {"words": 7}, {"page": [1] * 13}]
)
def test_a_frame_that_holds_no_page_is_refused(change: dict[str, object]) -> None:
    frame = page_to_frame(ParsedPage(number=1, text="x")) | change
    with pytest.raises((KeyError, TypeError, ValueError)):
        page_from_frame(frame)
