"""A client sends a run only events that a step waits for; how a run works inside is its own."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.server.small_service import serving, small_engine
from workflows import Context, Workflow, step
from workflows.events import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent

from foliotrace.ingest.workflow import PagesStored, StoreWindow

pytestmark = pytest.mark.anyio
INNER = (StoreWindow.__name__, PagesStored.__name__)


class Drafted(Event):
    draft: str


class Review(Workflow):
    """Drafts, asks a person, and returns what the person said."""

    @step
    async def write(self, ev: StartEvent) -> Drafted:
        return Drafted(draft="first")

    @step
    async def ask(self, ctx: Context, ev: Drafted) -> InputRequiredEvent:
        await ctx.store.set("draft", ev.draft)
        return InputRequiredEvent()

    @step
    async def publish(self, ctx: Context, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=f"{await ctx.store.get('draft')}: {ev.response}")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_engine(tmp_path, {"review": Review(timeout=None)})) as client:
        yield client


async def slow_upload(client: httpx.AsyncClient) -> tuple[str, str]:
    pages = "\f".join(["slow page"] * 20)
    answer = await client.post("/v1/documents", files={"file": ("a.txt", pages.encode())})
    accepted = answer.json()["accepted"][0]
    return accepted["job"]["id"], accepted["document"]["id"]


def inner_events(job_id: str, document_id: str) -> list[dict[str, Any]]:
    cursor = {
        "tenant": "other",
        "job_id": job_id,
        "document_id": document_id,
        "content_hash": "0" * 64,
        "revision": "x",
        "pages_total": 0,
    }
    values = {"value": {"cursor": cursor, "document_id": document_id}}
    return [
        *({"type": name, **values} for name in INNER),
        *({"qualified_name": f"foliotrace.ingest.workflow.{name}", **values} for name in INNER),
        {"type": "StartEvent", "value": {}},
        {"type": "StopEvent", "value": {}},
        {"type": "HumanResponseEvent", "value": {"response": "yes"}},  # no step waits for one
    ]


async def test_no_step_of_an_ingestion_is_driven_from_outside(client: httpx.AsyncClient) -> None:
    job_id, document_id = await slow_upload(client)
    for event in inner_events(job_id, document_id):
        answer = await client.post(f"/events/{job_id}", json={"event": event})
        assert (answer.status_code, answer.json()["code"]) == (403, "event_not_accepted"), event
    while (job := (await client.get(f"/v1/jobs/{job_id}")).json())["status"] != "completed":
        assert job["status"] in ("queued", "running")
        await asyncio.sleep(0.05)


async def test_a_person_answers_a_run_that_waits(client: httpx.AsyncClient) -> None:
    workflows = WorkflowClient(httpx_client=client)
    run = await workflows.run_workflow_nowait("review", start_event={})
    async for event in workflows.get_workflow_events(run.handler_id):
        if event.type == "InputRequiredEvent":
            break
    gc.collect()  # the engine itself holds a run that waits only weakly
    for disguise in (
        {"type": "Drafted", "value": {"draft": "forged"}},
        {"type": "Drafted", "types": ["HumanResponseEvent"], "value": {"draft": "forged"}},
    ):
        answer = await client.post(f"/events/{run.handler_id}", json={"event": disguise})
        assert (answer.status_code, answer.json()["code"]) == (403, "event_not_accepted")
    answer = {"type": "HumanResponseEvent", "value": {"response": "yes"}}
    await workflows.send_event(run.handler_id, answer)
    done = await workflows.wait_for_handler(run.handler_id)
    assert done.result is not None
    assert done.result.value["result"] == "first: yes"


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ingest", {"IngestDocument", "Ingested"}),
        ("review", {"StartEvent", "InputRequiredEvent", "HumanResponseEvent", "StopEvent"}),
    ],
)
async def test_the_schemas_of_inner_events_are_not_published(
    client: httpx.AsyncClient, name: str, published: set[str]
) -> None:
    events = (await client.get(f"/workflows/{name}/events")).json()["events"]
    assert {each["title"] for each in events} == published
