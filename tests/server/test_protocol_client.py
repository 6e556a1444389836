"""The real `WorkflowClient` against the service: run, stream, list, cancel, and errors."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.server.small_service import serving, small_engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_engine(tmp_path)) as client:
        yield client


@pytest.fixture
def workflows(client: httpx.AsyncClient) -> WorkflowClient:
    return WorkflowClient(httpx_client=client)


async def uploaded(client: httpx.AsyncClient, text: bytes, name: str = "a.txt") -> str:
    """The id of a document that has been ingested."""
    answer = await client.post("/v1/documents", files={"file": (name, text)})
    accepted = answer.json()["accepted"][0]
    async with client.stream("GET", f"/v1/jobs/{accepted['job']['id']}/events") as stream:
        async for _ in stream.aiter_lines():
            pass
    document_id: str = accepted["document"]["id"]
    return document_id


async def test_it_lists_describes_and_runs_a_question(
    client: httpx.AsyncClient, workflows: WorkflowClient
) -> None:
    await uploaded(client, b"the blue whale sings")
    assert (await workflows.is_healthy()).status == "healthy"
    assert (await workflows.list_workflows()).workflows == ["query", "ingest", "extract"]
    assert "query" in (await workflows.get_workflow_schema("query")).start["properties"]
    await workflows.get_workflow_graph("ingest")
    done = await workflows.run_workflow("query", start_event={"query": "whale"})
    assert done.status == "completed"
    assert done.result is not None
    assert done.result.value["answer"]["text"] == "the blue whale sings"
    again = await workflows.get_handler(done.handler_id)
    assert again.status == "completed"


async def test_a_question_started_without_waiting_streams_and_lists(
    client: httpx.AsyncClient, workflows: WorkflowClient
) -> None:
    await uploaded(client, b"the blue whale sings")
    started = await workflows.run_workflow_nowait("query", start_event={"query": "whale"})
    seen = [e.type async for e in workflows.get_workflow_events(started.handler_id)]
    assert seen == ["AnswerDelta", "Answered"]
    listed = (await workflows.get_handlers(workflow_name=["query"])).handlers
    assert [h.handler_id for h in listed] == [started.handler_id]


async def test_an_ingestion_by_protocol_is_also_a_job(
    client: httpx.AsyncClient, workflows: WorkflowClient
) -> None:
    document_id = await uploaded(client, b"one\x0ctwo")
    started = await workflows.run_workflow_nowait(
        "ingest", start_event={"document_id": document_id}, handler_id="mine"
    )
    seen = [e.type async for e in workflows.get_workflow_events(started.handler_id)]
    assert seen[-1] == "Ingested"
    job = (await client.get("/v1/jobs/mine")).json()
    assert (job["status"], job["document_id"]) == ("completed", document_id)


@pytest.mark.parametrize("how", ["run", "run-nowait"])
async def test_a_question_that_hangs_is_cancelled(
    client: httpx.AsyncClient, workflows: WorkflowClient, how: str
) -> None:
    import asyncio

    start = {"start_event": {"query": "wait"}, "handler_id": "hung"}
    waiting = asyncio.create_task(client.post(f"/workflows/query/{how}", json=start))
    while not (await workflows.get_handlers(status=["running"])).handlers:
        await asyncio.sleep(0.01)
    assert (await workflows.cancel_handler("hung")).status == "cancelled"
    await waiting
    listed = (await workflows.get_handlers(status=["cancelled"])).handlers
    assert [h.handler_id for h in listed] == ["hung"]


async def test_a_long_ingestion_is_cancelled(
    client: httpx.AsyncClient, workflows: WorkflowClient
) -> None:
    pages = "\x0c".join(f"slow {n}" for n in range(500)).encode()
    answer = await client.post("/v1/documents", files={"file": ("slow.txt", pages)})
    job_id = answer.json()["accepted"][0]["job"]["id"]
    assert (await workflows.cancel_handler(job_id)).status == "cancelled"
    async with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        end = [line async for line in stream.aiter_lines() if line.startswith("data")][-1]
    assert '"status":"cancelled"' in end


@pytest.mark.parametrize("name", ["query", "extract"])
@pytest.mark.parametrize("how", ["run", "run-nowait"])
async def test_no_exception_text_reaches_the_caller(
    client: httpx.AsyncClient, workflows: WorkflowClient, name: str, how: str
) -> None:
    event = {"query": "break"} if name == "query" else {"document_id": "x", "schema": {}}
    body = {"start_event": event, "handler_id": "h"}
    answer = await client.post(f"/workflows/{name}/{how}", json=body)
    seen = answer.text
    if how == "run-nowait":
        async with client.stream("GET", "/events/h?after_sequence=-1") as stream:
            seen += (await stream.aread()).decode()
    for place in ("/handlers/h", "/handlers", "/results/h"):
        seen += (await client.get(place)).text
    assert "secret" not in seen
    assert '"status":"failed"' in seen.replace(" ", "")


async def test_our_own_errors_are_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/workflows/query/run", json={"start_event": {"query": "refuse"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


async def test_one_handler_id_cannot_name_two_kinds_of_run(client: httpx.AsyncClient) -> None:
    question = {"start_event": {"query": "x"}, "handler_id": "same"}
    assert (await client.post("/workflows/query/run", json=question)).status_code == 200
    extraction = {"start_event": {"document_id": "d", "schema": {}}, "handler_id": "same"}
    answer = await client.post("/workflows/extract/run-nowait", json=extraction)
    assert (answer.status_code, answer.json()["code"]) == (409, "handler_exists")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"start_event": 5}',
        b'{"start_event": {"query": "x", "canary": 1}}',
        b'{"start_event": {"type": "canary", "value": {}}}',
        b'{"start_event": {"qualified_name": "subprocess.canary", "value": {}}}',
        b'{"start_event": {"query": "x"}, "context": {"canary": 1}}',
        b'{"start_event": {"query": "x"}, "handler_id": "../canary"}',
        b'{"start_event": {"query": "x"}, "handler_id": ["canary"]}',
        b'{"start_event": "canary"}',
    ],
)
async def test_bad_starts_are_refused_without_an_echo(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post(
        "/workflows/query/run", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "canary" not in answer.text.replace('/canary"', "")


@pytest.mark.parametrize("path", ["/", "/workflows/none/run", "/static/x", "/handlers/none"])
async def test_there_is_no_debugger_page_and_no_unknown_workflow(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await (client.post(path, json={}) if "run" in path else client.get(path))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_events_are_only_taken_when_they_are_well_formed(client: httpx.AsyncClient) -> None:
    for body in ([], {}, {"event": 5}, {"event": {"type": "X", "value": {}}, "step": 5}):
        answer = await client.post("/events/none", json=body)
        assert answer.status_code == 400, body
    answer = await client.post("/events/none", json={"event": {"type": "X", "value": {}}})
    assert answer.status_code == 404


async def test_a_run_that_failed_on_its_input_is_no_server_error(
    client: httpx.AsyncClient, workflows: WorkflowClient
) -> None:
    answer = await client.post("/v1/documents", files={"file": ("empty.txt", b" ")})
    job = answer.json()["accepted"][0]["job"]["id"]
    async with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        await stream.aread()
    assert (await client.get(f"/v1/jobs/{job}")).json()["status"] == "failed"
    refused = await client.post(
        "/workflows/query/run", json={"start_event": {"query": "refuse"}, "handler_id": "run"}
    )
    assert refused.status_code == 400
    start = {"start_event": {"query": "refuse"}, "handler_id": "background"}
    assert (await client.post("/workflows/query/run-nowait", json=start)).status_code == 200
    async with client.stream("GET", "/events/background?after_sequence=-1") as stream:
        await stream.aread()
    for run in (job, "run", "background"):
        for place in ("handlers", "results"):
            answer = await client.get(f"/{place}/{run}")
            assert (answer.status_code, answer.json()["status"]) == (422, "failed"), (place, run)


async def test_a_run_that_failed_by_our_fault_is_a_server_error(client: httpx.AsyncClient) -> None:
    start = {"start_event": {"query": "break"}, "handler_id": "bug"}
    assert (await client.post("/workflows/query/run", json=start)).status_code == 500
    assert (await client.get("/handlers/bug")).status_code == 500


async def test_a_cancelled_run_is_a_conflict(client: httpx.AsyncClient) -> None:
    start = {"start_event": {"query": "wait"}, "handler_id": "hung"}
    await client.post("/workflows/query/run-nowait", json=start)
    await client.post("/handlers/hung/cancel")
    answer = await client.get("/handlers/hung")
    assert (answer.status_code, answer.json()["status"]) == (409, "cancelled")
