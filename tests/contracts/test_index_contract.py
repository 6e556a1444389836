"""What every IndexWriter must do: follow the library, whatever happened in between."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.ingest.latent import LatentEmbedder
from tests.ingest.pages import serve
from tests.lazy_sdk import lazy

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.vectors.index import VectorIndex
from foliotrace.adapters.local.vectors.store import VectorStore
from foliotrace.model import Deadline, Passage, Principal, Query
from foliotrace.ports import IndexWriter, Retriever

pytestmark = pytest.mark.anyio

stores = lazy("tests.adapters.vector_stores")
WORDS = ("alpha", "beta", "gamma", "delta")


@dataclass
class IndexUnderTest:
    """An index of some kind over a library, and how to wait for what it does behind."""

    library: SqliteLibrary
    writer: IndexWriter
    retriever: Retriever
    settled: Callable[[], Awaitable[None]]

    async def follow(self) -> int:
        version = await self.writer.catch_up()
        await self.settled()
        return version

    async def pages_about(self, word: str) -> list[str]:
        query = Query(text=word, principal=Principal(tenant="t1"))
        found = await self.retriever.retrieve(query, top_k=9, deadline=Deadline(float("inf")))
        return [passage.text for passage in found if strong(passage, word)]


def strong(passage: Passage, word: str) -> bool:
    """Whether the passage is a hit; exact vectors also rank what is far away."""
    return word in passage.text


def _vectors_in(kind: str, folder: Path) -> VectorStore:
    """The folder's own file, or a LlamaIndex vector store beside it."""
    if kind == "vectors":
        return VectorStore(folder / "vectors.db")
    store: VectorStore = stores.opened(folder, stores.made(kind))
    return store


@pytest.fixture(params=["keyword", "vectors", "own", "qdrant", "chroma"])
async def tested(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IndexUnderTest]:
    library = SqliteLibrary.open(tmp_path)
    if request.param == "keyword":
        keyword = KeywordIndex(tmp_path, library)

        async def at_once() -> None:
            return None

        yield IndexUnderTest(library, keyword, keyword, at_once)
        keyword.close()
    else:
        vectors = VectorIndex(
            _vectors_in(request.param, tmp_path), library, LatentEmbedder(WORDS, dimensions=4)
        )
        yield IndexUnderTest(library, vectors, vectors, vectors.wait_until_embedded)
        await vectors.close()
    library.close()


async def test_an_empty_library_is_followed_too(tested: IndexUnderTest) -> None:
    assert await tested.follow() == await tested.library.version()
    assert await tested.pages_about("alpha") == []


async def test_each_publish_is_found_after_catching_up(tested: IndexUnderTest) -> None:
    for word in WORDS:
        await serve(tested.library, f"All of {word}.", name=word)
        assert await tested.follow() == await tested.library.version()
        assert await tested.pages_about(word) == [f"All of {word}."]


async def test_many_changes_are_followed_at_once(tested: IndexUnderTest) -> None:
    gone = await serve(tested.library, "All of alpha.", name="a")
    await serve(tested.library, "All of beta.", name="b")
    await serve(tested.library, "Now of gamma.", name="b", content_hash="b" * 64)
    await tested.library.delete("t1", gone.id)
    await tested.follow()
    assert await tested.pages_about("alpha") == []
    assert await tested.pages_about("beta") == []
    assert await tested.pages_about("gamma") == ["Now of gamma."]


async def test_catching_up_twice_changes_nothing(tested: IndexUnderTest) -> None:
    await serve(tested.library, "All of alpha.")
    assert await tested.follow() == await tested.follow()
    assert await tested.pages_about("alpha") == ["All of alpha."]


async def test_rebuilding_gives_the_same(tested: IndexUnderTest) -> None:
    gone = await serve(tested.library, "All of alpha.", name="a")
    await serve(tested.library, "All of beta.", name="b")
    await tested.library.delete("t1", gone.id)
    await tested.follow()
    assert await tested.writer.rebuild() == await tested.library.version()
    await tested.settled()
    assert await tested.pages_about("alpha") == []
    assert await tested.pages_about("beta") == ["All of beta."]


async def test_compacting_keeps_what_is_served(tested: IndexUnderTest) -> None:
    gone = await serve(tested.library, "All of alpha.", name="a")
    await serve(tested.library, "All of beta.", name="b")
    await tested.follow()
    await tested.library.delete("t1", gone.id)
    await tested.follow()
    await tested.writer.compact()
    assert await tested.pages_about("beta") == ["All of beta."]
