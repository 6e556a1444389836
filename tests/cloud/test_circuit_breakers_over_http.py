"""A failed service gets one request from fifty callers, and its slots block no other service.

Over HTTP, counted where the requests arrive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cloud.service import FUEL, RUNWAY, Service, cloud, embedding, llm, service
from tests.fakes.llamacloud import running_fake_llamacloud
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault

from foliotrace.settings import QuerySettings, ResilienceSettings
from foliotrace_server.sections import ServerSettings

pytestmark = pytest.mark.anyio
CHAT, EMBED = "POST /v1/chat/completions", "POST /v1/embeddings"
RETRIEVE = "POST /api/v1/retrieval/retrieve"
PRICE = "What does unleaded cost per litre?"
PATIENT = QuerySettings(deadline_s=90.0, retrieval_deadline_s=60.0, cache_ttl_s=0)
GUARD = ResilienceSettings(
    first_wait_s=0.01, longest_wait_s=0.02, breaker_failures=3, breaker_rest_s=1.0
)
RESTING = GUARD.model_copy(update={"breaker_rest_s": 600.0, "breaker_longest_rest_s": 600.0})


@dataclass(frozen=True, slots=True)
class Case:
    """A service with one dependency that can fail, and where that is seen."""

    running: Service
    fake: Any
    endpoint: str
    reason: str
    healthy: tuple[str, str]
    requests_a_question: int = 1

    def requests(self) -> int:
        return int(self.fake.count(self.endpoint))

    async def opened(self) -> None:
        """Let it fail until the breaker opens."""
        self.fake.fail(self.endpoint, Fault.unavailable)
        async with asyncio.timeout(30):
            while self.reason not in (await self.running.ask(PRICE)).reasons:
                pass

    async def rested(self) -> None:
        """Wait until the breaker admits a probe; `/readyz` would make it."""
        await asyncio.sleep(GUARD.breaker_rest_s + 0.1)


@asynccontextmanager
async def with_llm(folder: Path, guard: ResilienceSettings = GUARD) -> AsyncIterator[Case]:
    with running_fake_openai() as fake:
        given = {"llm": llm(fake, timeout_s=60.0), "resilience": guard, "query": PATIENT}
        async with service(folder, **given) as running:
            await running.put("fuel.txt", FUEL)
            healthy = ("keyword", "generated")
            yield Case(running, fake, CHAT, "llm_1_breaker_open", healthy)


@asynccontextmanager
async def with_embedder(folder: Path, guard: ResilienceSettings = GUARD) -> AsyncIterator[Case]:
    with running_fake_openai() as fake:
        given = embedding(fake).model_copy(update={"timeout_s": 60.0})
        async with service(folder, embedding=given, resilience=guard, query=PATIENT) as running:
            await running.put("fuel.txt", FUEL)
            healthy = ("hybrid", "extractive")
            yield Case(running, fake, EMBED, "embedder_breaker_open", healthy)


@asynccontextmanager
async def with_managed_index(
    folder: Path, guard: ResilienceSettings = GUARD
) -> AsyncIterator[Case]:
    with running_fake_llamacloud() as fake:
        given = cloud(fake, index="cloud_then_local").model_copy(update={"timeout_s": 60.0})
        async with service(folder, llamacloud=given, resilience=guard, query=PATIENT) as running:
            await running.put("fuel.txt", FUEL)
            await running.put("runway.txt", RUNWAY)
            healthy = ("managed", "extractive")
            yield Case(
                running,
                fake,
                RETRIEVE,
                "managed_index_breaker_open",
                healthy,
                requests_a_question=2,  # it names a document, which is searched by itself as well
            )


Opens = Callable[..., Any]


@pytest.mark.parametrize("opens", [with_llm, with_embedder, with_managed_index])
async def test_fifty_questions_at_once_try_a_rested_service_once(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens(tmp_path) as case:
        await case.running.until(case.healthy, PRICE)
        await case.opened()
        case.fake.recover()
        case.fake.fail(case.endpoint, Fault.hang)
        await case.rested()
        before = case.requests()
        client = case.running.client
        crowd = [
            asyncio.create_task(client.post("/v1/query", json={"query": PRICE})) for _ in range(50)
        ]
        async with asyncio.timeout(60):
            while sum(task.done() for task in crowd) < 49:
                await asyncio.sleep(0.02)
        assert case.requests() == before + case.requests_a_question
        case.fake.die()  # ends the one that hangs
        answers = await asyncio.gather(*crowd)
        case.fake.recover()
        case.fake.revive()
    assert {sent.status_code for sent in answers} == {200}
    marks = [sent.json()["degradation"] for sent in answers]
    assert {mark["level"] for mark in marks} == {2}
    assert sum(case.reason in mark["reasons"] for mark in marks) == 49


@pytest.mark.parametrize("opens", [with_embedder, with_managed_index])
async def test_an_open_breaker_lets_no_question_through(opens: Opens, tmp_path: Path) -> None:
    async with opens(tmp_path, RESTING) as case:
        await case.running.until(case.healthy, PRICE)
        await case.opened()
        before = case.requests()
        sent = await asyncio.gather(
            *(case.running.client.post("/v1/query", json={"query": PRICE}) for _ in range(20))
        )
        assert case.requests() == before
    assert {tuple(each.json()["degradation"]["reasons"]) for each in sent} == {(case.reason,)}


async def test_what_questions_learned_of_a_model_spares_the_extractions(tmp_path: Path) -> None:
    with running_fake_openai() as fake:
        async with service(tmp_path, llm=llm(fake), resilience=RESTING, query=PATIENT) as running:
            document = (await running.put("fuel.txt", FUEL))["document_id"]
            fake.fail(CHAT, Fault.unavailable)
            async with asyncio.timeout(30):
                while "llm_1_breaker_open" not in (await running.ask(PRICE)).reasons:
                    pass
            before = fake.count()
            schema = {"type": "object", "properties": {"price": {"type": "number"}}}
            asked = {"document_id": document, "schema": schema}
            sent = await running.client.post("/v1/extractions", json=asked)
            job = await running.finished(sent.json()["id"])
            assert job["status"] == "completed"
            assert fake.count() == before
            again = await running.ask(PRICE)
            streamed = await running.client.post("/v1/query", json={"query": PRICE, "stream": True})
    assert "llm_1_breaker_open" in again.reasons
    assert "llm_1_breaker_open" in streamed.text
    assert fake.count() == before


async def test_a_hanging_model_keeps_nobody_waiting_who_does_not_need_it(tmp_path: Path) -> None:
    narrow = GUARD.model_copy(update={"calls_at_once": 4})
    given: dict[str, Any] = {
        "resilience": narrow,
        "query": PATIENT,
        "server": ServerSettings(max_concurrent_queries=12),
    }
    async with AsyncExitStack() as stack:
        fake = stack.enter_context(running_fake_openai())
        given["llm"] = llm(fake, timeout_s=60.0)
        running = await stack.enter_async_context(service(tmp_path, **given))
        await running.put("fuel.txt", FUEL)
        another = {"files": {"file": ("runway.txt", RUNWAY)}, "data": {"collection": "another"}}
        sent = await running.client.post("/v1/documents", **another)
        await running.finished(sent.json()["accepted"][0]["job"]["id"])
        fake.fail(CHAT, Fault.hang)
        held = [
            asyncio.create_task(running.client.post("/v1/query", json={"query": PRICE}))
            for _ in range(10)
        ]
        async with asyncio.timeout(30):
            while fake.count() < 4:
                await asyncio.sleep(0.02)
        others = await asyncio.gather(*(_elsewhere(running.client, number) for number in range(40)))
        assert not any(task.done() for task in held)
        assert fake.count() == 4  # the bulkhead's size, whoever asks
        fake.die()
        answers = await asyncio.gather(*held)
    assert {sent.status_code for sent in others} == {200}
    assert {sent.json()["degradation"]["level"] for sent in others} == {0}
    assert {sent.json()["degradation"]["level"] for sent in answers} == {2}


async def _elsewhere(client: httpx.AsyncClient, number: int) -> httpx.Response:
    asked = {"query": f"drawer {number + 100}", "collection": "another"}
    return await client.post("/v1/query", json=asked)
