"""Reading what is served: chunks, labels and filters."""

import pytest
from tests.contracts.library.ingesting import ingesting_document
from tests.ingest.pages import page, serve, store

from foliotrace.model import Filters, Identity
from foliotrace.ports import DocumentLabel, Library

pytestmark = pytest.mark.anyio


async def test_nothing_is_served_before_publish(library: Library) -> None:
    document = await ingesting_document(library, 1)
    await store(library, document, "r1", [page(1, "Alpha.")])
    assert await library.document_chunks("t1", document.id) == []
    assert await library.matching("t1", "default", Filters()) == []
    version = await library.publish("t1", document.id, revision="r1", identity=Identity())
    assert version == await library.version()
    assert len(await library.document_chunks("t1", document.id)) == 1


async def test_chunks_come_in_the_requested_order_without_unknown_ones(
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


async def test_a_label_has_name_identity_and_the_hash_of_what_is_served(library: Library) -> None:
    one = await serve(library, "Alpha.", identity=Identity(company="Acme", kind="10-K"))
    assert (
        await library.labels("t1", [one.id, one.id])
        == [DocumentLabel("notes.txt", "Acme | 10-K", one.content_hash)] * 2
    )


async def test_filters_by_id_hold_within_the_tenant_the_collection_and_what_is_served(
    library: Library,
) -> None:
    mine = await serve(library, "Alpha.", name="mine.txt")
    elsewhere = await serve(library, "Alpha.", collection="other")
    foreign = await serve(library, "Alpha.", tenant="t2")
    unserved = await ingesting_document(library, 1)
    ids = (foreign.id, elsewhere.id, mine.id, unserved.id, "doc_unknown")
    assert await library.matching("t1", "default", Filters(document_ids=ids)) == [mine.id]
