"""Questions that waited too long are refused before work is spent on them."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.server.small_service import serving, small_engine

from foliotrace.errors import TooBusy
from foliotrace_server.app import build_app
from foliotrace_server.http.overload import Arrival, ConcurrencyLimit, set_arrival
from foliotrace_server.sections import ServerSettings
from foliotrace_server.serve import server_config

pytestmark = pytest.mark.anyio
WAIT = {"query": "wait", "stream": True}


async def test_a_question_that_gets_no_slot_in_time_is_told_to_come_back(tmp_path: Path) -> None:
    engine = small_engine(tmp_path, max_concurrent_queries=1, max_query_wait_s=0.2)
    async with serving(engine) as client:
        async with client.stream("POST", "/v1/query", json=WAIT) as held:
            lines = held.aiter_lines()  # kept: the stream is closed with it
            async for line in lines:
                if line == "event: delta":  # it holds the slot
                    break
            ask: dict[str, Any] = {"query": "refund"}
            hosted = {"start_event": ask}
            for path, body in (("/v1/query", ask), ("/workflows/query/run", hosted)):
                refused = await client.post(path, json=body)
                assert (refused.status_code, refused.json()["code"]) == (429, "too_busy"), path
                assert refused.headers["retry-after"] == "1"
            streamed = await client.post("/v1/query", json={"query": "refund", "stream": True})
            assert "too_busy" in streamed.text
        for _ in range(50):  # the slot comes back
            answer = await client.post("/v1/query", json={"query": "refund"})
            if answer.status_code == 200:
                break
        assert answer.status_code == 200


async def test_time_spent_before_the_event_loop_looked_counts(tmp_path: Path) -> None:
    limit = ConcurrencyLimit(5, waiting=5, retry_after_s=1.0, max_wait_s=2.0)
    set_arrival(Arrival(Arrival().at_s - 1.5))
    async with limit.slot():
        pass
    set_arrival(Arrival(Arrival().at_s - 2.5))
    with pytest.raises(TooBusy):
        async with limit.slot():
            raise AssertionError("no work may be done")


async def test_a_busy_machine_alone_refuses_nobody() -> None:
    # 16 callers, each question 100 ms of a machine that others use too: not too many callers.
    limit = ConcurrencyLimit(
        64, waiting=128, retry_after_s=1.0, max_wait_s=ServerSettings().max_query_wait_s
    )
    set_arrival(Arrival(Arrival().at_s - 16 * 0.1))
    async with limit.slot():
        pass


@asynccontextmanager
async def as_served(engine: Any) -> AsyncIterator[str]:
    """The service with the connection limits and arrival times of `foliotrace serve`."""
    config = server_config(build_app(engine), engine.settings.server)
    config.port = 0
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux says when bytes came in")
async def test_time_in_the_kernel_before_the_connection_was_accepted_counts(tmp_path: Path) -> None:
    engine = small_engine(tmp_path, max_query_wait_s=0.2)
    async with as_served(engine) as url:
        port = int(url.rpartition(":")[2])
        body = b'{"query": "refund"}'
        head = f"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as waiting:  # the kernel accepts it
            waiting.sendall(head.encode() + body)
            time.sleep(0.4)
            answer = await asyncio.to_thread(waiting.recv, 4096)
        assert answer.startswith(b"HTTP/1.1 429")
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post("/v1/query", json={"query": "refund"})).status_code == 200


async def test_500_questions_at_once_are_answered_or_shed_and_none_is_left(tmp_path: Path) -> None:
    engine = small_engine(tmp_path, max_query_wait_s=0.05)
    async with as_served(engine) as url:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            asked = (client.post("/v1/query", json={"query": "refund"}) for _ in range(500))
            answers = await asyncio.gather(*asked)
            seen = Counter(answer.status_code for answer in answers)
            assert set(seen) <= {200, 429}
            assert seen[429] > 0
            assert all("retry-after" in each.headers for each in answers if each.status_code == 429)
            assert (await client.post("/v1/query", json={"query": "refund"})).status_code == 200
