"""What every `TextGenerator` holds: LlamaIndex LLMs against a real socket, and a scripted one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.llamacloud.sdk import NO_CERTIFICATES
from tests.fakes.openai import FakeOpenAI, Fault, LLMFault, running_fake_openai
from tests.lazy_sdk import lazy, lazy_call

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import DeadlineExceeded, GeneratorRefused, GeneratorUnavailable, Unavailable
from foliotrace.model import Deadline
from foliotrace.ports import Delta, Generation, Prompt, TextGenerator

LlamaIndexGenerator = lazy_call("foliotrace.adapters.llamaindex.generator:LlamaIndexGenerator")

openai_llms = lazy("llama_index.llms.openai")
openai = lazy("openai")
pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
PROMPT = Prompt(
    system="Answer from the passages, with their markers. If you cannot, reply with NO_ANSWER.",
    user="= PASSAGE [1] | a.pdf\nThe warranty of the pump lasts 24 months.\n\n= END OF PASSAGES\n"
    "Question: How long does the warranty of the pump last?",
    version="test",
)


def within(seconds: float) -> Deadline:
    return Deadline(CLOCK.monotonic_s() + seconds)


@pytest.fixture
def fake() -> Any:
    with running_fake_openai() as server:
        yield server


@pytest.fixture
async def generator(fake: FakeOpenAI) -> AsyncIterator[TextGenerator]:
    async with openai.DefaultAsyncHttpxClient(verify=NO_CERTIFICATES) as client:
        llm = openai_llms.OpenAI(
            model="gpt-4o-mini",
            api_base=fake.url,
            api_key=fake.api_key,
            max_retries=3,  # what a user may have set: the adapter makes one request all the same
            async_http_client=client,
        )
        yield LlamaIndexGenerator(llm, clock=CLOCK)


async def generated(generator: TextGenerator, seconds: float = 20) -> Generation:
    return await generator.generate(PROMPT, max_tokens=100, deadline=within(seconds))


async def streamed(generator: TextGenerator, seconds: float = 20) -> list[Delta]:
    pieces = generator.stream(PROMPT, max_tokens=100, deadline=within(seconds))
    return [piece async for piece in pieces]


async def test_a_completion_comes_with_its_usage_and_model(
    fake: FakeOpenAI, generator: TextGenerator
) -> None:
    done = await generated(generator)
    assert "24 months" in done.text
    assert (done.model, done.finish_reason) == ("gpt-4o-mini", "stop")
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == fake.tokens()
    assert done.usage.llm_calls == 1


async def test_a_stream_gives_the_same_text_in_pieces_and_the_usage_at_the_end(
    fake: FakeOpenAI, generator: TextGenerator
) -> None:
    *pieces, last = await streamed(generator)
    assert last.done is not None
    assert "".join(piece.text for piece in pieces) == last.done.text
    assert len(pieces) > 1
    assert (last.done.usage.prompt_tokens, last.done.usage.completion_tokens) == fake.tokens()


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (LLMFault.overloaded, GeneratorUnavailable, "llm_503"),
        (LLMFault.bad_key, GeneratorUnavailable, "llm_401"),
        (LLMFault.quota, GeneratorUnavailable, "llm_429"),
        (LLMFault.context_length, GeneratorRefused, "llm_refused"),
        (LLMFault.content_filter, GeneratorRefused, "llm_refused"),
        (LLMFault.empty_answer, GeneratorUnavailable, "llm_empty"),
    ],
)
@pytest.mark.parametrize("ask", [generated, streamed])
async def test_every_failure_is_typed_after_one_request(
    fake: FakeOpenAI,
    generator: TextGenerator,
    fault: Fault,
    error: type[Unavailable],
    reason: str,
    ask: Any,
) -> None:
    fake.fail("POST /v1/chat/completions", fault)
    with pytest.raises(error) as raised:
        await ask(generator)
    assert raised.value.reason == reason
    assert fake.count() == 1
    assert fake.api_key not in f"{raised.value} {raised.value.hint}"


async def test_a_rate_limit_has_a_retry_time(fake: FakeOpenAI, generator: TextGenerator) -> None:
    fake.fail("POST /v1/chat/completions", LLMFault.rate_limited(7))
    with pytest.raises(GeneratorUnavailable) as raised:
        await generated(generator)
    assert raised.value.retry_after_s == 7


@pytest.mark.parametrize(
    "fault", [LLMFault.stream_cut(), LLMFault.stream_stops(), LLMFault.stream_error]
)
async def test_a_stream_that_breaks_off_is_an_error_not_an_end(
    fake: FakeOpenAI, generator: TextGenerator, fault: Fault
) -> None:
    fake.fail("POST /v1/chat/completions", fault)
    with pytest.raises(GeneratorUnavailable):
        await streamed(generator)


async def test_a_hanging_model_is_left_at_the_deadline(
    fake: FakeOpenAI, generator: TextGenerator
) -> None:
    fake.fail("POST /v1/chat/completions", Fault.hang)
    with pytest.raises(GeneratorUnavailable) as raised:
        await generated(generator, 0.3)
    assert raised.value.reason == "llm_timeout"


async def test_without_time_no_request_is_made(fake: FakeOpenAI, generator: TextGenerator) -> None:
    with pytest.raises(DeadlineExceeded):
        await generated(generator, -1)
    assert fake.count() == 0


async def test_a_server_that_stopped_is_unavailable(
    fake: FakeOpenAI, generator: TextGenerator
) -> None:
    fake.die()
    with pytest.raises(GeneratorUnavailable) as raised:
        await generated(generator)
    assert raised.value.reason == "llm_unreachable"
