"""A release at a second base URL: two services on sockets, the first forwards to the second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.audit.log_reading import audit_records
from tests.cloud.service import FUEL
from tests.server.small_service import serving

from foliotrace.errors import Misconfigured
from foliotrace.settings import QuerySettings
from foliotrace_loop.releases.rollout import Rollout, Rollouts
from foliotrace_loop.store import LoopStore
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.compose import compose
from foliotrace_server.loop.settings import ReleaseSettings
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio
QUESTION = {"query": "What does unleaded cost per litre?"}


@asynccontextmanager
async def first(folder: Path, url: str, deadline_s: float = 20.0) -> AsyncIterator[Any]:
    """A service without documents whose answers all come from `url`."""
    folder.mkdir()
    store = LoopStore(folder / "loop.db")
    Rollouts(store).change(Rollout(stable="green"), why="test", now=datetime.now(UTC))
    store.close()
    releases = {"green": ReleaseSettings(base_url=url)}
    query = QuerySettings(deadline_s=deadline_s)
    async with serving(compose(Settings(data_dir=folder, releases=releases, query=query))) as http:
        for _ in range(100):  # it follows the rollout within two seconds
            sent = await http.post("/v1/query", json=QUESTION)
            if sent.status_code != 200 or sent.json()["release"] == "green":
                break
            await asyncio.sleep(0.05)
        yield http


@asynccontextmanager
async def other(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A socket that replies with `answer` to everything; empty: never."""
    heard: list[bytes] = []

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        heard.append(head + await reader.readexactly(int(length or 0)))
        writer.write(answer)
        if not answer:
            await reader.read()  # until the other side hangs up
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard
    finally:
        server.close()


async def test_the_second_service_answers_and_the_first_names_audits_and_keeps_the_run(
    tmp_path: Path,
) -> None:
    async with serving(compose(Settings(data_dir=tmp_path / "second"))) as second:
        async with AsyncFoliotraceClient(str(second.base_url)) as client:
            upload = await client.upload([("fuel.txt", FUEL.encode())])
            async for _ in client.follow(upload.accepted[0].job.id):
                pass
        async with first(tmp_path / "first", str(second.base_url)) as http:
            sent = await http.post("/v1/query", json=QUESTION)
            streamed = await http.post("/v1/query", json={**QUESTION, "stream": True})
            run = (await http.get(f"/v1/runs/{sent.json()['run_id']}")).json()
            theirs = await second.get(f"/v1/runs/{sent.json()['run_id']}")
    assert (sent.headers["x-release"], sent.json()["release"]) == ("green", "green")
    assert sent.json()["citations"]
    assert '"release":"green"' in streamed.text
    assert "event: delta" in streamed.text
    assert run["versions"]["release"] == "green"
    assert theirs.status_code == 404, "each service has a run of its own"
    events = {
        record["event"]
        for record in audit_records(tmp_path / "first/audit")
        if record.get("run_id") == run["id"] and record["release"] == "green"
    }
    assert events == {"query_received", "query_completed"}


async def test_a_question_is_forwarded_with_its_callers_key_and_no_redirect_is_followed(
    tmp_path: Path,
) -> None:
    async with other(b"") as (elsewhere, unheard):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
        async with other(moved.encode()) as (url, heard), first(tmp_path / "a", url) as http:
            key = {"Authorization": "Bearer of-the-caller"}
            sent = await http.post("/v1/query", json=QUESTION, headers=key)
    assert (sent.status_code, sent.json()["code"]) == (503, "release_unavailable")
    said = heard[-1].lower()
    assert b"authorization: bearer of-the-caller" in said
    assert b"x-foliotrace-release: green" in said
    assert unheard == []


async def test_silence_and_a_dead_service_are_errors_with_a_code(tmp_path: Path) -> None:
    async with other(b"") as (url, _), first(tmp_path / "a", url, 0.3) as http:
        sent = await http.post("/v1/query", json=QUESTION)
        assert (sent.status_code, sent.json()["code"]) == (504, "deadline_exceeded")
    async with first(tmp_path / "b", url) as http:
        sent = await http.post("/v1/query", json=QUESTION)
        assert (sent.status_code, sent.json()["code"]) == (503, "release_unavailable")


async def test_what_was_forwarded_is_not_forwarded_again(tmp_path: Path) -> None:
    async with first(tmp_path / "a", "http://127.0.0.1:9") as http:
        forwarded = {"X-Foliotrace-Release": "green"}
        sent: httpx.Response = await http.post("/v1/query", json=QUESTION, headers=forwarded)
        assert (sent.status_code, sent.json()["release"]) == (200, "base")


@pytest.mark.parametrize(
    ("release", "why"),
    [
        (ReleaseSettings(base_url="http://example.com"), "neither https nor a private address"),
        (ReleaseSettings(base_url="https://a.example", query={"grounding": "mark"}), "no effect"),
    ],
)
def test_a_wrong_base_url_stops_the_start(
    tmp_path: Path, release: ReleaseSettings, why: str
) -> None:
    with pytest.raises(Misconfigured, match=why):
        compose(Settings(data_dir=tmp_path, releases={"green": release}))
