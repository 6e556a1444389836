"""Questions over HTTP while what they depend on fails: marked in all five places, and cheap."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from tests.cloud.service import FUEL, RUNWAY, cloud, embedding, llm, service
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.openai.faults import LLMFault
from tests.fakes.wire import Fault

from foliotrace.settings import BudgetSettings, QuerySettings

pytestmark = pytest.mark.anyio
CHAT = "POST /v1/chat/completions"
RETRIEVE = "POST /api/v1/retrieval/retrieve"
PRICE = "What does unleaded cost per litre?"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


async def test_a_healthy_cloud_answers_at_level_0_and_its_death_and_return_are_followed(
    fake: FakeLlamaCloud, model: FakeOpenAI, tmp_path: Path
) -> None:
    given = {"llamacloud": cloud(fake, index="cloud_then_local"), "llm": llm(model)}
    async with service(tmp_path, **given) as running:
        await running.put("fuel.txt", FUEL)
        await running.put("runway.txt", RUNWAY)
        healthy = await running.until(("managed", "generated"), PRICE)
        assert healthy.level == 0
        assert healthy.marks is not None
        assert healthy.marks.complete
        fake.die()
        for _ in range(3):
            down = await running.ask(PRICE)
            assert (down.level, down.path) == (2, ("keyword", "generated"))
            assert "2.31" in down.body["answer"]
            assert down.marks is not None
            assert down.marks.complete, down.marks
        fake.revive()
        back = await running.until(("managed", "generated"), PRICE)
        assert back.level == 0
        assert back.reasons == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.unavailable, "llamacloud_server_error"),
        (Fault.hang, "timeout"),
        (Fault.html, "llamacloud_garbage"),
        (Fault.unauthorized, "llamacloud_unauthorized"),
        (Fault.rate_limited(30), "llamacloud_rate_limited"),
        (Fault.cut_body, "llamacloud_"),
    ],
)
async def test_each_way_the_managed_index_fails_is_told_and_left_alone(
    fake: FakeLlamaCloud, tmp_path: Path, fault: Fault, reason: str
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        fake.fail(RETRIEVE, fault)
        before = fake.count(RETRIEVE)
        answers = [await running.ask("How long is the runway?") for _ in range(4)]
        assert {a.path for a in answers} == {("keyword", "extractive")}
        assert {a.level for a in answers} == {2}
        assert all(a.marks is not None and a.marks.complete for a in answers)
        assert reason in " ".join(answers[0].reasons)
        # three calls of three attempts open the breaker; one probe may pass
        assert fake.count(RETRIEVE) - before <= 3 * 3 + 1


async def test_a_silent_managed_index_is_overtaken_and_told(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = {
        "llamacloud": cloud(fake, index="cloud_then_local"),
        "query": QuerySettings(retrieval_deadline_s=30, cache_ttl_s=0, hedge_after_s=0.5),
    }
    async with service(tmp_path, **given) as running:
        await running.put("runway.txt", RUNWAY)
        await running.indexed()
        fake.fail(RETRIEVE, Fault.hang)
        asked = await running.ask("How long is the runway?")
        assert (asked.level, asked.path) == (2, ("keyword", "extractive"))
        assert asked.reasons == ["managed_hedged"]
        assert asked.marks is not None
        assert asked.marks.complete, asked.marks


async def test_a_model_that_cannot_embed_questions_shows_at_readyz(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    async with service(tmp_path, embedding=embedding(model)) as running:
        await running.put("fuel.txt", FUEL)
        await running.until(("hybrid", "extractive"), PRICE)
        model.die()
        while "embedder_breaker_open" not in (await running.ask(PRICE)).reasons:
            pass
        shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert shown["configured"] == "hybrid"
        assert (shown["reachable"], shown["level"]) == ("keyword", 2)
        assert shown["reasons"] == ["embedder_breaker_open"]
        model.revive()
        await running.until(("hybrid", "extractive"), PRICE)
        shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (shown["reachable"], shown["level"]) == ("hybrid", 0)


async def test_a_dead_llm_costs_three_calls_of_three_requests_and_then_none(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    async with service(tmp_path, llm=llm(model)) as running:
        await running.put("fuel.txt", FUEL)
        model.fail(CHAT, LLMFault.overloaded)
        first = await running.ask(PRICE)
        assert model.count() == 3
        assert (first.level, first.path) == (2, ("keyword", "extractive"))
        assert first.marks is not None
        assert first.marks.complete
        for _ in range(2):
            await running.ask(PRICE)
        assert model.count() == 9
        last = await running.ask(PRICE)
        assert model.count() == 9
        assert "llm_1_breaker_open" in last.reasons
        ready = (await running.client.get("/readyz")).json()["capabilities"]["answer"]
        assert (ready["reachable"], ready["level"]) == ("extractive", 2)
        model.recover()
        assert (await running.until(("keyword", "generated"), PRICE)).level == 0


async def test_the_second_llm_answers_at_level_1(model: FakeOpenAI, tmp_path: Path) -> None:
    given = {"llm": llm(model), "llm_fallbacks": (llm(model, "gpt-4.1-mini"),)}
    async with service(tmp_path, **given) as running:
        await running.put("fuel.txt", FUEL)
        model.fail(CHAT, LLMFault.bad_key, key="sk-fake-gpt-4o-mini")
        asked = await running.ask(PRICE)
        assert (asked.level, asked.body["model"]) == (1, "gpt-4.1-mini")
        assert asked.reasons == ["llm_401"]
        assert asked.marks is not None
        assert asked.marks.complete
        assert model.count(key="sk-fake-gpt-4o-mini") == 1


async def test_a_refused_budget_moves_down_without_a_request(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(max_cost_per_query_usd=Decimal("0.0000001"))
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask(PRICE)
        assert (asked.level, asked.path) == (2, ("keyword", "extractive"))
        assert asked.reasons == ["budget_exceeded"]
        assert "budget does not allow" in asked.body["notice"]
        assert asked.marks is not None
        assert asked.marks.complete
    assert model.count() == 0


def short_answers(tokens: int) -> QuerySettings:
    return QuerySettings(
        deadline_s=8.0, retrieval_deadline_s=1.0, cache_ttl_s=0, max_answer_tokens=tokens
    )


async def test_a_stream_that_ignores_its_limit_is_cut_at_its_reservation_and_marked(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    limit = 100
    async with service(tmp_path, llm=llm(model), query=short_answers(limit)) as running:
        await running.put("fuel.txt", FUEL)
        model.fail(CHAT, LLMFault.endless)
        model.fail(CHAT, LLMFault.slow_tokens(0.01))
        sent = await running.client.post("/v1/query", json={"query": PRICE, "stream": True})
        events = [
            (block.partition("\n")[0].removeprefix("event: "), block.partition("data: ")[2])
            for block in sent.text.split("\n\n")
            if block.startswith("event: ")
        ]
        name, data = events[-1]
        answer = orjson.loads(data)
        assert name == "answer", [name for name, _ in events]
        assert answer["degradation"]["level"] == 2
        assert answer["degradation"]["reasons"] == ["answer_cut_by_budget"]
        assert "cut short" in answer["notice"]
        # it reported none: they are estimated from the text, which is cut at its longest tokens
        assert limit <= answer["usage"]["completion_tokens"] <= 2 * limit
        assert Decimal(answer["usage"]["cost_usd"]) <= Decimal("0.10")
        assert "2.31" in answer["answer"]
        assert len(answer["answer"]) < limit * 8 + 20  # eight bytes a token, and a marker
        assert model.count() == 1
        (call,) = model.spent
        assert not call.finished, "it was read to its end"
        model.recover()
        whole = await running.ask(PRICE)
        assert (whole.level, whole.body["cache"]) == (0, "miss")


async def test_a_whole_answer_that_ignores_its_limit_is_paid_and_ends_the_day(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(daily_usd_per_tenant=Decimal("0.001"))
    async with service(
        tmp_path, llm=llm(model), query=short_answers(100), budget=budget
    ) as running:
        await running.put("fuel.txt", FUEL)
        model.fail(CHAT, LLMFault.endless)
        first = await running.ask(PRICE)
        assert first.level == 0
        cost = Decimal(first.body["usage"]["cost_usd"])
        assert cost == Decimal(first.body["usage"]["completion_tokens"]) * Decimal(
            "0.0000006"
        ) + Decimal(first.body["usage"]["prompt_tokens"]) * Decimal("0.00000015")
        assert cost > Decimal("0.001")
        second = await running.ask(f"{PRICE} Again.")
        assert second.reasons == ["budget_exceeded"]
        assert model.count() == 1


async def test_what_was_spent_is_in_the_answer_and_the_day_s_cap_holds(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    budget = BudgetSettings(daily_usd_per_tenant=Decimal("0.002"))
    async with service(tmp_path, llm=llm(model), budget=budget) as running:
        await running.put("fuel.txt", FUEL)
        answers = await asyncio.gather(*(running.ask(f"{PRICE} {n}") for n in range(12)))
    spent = sum(Decimal(a.body["usage"]["cost_usd"]) for a in answers)
    assert Decimal(0) < spent <= Decimal("0.002")
    refused = [a for a in answers if a.reasons]
    assert refused
    assert {tuple(a.reasons) for a in refused} == {("budget_exceeded",)}


async def test_a_stream_that_breaks_before_anything_was_shown_falls_to_quotes(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    async with service(tmp_path, llm=llm(model)) as running:
        await running.put("fuel.txt", FUEL)
        model.fail(CHAT, LLMFault.stream_cut(1))
        sent = await running.client.post("/v1/query", json={"query": PRICE, "stream": True})
        events = _events(sent.text)
        names = [name for name, _ in events]
        assert names[-1] == "answer"
        last = events[-1][1]
        assert names.index("degraded") < names.index("delta")
        told = next(value for name, value in events if name == "degraded")
        assert told == {"level": 2, "reasons": last["degradation"]["reasons"]}
        assert last["degradation"]["level"] == 2
        assert last["degradation"]["answer"] == "extractive"
        assert "".join(e["text"] for n, e in events if n == "delta") == last["answer"]


async def test_a_stream_that_breaks_after_text_was_shown_takes_it_back(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    long = " ".join(f"Unleaded costs {n}.31 EUR per litre at pump {n}." for n in range(2, 9))
    async with service(tmp_path, llm=llm(model)) as running:
        await running.put("fuel.txt", long)
        model.fail(CHAT, LLMFault.stream_cut(24))
        sent = await running.client.post(
            "/v1/query", json={"query": "What does unleaded cost at each pump?", "stream": True}
        )
        names = [name for name, _ in _events(sent.text)]
        assert "delta" in names
        assert names[-2:] == ["reset", "problem"]


async def test_an_embedder_that_dies_leaves_keyword_search(
    model: FakeOpenAI, tmp_path: Path
) -> None:
    async with service(tmp_path, embedding=embedding(model)) as running:
        await running.put("fuel.txt", FUEL)
        await running.until(("hybrid", "extractive"), PRICE)
        model.fail("POST /v1/embeddings", Fault.unavailable)
        down = await running.ask(PRICE)
        assert (down.level, down.path) == (2, ("keyword", "extractive"))
        assert down.marks is not None
        assert down.marks.complete
        model.recover()
        assert (await running.until(("hybrid", "extractive"), PRICE)).level == 0


async def test_a_deleted_document_leaves_the_cloud(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    given = cloud(fake, index="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        await running.put("fuel.txt", FUEL)
        job = await running.put("runway.txt", RUNWAY)
        await running.indexed()
        assert len(fake.state.files) == 2
        gone = await running.client.delete(f"/v1/documents/{job['document_id']}")
        assert gone.status_code == 200, gone.text
        async with asyncio.timeout(20):
            while len(fake.state.files) != 1:
                await asyncio.sleep(0.05)


def _events(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(
            line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":"
        )
        if "event" in lines:
            found.append((lines["event"], orjson.loads(lines["data"])))
    return found
