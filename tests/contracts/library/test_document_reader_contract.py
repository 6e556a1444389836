"""Looking up and listing documents, within a tenant."""

import pytest
from tests.contracts.library.ingesting import draft, ingesting_document
from tests.ingest.pages import serve

from foliotrace.errors import NotFound
from foliotrace.model import Filters, Identity
from foliotrace.ports import Library

pytestmark = pytest.mark.anyio


async def test_unsettled_documents_of_all_tenants_are_listed(library: Library) -> None:
    queued = (await library.register("t2", draft())).document
    at_work = await ingesting_document(library)
    await serve(library, "Alpha.", name="served.txt", content_hash="c" * 64)
    failed = (await library.register("t1", draft("bad.txt", "d" * 64))).document
    await library.fail("t1", failed.id, problem="file_empty", detail="empty")
    found = await library.unsettled()
    assert {(d.tenant, d.id) for d in found} == {("t2", queued.id), ("t1", at_work.id)}


async def test_documents_are_listed_in_pages_and_by_collection_and_name(library: Library) -> None:
    for n in range(5):
        await serve(library, "Alpha.", name=f"{n}.txt", collection="even" if n % 2 == 0 else "odd")
    first = await library.documents("t1", limit=3)
    rest = await library.documents("t1", limit=3, after=first[-1].id)
    assert sorted(d.name for d in [*first, *rest]) == [f"{n}.txt" for n in range(5)]
    assert len(await library.documents("t1", collection="odd")) == 2
    assert [d.name for d in await library.documents("t1", name="3.txt")] == ["3.txt"]


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
