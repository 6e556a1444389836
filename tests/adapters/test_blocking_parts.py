"""Blocking models and retrievers of the user's own do not stop the event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.lazy_sdk import lazy, lazy_call
from tests.query.conftest import stack  # noqa: F401 - a fixture
from tests.query.query_stack import HANDBOOK, QueryStack

from foliotrace.adapters.llamaindex.component_health import describe_failure
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline, Passage, Principal, Query, RetrievalMode, SourceFile
from foliotrace.ports import Prompt
from foliotrace.query.retrieve.paths import RetrievalPath

retriever_blocks = lazy_call("foliotrace.adapters.llamaindex.blocking:retriever_blocks")
LlamaIndexEmbedder = lazy_call("foliotrace.adapters.llamaindex.embedder:LlamaIndexEmbedder")
LlamaIndexGenerator = lazy_call("foliotrace.adapters.llamaindex.generator:LlamaIndexGenerator")
LlamaIndexRetriever = lazy_call("foliotrace.adapters.llamaindex.retriever:LlamaIndexRetriever")
LlamaIndexReranker = lazy_call("foliotrace.adapters.llamaindex.reranker:LlamaIndexReranker")
LlamaIndexParser = lazy_call("foliotrace.adapters.llamaindex.reader:LlamaIndexParser")
ComponentHealth = lazy_call("foliotrace.adapters.llamaindex.component_health:ComponentHealth")

pytestmark = pytest.mark.anyio

NO_HURRY = Deadline(float("inf"))
PROMPT = Prompt(system="s", user="u", version="t")
CALLS = 32
BLOCKED_S = 0.05  # as in `own_parts`

core = lazy("llama_index.core")
parts = lazy("tests.adapters.own_parts")
schema = lazy("llama_index.core.schema")


@asynccontextmanager
async def ticking() -> AsyncIterator[Callable[[], int]]:
    """How often the event loop has turned since the block was entered."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(BLOCKED_S / 10)
            turns += 1

    task = asyncio.create_task(turn())
    try:
        yield lambda: turns
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _turns_during(call: Callable[[], Awaitable[object]]) -> int:
    async with ticking() as turns:
        await asyncio.gather(*(call() for _ in range(CALLS)))
        return turns()


async def test_blocking_calls_of_a_language_model_leave_the_loop_turning() -> None:
    generator = LlamaIndexGenerator(parts.SlowLLM(), clock=SystemClock())
    turns = await _turns_during(lambda: generator.generate(PROMPT, max_tokens=9, deadline=NO_HURRY))
    assert turns >= 4, "the loop stood still while the calls blocked"


async def test_a_blocking_stream_leaves_the_loop_turning() -> None:
    generator = LlamaIndexGenerator(parts.SlowLLM(), clock=SystemClock())
    texts = []

    async def read() -> None:
        pieces = generator.stream(PROMPT, max_tokens=9, deadline=NO_HURRY)
        texts.append([piece.text async for piece in pieces if piece.done is None])

    assert await _turns_during(read) >= 4
    assert texts == [["an", "answer"]] * CALLS


async def test_blocking_calls_of_an_embedding_leave_the_loop_turning() -> None:
    embedder = LlamaIndexEmbedder(parts.SlowEmbedding(), clock=SystemClock())
    assert await _turns_during(lambda: embedder.embed_query("q", deadline=NO_HURRY)) >= 4
    assert await _turns_during(lambda: embedder.embed(["a", "b"], deadline=NO_HURRY)) >= 4


async def test_blocking_rerankers_and_readers_leave_the_loop_turning(tmp_path: Path) -> None:
    health = ComponentHealth("part", lambda part, failure: None)
    reranker = LlamaIndexReranker(parts.SlowReranker(), health=health)
    query = Query(text="q", principal=Principal())
    passages = [_passage("a"), _passage("b")]
    turned = await reranker.rerank(query, passages, deadline=NO_HURRY)
    assert [each.chunk_id for each in turned] == ["b", "a"]
    assert await _turns_during(lambda: reranker.rerank(query, passages, deadline=NO_HURRY)) >= 4
    reader = LlamaIndexParser(
        parts.SlowReader(), ".slow", "m:o", clock=SystemClock(), health=health
    )
    sources = [_source(tmp_path / f"{number}.slow") for number in range(CALLS)]
    read = iter(sources)
    assert await _turns_during(lambda: reader.inspect(next(read), deadline=NO_HURRY)) >= 4


def _passage(chunk_id: str) -> Passage:
    return Passage(
        chunk_id=chunk_id,
        document_id="d",
        document_name="d.txt",
        revision="r",
        page=1,
        start=0,
        end=1,
        text=chunk_id,
        score=1.0,
        path=RetrievalMode.KEYWORD,
    )


def _source(path: Path) -> SourceFile:
    path.write_text(path.name)
    return SourceFile(
        path=path,
        name=path.name,
        media_type="application/x-reader.slow",
        content_hash=path.name,
        size_bytes=1,
    )


async def test_a_store_without_an_async_method_makes_its_retriever_blocking() -> None:
    index = core.VectorStoreIndex(
        [schema.TextNode(text="a")], embed_model=core.MockEmbedding(embed_dim=2)
    )
    assert retriever_blocks(index.as_retriever())
    assert retriever_blocks(parts.Shelf())


async def test_a_retriever_with_an_async_method_of_its_own_stays_in_the_loop() -> None:
    assert not retriever_blocks(parts.SyncClientOnly(schema.TextNode(text="a")))


async def test_a_retriever_whose_async_client_is_missing_is_asked_in_a_thread(
    stack: QueryStack,  # noqa: F811
) -> None:
    document_id = await stack.serve(*HANDBOOK)
    node = schema.TextNode(text=HANDBOOK[0], metadata={"document_id": document_id, "page": 1})
    own = parts.SyncClientOnly(node)
    stack.use_paths(
        RetrievalPath(RetrievalMode.CUSTOM, LlamaIndexRetriever(own, stack.library)),
        stack.keyword(),
    )
    for _ in range(2):
        answer = await stack.ask("When are refunds paid?")
        assert answer.degradation.retrieval is RetrievalMode.CUSTOM
    assert own.refused == 1, "the async method is not tried again"


async def test_a_call_that_nobody_waits_for_holds_its_place_until_it_returns() -> None:
    generator = LlamaIndexGenerator(parts.SlowLLM(), clock=SystemClock())
    call = asyncio.create_task(generator.generate(PROMPT, max_tokens=9, deadline=NO_HURRY))
    await asyncio.sleep(BLOCKED_S / 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    done = await generator.generate(PROMPT, max_tokens=9, deadline=NO_HURRY)
    assert done.text == "answer"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("Async client is not initialized!"),
            "ValueError: Async client is not initialized!",
        ),
        (
            ConnectionError("postgres://user:pw@host/db down\nmore"),
            "ConnectionError: postgres://host/db down",
        ),
        (RuntimeError("bad api_key=abc"), "RuntimeError: bad api_key=[removed]"),
        (RuntimeError("no answer to: What is the secret price?"), "RuntimeError"),
        (KeyError(), "KeyError"),
    ],
)
def test_an_error_is_said_by_its_type_and_first_line_without_secrets_or_content(
    error: Exception, said: str
) -> None:
    assert describe_failure(error, ("What is the secret price?",)) == said
