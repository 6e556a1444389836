"""LlamaIndex behind our ports, and our index and journey behind LlamaIndex's doors."""

from typing import Any

import pytest
from tests.lazy_sdk import lazy, lazy_call
from tests.query.conftest import stack  # noqa: F401 - a fixture
from tests.query.query_stack import HANDBOOK, QueryStack

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import EmbedderUnavailable
from foliotrace.model import Deadline, Level, RetrievalMode
from foliotrace.query.retrieve.paths import RetrievalPath

LlamaIndexEmbedder = lazy_call("foliotrace.adapters.llamaindex.embedder:LlamaIndexEmbedder")
LibraryQueryEngine = lazy_call("foliotrace.adapters.llamaindex.retriever:LibraryQueryEngine")
LibraryRetriever = lazy_call("foliotrace.adapters.llamaindex.retriever:LibraryRetriever")
LlamaIndexRetriever = lazy_call("foliotrace.adapters.llamaindex.retriever:LlamaIndexRetriever")
find_aligned = lazy_call("foliotrace.adapters.llamaindex.retriever:find_aligned")

pytestmark = pytest.mark.anyio

NO_HURRY = Deadline(float("inf"))
QUESTION = "When are refunds paid?"
core = lazy("llama_index.core")
parts = lazy("tests.adapters.own_parts")
schema = lazy("llama_index.core.schema")


def node(text: str, **metadata: Any) -> Any:
    return schema.TextNode(text=text, metadata=metadata)


async def test_our_index_is_a_llamaindex_retriever(stack: QueryStack) -> None:  # noqa: F811
    document_id = await stack.serve(*HANDBOOK)
    retriever = LibraryRetriever(stack.keyword().retriever, clock=SystemClock(), top_k=1)
    (found,) = await retriever.aretrieve(QUESTION)
    assert found.node.get_content() == HANDBOOK[0]
    assert (found.node.metadata["document_id"], found.node.metadata["page"]) == (document_id, 1)


async def test_the_journey_is_a_llamaindex_query_engine(stack: QueryStack) -> None:  # noqa: F811
    await stack.serve(*HANDBOOK)
    response = await LibraryQueryEngine(stack.ask).aquery(QUESTION)
    assert "30 days" in str(response)
    assert response.metadata["degradation"]["level"] == 0
    assert response.source_nodes[0].node.get_content() in HANDBOOK[0]
    assert len(stack.audit.entries) == 2


async def test_a_llamaindex_vector_store_answers_with_exact_anchors(stack: QueryStack) -> None:  # noqa: F811
    document_id = await stack.serve(*HANDBOOK)
    nodes = [
        node(text, document_id=document_id, page_label=str(number))
        for number, text in enumerate(HANDBOOK, 1)
    ]
    from llama_index.core.indices.vector_store import VectorStoreIndex

    index = VectorStoreIndex(nodes, embed_model=core.MockEmbedding(embed_dim=4))
    path = LlamaIndexRetriever(index.as_retriever(similarity_top_k=2), stack.library)
    stack.use_paths(RetrievalPath(RetrievalMode.CUSTOM, path), stack.keyword())
    answer = await stack.ask(QUESTION)
    assert answer.degradation.retrieval is RetrievalMode.CUSTOM
    anchor = answer.citations[0].anchor
    page = await stack.library.page("default", document_id, anchor.page)
    assert anchor.exact
    assert page.text[anchor.start : anchor.end] == answer.citations[0].quote


async def test_a_hit_that_is_not_on_its_page_is_cited_without_an_exact_place(
    stack: QueryStack,  # noqa: F811
) -> None:
    document_id = await stack.serve(*HANDBOOK)
    other = node("Refunds are paid when the moon is full.", document_id=document_id, page=1)
    stack.use_paths(
        RetrievalPath(RetrievalMode.CUSTOM, LlamaIndexRetriever(parts.Fixed(other), stack.library))
    )
    answer = await stack.ask(QUESTION)
    assert [citation.anchor.exact for citation in answer.citations] == [False]


async def test_a_hit_of_a_document_that_is_not_this_tenants_is_dropped(
    stack: QueryStack,  # noqa: F811
) -> None:
    await stack.serve(*HANDBOOK)
    foreign = [node(HANDBOOK[0], document_id="doc_else"), node(HANDBOOK[0], file_name="else.txt")]
    stack.use_paths(
        RetrievalPath(
            RetrievalMode.CUSTOM, LlamaIndexRetriever(parts.Fixed(*foreign), stack.library)
        )
    )
    assert (await stack.ask(QUESTION)).citations == ()


async def test_a_llamaindex_retriever_that_fails_is_an_outage(stack: QueryStack) -> None:  # noqa: F811
    await stack.serve(*HANDBOOK)
    broken = LlamaIndexRetriever(parts.Fixed(error=ConnectionError("secret")), stack.library)
    stack.use_paths(RetrievalPath(RetrievalMode.CUSTOM, broken), stack.keyword())
    answer = await stack.ask(QUESTION)
    assert answer.degradation.level is Level.LOWER_PATH
    assert answer.degradation.reasons == ("retriever_failed",)


@pytest.mark.parametrize(
    ("page", "text", "found"),
    [
        ("a b c", "b c", "b c"),
        ("one\n two  three", "one two three", "one\n two  three"),
        ("x", "y", ""),
        ("x", "  ", ""),
    ],
)
def test_text_is_aligned_to_the_page_with_white_space_aside(
    page: str, text: str, found: str
) -> None:
    start, end = find_aligned(page, text)
    assert page[start:end] == found


async def test_a_llamaindex_embedding_is_an_embedder() -> None:
    embedder = LlamaIndexEmbedder(
        core.MockEmbedding(embed_dim=3), clock=SystemClock(), model="mock"
    )
    assert [list(v) for v in await embedder.embed(["a", "b"], deadline=NO_HURRY)] == [[0.5] * 3] * 2
    assert list(await embedder.embed_query("a", deadline=NO_HURRY)) == [0.5] * 3
    assert await embedder.embed([], deadline=NO_HURRY) == []


async def test_an_embedding_that_fails_or_is_unusable_is_unavailable() -> None:
    class Failing(core.MockEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            raise ConnectionError("secret")

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return [[0.5], [0.5, 0.5]]

    embedder = LlamaIndexEmbedder(Failing(embed_dim=3), clock=SystemClock())
    with pytest.raises(EmbedderUnavailable) as failed:
        await embedder.embed_query("a", deadline=NO_HURRY)
    assert "secret" not in failed.value.message
    with pytest.raises(EmbedderUnavailable) as lied:
        await embedder.embed(["a", "b"], deadline=NO_HURRY)
    assert lied.value.reason == "embedder_garbage"
