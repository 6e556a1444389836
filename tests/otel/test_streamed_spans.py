"""The span of a streamed answer ends at its last token, an error, a close or collection."""

import asyncio
import gc
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import RecordedSpans, recording

pytestmark = pytest.mark.anyio


core = lazy("llama_index.core")
programs = lazy("tests.otel.llamaindex_programs")


def engine(**options: Any) -> Any:
    index = core.VectorStoreIndex.from_documents(
        [core.Document(text="Limes keep scurvy away.")], embed_model=core.MockEmbedding(embed_dim=4)
    )
    return index.as_query_engine(llm=core.llms.MockLLM(), streaming=True, **options)


def assert_all_ended(seen: RecordedSpans) -> None:
    assert not seen.tree.open
    waiting = [record for records in seen.handler.streams.waiting.values() for record in records]
    assert all(record.ended for record in waiting)  # each goes with its generator
    assert seen.tree.faults == 0


def chat(seen: RecordedSpans) -> ReadableSpan:
    (span,) = [s for s in seen.spans if s.name.startswith("chat ")]
    return span


def test_a_stream_ends_at_its_last_token_and_tells_the_first() -> None:
    with recording() as seen:
        stream = core.llms.MockLLM().stream_complete("one two three")
        first = next(stream)
        assert first is not None
        assert not seen.spans
        time.sleep(0.02)
        list(stream)
        last_ns = time.time_ns()
    span = chat(seen)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time >= 20_000_000
    assert span.end_time <= last_ns
    assert span.attributes is not None
    assert span.attributes["gen_ai.response.time_to_first_chunk"] < 0.02
    assert span.attributes["gen_ai.request.stream"] is True
    assert_all_ended(seen)


def test_a_stream_that_breaks_is_an_error() -> None:
    with recording() as seen, pytest.raises(ConnectionResetError):
        list(programs.BreaksMidway().stream_complete("x"))
    assert chat(seen).status.status_code is StatusCode.ERROR
    assert [event.name for event in chat(seen).events] == ["exception"]
    assert_all_ended(seen)


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_stream_given_up_ends_without_an_error(tokens: int) -> None:
    with recording() as seen:
        stream = core.llms.MockLLM().stream_complete("one two three")
        for _ in range(tokens):
            next(stream)
        del stream
        gc.collect()
    assert chat(seen).status.status_code is StatusCode.UNSET
    assert_all_ended(seen)


def test_a_closed_stream_says_so() -> None:
    with recording() as seen:
        stream = core.llms.MockLLM().stream_complete("one two three")
        next(stream)
        stream.close()
    assert (chat(seen).attributes or {})["foliotrace.outcome"] == "closed"
    assert_all_ended(seen)


async def test_a_streaming_query_engine_stays_open_with_everything_in_its_tree() -> None:
    for asynchronous in (False, True):
        asked = engine()
        with recording() as seen:
            if asynchronous:
                response = await asked.aquery("limes?")
                tokens = [token async for token in response.response_gen]
            else:
                tokens = list(asked.query("limes?").response_gen)
            consumed_ns = time.time_ns()
        assert tokens
        query = seen.one(f"RetrieverQueryEngine.{'a' if asynchronous else ''}query")
        assert query.end_time is not None
        chats = [span for span in seen.spans if span.name.startswith("chat ")]
        assert chats
        assert all((span.end_time or 0) <= query.end_time <= consumed_ns for span in chats)
        assert len({s.context.trace_id for s in seen.spans}) == 1
        assert not seen.orphans()
        assert_all_ended(seen)


def test_a_streamed_response_that_nobody_reads_ends_when_it_is_collected() -> None:
    with recording() as seen:
        response = engine().query("limes?")
        assert seen.tree.open
        del response
        gc.collect()
    assert seen.named("RetrieverQueryEngine.query")
    assert not seen.handler.streams.waiting
    assert_all_ended(seen)


async def test_fifty_streams_at_once_keep_their_own_times_and_parents() -> None:
    async def one() -> None:
        async for _ in await core.llms.MockLLM().astream_chat([]):
            await asyncio.sleep(0)

    with recording() as seen:
        await asyncio.gather(*(one() for _ in range(50)))
    assert not seen.orphans()
    assert_all_ended(seen)
