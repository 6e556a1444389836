"""Online evaluation rates whatever went badly, also where no share of the answers is sampled."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.data_folder.folders import ingest, serving

pytestmark = pytest.mark.anyio
QUESTION = {"query": "How much does the whale weigh?"}
ONLINE: dict[str, Any] = {
    "runs": {"keep_content": "redacted"},
    "online": {"enabled": True, "share": 0.0, "evaluators": ["latency_ok", "cost_ok"]},
}


async def ratings(client: httpx.AsyncClient, run_id: str) -> set[str]:
    held = (await client.get(f"/v1/runs/{run_id}")).json()["feedback"]
    return {each["key"] for each in held if each["source"] == "online"}


async def until_rated(client: httpx.AsyncClient, run_id: str) -> None:
    async with asyncio.timeout(30):
        while await ratings(client, run_id) != {"latency_ok", "cost_ok"}:
            await asyncio.sleep(0.05)


async def test_every_failed_run_is_rated_and_an_answer_outside_the_sample_is_not(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path / "data", **ONLINE) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        fine = (await client.post("/v1/query", json=QUESTION)).json()["run_id"]
        for _ in range(3):
            missing = {**QUESTION, "collection": "nowhere"}
            assert (await client.post("/v1/query", json=missing)).status_code == 404
        failed: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while len(failed) < 3:
                await asyncio.sleep(0.05)
                listed = await client.get("/v1/runs", params={"filter": 'eq(status, "error")'})
                failed = listed.json()["runs"]
        assert {each["error"] for each in failed} == {"collection_not_found"}
        for each in failed:
            await until_rated(client, each["id"])
        assert await ratings(client, fine) == set()


async def test_every_degraded_answer_is_rated(tmp_path: Path) -> None:
    retriever = {"retriever": "tests.loop.pages.failing_retriever:retriever"}
    async with serving(tmp_path / "data", query=retriever, **ONLINE) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        for _ in range(3):
            answer = (await client.post("/v1/query", json=QUESTION)).json()
            assert answer["degradation"]["level"] > 0
            await until_rated(client, answer["run_id"])


async def test_the_same_rating_again_is_counted_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        run_id = (await client.post("/v1/query", json=QUESTION)).json()["run_id"]
        rating = {"run_id": run_id, "key": "counted_once", "score": 0.0}

        async def counted() -> list[str]:
            lines = (await client.get("/metrics")).text.splitlines()
            name = "foliotrace_feedback_score_count{"
            return [x.split()[-1] for x in lines if x.startswith(name) and "counted_once" in x]

        first, again = [(await client.post("/v1/feedback", json=rating)).json() for _ in range(2)]
        assert first == again
        assert await counted() == ["1.0"]
        await client.post("/v1/feedback", json={**rating, "score": 1.0})
        assert await counted() == ["2.0"], "another rating of the same run"
