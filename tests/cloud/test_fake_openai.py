"""The fake language model, through the real `openai` client (sync and async) and LlamaIndex."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from tests.fakes.llamacloud.sdk import NO_CERTIFICATES
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.lazy_sdk import lazy

llms = lazy("llama_index.core.llms")
openai_embeddings = lazy("llama_index.embeddings.openai")
openai_llms = lazy("llama_index.llms.openai")
openai = lazy("openai")
pytestmark = pytest.mark.anyio

MODEL = "gpt-4o-mini"
PASSAGES = (
    "[1] (pump.pdf, page 2)\nThe warranty of the pump lasts 24 months. It starts at delivery.\n\n"
    "[2] (staff.pdf, page 9)\nEvery employee has 28 days of paid holiday in a year.\n\n"
)
WARRANTY = [
    {"role": "system", "content": "Answer from the passages. Cite them by marker, like [7]."},
    {"role": "user", "content": f"{PASSAGES}Question: How long is the warranty of the pump?"},
]


class Invoice(BaseModel):
    """What the tests ask for."""

    invoice_number: str | None
    total: float | None
    paid: bool | None


INVOICE_TEXT = "Read the invoice.\n\nInvoice Number: A-7\nTotal: $1,012.50\nPaid: yes\n"


async def settle(outcome: Any) -> Any:
    return await outcome if inspect.isawaitable(outcome) else outcome


async def collect(stream: Any) -> list[Any]:
    stream = await settle(stream)
    if hasattr(stream, "__aiter__"):
        return [chunk async for chunk in stream]
    return list(stream)


def said(chunks: list[Any]) -> str:
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(delta.content or "" for delta in deltas)


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, fake: FakeOpenAI) -> AsyncIterator[Any]:
    sync = request.param == "sync"
    build = openai.OpenAI if sync else openai.AsyncOpenAI
    http = openai.DefaultHttpxClient if sync else openai.DefaultAsyncHttpxClient
    made = build(
        http_client=http(verify=NO_CERTIFICATES),
        api_key=fake.api_key,
        base_url=fake.url,
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )
    yield made
    await settle(made.close())


async def test_an_answer_quotes_the_right_passage_and_cites_it(client: Any) -> None:
    reply = await settle(client.chat.completions.create(model=MODEL, messages=WARRANTY))
    choice = reply.choices[0]
    assert choice.message.content == "The warranty of the pump lasts 24 months [1]."
    assert choice.finish_reason == "stop"


async def test_passages_may_be_tagged(client: Any) -> None:
    tagged = (
        "<passage id='4'>Every employee has 28 days of holiday.</passage>\n"
        "<passage id='5'>The warranty lasts 24 months.</passage>\n"
        "<question>How many days of holiday?</question>"
    )
    messages = [{"role": "user", "content": tagged}]
    reply = await settle(client.chat.completions.create(model=MODEL, messages=messages))
    assert reply.choices[0].message.content == "Every employee has 28 days of holiday [4]."


async def test_passages_may_stand_under_headings_with_wrapped_lines(client: Any) -> None:
    text = (
        "--- x7 passage [1] from pump.pdf, page 2 [9]\nThe warranty of the pump\nlasts 24 months.\n"
        "--- x7 passage [2] from staff.pdf, page 1\n[3] Holidays are 28 days.\n"
        "--- x7 end of passages\nQuestion: How long is the pump warranty?"
    )
    rule = "If the passages do not answer the question, reply with NOT_IN_DOCUMENTS."
    messages = [{"role": "system", "content": rule}, {"role": "user", "content": text}]
    reply = await settle(client.chat.completions.create(model=MODEL, messages=messages))
    assert reply.choices[0].message.content == "The warranty of the pump lasts 24 months [1]."
    messages[1]["content"] = text.replace("How long is the pump warranty", "Who founded Acme")
    reply = await settle(client.chat.completions.create(model=MODEL, messages=messages))
    assert reply.choices[0].message.content == "NOT_IN_DOCUMENTS"


async def test_what_the_passages_do_not_say_is_not_answered(client: Any) -> None:
    messages = [{"role": "user", "content": f"{PASSAGES}Question: Who is the chief executive?"}]
    reply = await settle(client.chat.completions.create(model=MODEL, messages=messages))
    assert reply.choices[0].message.content == "The passages do not answer the question."


async def test_a_stream_says_the_same_and_ends_with_its_usage(
    client: Any, fake: FakeOpenAI
) -> None:
    whole = await settle(client.chat.completions.create(model=MODEL, messages=WARRANTY))
    chunks = await collect(
        client.chat.completions.create(
            model=MODEL,
            messages=WARRANTY,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert said(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert fake.tokens() == (2 * whole.usage.prompt_tokens, 2 * whole.usage.completion_tokens)


async def test_a_stream_tells_no_usage_unless_asked(client: Any) -> None:
    chunks = await collect(
        client.chat.completions.create(model=MODEL, messages=WARRANTY, stream=True)
    )
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_same_prompt_gets_the_same_answer(client: Any) -> None:
    replies = [
        (await settle(client.chat.completions.create(model=MODEL, messages=WARRANTY))).choices
        for _ in range(2)
    ]
    assert replies[0] == replies[1]


async def test_a_schema_is_filled_from_the_prompt(client: Any) -> None:
    messages = [{"role": "user", "content": INVOICE_TEXT}]
    reply = await settle(
        client.chat.completions.parse(model=MODEL, messages=messages, response_format=Invoice)
    )
    expected = Invoice(invoice_number="A-7", total=1012.5, paid=True)
    assert reply.choices[0].message.parsed == expected


async def test_a_grounded_schema_gets_value_quote_and_page(client: Any) -> None:
    field = {
        "type": "object",
        "properties": {
            "value": {"type": ["number", "null"]},
            "quote": {"type": ["string", "null"]},
            "page": {"type": ["integer", "null"]},
        },
    }
    schema = {"type": "object", "properties": {"total": field, "discount": field}}
    text = "Page 1\nInvoice Number: A-7\n\nPage 2\nTotal: 12.50 EUR\n"
    reply = await settle(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": text}],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    )
    assert json.loads(reply.choices[0].message.content) == {
        "total": {"value": 12.5, "quote": "Total: 12.50 EUR", "page": 2},
        "discount": {"value": None, "quote": None, "page": None},
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_with_its_arguments(client: Any, stream: bool) -> None:
    tool = {
        "type": "function",
        "function": {"name": "record", "parameters": Invoice.model_json_schema()},
    }
    outcome = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": INVOICE_TEXT}],
        tools=[tool],
        tool_choice="required",
        stream=stream,
    )
    if stream:
        chunks = await collect(outcome)
        calls = [chunk.choices[0].delta.tool_calls for chunk in chunks]
        pieces = [call[0].function for call in calls if call]
        name, arguments = pieces[0].name, "".join(piece.arguments for piece in pieces)
        finish = chunks[-1].choices[0].finish_reason
    else:
        choice = (await settle(outcome)).choices[0]
        function = choice.message.tool_calls[0].function
        name, arguments, finish = function.name, function.arguments, choice.finish_reason
    assert (name, finish) == ("record", "tool_calls")
    assert json.loads(arguments) == {"invoice_number": "A-7", "total": 1012.5, "paid": True}


async def test_a_short_limit_cuts_the_answer_and_says_so(client: Any) -> None:
    reply = await settle(
        client.chat.completions.create(model=MODEL, messages=WARRANTY, max_tokens=3)
    )
    assert reply.choices[0].message.content == "The warranty of"
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 3


async def test_bad_requests_are_refused(client: Any) -> None:
    create = client.chat.completions.create
    for wrong in (
        {"messages": WARRANTY, "extra_body": {"temprature": 1}},
        {"messages": WARRANTY, "n": 2},
        {"messages": [{"role": "nobody", "content": "x"}]},
        {"messages": WARRANTY, "temperature": "hot"},
    ):
        with pytest.raises(openai.BadRequestError):
            await settle(create(model=MODEL, **wrong))
    with pytest.raises(openai.NotFoundError) as caught:
        await settle(create(model="gpt-0", messages=WARRANTY))
    assert caught.value.code == "model_not_found"


async def test_a_prompt_beyond_the_context_is_refused() -> None:
    with running_fake_openai(context_tokens=50) as fake:
        async with openai.AsyncOpenAI(
            api_key=fake.api_key, base_url=fake.url, max_retries=0
        ) as client:
            with pytest.raises(openai.BadRequestError) as caught:
                await client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "word " * 60}],
                )
    assert caught.value.code == "context_length_exceeded"


async def test_models_are_listed(client: Any) -> None:
    names = [model.id for model in (await settle(client.models.list())).data]
    assert MODEL in names
    assert (await settle(client.models.retrieve(MODEL))).id == MODEL
    with pytest.raises(openai.NotFoundError):
        await settle(client.models.retrieve("gpt-0"))


async def test_texts_that_share_words_have_near_vectors(client: Any) -> None:
    texts = ["warranty of the pump", "the pump's warranty", "paid holiday"]
    reply = await settle(
        client.embeddings.create(
            model="text-embedding-3-small",
            input=texts,
            dimensions=256,
            encoding_format="float",
        )
    )
    a, b, c = (entry.embedding for entry in reply.data)
    near, far = (sum(x * y for x, y in zip(a, other, strict=True)) for other in (b, c))
    assert len(a) == 256
    assert near > 0.6 > far
    assert reply.usage.total_tokens == 11
    with pytest.raises(openai.BadRequestError):
        await settle(client.embeddings.create(model="text-embedding-3-small", input=[""]))


async def test_vectors_come_as_base64_by_default(fake: FakeOpenAI) -> None:
    async with openai.AsyncOpenAI(api_key=fake.api_key, base_url=fake.url, max_retries=0) as client:
        plain = await client.embeddings.create(
            model="fake-embedding", input="one two", encoding_format="float"
        )
        packed = await client.embeddings.create(model="fake-embedding", input="one two")
    assert fake.requests.records[-1].body["encoding_format"] == "base64"
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


@pytest.fixture
async def http_clients() -> AsyncIterator[dict[str, Any]]:
    """LlamaIndex leaves the clients that it makes open; these are closed."""
    async with httpx.AsyncClient() as asynchronous:
        with httpx.Client() as synchronous:
            yield {"http_client": synchronous, "async_http_client": asynchronous}


async def test_llama_index_completes_streams_and_structures(
    fake: FakeOpenAI, http_clients: dict[str, Any]
) -> None:
    llm = openai_llms.OpenAI(
        model=MODEL, api_key=fake.api_key, api_base=fake.url, max_retries=0, **http_clients
    )
    prompt = f"{PASSAGES}Question: How many days of holiday has an employee?"
    expected = "Every employee has 28 days of paid holiday in a year [2]."
    assert str(llm.complete(prompt)) == expected
    assert str(await llm.acomplete(prompt)) == expected
    deltas = [chunk.delta or "" async for chunk in await llm.astream_complete(prompt)]
    assert "".join(deltas) == expected
    assert len(deltas) > 5
    structured = await llm.as_structured_llm(Invoice).achat(
        [llms.ChatMessage(role="user", content=INVOICE_TEXT)]
    )
    assert structured.raw == Invoice(invoice_number="A-7", total=1012.5, paid=True)


async def test_llama_index_embeds(fake: FakeOpenAI, http_clients: dict[str, Any]) -> None:
    model = openai_embeddings.OpenAIEmbedding(
        model="text-embedding-3-small",
        api_key=fake.api_key,
        api_base=fake.url,
        dimensions=64,
        max_retries=0,
        **http_clients,
    )
    assert len(await model.aget_text_embedding("pump")) == 64
    assert model.get_query_embedding("pump") == model.get_text_embedding("pump")


async def test_the_fake_can_be_driven_by_hand(client: Any, fake: FakeOpenAI) -> None:
    root = fake.url.removesuffix("/v1")
    planned = {"fault": "context_length", "times": 1}
    assert httpx.post(f"{root}/_fake/faults", json=planned).status_code == 204
    slow = {"fault": "slow_tokens", "arguments": {"seconds": 0.001}}
    assert httpx.post(f"{root}/_fake/faults", json=slow).status_code == 204
    assert httpx.post(f"{root}/_fake/faults", json={"fault": "bad_luck"}).status_code == 422
    with pytest.raises(openai.BadRequestError):
        await settle(client.chat.completions.create(model=MODEL, messages=WARRANTY))
    assert httpx.delete(f"{root}/_fake/faults").status_code == 204
    await settle(client.chat.completions.create(model=MODEL, messages=WARRANTY))
    seen = httpx.get(f"{root}/_fake/requests").json()
    assert seen["counts"] == {"POST /v1/chat/completions": 2}
    assert seen["completion_tokens"] == 12
