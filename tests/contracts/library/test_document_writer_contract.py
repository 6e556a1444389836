"""Registering, ingesting, publishing, failing and deleting documents."""

import pytest
from tests.contracts.library.ingesting import draft, ingesting_document
from tests.ingest.pages import page, serve, store

from foliotrace.errors import Conflict, LibraryUnavailable, NotFound, NothingToIndex
from foliotrace.model import DocumentStatus, Filters, Identity
from foliotrace.ports import Library

pytestmark = pytest.mark.anyio


async def test_a_name_is_one_document_in_a_collection(library: Library) -> None:
    first = await library.register("t1", draft())
    again = await library.register("t1", draft())
    assert (first.unchanged, again.unchanged) == (False, False)
    assert again.document.id == first.document.id
    assert first.document.status is DocumentStatus.QUEUED


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


async def test_the_same_window_twice_changes_nothing(library: Library) -> None:
    document = await ingesting_document(library, 3)
    for _ in range(2):
        await store(library, document, "r1", [page(1, "Alpha."), page(2, "Beta.")])
    found = await library.document("t1", document.id)
    assert (found.pages_stored, found.status) == (2, DocumentStatus.INGESTING)
    assert await library.begin("t1", document.id, revision="r1", pages_total=3) == 2


async def test_a_revision_with_missing_pages_is_not_published(library: Library) -> None:
    document = await ingesting_document(library, 3)
    await store(library, document, "r1", [page(1, "Alpha.")])
    with pytest.raises(LibraryUnavailable) as refused:
        await library.publish("t1", document.id, revision="r1", identity=Identity())
    assert refused.value.reason == "pages_missing"


async def test_a_revision_without_chunks_is_not_published(library: Library) -> None:
    document = await ingesting_document(library, 1)
    await library.add_window("t1", document.id, revision="r1", pages=[page(1, "")])
    with pytest.raises(NothingToIndex):
        await library.publish("t1", document.id, revision="r1", identity=Identity())


async def test_publishing_twice_is_publishing_once(library: Library) -> None:
    document = await ingesting_document(library, 1)
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
    document = await ingesting_document(library, 2)
    await store(library, document, "r1", [page(1, "Alpha.")])
    await library.register("t1", draft(content_hash="b" * 64))
    with pytest.raises(Conflict):
        await library.add_window("t1", document.id, revision="r1", pages=[page(2, "Beta.")])
    with pytest.raises(Conflict):
        await library.publish("t1", document.id, revision="r1", identity=Identity())
    with pytest.raises(NotFound):
        await library.page("t1", document.id, 1, revision="r1")


async def test_a_failure_is_recorded_and_keeps_pages_by_default(
    library: Library,
) -> None:
    document = await ingesting_document(library, 2)
    await store(library, document, "r1", [page(1, "Alpha.")])
    await library.fail("t1", document.id, problem="file_malformed", detail="Mend it.")
    failed = await library.document("t1", document.id)
    assert (failed.status, failed.problem) == (DocumentStatus.FAILED, "file_malformed")
    assert (await library.page("t1", document.id, 1)).text == "Alpha."
    await library.fail("t1", document.id, problem="cancelled", detail="", keep_pages=False)
    with pytest.raises(NotFound):
        await library.page("t1", document.id, 1)


async def test_a_failure_of_older_bytes_does_not_touch_newer_ones(library: Library) -> None:
    document = await ingesting_document(library, 1)
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


async def test_compacting_keeps_what_is_served(library: Library) -> None:
    gone = await serve(library, "Alpha.", name="gone.txt")
    kept = await serve(library, "Beta.", name="kept.txt")
    await library.delete("t1", gone.id)
    await library.compact()
    assert [c.text for c in await library.document_chunks("t1", kept.id)] == ["Beta."]
