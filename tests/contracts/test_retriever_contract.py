"""What every Retriever must do, over the embedded paths."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ingest.latent import LatentEmbedder
from tests.ingest.pages import serve

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.vectors.index import VectorIndex
from foliotrace.adapters.local.vectors.store import VectorStore
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Identity, Principal, Query
from foliotrace.ports import Retriever

pytestmark = pytest.mark.anyio

TEXTS = ("Refunds are paid in thirty days.", "Shipping is free.", "Refunds need a receipt.")
NO_HURRY = Deadline(float("inf"))


@pytest.fixture(params=["keyword", "vectors"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[SqliteLibrary]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def retriever(kind: str, tmp_path: Path, library: SqliteLibrary) -> AsyncIterator[Retriever]:
    """Over two documents in one collection, one in another, and one of another tenant."""
    identity = Identity(company="Acme")
    await serve(library, *TEXTS, name="a.txt", metadata={"year": 1}, identity=identity)
    await serve(library, TEXTS[0], name="b.txt", metadata={"year": 2})
    await serve(library, TEXTS[0], name="c.txt", collection="legal")
    await serve(library, TEXTS[0], name="d.txt", tenant="t2")
    if kind == "keyword":
        keyword = KeywordIndex(tmp_path, library)
        await keyword.catch_up()
        yield keyword
        keyword.close()
    else:
        vectors = VectorIndex(
            VectorStore(tmp_path / "vectors.db"), library, LatentEmbedder(TEXTS, dimensions=3)
        )
        await vectors.catch_up()
        await vectors.wait_until_embedded()
        yield vectors
        await vectors.close()


def about(text: str, *, tenant: str = "t1", collection: str = "default", **fields: int) -> Query:
    filters = Filters(metadata={name: (value,) for name, value in fields.items()})
    principal = Principal(tenant=tenant)
    return Query(text=text, principal=principal, collection=collection, filters=filters)


async def test_passages_come_best_first_and_at_most_top_k(retriever: Retriever) -> None:
    found = await retriever.retrieve(about("refunds receipt"), top_k=2, deadline=NO_HURRY)
    assert found[0].text == TEXTS[2]
    assert len(found) == 2
    assert found[0].score >= found[1].score


async def test_a_passage_is_a_verbatim_span_of_its_page(
    retriever: Retriever, library: SqliteLibrary
) -> None:
    for passage in await retriever.retrieve(about("refunds"), top_k=9, deadline=NO_HURRY):
        page = await library.page("t1", passage.document_id, passage.page)
        assert page.text[passage.start : passage.end] == passage.text
        (chunk,) = await library.chunks("t1", [passage.chunk_id])
        assert (chunk.revision, chunk.text) == (passage.revision, passage.text)


async def test_only_the_tenants_collection_answers(retriever: Retriever) -> None:
    async def names(query: Query) -> set[str]:
        found = await retriever.retrieve(query, top_k=9, deadline=NO_HURRY)
        return {passage.document_name for passage in found}

    assert await names(about("refunds paid")) == {"a.txt", "b.txt"}
    assert await names(about("refunds paid", collection="legal")) == {"c.txt"}
    assert await names(about("refunds paid", tenant="t2")) == {"d.txt"}
    assert await names(about("refunds paid", tenant="t3")) == set()


async def test_filters_hold(retriever: Retriever) -> None:
    found = await retriever.retrieve(about("refunds", year=2), top_k=9, deadline=NO_HURRY)
    assert [passage.document_name for passage in found] == ["b.txt"]
    assert await retriever.retrieve(about("refunds", year=3), top_k=9, deadline=NO_HURRY) == []


async def test_what_the_library_no_longer_serves_is_not_found(
    retriever: Retriever, library: SqliteLibrary, kind: str
) -> None:
    document = (await library.documents("t1", name="b.txt"))[0]
    await library.delete("t1", document.id)
    if kind == "vectors":  # which cannot tell what it has missed
        with pytest.raises(IndexUnavailable):
            await retriever.retrieve(about("refunds"), top_k=9, deadline=NO_HURRY)
        return
    found = await retriever.retrieve(about("refunds"), top_k=9, deadline=NO_HURRY)
    assert {passage.document_name for passage in found} == {"a.txt"}


async def test_an_outage_of_the_library_is_never_an_empty_answer(
    retriever: Retriever, library: SqliteLibrary
) -> None:
    library.close()
    with pytest.raises(IndexUnavailable):
        await retriever.retrieve(about("refunds"), top_k=9, deadline=NO_HURRY)
