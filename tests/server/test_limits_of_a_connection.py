"""One connection cannot stall or hold the server: limits of headers, time and connections.

Over raw sockets, against uvicorn as `foliotrace serve` runs it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import httpx
import pytest
import uvicorn
from tests.server.small_service import small_engine

from foliotrace_server.app import build_app
from foliotrace_server.http import connection_limits
from foliotrace_server.sections import ServerSettings
from foliotrace_server.serve import server_config

pytestmark = pytest.mark.anyio
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def served(folder: Path, **limits: float) -> AsyncIterator[int]:
    """The port of a service with these limits."""
    settings = ServerSettings(port=0, **limits)  # type: ignore[arg-type] # pydantic checks them
    config = server_config(build_app(small_engine(folder)), settings)
    config.port = 0
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def answer_to(port: int, *parts: bytes, wait_s: float = 0.0) -> bytes:
    """What the server sends until it closes, or for 5 seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with suppress(ConnectionError, TimeoutError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(wait_s)
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5):
            while more := await reader.read(65536):
                answer += more
    writer.close()
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: x\r\n" % n for n in range(9_000)) + b"\r\n",
        b"GET /healthz?" + b"x" * 64_000 + b" HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 5_000
        + b"\r\n\r\n",
        HEAD + b"X: " + b"x" * 4_000_000,  # without an end
    ],
    ids=["one header", "many headers", "path", "endless"],
)  # fmt: skip
async def test_a_header_beyond_the_limit_is_refused(tmp_path: Path, request_: bytes) -> None:
    async with served(tmp_path) as port:
        answer = await answer_to(port, request_)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b'"code":"header_too_large"' in answer
        assert b"HTTP/1.1" not in answer[1:]


@pytest.mark.parametrize(
    "lines", [b"", b"Host: localhost\r\nHost: localhost\r\n"], ids=["none", "two"]
)
async def test_a_request_names_one_host(tmp_path: Path, lines: bytes) -> None:
    async with served(tmp_path) as port:
        answer = await answer_to(port, b"GET /healthz HTTP/1.1\r\n" + lines + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"invalid_request"' in answer
        old = await answer_to(port, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert old.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("end", [b"1\r\nx\r\n0\r\nX: ", b"1;x="], ids=["trailer", "extension"])
async def test_what_follows_the_header_is_limited_like_it(tmp_path: Path, end: bytes) -> None:
    head = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served(tmp_path) as port:
        began_s = monotonic()
        await answer_to(port, head, end, *[b"x" * 60_000] * 50)
        assert monotonic() - began_s < 4  # it was closed


async def test_a_large_body_is_no_header(tmp_path: Path) -> None:
    async with served(tmp_path) as port, httpx.AsyncClient() as client:
        url = f"http://localhost:{port}/v1/documents"
        answer = await client.post(url, files={"file": ("a.txt", b"whale " * 16_000)})
        assert answer.status_code == 202
        for _ in range(3):  # on one connection
            header = {"X": "x" * 60_000}
            answer = await client.get(f"http://localhost:{port}/healthz", headers=header)
            assert answer.status_code == 200


@pytest.mark.parametrize("begun", [HEAD, b"GET /heal"], ids=["header", "first line"])
async def test_half_a_header_is_closed_in_time(tmp_path: Path, begun: bytes) -> None:
    async with served(tmp_path, slow_header_s=0.3) as port:
        answer = await answer_to(port, begun, *[b"X"] * 8, wait_s=0.1)  # a byte now and then
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"header_too_slow"' in answer


async def test_a_silent_connection_is_closed_in_time(tmp_path: Path) -> None:
    async with served(tmp_path, slow_header_s=0.3) as port:
        began_s = monotonic()
        assert await answer_to(port) == b""
        assert monotonic() - began_s < 3
        after_an_answer = await answer_to(port, HEAD + b"\r\n", b"\r\n", wait_s=0.1)
        assert after_an_answer.startswith(b"HTTP/1.1 200 ")
        assert monotonic() - began_s < 6


async def test_a_slow_answer_is_not_cut_off_by_the_header_limit(tmp_path: Path) -> None:
    async with served(tmp_path, slow_header_s=0.2) as port, httpx.AsyncClient() as client:
        pages = "\f".join(["slow page"] * 20)
        url = f"http://localhost:{port}"
        sent = await client.post(f"{url}/v1/documents", files={"file": ("a.txt", pages.encode())})
        job = sent.json()["accepted"][0]["job"]["id"]
        events = await client.get(f"{url}/v1/jobs/{job}/events")  # takes a second
        assert "completed" in events.text


async def test_connections_beyond_the_limit_are_refused_and_places_come_back(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, max_connections=3, slow_header_s=0.5) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        refused = await answer_to(port)
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 1" in refused
        for reader, writer in held:
            assert await reader.read() == b""
            writer.close()
        again = await answer_to(port, HEAD + b"Connection: close\r\n\r\n")
        assert again.startswith(b"HTTP/1.1 200 ")


class Lines:
    """A logger that keeps the events; levels that an earlier test has set do not filter it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **_fields: object) -> None:
        self.events.append(event)


async def test_refused_connections_do_not_flood_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Lines()
    monkeypatch.setattr(connection_limits, "_log", log)
    async with served(tmp_path, max_connections=1) as port:
        _, held = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(*(answer_to(port) for _ in range(30)))
        held.close()
    assert 1 <= log.events.count("connections.refused") < 10


@pytest.mark.parametrize("name", [b"Host", b"Origin"])
async def test_a_repeated_host_or_origin_is_refused(tmp_path: Path, name: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + (b"" if name == b"Host" else b"Host: localhost\r\n")
    twice = request + (name + b": localhost\r\n") * 2 + b"Connection: close\r\n\r\n"
    async with served(tmp_path) as port:
        answer = await answer_to(port, twice)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"invalid_request"' in answer
