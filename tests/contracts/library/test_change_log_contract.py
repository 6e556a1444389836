"""Versions, and what changed between them."""

import pytest
from tests.ingest.pages import serve

from foliotrace.ports import Library

pytestmark = pytest.mark.anyio


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
