"""The span of a streamed answer ends at its last token, an error, a close or collection."""

import asyncio
import gc
import time
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, LLMMetadata, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from tests.otel.watching import Watch, watching

pytestmark = pytest.mark.anyio


class BreaksMidway(CustomLLM):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="breaks-1")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="x")

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        def tokens() -> CompletionResponseGen:
            yield CompletionResponse(text="a", delta="a")
            raise ConnectionResetError("half way")

        return tokens()


def engine(**given: Any) -> Any:
    index = VectorStoreIndex.from_documents(
        [Document(text="Limes keep scurvy away.")], embed_model=MockEmbedding(embed_dim=4)
    )
    return index.as_query_engine(llm=MockLLM(), streaming=True, **given)


def assert_all_ended(watch: Watch) -> None:
    assert not watch.tree.open
    waiting = [record for records in watch.handler.streams.waiting.values() for record in records]
    assert all(record.ended for record in waiting)  # each goes with its generator
    assert watch.tree.faults == 0


def chat(watch: Watch) -> ReadableSpan:
    (span,) = [s for s in watch.spans if s.name.startswith("chat ")]
    return span


def test_a_stream_ends_at_its_last_token_and_tells_the_first() -> None:
    with watching() as watch:
        stream = MockLLM().stream_complete("one two three")
        first = next(stream)
        assert first is not None
        assert not watch.spans
        time.sleep(0.02)
        list(stream)
        last_ns = time.time_ns()
    span = chat(watch)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time >= 20_000_000
    assert span.end_time <= last_ns
    assert span.attributes is not None
    assert span.attributes["gen_ai.response.time_to_first_chunk"] < 0.02
    assert span.attributes["gen_ai.request.stream"] is True
    assert_all_ended(watch)


def test_a_stream_that_breaks_is_an_error() -> None:
    with watching() as watch, pytest.raises(ConnectionResetError):
        list(BreaksMidway().stream_complete("x"))
    assert chat(watch).status.status_code is StatusCode.ERROR
    assert [event.name for event in chat(watch).events] == ["exception"]
    assert_all_ended(watch)


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_stream_given_up_ends_without_an_error(tokens: int) -> None:
    with watching() as watch:
        stream = MockLLM().stream_complete("one two three")
        for _ in range(tokens):
            next(stream)
        del stream
        gc.collect()
    assert chat(watch).status.status_code is StatusCode.UNSET
    assert_all_ended(watch)


def test_a_closed_stream_says_so() -> None:
    with watching() as watch:
        stream = MockLLM().stream_complete("one two three")
        next(stream)
        stream.close()
    assert (chat(watch).attributes or {})["foliotrace.outcome"] == "closed"
    assert_all_ended(watch)


async def test_a_streaming_query_engine_stays_open_with_everything_in_its_tree() -> None:
    for asynchronous in (False, True):
        asked = engine()
        with watching() as watch:
            if asynchronous:
                response = await asked.aquery("limes?")
                tokens = [token async for token in response.response_gen]
            else:
                tokens = list(asked.query("limes?").response_gen)
            consumed_ns = time.time_ns()
        assert tokens
        query = watch.one(f"RetrieverQueryEngine.{'a' if asynchronous else ''}query")
        assert query.end_time is not None
        chats = [span for span in watch.spans if span.name.startswith("chat ")]
        assert chats
        assert all((span.end_time or 0) <= query.end_time <= consumed_ns for span in chats)
        assert len({s.context.trace_id for s in watch.spans}) == 1
        assert not watch.orphans()
        assert_all_ended(watch)


def test_a_streamed_response_that_nobody_reads_ends_when_it_is_collected() -> None:
    with watching() as watch:
        response = engine().query("limes?")
        assert watch.tree.open
        del response
        gc.collect()
    assert watch.named("RetrieverQueryEngine.query")
    assert not watch.handler.streams.waiting
    assert_all_ended(watch)


async def test_fifty_streams_at_once_keep_their_own_times_and_parents() -> None:
    async def one() -> None:
        async for _ in await MockLLM().astream_chat([]):
            await asyncio.sleep(0)

    with watching() as watch:
        await asyncio.gather(*(one() for _ in range(50)))
    assert not watch.orphans()
    assert_all_ended(watch)
