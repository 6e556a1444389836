"""Reading stored pages."""

import pytest
from tests.contracts.library.ingesting import draft, ingesting_document
from tests.ingest.pages import page, store

from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import (
    Block,
    BlockKind,
    Box,
    Identity,
    PageKind,
    PageStatus,
    ParsedPage,
    Table,
    TableCell,
    TableRow,
    Word,
    Words,
)
from foliotrace.ports import Library

pytestmark = pytest.mark.anyio


async def test_a_page_comes_back_as_it_was_stored(library: Library) -> None:
    box = Box(1.5, 2.25, 3.125, 4.0625)
    whole = ParsedPage(
        number=1,
        text="Total\t5 \U0001f642\nNet\t7",
        kind=PageKind.SHEET,
        label="Sheet 1",
        width=612.0,
        height=792.1,
        words=Words.pack([Word(0, 5, box), Word(6, 7, Box(9.1, 9.2, 9.3, 9.4))]),
        blocks=(Block(kind=BlockKind.TABLE, start=0, end=15, level=2, box=box),),
        tables=(
            Table(
                start=0,
                end=15,
                box=box,
                rows=(
                    TableRow(
                        start=0,
                        end=7,
                        is_header=True,
                        cells=(TableCell(start=0, end=5, column=0, ref="A1", box=box),),
                    ),
                ),
            ),
        ),
        status=PageStatus.NEEDS_OCR,
        problem="needs_ocr",
        engine="test 1",
        confidence=0.5,
        degraded_from="better 2",
    )
    document = await ingesting_document(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[whole])
    assert await library.page("t1", document.id, 1) == whole
    assert list(await library.pages("t1", document.id, range(1, 9))) == [whole]


async def test_a_lone_surrogate_is_replaced_without_moving_offsets(library: Library) -> None:
    document = await ingesting_document(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[page(1, "a\ud800b")])
    assert (await library.page("t1", document.id, 1)).text == "a\ufffdb"


async def test_pages_of_equal_bytes_are_shared_until_the_last_document_is_deleted(
    library: Library,
) -> None:
    one = await ingesting_document(library, 1)
    await library.begin("t1", one.id, revision="same", pages_total=1)
    await store(library, one, "same", [page(1, "Alpha.")])
    await library.publish("t1", one.id, revision="same", identity=Identity())
    two = (await library.register("t1", draft("copy.txt"))).document
    assert await library.begin("t1", two.id, revision="same", pages_total=1) == 1
    chunks = chunk_pages(
        await library.pages("t1", two.id, range(1, 2), revision="same"),
        document_id=two.id,
        revision="same",
        first_ordinal=0,
    )
    await library.add_chunks("t1", two.id, revision="same", chunks=chunks)
    await library.publish("t1", two.id, revision="same", identity=Identity())
    await library.delete("t1", one.id)
    assert (await library.page("t1", two.id, 1)).text == "Alpha."
