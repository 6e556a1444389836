"""Every fault of the fake language model does what its name says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from tests.fakes.llamacloud.sdk import NO_CERTIFICATES
from tests.fakes.openai import FakeOpenAI, Fault, LLMFault, running_fake_openai
from tests.lazy_sdk import lazy

openai = lazy("openai")
pytestmark = pytest.mark.anyio

CHAT = "POST /v1/chat/completions"
MODEL = "gpt-4o-mini"
MESSAGES: Any = [
    {
        "role": "user",
        "content": "[1] The warranty of the pump lasts 24 months after delivery.\n"
        "[2] Holidays are 28 days.\n\nQuestion: How long is the warranty of the pump?",
    }
]
RIGHT = "The warranty of the pump lasts 24 months after delivery [1]."


class Total(BaseModel):
    """What the tests ask for."""

    total: float | None


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        http_client=openai.DefaultAsyncHttpxClient(verify=NO_CERTIFICATES),
        api_key=fake.api_key,
        base_url=fake.url,
        max_retries=0,
        timeout=5,
        _strict_response_validation=True,
    ) as made:
        yield made


async def content(client: openai.AsyncOpenAI, **options: Any) -> str | None:
    reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES, **options)
    return reply.choices[0].message.content  # type: ignore[no-any-return]


async def streamed(client: openai.AsyncOpenAI, into: list[str], **options: Any) -> Any:
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, **options
    )
    last = None
    async for chunk in stream:
        last = chunk
        if chunk.choices:
            into.append(chunk.choices[0].delta.content or "")
    return last


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (LLMFault.bad_key, 401, "invalid_api_key", None),
        (LLMFault.forbidden, 403, "unsupported_country", None),
        (LLMFault.context_length, 400, "context_length_exceeded", None),
        (LLMFault.rate_limited(0.5), 429, "rate_limit_exceeded", "0.5"),
        (LLMFault.rate_limited(3600), 429, "rate_limit_exceeded", "3600"),
        (LLMFault.quota, 429, "insufficient_quota", None),
        (Fault.server_error, 500, None, None),
        (LLMFault.overloaded, 503, "overloaded", None),
    ],
)
async def test_a_status_fault_carries_openai_s_error_object(
    client: openai.AsyncOpenAI,
    fake: FakeOpenAI,
    fault: Fault,
    status: int,
    code: str | None,
    retry_after: str | None,
) -> None:
    fake.fail(CHAT, fault, times=1)
    with pytest.raises(openai.APIStatusError) as caught:
        await content(client)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers.get("retry-after") == retry_after
    assert fake.spent == []
    assert await content(client) == RIGHT


async def test_a_wrong_key_is_refused(fake: FakeOpenAI) -> None:
    async with openai.AsyncOpenAI(api_key="sk-other", base_url=fake.url, max_retries=0) as other:
        with pytest.raises(openai.APIStatusError) as caught:
            await content(other)
    assert caught.value.status_code == 401


async def test_sdk_retries_multiply_requests_to_a_broken_service(fake: FakeOpenAI) -> None:
    fake.fail(CHAT, Fault.http(503, retry_after=0.01))
    async with openai.AsyncOpenAI(api_key=fake.api_key, base_url=fake.url) as default:
        with pytest.raises(openai.APIStatusError):
            await content(default)
    assert fake.count() == fake.count(status=503) == 3


@pytest.mark.parametrize(
    "fault", [Fault.reset_before_work, Fault.reset_after_work], ids=lambda fault: fault.kind
)
async def test_a_reset_is_a_connection_error(
    client: openai.AsyncOpenAI, fake: FakeOpenAI, fault: Fault
) -> None:
    fake.fail(CHAT, fault, times=1)
    with pytest.raises(openai.APIConnectionError):
        await content(client)
    assert len(fake.spent) == (fault is Fault.reset_after_work)


@pytest.mark.parametrize(
    "fault", [Fault.hang, LLMFault.slow_tokens(1)], ids=lambda fault: fault.kind
)
async def test_a_hanging_or_slow_model_runs_into_the_time_out(
    client: openai.AsyncOpenAI, fake: FakeOpenAI, fault: Fault
) -> None:
    fake.fail(CHAT, fault)
    with pytest.raises(openai.APITimeoutError):
        await content(client, timeout=0.2)


async def test_slow_tokens_arrive_one_by_one(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    fake.fail(CHAT, LLMFault.slow_tokens(0.03))
    pieces: list[str] = []
    started = time.monotonic()
    await streamed(client, pieces)
    assert "".join(pieces) == RIGHT
    assert time.monotonic() - started >= 0.03 * 11


async def test_a_cut_stream_breaks_in_the_middle(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.stream_cut(4))
    pieces: list[str] = []
    with pytest.raises((openai.APIError, httpx.TransportError)):
        await streamed(client, pieces)
    assert "".join(pieces) == "The warranty of the"
    assert [(s.completion_tokens, s.finished) for s in fake.spent] == [(4, False)]


async def test_a_stream_can_stop_without_an_end(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.stream_stops(2))
    pieces: list[str] = []
    last = await streamed(client, pieces)
    assert "".join(pieces) == "The warranty"
    assert last.choices[0].finish_reason is None


async def test_a_stream_can_fall_silent(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    fake.fail(CHAT, LLMFault.stream_hangs(2))
    pieces: list[str] = []
    with pytest.raises((openai.APITimeoutError, httpx.TimeoutException)):
        await streamed(client, pieces, timeout=0.3)
    assert "".join(pieces) == "The warranty"


async def test_an_error_can_come_inside_a_stream(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.stream_error, times=1)
    pieces: list[str] = []
    with pytest.raises(openai.APIError, match="broke"):
        await streamed(client, pieces)
    fake.fail(CHAT, LLMFault.stream_garbage)
    with pytest.raises(json.JSONDecodeError):
        await streamed(client, pieces)


async def test_a_client_that_leaves_ends_the_stream(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.slow_tokens(0.02))
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await asyncio.sleep(0.4)
    assert not fake.spent[0].finished
    assert fake.spent[0].completion_tokens < 6


async def test_a_refusal_is_said_in_text_and_in_the_refusal_field(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.refusal)
    assert "can't help" in str(await content(client))
    reply = await client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Total: 5"}], response_format=Total
    )
    message = reply.choices[0].message
    assert (message.parsed, message.content) == (None, None)
    assert "can't help" in str(message.refusal)


async def test_filtered_and_empty_answers(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    fake.fail(CHAT, LLMFault.content_filter, times=1)
    reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert reply.choices[0].finish_reason == "content_filter"
    fake.fail(CHAT, LLMFault.empty_answer)
    assert await content(client) == ""


async def test_citations_can_be_wrong_unsupported_or_missing(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    cited = {}
    for fault in (
        LLMFault.wrong_citations,
        LLMFault.unsupported_citations,
        LLMFault.no_citations,
    ):
        fake.recover()
        fake.fail(CHAT, fault)
        cited[fault.kind] = re.findall(r"\[(\d+)\]", str(await content(client)))
    assert cited == {
        "wrong_citations": ["9"],
        "unsupported_citations": ["2"],
        "no_citations": [],
    }


async def test_hallucinated_answers_and_values_are_not_in_the_prompt(
    client: openai.AsyncOpenAI, fake: FakeOpenAI
) -> None:
    fake.fail(CHAT, LLMFault.hallucinated)
    answer = str(await content(client))
    assert "987654321" in answer
    assert "[1]" in answer
    reply = await client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Total: 5"}], response_format=Total
    )
    assert reply.choices[0].message.parsed == Total(total=987654321)


async def test_broken_bodies_and_broken_json(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    fake.fail(CHAT, Fault.truncated_json, times=1)
    with pytest.raises(json.JSONDecodeError):
        await content(client)
    fake.fail(CHAT, Fault.html, times=1)
    with pytest.raises(openai.APIResponseValidationError):
        await content(client)
    fake.fail(CHAT, LLMFault.invalid_json)
    reply = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Total: 5"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "total", "schema": Total.model_json_schema()},
        },
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(reply.choices[0].message.content))


async def test_usage_can_be_missing(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    fake.fail(CHAT, LLMFault.no_usage)
    reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert reply.usage is None
    last = await streamed(client, [], stream_options={"include_usage": True})
    assert last.usage is None


async def test_a_dead_endpoint_comes_back(client: openai.AsyncOpenAI, fake: FakeOpenAI) -> None:
    assert await content(client) == RIGHT
    fake.die()
    with pytest.raises(openai.APIConnectionError):
        await content(client)
    fake.revive()
    assert await content(client) == RIGHT
    assert fake.count() == 2
    fake.forget()
    assert (fake.count(), fake.spent) == (0, [])
