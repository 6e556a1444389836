"""Bad input over real sockets: refused with a stable code, never echoed, nothing kept."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import structlog
from tests.server.small_service import serving, small_engine

pytestmark = pytest.mark.anyio
CANARY = "canary-7f3a"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    engine = small_engine(
        tmp_path,
        max_body_bytes=2000,
        max_concurrent_queries=1,
        max_waiting_queries=1,
        max_concurrent_uploads=1,
        slow_body_s=1.0,
    )
    async with serving(engine) as client:
        yield client


def _files(*names: str) -> bytes:
    return b"".join(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n'
        % (name.encode(), name.encode())
        for name in names
    )


def _field(name: str, value: str) -> bytes:
    return (f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n').encode()


def originals(folder: Path) -> list[Path]:
    return [p for p in (folder / "blobs").rglob("*") if p.is_file() and p.name != "tenant"]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"{", "application/json", (400, "invalid_request")),
        (b"[]", "application/json", (400, "invalid_request")),
        (b"", "application/json", (400, "invalid_request")),
        (b'{"query": 5}', "application/json", (400, "invalid_request")),
        (b'{"query": "x", "tenant": "canary-7f3a"}', "application/json", (400, "invalid_request")),
        (b'{"query": "x", "canary-7f3a \\u0000": 1}', "application/json", (400, "invalid_request")),
        (b'{"query": "canary-7f3a"}', "text/plain", (415, "media_type_unsupported")),
        (b'{"query": "canary-7f3a"}', "", (415, "media_type_unsupported")),
        (b'{"query": "%s"}' % (b"x" * 3000), "application/json", (413, "body_too_large")),
        (b'{"query": "%s"}' % (b"x" * 1500), "application/json", (400, "invalid_request")),
    ],
)
async def test_a_bad_question_is_refused(
    client: httpx.AsyncClient, content: bytes, kind: str, expected: tuple[int, str]
) -> None:
    answer = await client.post("/v1/query", content=content, headers={"content-type": kind})
    assert problem(answer) == expected


async def test_an_endless_body_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 1000
            yield b"x" * 1000

    kind = {"content-type": "application/json"}
    try:
        answer = await client.post("/v1/query", content=endless(), headers=kind)
        assert problem(answer) == (413, "body_too_large")
    except httpx.WriteError:  # the server may hang up before everything is sent
        assert sent < 10_000_000


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PUT", "/v1/query", (405, "method_not_allowed")),
        ("GET", "/v1/nothing", (404, "route_not_found")),
        ("GET", "/v1/documents/none", (404, "document_not_found")),
        ("DELETE", "/v1/documents/none", (404, "document_not_found")),
        ("GET", "/v1/documents/none/pages/x", (404, "page_not_found")),
        ("GET", "/v1/documents/none/pages/0000000019999999999999999", (404, "page_not_found")),
        ("GET", f"/v1/documents/none/pages/000000001{'9' * 5000}", (404, "page_not_found")),
        ("GET", "/v1/jobs/none", (404, "job_not_found")),
        ("GET", "/v1/jobs/none/events", (404, "job_not_found")),
        ("POST", "/v1/jobs/none/cancel", (404, "job_not_found")),
        ("GET", "/v1/extractions/none", (404, "job_not_found")),
        ("GET", "/v1/runs/none", (404, "run_not_found")),
        ("GET", "/v1/documents?limit=0", (400, "invalid_request")),
        ("GET", "/v1/documents?limit=%D9%A1", (400, "invalid_request")),
        (
            "GET",
            f"/v1/documents?{'&'.join(f'k{i}=v' for i in range(2000))}",
            (400, "invalid_request"),
        ),
        (
            "GET",
            f"/v1/documents?{'&'.join(f'k={i}' for i in range(2000))}",
            (400, "invalid_request"),
        ),
        ("GET", "/v1/jobs?limit=x", (400, "invalid_request")),
        ("GET", "/v1/documents/%00", (404, "document_not_found")),
    ],
)
async def test_what_is_not_there_is_said_so(
    client: httpx.AsyncClient, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert problem(await client.request(method, path)) == expected


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
        (b"garbage", "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut', None),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n', None),
        (b"--b\r\nX: " + b"y" * 9000 + b"\r\n\r\n1\r\n--b--\r\n", None),
        (b"", f"multipart/form-data; boundary={'b' * 3000}"),
        (_files("a.txt", "b.txt", "c.txt", "one too many.txt") + b"--b--\r\n", None),
        (_files("a.txt") + b"--b\r\nX: " + b"y" * 9000 + b"\r\n\r\n1\r\n--b--\r\n", None),
        (_files("a.txt") + _field("metadata", "{") + b"--b--\r\n", None),
        (_files("a.txt") + _field("collection", "../x") + b"--b--\r\n", None),
        (_files("a.txt") + _field("tenant", "other") + b"--b--\r\n", None),
    ],
)
async def test_a_bad_upload_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, tmp_path: Path, body: bytes, kind: str | None
) -> None:
    headers = {"content-type": kind or "multipart/form-data; boundary=b"}
    answer = await client.post("/v1/documents", content=body, headers=headers)
    assert problem(answer) in [(400, "invalid_request"), (400, "invalid_collection")]
    assert (await client.get("/v1/documents")).json()["documents"] == []
    assert originals(tmp_path) == []


async def begun_upload(
    client: httpx.AsyncClient,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload of which the end is never sent."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(
        b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + _files("half.txt")[:-2]
    )
    await writer.drain()
    return reader, writer


async def test_uploads_that_stall_are_cut_off_and_give_their_place_back(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    reader, writer = await begun_upload(client)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    answer = await client.post("/v1/documents", files={"file": ("a.txt", b"x")})
    assert answer.status_code == 202
    assert len(originals(tmp_path)) == 1
    writer.close()


async def test_an_upload_whose_caller_hangs_up_leaves_nothing_and_is_no_failure(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        _, writer = await begun_upload(client)
        while not originals(tmp_path):
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while originals(tmp_path):
            await asyncio.sleep(0.01)
        assert (await client.get("/healthz")).status_code == 200
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []


async def test_an_upload_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    assert problem(await client.post("/v1/documents", json={"file": "x"})) == (
        415,
        "media_type_unsupported",
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\x01b", "", "x" * 300, ".."])
async def test_a_name_that_could_escape_is_refused(client: httpx.AsyncClient, name: str) -> None:
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
    part = head + "\r\n\r\nx\r\n--b--\r\n"
    answer = await client.post(
        "/v1/documents",
        content=part.encode(),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert problem(answer)[0] == 400


@pytest.mark.parametrize("metadata", ["{", "[]", '{"a": {"b": 1}}', '{"a": null}', "canary-7f3a"])
async def test_metadata_must_be_flat(client: httpx.AsyncClient, metadata: str) -> None:
    answer = await client.post(
        "/v1/documents", files={"file": ("a.txt", b"x")}, data={"metadata": metadata}
    )
    assert problem(answer)[0] == 400


async def test_the_metadata_may_come_behind_the_file(client: httpx.AsyncClient) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nwhale\r\n'
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"year": 1999}\r\n--b--\r\n'
    )
    answer = await client.post(
        "/v1/documents",
        content=body,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert answer.json()["accepted"][0]["document"]["metadata"] == {"year": 1999}


async def test_a_full_server_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    body = {"start_event": {"query": "wait"}}
    asked = [asyncio.create_task(client.post("/workflows/query/run", json=body)) for _ in range(6)]
    while sum(task.done() for task in asked) < 4:
        await asyncio.wait(
            [task for task in asked if not task.done()], return_when="FIRST_COMPLETED"
        )
    refused = [task.result() for task in asked if task.done()]
    assert [problem(answer) for answer in refused] == [(429, "too_busy")] * 4
    assert int(refused[0].headers["retry-after"]) >= 1
    while not all(task.done() for task in asked):
        for handler in (await client.get("/handlers?status=running")).json()["handlers"]:
            await client.post(f"/handlers/{handler['handler_id']}/cancel")


async def test_a_client_that_hangs_up_ends_its_stream(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", "/v1/query", json={"query": "wait", "stream": True}) as stream:
        async for _ in stream.aiter_lines():
            break
    for _ in range(200):
        answer = await client.post("/v1/query", json={"query": "whale"})
        if answer.status_code == 200:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the abandoned stream holds its slot")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "host_not_allowed"),
        ({"host": "127.0.0.1.evil.example"}, "host_not_allowed"),
        ({"host": "testserver"}, "host_not_allowed"),
        ({"origin": "http://evil.example"}, "origin_not_allowed"),
        ({"origin": "null"}, "origin_not_allowed"),
    ],
)
async def test_pages_of_other_sites_cannot_use_the_service(
    client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    answer = await client.post("/v1/query", json={"query": "x"}, headers=headers)
    assert problem(answer) == (403, code)
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    answer = await client.options("/v1/query", headers=headers)
    assert problem(answer) == (403, "origin_not_allowed")


async def test_a_bug_is_told_by_its_code_alone(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/query", json={"query": "break"})
    assert problem(answer) == (500, "internal_error")
    assert "secret" not in answer.text


async def test_the_service_pages_work_offline(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert not re.search(r"src=|href='http|url\(", page)
    assert "/v1/query" in page
    assert "How long is the refund window?" in page  # an example
    assert (await client.get("/healthz")).json()["status"] == "healthy"
    assert (await client.get("/readyz")).json()["ready"] is True
    assert "http_server_request_duration_seconds" in (await client.get("/metrics")).text
