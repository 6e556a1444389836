"""A vector store of the user's own holds what the library serves, and nothing else for long."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.latent import LatentEmbedder
from tests.ingest.pages import serve
from tests.lazy_sdk import lazy, lazy_call

from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.vectors.index import VectorIndex
from foliotrace.errors import IndexUnavailable, Misconfigured
from foliotrace.model import Deadline, Filters, Principal, Query

pytestmark = pytest.mark.anyio

stores = lazy("tests.adapters.vector_stores")
try_store = lazy_call("foliotrace.adapters.llamaindex.vector_store:try_store")

CORPUS = (
    "The cat sat on the mat with another cat.",
    "A kitten is a young cat that plays.",
    "Stocks fell as the market closed lower.",
    "The market rallied and stocks rose.",
)
NO_HURRY = Deadline(float("inf"))


class Bench:
    """A library, a store, and the index between them, which may be opened anew."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.folder, self.store = folder, store
        self.library = SqliteLibrary.open(folder)
        self.embedder = LatentEmbedder(CORPUS, dimensions=3)
        self.index = self._open()

    def _open(self, reference: str = "m:store") -> VectorIndex:
        vectors = stores.opened(self.folder, self.store, reference)
        self.vectors = vectors
        return VectorIndex(vectors, self.library, self.embedder, sleep=_give_up)

    async def open_again(self, reference: str = "m:store") -> None:
        await self.index.close()
        self.index = self._open(reference)

    async def follow(self) -> None:
        await self.index.catch_up()
        with suppress(SystemError):  # the embedding gives up: the store is down
            await self.index.wait_until_embedded()

    async def ask(
        self, text: str, *, tenant: str = "t1", collection: str = "default", **filters: Any
    ) -> list[str]:
        query = Query(
            text=text,
            principal=Principal(tenant=tenant),
            collection=collection,
            filters=Filters(**filters),
        )
        found = await self.index.retrieve(query, top_k=2, deadline=NO_HURRY)
        return [passage.text for passage in found]

    def texts(self) -> set[str]:
        return {node.get_content() for node in self.store.nodes.values()}


async def _give_up(delay_s: float) -> None:
    raise SystemError("the embedding would wait here")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    opened = Bench(tmp_path, stores.made("own"))
    yield opened
    await opened.index.close()
    opened.library.close()


@pytest.fixture(params=["own", "qdrant", "chroma"])
async def real(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    opened = Bench(tmp_path, stores.made(request.param))
    yield opened
    await opened.index.close()
    opened.library.close()


async def test_collections_tenants_and_documents_are_apart(real: Bench) -> None:
    await serve(real.library, CORPUS[0], name="a")
    late = await serve(real.library, CORPUS[1], name="late")
    await serve(real.library, CORPUS[2], collection="news")
    await serve(real.library, CORPUS[3], tenant="t2")
    await real.follow()
    assert set(await real.ask("cat")) == {CORPUS[0], CORPUS[1]}
    assert await real.ask("cat", collection="news") == [CORPUS[2]]
    assert await real.ask("cat", tenant="t2") == [CORPUS[3]]
    assert await real.ask("cat", document_ids=(late.id,)) == [CORPUS[1]]
    assert await real.ask("cat", document_ids=("doc_unknown",)) == []


async def test_an_update_takes_the_place_of_what_was_there(real: Bench) -> None:
    await serve(real.library, CORPUS[0], CORPUS[2])
    await real.follow()
    await serve(real.library, CORPUS[0], CORPUS[3], content_hash="b" * 64)
    await real.follow()
    assert set(await real.ask("stocks")) == {CORPUS[0], CORPUS[3]}


async def test_the_store_passes_the_probe_of_doctor(real: Bench) -> None:
    assert await try_store(real.store, [1.0, 0.0]) == ""


async def test_a_store_that_is_emptied_is_filled_anew(real: Bench, tmp_path: Path) -> None:
    await serve(real.library, *CORPUS)
    await real.follow()
    kind = "own" if hasattr(real.store, "nodes") else type(real.store).__name__[:6].lower()
    real.store = stores.made(kind)  # as one in memory is after a restart
    await real.open_again()
    await real.follow()
    assert CORPUS[0] in await real.ask("cat")


async def test_every_query_names_tenant_and_collection(bench: Bench) -> None:
    await serve(bench.library, *CORPUS)
    await bench.follow()
    await bench.ask("cat")
    await bench.open_again()
    await bench.follow()
    queries = [what for name, what in bench.store.calls if name == "query"]
    assert len(queries) == 2  # the question, and the look whether the store was emptied
    for query in queries:
        held = {each.key: each.value for each in query.filters.filters}
        assert held == {"tenant": "t1", "collection": "default"}


async def test_a_store_that_ignores_filters_shows_no_foreign_text(bench: Bench) -> None:
    await serve(bench.library, CORPUS[0])
    await serve(bench.library, CORPUS[1], tenant="t2")
    await bench.follow()
    bench.store.filters = False
    assert await bench.ask("kitten") == [CORPUS[0]]
    assert await try_store(bench.store, [1.0, 0.0, 0.0]) == "it ignores metadata filters"


async def test_a_deletion_during_an_outage_happens_afterwards(bench: Bench) -> None:
    gone = await serve(bench.library, CORPUS[0], name="a")
    await serve(bench.library, CORPUS[2], name="b")
    await bench.follow()
    bench.store.down = True
    await bench.library.delete("t1", gone.id)
    await bench.follow()
    with pytest.raises(IndexUnavailable):
        await bench.index.compact()
    bench.store.down = False
    await bench.index.compact()
    assert bench.texts() == {CORPUS[2]}


async def test_an_outage_costs_no_second_embedding(bench: Bench) -> None:
    bench.store.down = True
    await serve(bench.library, *CORPUS)
    for _ in range(3):
        await bench.follow()
    with pytest.raises(IndexUnavailable) as refused:
        await bench.ask("cat")
    assert refused.value.reason == "embedding_pending"
    assert not bench.index.ready
    bench.store.down = False
    await bench.follow()
    assert sum(bench.embedder.batches) == len(CORPUS)
    assert bench.texts() == set(CORPUS)
    assert bench.index.ready


async def test_a_failing_query_is_a_failing_path_and_shows_in_readiness(bench: Bench) -> None:
    await serve(bench.library, *CORPUS)
    await bench.follow()
    bench.store.down = True
    with pytest.raises(IndexUnavailable) as refused:
        await bench.ask("cat")
    assert refused.value.reason == "vector_store_failed"
    assert not bench.index.ready
    bench.store.down = False
    assert await bench.ask("cat")
    assert bench.index.ready


async def test_another_model_empties_the_store_first(bench: Bench) -> None:
    await serve(bench.library, *CORPUS)
    await bench.follow()
    bench.embedder = LatentEmbedder(CORPUS, dimensions=2, model="other")
    await bench.open_again()
    await bench.follow()
    lengths = {len(node.embedding) for node in bench.store.nodes.values()}
    assert lengths == {2}
    assert bench.texts() == set(CORPUS)


async def test_another_store_is_filled_and_the_old_one_left_alone(bench: Bench) -> None:
    await serve(bench.library, *CORPUS)
    await bench.follow()
    old, bench.store = bench.store, stores.made("own")
    await bench.open_again("m:other")
    await bench.follow()
    assert bench.texts() == set(CORPUS)
    assert [name for name, _ in bench.store.calls] == ["add"]
    assert len(old.nodes) == len(CORPUS)


async def test_a_restart_places_nothing_twice(bench: Bench) -> None:
    await serve(bench.library, *CORPUS)
    await bench.follow()
    await bench.open_again()
    await bench.follow()
    assert [name for name, _ in bench.store.calls if name == "add"] == ["add"]


async def test_a_store_without_deletion_or_text_is_refused(tmp_path: Path) -> None:
    for name in ("llama_index.core.vector_stores:SimpleVectorStore", ""):
        store = lazy_call(name)() if name else stores.without_deletion()
        with pytest.raises(Misconfigured, match="vector_store"):
            stores.opened(tmp_path, store)
