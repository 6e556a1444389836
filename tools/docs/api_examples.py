"""Records the examples of `/openapi.json` from a service in this process.

`python -m tools.docs.api_examples` writes deploy/foliotrace_server/openapi/examples.json. By
operation id it holds the parameters, the request body and, by status, the response bodies.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from workflows import Workflow, step
from workflows.events import HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent

from foliotrace_server.app import build_app
from foliotrace_server.client.asgi_transport import AsgiTransport
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

FILE = Path(__file__).parents[2] / "deploy/foliotrace_server/openapi/examples.json"
HANDBOOK = """# Handbook

Refunds are paid within 30 days of the return. The customer pays the postage.

Contact: Ada Lovelace
Refund window: 30 days
"""
QUESTION = {"query": "How long is the refund window?", "collection": "policies"}
SCHEMA = {
    "type": "object",
    "properties": {"contact": {"type": "string"}, "refund_window": {"type": "string"}},
}
_PARAGRAPH = 600  # characters of a text that has no end worth showing


class Approval(Workflow):
    """A user's own workflow, which waits for a person."""

    @step
    async def ask(self, ev: StartEvent) -> InputRequiredEvent:
        """Ask for the approval."""
        return InputRequiredEvent()

    @step
    async def end(self, ev: HumanResponseEvent) -> StopEvent:
        """End with the response."""
        return StopEvent(result=ev.response)


approval = Approval()


@dataclass(slots=True)
class Recorder:
    """Sends requests, and notes each with its response under the id of its operation."""

    client: httpx.AsyncClient
    examples: dict[str, Any] = field(default_factory=dict)

    async def send(
        self,
        operation_id: str,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        body: object = None,
        query: tuple[str, ...] = (),
        **upload: Any,  # noqa: ANN401 - httpx' own
    ) -> Any:  # noqa: ANN401 - JSON
        """Send one request; `query` names the parameters that go after the question mark."""
        parameters = parameters or {}
        response = await self.client.request(
            method,
            path.format(**parameters),
            params={name: parameters[name] for name in query},
            json=body,
            **upload,
        )
        response.raise_for_status()
        example = self.examples.setdefault(operation_id, {})
        if parameters:
            example["parameters"] = dict(parameters)
        if body is not None:
            example.setdefault("request", body)
        content_type = response.headers.get("content-type", "").partition(";")[0]
        is_json = content_type == "application/json"
        status, value = str(response.status_code), response.json() if is_json else response.text
        if content_type == "text/event-stream":
            status = f"{status} {content_type}"
        example.setdefault("responses", {})[status] = value
        return value


async def record(folder: Path) -> dict[str, Any]:
    """The examples, from a service on the data folder `folder`."""
    settings = load_settings(
        None,
        data_dir=folder,
        telemetry={"enabled": False},
        workflows={"approval": f"{Approval.__module__}:approval"},
    )
    app = build_app(compose(settings))
    transport = AsgiTransport(app)
    async with (
        app.lifespan(None),
        httpx.AsyncClient(base_url="http://localhost", transport=transport) as client,
    ):
        recorder = Recorder(client)
        await _documents(recorder)
        await _questions(recorder)
        await _extractions(recorder)
        await _operations(recorder)
        await _protocol(recorder)
        await _deletions(recorder)
        return recorder.examples


async def _documents(recorder: Recorder) -> None:
    form = {"collection": "policies", "metadata": '{"year": 2024}'}
    upload = await recorder.send(
        "uploadDocuments",
        "POST",
        "/v1/documents",
        files={"file": ("handbook.md", HANDBOOK.encode())},
        data=form,
        headers={"Idempotency-Key": "handbook-2024"},
    )
    recorder.examples["uploadDocuments"] |= {
        "parameters": {"Idempotency-Key": "handbook-2024"},
        "request": {"file": [HANDBOOK], **form},
    }
    accepted = upload["accepted"][0]
    job, document = {"id": accepted["job"]["id"]}, {"id": accepted["document"]["id"]}
    await recorder.send("followJob", "GET", "/v1/jobs/{id}/events", job)
    await recorder.send("getJob", "GET", "/v1/jobs/{id}", job)
    paging = {"limit": 10, "collection": "policies"}
    names = tuple(paging)
    await recorder.send("listDocuments", "GET", "/v1/documents", paging, query=names)
    await recorder.send("getDocument", "GET", "/v1/documents/{id}", document)
    page = document | {"number": 1}
    await recorder.send("getPage", "GET", "/v1/documents/{id}/pages/{number}", page)
    unfinished = {"limit": 10, "document_id": document["id"]}
    await recorder.send("listJobs", "GET", "/v1/jobs", unfinished, query=tuple(unfinished))


async def _questions(recorder: Recorder) -> None:
    answer = await recorder.send("ask", "POST", "/v1/query", body=QUESTION)
    await recorder.send("ask", "POST", "/v1/query", body=QUESTION | {"stream": True})
    await recorder.send("getRun", "GET", "/v1/runs/{id}", {"id": answer["run_id"]})


async def _extractions(recorder: Recorder) -> None:
    document_id = recorder.examples["getDocument"]["parameters"]["id"]
    request = {"document_id": document_id, "schema": SCHEMA}
    job = await recorder.send("extract", "POST", "/v1/extractions", body=request)
    await recorder.client.get(f"/v1/jobs/{job['id']}/events")
    await recorder.send("getExtraction", "GET", "/v1/extractions/{id}", {"id": job["id"]})


async def _operations(recorder: Recorder) -> None:
    await recorder.send("health", "GET", "/healthz")
    await recorder.send("readiness", "GET", "/readyz")
    for operation_id, path in (("metrics", "/metrics"), ("docs", "/docs")):
        await recorder.send(operation_id, "GET", path)
        responses = recorder.examples[operation_id]["responses"]
        responses["200"] = responses["200"][:_PARAGRAPH].rpartition("\n")[0]
    await recorder.send("openapi", "GET", "/openapi.json")
    whole = recorder.examples["openapi"]["responses"]["200"]
    named = ("openapi", "info", "servers", "tags")
    recorder.examples["openapi"]["responses"]["200"] = {name: whole[name] for name in named}


async def _protocol(recorder: Recorder) -> None:
    await recorder.send("protocolHealth", "GET", "/health")
    await recorder.send("listWorkflows", "GET", "/workflows")
    question, ingest = {"name": "query"}, {"name": "ingest"}
    start = {"start_event": QUESTION}
    await recorder.send("runWorkflow", "POST", "/workflows/{name}/run", question, body=start)
    run = await recorder.send(
        "startWorkflow", "POST", "/workflows/{name}/run-nowait", question, body=start
    )
    handler = {"handler_id": run["handler_id"]}
    await recorder.send("followHandler", "GET", "/events/{handler_id}", handler)
    await recorder.send("getHandler", "GET", "/handlers/{handler_id}", handler)
    await recorder.send("getResult", "GET", "/results/{handler_id}", handler)
    listed = {"workflow_name": ["ingest"]}
    await recorder.send("listHandlers", "GET", "/handlers", listed, query=tuple(listed))
    for operation_id, what in (
        ("workflowSchema", "schema"),
        ("workflowEvents", "events"),
        ("workflowRepresentation", "representation"),
    ):
        await recorder.send(operation_id, "GET", f"/workflows/{{name}}/{what}", ingest)


async def _deletions(recorder: Recorder) -> None:
    """Steer and cancel work that is still going on, and delete the document."""
    started = await recorder.client.post("/workflows/approval/run-nowait", json={})
    handler = {"handler_id": started.json()["handler_id"]}
    event = {"event": {"type": "HumanResponseEvent", "value": {"response": "approved"}}}
    await recorder.send("sendEvent", "POST", "/events/{handler_id}", handler, body=event)
    pages = "\f".join(f"Page {number}" for number in range(3000)).encode()
    for operation_id, path, name in (
        ("cancelJob", "/v1/jobs/{id}/cancel", "id"),
        ("cancelHandler", "/handlers/{handler_id}/cancel", "handler_id"),
    ):
        file = (f"{name}.txt", pages + name.encode())
        upload = await recorder.client.post("/v1/documents", files={"file": file})
        job_id = upload.json()["accepted"][0]["job"]["id"]
        await recorder.send(operation_id, "POST", path, {name: job_id})
    document = recorder.examples["getDocument"]["parameters"]
    await recorder.send("deleteDocument", "DELETE", "/v1/documents/{id}", document)
    erased = {"user": "ann@example.org"}
    await recorder.send("erase", "POST", "/v1/erasures", {}, body=erased)
    recorder.examples["reconcile"] = {  # the recorder has no managed index
        "request": {"collection": "default", "dry_run": True},
        "responses": {
            "200": {"missing": [document["id"]], "stale": [], "left_over": [], "skipped": []}
        },
    }


def main() -> None:
    """Write the examples."""
    with tempfile.TemporaryDirectory() as folder:
        examples = asyncio.run(record(Path(folder)))
    FILE.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
