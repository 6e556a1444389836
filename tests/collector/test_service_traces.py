"""Upload, ask and extract over HTTP; each run is one trace in Jaeger, the same in LangSmith."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.collector.backends import as_langsmith, span_ids
from tests.collector.processes import ROOT, Collector, Jaeger, eventually
from tests.otlp_sink import OtlpSink
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.settings import Settings

pytestmark = [pytest.mark.real_servers, pytest.mark.anyio]
REPORT = ROOT / "examples/documents/ntsb-SEA08CA049-death-valley.pdf"
SCHEMA = json.loads((ROOT / "examples/accident.schema.json").read_text())
QUESTION = "What was the registration of the aircraft?"
TEXTS = (QUESTION, "Death Valley", "registration")


async def done(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    for _ in range(300):
        job: dict[str, Any] = (await client.get(f"/v1/jobs/{job_id}")).json()
        if job["status"] in ("completed", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.1)
    raise AssertionError(job)


@pytest.fixture
async def service(
    run_collector: Callable[..., Collector],
    jaeger: Jaeger,
    langsmith: OtlpSink,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[httpx.AsyncClient]:
    """The service on a data folder of its own, traced to both backends."""
    collector = run_collector(
        JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP=jaeger.otlp, **as_langsmith(langsmith)
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.grpc}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "foliotrace")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    async with serving(compose(Settings(data_dir=tmp_path))) as client:
        yield client


async def uploaded(service: httpx.AsyncClient) -> dict[str, Any]:
    """The ingestion job of the report, done."""
    file = {"file": (REPORT.name, REPORT.read_bytes())}
    (accepted,) = (await service.post("/v1/documents", files=file)).json()["accepted"]
    return await done(service, accepted["job"]["id"])


async def test_an_upload_and_a_question_are_a_tree_each_in_both_backends(
    service: httpx.AsyncClient, jaeger: Jaeger, langsmith: OtlpSink
) -> None:
    ingested = await uploaded(service)
    assert ingested["status"] == "completed"
    answered = await service.post("/v1/query", json={"query": QUESTION})
    trace = answered.json()["trace_id"]
    assert answered.headers["x-trace-id"] == trace
    assert answered.json()["citations"]

    stages = ["validate", "cache", "retrieve", "synthesize", "ground"]
    asked = await tree(jaeger, trace, holding=stages)
    assert [name for parent, name in asked if parent == "QueryWorkflow"] == stages
    assert len(asked) <= 10
    ingestion = await trace_of(jaeger, ingested["id"])
    await tree(jaeger, ingestion, holding=["parse", "chunk", "index"])

    shown = {span["spanId"] for each in (trace, ingestion) for span in jaeger.spans(each)}
    await asyncio.to_thread(eventually, lambda: set(span_ids(langsmith)) >= shown)
    assert not [text for text in TEXTS if text.encode() in langsmith.raw()]
    assert not [text for text in TEXTS if text.encode() in jaeger.trace_bytes(trace)]


async def test_an_extraction_is_a_tree_in_jaeger(
    service: httpx.AsyncClient, jaeger: Jaeger
) -> None:
    document_id = (await uploaded(service))["document_id"]
    asked_for = {"document_id": document_id, "schema": SCHEMA}
    accepted = await service.post("/v1/extractions", json=asked_for)
    assert accepted.status_code == 202, accepted.text
    extracted = await done(service, accepted.json()["id"])
    assert extracted["status"] == "completed"
    await tree(jaeger, await trace_of(jaeger, extracted["id"]), holding=["extract", "validate"])


async def trace_of(jaeger: Jaeger, job_id: str) -> str:
    """The trace whose root names the job, as its run's handler id."""

    def found() -> list[str]:
        named = {"key": "llamaindex.handler_id", "value": {"stringValue": job_id}}
        return [
            trace
            for trace in jaeger.traces("foliotrace")
            if any(named in span.get("attributes", ()) for span in jaeger.spans(trace))
        ]

    (trace,) = await asyncio.to_thread(eventually, found, what=f"a trace of {job_id}")
    return str(trace)


async def tree(jaeger: Jaeger, trace: str, *, holding: Collection[str]) -> list[tuple[str, str]]:
    """(parent's name, name) of each span in order, once the trace has one root and these names.

    The collector may hand one trace to Jaeger in several batches, and a first batch can be a
    connected tree by itself: one root alone does not say that everything has arrived.
    """

    def whole() -> list[dict[str, Any]]:
        spans = jaeger.spans(trace)
        ids = {span["spanId"] for span in spans}
        roots = [span for span in spans if span.get("parentSpanId", "") not in ids]
        return spans if len(roots) == 1 and set(holding) <= {s["name"] for s in spans} else []

    spans = await asyncio.to_thread(eventually, whole, what=f"trace {trace} holds {holding}")
    spans.sort(key=lambda span: int(span["startTimeUnixNano"]))
    names = {span["spanId"]: span["name"].removeprefix("invoke_workflow ") for span in spans}
    return [(names.get(span.get("parentSpanId", ""), ""), names[span["spanId"]]) for span in spans]
