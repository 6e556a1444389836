"""Chat engines stream through a writer of their own: their spans end with the last token."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode
from tests.lazy_sdk import lazy
from tests.otel.canary_texts import WORDS
from tests.otel.recorded_spans import RecordedSpans, recording

pytestmark = pytest.mark.anyio


chat_engines = lazy("llama_index.core.chat_engine")
memories = lazy("llama_index.core.memory")
programs = lazy("tests.otel.llamaindex_programs")


def simple(llm: Any) -> Any:
    return chat_engines.SimpleChatEngine.from_defaults(llm=llm, memory=memory(llm))


def context(llm: Any) -> Any:
    return chat_engines.ContextChatEngine.from_defaults(
        retriever=programs.Shelf(), llm=llm, memory=memory(llm)
    )


def condense(llm: Any) -> Any:
    return chat_engines.CondensePlusContextChatEngine.from_defaults(
        retriever=programs.Shelf(), llm=llm, memory=memory(llm)
    )


def memory(llm: Any) -> Any:
    return memories.ChatMemoryBuffer.from_defaults(llm=llm)


@pytest.fixture
def closed_loop() -> Iterator[None]:
    """Synchronous chat engines run their memory on the thread's event loop and never close it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


Making = Callable[[Any], Any]
ENGINES = pytest.mark.parametrize("making", [simple, context, condense])


def ended(seen: RecordedSpans, method: str) -> list[Any]:
    return [span for span in seen.spans if span.name.endswith(f".{method}")]


def eventually(holds: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def is_one_tree(seen: RecordedSpans) -> None:
    """One root, one model call, nothing left open."""
    assert len([span for span in seen.spans if span.parent is None]) == 1
    assert [span.name for span in seen.spans].count("chat Slow") == 1
    assert sum(_samples(seen, "gen_ai_client_operation_duration_seconds_count")) == 1
    assert seen.tree.open == {}
    assert seen.tree.faults == 0


def _samples(seen: RecordedSpans, name: str) -> list[float]:
    return [
        sample.value
        for family in seen.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    ]


@ENGINES
@pytest.mark.usefixtures("closed_loop")
def test_a_chat_s_span_ends_with_its_last_token(making: Making) -> None:
    llm = programs.Slow()
    with recording() as seen:
        response = making(llm).stream_chat("hello")
        tokens = response.response_gen
        assert next(tokens) == WORDS[0]
        assert ended(seen, "stream_chat") == []
        llm.gate.set()
        assert "".join(tokens) == "".join(WORDS[1:])
        eventually(lambda: ended(seen, "stream_chat"))
        (chat,) = ended(seen, "stream_chat")
        (call,) = [span for span in seen.spans if span.name == "chat Slow"]
        assert chat.end_time >= call.end_time
        assert chat.status.status_code is not StatusCode.ERROR
        is_one_tree(seen)


@ENGINES
async def test_an_async_chat_s_span_ends_with_its_last_token(making: Making) -> None:
    llm = programs.Slow()
    llm.gate.set()
    with recording() as seen:
        response = await making(llm).astream_chat("hello")
        assert ended(seen, "astream_chat") == []
        assert [token async for token in response.async_response_gen()] == list(WORDS)
        while not ended(seen, "astream_chat"):
            await asyncio.sleep(0)
        is_one_tree(seen)


@ENGINES
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.usefixtures("closed_loop")
def test_a_stream_that_breaks_fails_its_chat(making: Making) -> None:
    llm = programs.Slow(broken=True)
    llm.gate.set()
    with recording() as seen:
        response = making(llm).stream_chat("hello")
        with pytest.raises(ConnectionError):
            list(response.response_gen)
        eventually(lambda: ended(seen, "stream_chat"))
        (chat,) = ended(seen, "stream_chat")
        assert chat.status.status_code is StatusCode.ERROR
        assert chat.attributes["error.type"] == "ConnectionError"
        recorded = [
            event for span in seen.spans for event in span.events if event.name == "exception"
        ]
        assert len(recorded) == 1
        assert seen.tree.open == {}


@pytest.mark.usefixtures("closed_loop")
def test_a_chat_nobody_reads_ends_when_its_writer_does() -> None:
    llm = programs.Slow()
    with recording() as seen:
        response = simple(llm).stream_chat("hello")
        del response
        assert ended(seen, "stream_chat") == []  # its writer still holds it
        llm.gate.set()
        eventually(lambda: ended(seen, "stream_chat"))
        is_one_tree(seen)


@pytest.mark.usefixtures("closed_loop")
def test_a_chat_that_is_over_before_the_call_returns_ends_with_it() -> None:
    llm = programs.Slow()
    llm.gate.set()
    for _ in range(20):
        with recording() as seen:
            list(simple(llm).stream_chat("hello").response_gen)
            eventually(lambda seen=seen: ended(seen, "stream_chat"))
            is_one_tree(seen)


async def test_parallel_streams_of_one_model_stay_apart() -> None:
    """Only a call made by a stream's own generator is part of it."""
    llm = programs.Slow()
    llm.gate.set()
    with recording() as seen:
        first = await llm.astream_complete("one")
        second = await llm.astream_complete("two")
        assert (await anext(first)).delta == WORDS[0]
        assert (await anext(second)).delta == WORDS[0]
        llm.complete("three")
        assert [piece.delta async for piece in first] == list(WORDS[1:])
        assert [piece.delta async for piece in second] == list(WORDS[1:])
        calls = [span for span in seen.spans if span.name.endswith(" Slow")]
        assert len(calls) == 3
        assert len({span.context.trace_id for span in calls}) == 3
        assert seen.tree.open == {}
