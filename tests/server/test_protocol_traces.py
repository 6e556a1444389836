"""A run started through the llama-agents protocol goes on in the trace of who asked for it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.server.observed_service import QUESTION, observed, tree

pytestmark = pytest.mark.anyio
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENT = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
RUN = "invoke_workflow IngestWorkflow"


async def started(service: Any, workflow: str, **start_event: Any) -> None:
    answer = await service.client.post(
        f"/workflows/{workflow}/run-nowait",
        json={"start_event": json.dumps(start_event), "handler_id": "mine"},
        headers=CLIENT,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-trace-id"] == TRACE


async def completed(service: Any, path: str) -> dict[str, Any]:
    """What is at `path`, once it is there (a run makes its own job) and says so."""
    async with asyncio.timeout(30):
        while True:
            handler: dict[str, Any] = (await service.client.get(path)).json()
            if handler.get("status") == "completed":
                return handler
            await asyncio.sleep(0.02)


async def test_an_ingestion_by_protocol_goes_on_in_the_clients_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        document_id = (await service.ingest())["document"]["id"]
        await started(service, "ingest", document_id=document_id)
        job = await completed(service, "/v1/jobs/mine")
        assert job["trace_id"] == TRACE
        spans = await service.job_trace(TRACE, ends_with=RUN)
        parents = tree(spans)
        root = next(span for span in spans if span.parent_span_id.hex() == SPAN)
        assert (root.name, root.kind) == (
            "POST /workflows/{name}/run-nowait",
            Span.SPAN_KIND_SERVER,
        )
        assert parents[RUN] == root.name
        assert [name for name, parent in parents.items() if parent is None] == [root.name]
        assert {span.trace_state for span in spans} == {""}  # vendors put anything there
    records = [r for r in service.records() if r["trace_id"] == TRACE]
    assert {r["event"] for r in records} == {"ingest_received", "ingest_completed"}


async def test_a_question_by_protocol_goes_on_in_the_clients_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        await started(service, "query", query=QUESTION)
        await completed(service, "/handlers/mine")
        run = "invoke_workflow QueryWorkflow"
        spans = await service.job_trace(TRACE, ends_with=run)
        parents = tree(spans)
        assert parents[run] == "POST /workflows/{name}/run-nowait"
        assert parents["retrieve"] == run
        assert [name for name, parent in parents.items() if parent is None] == [
            "POST /workflows/{name}/run-nowait"
        ]
