"""Vectors follow the library in the background; half-embedded collections never answer."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.ingest.latent import LatentEmbedder
from tests.ingest.pages import serve

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.vectors.index import VectorIndex
from foliotrace.adapters.local.vectors.store import VectorStore
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Principal, Query

pytestmark = pytest.mark.anyio

CORPUS = (
    "The cat sat on the mat with another cat.",
    "A kitten is a young cat that plays.",
    "Stocks fell as the market closed lower.",
    "The market rallied and stocks rose.",
    "Refunds are paid within thirty days of purchase.",
)
NO_HURRY = Deadline(float("inf"))


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[SqliteLibrary]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def embedder() -> LatentEmbedder:
    return LatentEmbedder(CORPUS, dimensions=3)


@pytest.fixture
async def opened(
    tmp_path: Path, library: SqliteLibrary
) -> AsyncIterator[Callable[..., VectorIndex]]:
    made: list[VectorIndex] = []

    def make(embedder: LatentEmbedder, **options: object) -> VectorIndex:
        made.append(VectorIndex(VectorStore(tmp_path / "vectors.db"), library, embedder, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for index in made:
        await index.close()


def question(text: str, *, tenant: str = "t1", filters: Filters | None = None) -> Query:
    return Query(text=text, principal=Principal(tenant=tenant), filters=filters or Filters())


async def test_the_nearest_page_comes_first_with_its_cosine(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    await serve(library, *CORPUS)
    index = opened(embedder)
    await index.catch_up()
    await index.wait_until_embedded()
    found = await index.retrieve(question("kitten"), top_k=2, deadline=NO_HURRY)
    assert found[0].page == 2
    assert 1.01 > found[0].score > 0.9 > found[1].score
    assert index.ready


async def test_a_collection_that_is_not_embedded_yet_is_unavailable(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    await serve(library, *CORPUS)
    index = opened(embedder)
    for step in (None, index.catch_up):
        if step:
            await step()
        with pytest.raises(IndexUnavailable) as refused:
            await index.retrieve(question("cat"), top_k=2, deadline=NO_HURRY)
        assert refused.value.reason == "embedding_pending"
        assert not index.ready
    await index.wait_until_embedded()
    assert await index.retrieve(question("cat"), top_k=2, deadline=NO_HURRY)


async def test_another_tenants_change_does_not_make_a_collection_wait(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    await serve(library, *CORPUS)
    index = opened(embedder)
    await index.catch_up()
    await index.wait_until_embedded()
    await serve(library, *CORPUS, tenant="t2")
    assert await index.retrieve(question("cat"), top_k=2, deadline=NO_HURRY)
    with pytest.raises(IndexUnavailable) as refused:
        await index.retrieve(question("cat", tenant="t2"), top_k=2, deadline=NO_HURRY)
    assert refused.value.reason == "embedding_pending"


async def test_filters_on_a_half_embedded_collection_are_no_way_round(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    ready = await serve(library, *CORPUS, metadata={"kind": "report"})
    index = opened(embedder)
    await index.catch_up()
    await index.wait_until_embedded()
    await serve(library, *CORPUS, name="late.txt", metadata={"kind": "report"})
    for filters in (
        Filters(document_ids=(ready.id,)),
        Filters(metadata={"kind": ("report",)}),
        Filters(metadata={"kind": ("none",)}),
    ):
        with pytest.raises(IndexUnavailable) as refused:
            await index.retrieve(question("cat", filters=filters), top_k=2, deadline=NO_HURRY)
        assert refused.value.reason == "embedding_pending"


async def test_embedding_resumes_after_a_restart_without_embedding_twice(
    library: SqliteLibrary, opened: Callable[..., VectorIndex]
) -> None:
    texts = [f"{CORPUS[n % 5]} number {n}" for n in range(150)]
    await serve(library, *texts)
    embedder = LatentEmbedder(CORPUS)

    async def stop(delay_s: float) -> None:
        raise SystemError("the process dies here")

    class DiesInTheSecondBatch(LatentEmbedder):
        ready = True

        async def embed(self, texts, *, deadline):  # type: ignore[no-untyped-def]
            self.down = len(self.batches) == 1
            return await super().embed(texts, deadline=deadline)

    first = opened(DiesInTheSecondBatch(CORPUS), sleep=stop)
    await first.catch_up()
    with pytest.raises(SystemError):
        await first.wait_until_embedded()
    assert first.problem == "embedder_unavailable"
    second = opened(embedder)
    await second.catch_up()
    await second.wait_until_embedded()
    assert sum(embedder.batches) == 150 - 64
    assert second.ready


async def test_an_embedder_that_recovers_is_used_again(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    waits: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        embedder.down = len(waits) < 3

    await serve(library, *CORPUS)
    embedder.down = True
    index = opened(embedder, sleep=sleep)
    await index.catch_up()
    await index.wait_until_embedded()
    assert waits == [2.0, 4.0, 8.0]
    assert index.problem is None
    assert index.ready


async def test_a_deleted_document_has_no_vectors_and_a_changed_one_new_ones(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    gone = await serve(library, CORPUS[0], name="gone.txt")
    await serve(library, CORPUS[1], name="kept.txt")
    index = opened(embedder)
    await index.catch_up()
    await index.wait_until_embedded()
    await library.delete("t1", gone.id)
    await serve(library, CORPUS[2], name="kept.txt", content_hash="b" * 64)
    await index.catch_up()
    await index.wait_until_embedded()
    found = await index.retrieve(question("cat market"), top_k=5, deadline=NO_HURRY)
    assert [p.text for p in found] == [CORPUS[2]]


async def test_another_model_embeds_everything_again(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    await serve(library, *CORPUS)
    first = opened(embedder)
    await first.catch_up()
    await first.wait_until_embedded()
    other = LatentEmbedder(CORPUS, dimensions=3, model="lsa-2")
    second = opened(other)
    assert not second.ready
    await second.catch_up()
    await second.wait_until_embedded()
    assert sum(other.batches) == len(CORPUS)
    assert len(await second.retrieve(question("cat"), top_k=5, deadline=NO_HURRY)) == 5


async def test_tenants_and_filters_restrict_what_is_near(
    library: SqliteLibrary, embedder: LatentEmbedder, opened: Callable[..., VectorIndex]
) -> None:
    one = await serve(library, CORPUS[0], name="a.txt", metadata={"year": 2022})
    await serve(library, CORPUS[1], name="b.txt", metadata={"year": 2023})
    await serve(library, CORPUS[1], name="c.txt", tenant="t2")
    index = opened(embedder)
    await index.catch_up()
    await index.wait_until_embedded()
    only = Filters(metadata={"year": (2022,)})
    found = await index.retrieve(question("kitten", filters=only), top_k=5, deadline=NO_HURRY)
    assert [p.document_id for p in found] == [one.id]
    theirs = await index.retrieve(question("kitten", tenant="t2"), top_k=5, deadline=NO_HURRY)
    assert [p.document_name for p in theirs] == ["c.txt"]


@pytest.mark.parametrize("answer", [[], [[1.0, float("nan")]], [[1.0], [2.0]], [[]]])
async def test_an_embedder_that_answers_wrongly_is_not_believed(
    library: SqliteLibrary,
    opened: Callable[..., VectorIndex],
    answer: list[list[float]],
) -> None:
    class Liar(LatentEmbedder):
        ready = True

        async def embed(self, texts, *, deadline):  # type: ignore[no-untyped-def]
            return answer

    async def stop(delay_s: float) -> None:
        raise SystemError

    await serve(library, CORPUS[0])
    index = opened(Liar(CORPUS), sleep=stop)
    await index.catch_up()
    with pytest.raises(SystemError):
        await index.wait_until_embedded()
    assert index.problem == "embedder_answered_wrongly"
    assert not index.ready
