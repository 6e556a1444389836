"""What every Library must do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ingest.pages import blob, page, serve, store

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import Conflict, LibraryUnavailable, NotFound, NothingToIndex
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import (
    Block,
    BlockKind,
    Box,
    Document,
    DocumentStatus,
    Filters,
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
from foliotrace.ports import DocumentDraft, DocumentLabel, Library

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


def draft(name: str = "notes.txt", content_hash: str = "a" * 64, **more: object) -> DocumentDraft:
    return DocumentDraft(collection="default", name=name, blob=blob(content_hash), **more)  # type: ignore[arg-type]


async def begun(library: Library, pages_total: int = 2, revision: str = "r1") -> Document:
    document = (await library.register("t1", draft())).document
    await library.begin("t1", document.id, revision=revision, pages_total=pages_total)
    return document


# --- registering ---------------------------------------------------------------------------


async def test_a_name_is_one_document_in_a_collection(library: Library) -> None:
    first = await library.register("t1", draft())
    again = await library.register("t1", draft())
    assert (first.unchanged, again.unchanged) == (False, False)
    assert again.document.id == first.document.id
    assert first.document.status is DocumentStatus.QUEUED


async def test_what_is_under_way_is_listed_over_all_tenants(library: Library) -> None:
    queued = (await library.register("t2", draft())).document
    at_work = await begun(library)
    await serve(library, "Alpha.", name="served.txt", content_hash="c" * 64)
    failed = (await library.register("t1", draft("bad.txt", "d" * 64))).document
    await library.fail("t1", failed.id, problem="file_empty", detail="empty")
    found = await library.unsettled()
    assert {(d.tenant, d.id) for d in found} == {("t2", queued.id), ("t1", at_work.id)}


async def test_served_bytes_are_unchanged_and_new_bytes_are_not(library: Library) -> None:
    document = await serve(library, "Alpha.")
    assert (await library.register("t1", draft())).unchanged
    changed = await library.register("t1", draft(content_hash="b" * 64))
    assert (changed.unchanged, changed.document.id) == (False, document.id)
    assert changed.document.status is DocumentStatus.QUEUED
    assert [c.text for c in await library.document_chunks("t1", document.id)] == ["Alpha."]


async def test_new_metadata_of_served_bytes_changes_filters_and_version(library: Library) -> None:
    document = await serve(library, "Alpha.", metadata={"team": "red"})
    version = await library.version()
    await library.register("t1", draft(metadata={"team": "blue"}))
    assert await library.version() == version + 1
    assert await library.matching("t1", "default", Filters(metadata={"team": ("red",)})) == []
    blue = Filters(metadata={"team": ("blue",)})
    assert await library.matching("t1", "default", blue) == [document.id]
    await library.register("t1", draft())
    assert (await library.document("t1", document.id)).metadata == {"team": "blue"}


# --- pages and chunks ----------------------------------------------------------------------


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
    document = await begun(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[whole])
    assert await library.page("t1", document.id, 1) == whole
    assert list(await library.pages("t1", document.id, range(1, 9))) == [whole]


async def test_a_lone_surrogate_is_replaced_without_moving_offsets(library: Library) -> None:
    document = await begun(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[page(1, "a\ud800b")])
    assert (await library.page("t1", document.id, 1)).text == "a\ufffdb"


async def test_the_same_window_twice_changes_nothing(library: Library) -> None:
    document = await begun(library, 3)
    for _ in range(2):
        await store(library, document, "r1", [page(1, "Alpha."), page(2, "Beta.")])
    found = await library.document("t1", document.id)
    assert (found.pages_stored, found.status) == (2, DocumentStatus.INGESTING)
    assert await library.begin("t1", document.id, revision="r1", pages_total=3) == 2


async def test_nothing_is_served_before_publish(library: Library) -> None:
    document = await begun(library, 1)
    await store(library, document, "r1", [page(1, "Alpha.")])
    assert await library.document_chunks("t1", document.id) == []
    assert await library.matching("t1", "default", Filters()) == []
    version = await library.publish("t1", document.id, revision="r1", identity=Identity())
    assert version == await library.version()
    assert len(await library.document_chunks("t1", document.id)) == 1


async def test_a_revision_with_missing_pages_is_not_published(library: Library) -> None:
    document = await begun(library, 3)
    await store(library, document, "r1", [page(1, "Alpha.")])
    with pytest.raises(LibraryUnavailable) as refused:
        await library.publish("t1", document.id, revision="r1", identity=Identity())
    assert refused.value.reason == "pages_missing"


async def test_a_revision_without_chunks_is_not_published(library: Library) -> None:
    document = await begun(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[page(1, "")])
    with pytest.raises(NothingToIndex):
        await library.publish("t1", document.id, revision="r1", identity=Identity())


async def test_publishing_twice_is_publishing_once(library: Library) -> None:
    document = await begun(library, 1)
    await store(library, document, "r1", [page(1, "Alpha.")])
    versions = [
        await library.publish("t1", document.id, revision="r1", identity=Identity())
        for _ in range(2)
    ]
    assert versions[0] == versions[1]


async def test_a_new_revision_replaces_the_old_one_completely(library: Library) -> None:
    document = await serve(library, "Alpha.", "Beta.")
    old = [chunk.id for chunk in await library.document_chunks("t1", document.id)]
    await serve(library, "Gamma.", content_hash="b" * 64)
    assert await library.chunks("t1", old) == []
    assert [c.text for c in await library.document_chunks("t1", document.id)] == ["Gamma."]
    with pytest.raises(NotFound):
        await library.page("t1", document.id, 2)


async def test_a_superseded_revision_can_neither_grow_nor_be_published(library: Library) -> None:
    document = await begun(library, 2)
    await store(library, document, "r1", [page(1, "Alpha.")])
    await library.register("t1", draft(content_hash="b" * 64))
    with pytest.raises(Conflict):
        await library.add_window("t1", document.id, revision="r1", pages=[page(2, "Beta.")])
    with pytest.raises(Conflict):
        await library.publish("t1", document.id, revision="r1", identity=Identity())
    with pytest.raises(NotFound):
        await library.page("t1", document.id, 1, revision="r1")


async def test_chunks_come_in_the_order_asked_and_unknown_ones_are_left_out(
    library: Library,
) -> None:
    document = await serve(library, "Alpha.", "Beta.", "Gamma.")
    a, b, c = await library.document_chunks("t1", document.id)
    for _ in range(2):  # the second time from memory
        found = await library.chunks("t1", [c.id, "0" * 24, a.id])
        assert [chunk.text for chunk in found] == ["Gamma.", "Alpha."]
    assert [x.id for x in await library.document_chunks("t1", document.id, after_ordinal=0)] == [
        b.id,
        c.id,
    ]
    assert len(await library.document_chunks("t1", document.id, limit=2)) == 2


async def test_pages_of_equal_bytes_are_shared_and_stay_until_the_last_document_goes(
    library: Library,
) -> None:
    one = await begun(library, 1)
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


# --- failing and deleting ------------------------------------------------------------------


async def test_a_failure_is_told_and_keeps_pages_unless_told_otherwise(library: Library) -> None:
    document = await begun(library, 2)
    await store(library, document, "r1", [page(1, "Alpha.")])
    await library.fail("t1", document.id, problem="file_malformed", detail="Mend it.")
    failed = await library.document("t1", document.id)
    assert (failed.status, failed.problem) == (DocumentStatus.FAILED, "file_malformed")
    assert (await library.page("t1", document.id, 1)).text == "Alpha."
    await library.fail("t1", document.id, problem="cancelled", detail="", keep_pages=False)
    with pytest.raises(NotFound):
        await library.page("t1", document.id, 1)


async def test_a_failure_of_older_bytes_does_not_touch_newer_ones(library: Library) -> None:
    document = await begun(library, 1)
    await library.register("t1", draft(content_hash="b" * 64))
    await library.fail(
        "t1", document.id, problem="file_malformed", detail="", content_hash="a" * 64
    )
    assert (await library.document("t1", document.id)).status is DocumentStatus.QUEUED


async def test_a_deleted_document_is_unknown_and_its_name_is_free(library: Library) -> None:
    document = await serve(library, "Alpha.")
    (chunk,) = await library.document_chunks("t1", document.id)
    assert (await library.delete("t1", document.id)).name == "notes.txt"
    for ask in (library.document, library.delete):
        with pytest.raises(NotFound):
            await ask("t1", document.id)
    assert await library.chunks("t1", [chunk.id]) == []
    assert not await library.refers_to("t1", "a" * 64)
    assert (await library.register("t1", draft())).document.id != document.id


# --- tenants, collections, filters ---------------------------------------------------------


async def test_no_call_crosses_tenants(library: Library) -> None:
    document = await serve(library, "Alpha.")
    (chunk,) = await library.document_chunks("t1", document.id)
    assert await library.chunks("t2", [chunk.id]) == []
    assert await library.document_chunks("t2", document.id) == []
    assert await library.documents("t2") == []
    assert await library.matching("t2", "default", Filters(document_ids=(document.id,))) == []
    assert not await library.refers_to("t2", document.content_hash)
    for ask in (
        library.document("t2", document.id),
        library.page("t2", document.id, 1),
        library.pages("t2", document.id, range(1, 2)),
        library.labels("t2", [document.id]),
        library.delete("t2", document.id),
        library.begin("t2", document.id, revision="r", pages_total=1),
        library.fail("t2", document.id, problem="x", detail=""),
        library.publish("t2", document.id, revision="r", identity=Identity()),
    ):
        with pytest.raises(NotFound):
            await ask


async def test_documents_are_listed_in_pages_and_by_collection_and_name(library: Library) -> None:
    for n in range(5):
        await serve(library, "Alpha.", name=f"{n}.txt", collection="even" if n % 2 == 0 else "odd")
    first = await library.documents("t1", limit=3)
    rest = await library.documents("t1", limit=3, after=first[-1].id)
    assert sorted(d.name for d in [*first, *rest]) == [f"{n}.txt" for n in range(5)]
    assert len(await library.documents("t1", collection="odd")) == 2
    assert [d.name for d in await library.documents("t1", name="3.txt")] == ["3.txt"]


async def test_filters_compare_values_not_spellings(library: Library) -> None:
    document = await serve(
        library,
        "Alpha.",
        metadata={"year": 2022, "share": 1.0, "final": True, "team": "Red"},
        identity=Identity(company="Acme Inc."),
    )

    async def admits(**fields: str | int | float | bool) -> bool:
        filters = Filters(metadata={name: (value,) for name, value in fields.items()})
        return list(await library.matching("t1", "default", filters)) == [document.id]

    assert await admits(year=2022)
    assert await admits(year=2022.0)
    assert await admits(share=1)
    assert await admits(final=True)
    assert await admits(team="red", company="ACME INC.")
    assert not await admits(final=False)
    assert not await admits(team="red", year=2021)
    assert not await admits(missing="x")
    assert await library.matching("t1", "other", Filters()) == []


async def test_a_label_tells_name_and_identity(library: Library) -> None:
    one = await serve(library, "Alpha.", identity=Identity(company="Acme", kind="10-K"))
    assert (
        await library.labels("t1", [one.id, one.id])
        == [DocumentLabel("notes.txt", "Acme | 10-K")] * 2
    )


# --- versions ------------------------------------------------------------------------------


async def test_the_version_grows_with_every_publish_and_delete(library: Library) -> None:
    start = await library.version()
    one = await serve(library, "Alpha.", name="one.txt")
    two = await serve(library, "Beta.", name="two.txt")
    await library.delete("t1", one.id)
    assert await library.version() == start + 3
    changes = await library.changes(start)
    assert [(c.version, c.document_id, c.deleted) for c in changes] == [
        (start + 2, two.id, False),
        (start + 3, one.id, True),
    ]
    assert [c.version for c in await library.changes(start, limit=1)] == [start + 2]
    assert await library.changes(start + 3) == []


async def test_a_collection_changes_by_its_own_publishes_and_deletes_alone(
    library: Library,
) -> None:
    start = await library.version()
    document = await serve(library, "One.", tenant="t1")
    await serve(library, "Two.", tenant="t2")
    await serve(library, "Three.", tenant="t1", collection="legal")
    after = await library.version()
    assert await library.changed_since(start, "t1", "default")
    assert not await library.changed_since(start, "t1", "other")
    assert not await library.changed_since(start + 1, "t1", "default")
    await library.delete("t1", document.id)
    assert await library.changed_since(after, "t1", "default")
    assert not await library.changed_since(after, "t2", "default")


async def test_compacting_keeps_what_is_served(library: Library) -> None:
    gone = await serve(library, "Alpha.", name="gone.txt")
    kept = await serve(library, "Beta.", name="kept.txt")
    await library.delete("t1", gone.id)
    await library.compact()
    assert [c.text for c in await library.document_chunks("t1", kept.id)] == ["Beta."]
