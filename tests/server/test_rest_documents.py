"""Documents and jobs over HTTP: accepted durably, followed live, deleted wholly."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.server.small_service import serving, small_engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_engine(tmp_path)) as client:
        yield client


async def follow(client: httpx.AsyncClient, job_id: str, **headers: str) -> list[tuple[str, str]]:
    """(event, data) of a job's stream until it ends."""
    seen: list[tuple[str, str]] = []
    async with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as stream:
        name = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            if line.startswith("data: "):
                seen.append((name, line[6:]))
    return seen


async def test_an_upload_is_ingested_and_found(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/documents", files={"file": ("a.txt", b"the blue whale sings")})
    assert answer.status_code == 202, answer.text
    job = answer.json()["accepted"][0]["job"]
    seen = await follow(client, job["id"])
    assert [name for name, _ in seen][-1] == "end"
    assert "completed" in seen[-1][1]
    asked = await client.post("/v1/query", json={"query": "whale"})
    assert asked.json()["answer"] == "the blue whale sings"
    assert asked.headers["x-degradation-level"] == "0"
