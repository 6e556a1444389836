"""A `WorkflowClient` uploads by a start event of `ingest`; no journal keeps the bytes."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.server.small_service import serving, small_engine

from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_engine(tmp_path / "data")) as client:
        yield client


def inline(content: bytes, **fields: Any) -> dict[str, Any]:
    return {"content": base64.b64encode(content).decode(), "name": "a.txt", **fields}


async def run(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/workflows/ingest/run", json={"start_event": fields})


async def test_a_file_in_the_start_event_is_ingested_and_answers(
    client: httpx.AsyncClient,
) -> None:
    workflows = WorkflowClient(httpx_client=client)
    start = inline(b"the blue whale sings", collection="sea", metadata={"year": 2026})
    done = await workflows.run_workflow("ingest", start_event=start)
    assert done.result is not None
    assert (done.status, done.result.value["pages"]) == ("completed", 1)
    document = (await client.get(f"/v1/documents/{done.result.value['document_id']}")).json()
    assert (document["name"], document["collection"]) == ("a.txt", "sea")
    assert document["metadata"] == {"year": 2026}
    job = (await client.get(f"/v1/jobs/{done.handler_id}")).json()
    assert (job["status"], job["id"]) == ("completed", done.result.value["job_id"])


async def test_the_bytes_are_in_no_journal(client: httpx.AsyncClient, tmp_path: Path) -> None:
    content = b"canary " * 50
    await run(client, **inline(content))
    encoded = base64.b64encode(content)[:200]
    journals = [f for f in (tmp_path / "data").glob("*.db*") if f.name.startswith(("han", "int"))]
    assert journals
    assert not any(encoded in file.read_bytes() for file in journals)


async def test_the_same_file_again_completes_without_being_parsed(
    client: httpx.AsyncClient,
) -> None:
    first = (await run(client, **inline(b"one"))).json()
    again = (await run(client, **inline(b"one"))).json()
    assert again["status"] == "completed"
    assert again["handler_id"] != first["handler_id"]
    value, before = again["result"]["value"], first["result"]["value"]
    assert (value["document_id"], value["revision"]) == (before["document_id"], before["revision"])


async def test_a_chosen_handler_id_is_the_job_and_is_taken_once(client: httpx.AsyncClient) -> None:
    body = {"start_event": inline(b"one"), "handler_id": "mine"}
    started = await client.post("/workflows/ingest/run-nowait", json=body)
    assert started.json()["handler_id"] == "mine"
    assert (await client.get("/v1/jobs/mine")).status_code == 200
    again = await client.post("/workflows/ingest/run-nowait", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "handler_exists")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"document_id": "x", "content": "eA==", "name": "a"}, 400, "invalid_request"),
        ({"document_id": "x", "collection": "a"}, 400, "invalid_request"),
        ({"content": "eA=="}, 400, "invalid_request"),
        ({"content": "not base64!", "name": "a"}, 400, "invalid_request"),
        ({"content": "", "name": "a"}, 422, "file_empty"),
        ({"content": "eA==", "name": "../a"}, 400, "invalid_name"),
        ({"content": "eA==", "name": "a", "collection": "a/b"}, 400, "invalid_collection"),
        ({"content": "eA==", "name": "a", "metadata": {"a b": 1}}, 400, "invalid_metadata"),
        ({"content": "eA==", "name": "a", "path": "cloud"}, 400, "path_not_offered"),
        ({"content": "eHh4" * 40_000, "name": "a"}, 413, "file_too_large"),
        ({"file": "/etc/passwd"}, 403, "source_not_allowed"),
        ({"url": "http://127.0.0.1/"}, 403, "source_not_allowed"),
        ({"content": "eA==", "name": "a", "tenant": "b"}, 422, None),
    ],
)
async def test_a_start_event_with_a_mistake_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str | None
) -> None:
    answer = await run(client, **fields)
    assert answer.status_code in ((status,) if code else (400, 422)), answer.text
    assert code is None or answer.json()["code"] == code
    assert (await client.get("/v1/documents")).json()["documents"] == []
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


async def test_other_workflows_keep_the_smaller_limit(client: httpx.AsyncClient) -> None:
    body = {"start_event": {"query": "x" * 2_000_000}}
    assert (await client.post("/workflows/query/run", json=body)).status_code == 413


async def test_a_deletion_removes_the_record_that_a_run_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    schema = {"type": "object", "properties": {"invoice_no": {"type": "string"}}}
    async with serving(compose(load_settings(data_dir=tmp_path / "data"))) as client:
        workflows = WorkflowClient(httpx_client=client)
        stored = await workflows.run_workflow(
            "ingest", start_event=inline(b"Invoice No: canary-77\nTotal: 3 EUR\n")
        )
        assert stored.result is not None
        document_id = stored.result.value["document_id"]
        start = {"document_id": document_id, "schema": schema}
        done = await workflows.run_workflow("extract", start_event=start)
        assert done.result is not None
        assert done.result.value["record"] == {"invoice_no": "canary-77"}
        (await client.delete(f"/v1/documents/{document_id}")).raise_for_status()
    journals = [*(tmp_path / "data").glob("handlers.db*"), *(tmp_path / "data").glob("intents.db*")]
    assert journals
    assert not any(b"canary-77" in file.read_bytes() for file in journals)
