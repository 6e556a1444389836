"""Services that are called hear of the trace they are called in, and of nothing else."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider  # noqa: TID251 - any running span
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf
from tests.fakes.openai import running_fake_openai
from tests.server.observed_service import observed, tree

from foliotrace_server.observing.trace_context import add_traceparent_for

pytestmark = pytest.mark.anyio
INVOICE_NUMBER = {"type": "object", "properties": {"invoice_number": {"type": "string"}}}


async def test_a_model_call_carries_the_answers_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url, "api_key": "k"}
        async with observed(tmp_path, monkeypatch, llm=llm) as service:
            await service.ingest()
            answer = (await service.ask()).json()
        called = [request.headers.get("traceparent", "") for request in model.requests.records]
    assert called
    assert {header.split("-")[1] for header in called} == {answer["trace_id"]}


def cloud_at(fake: FakeLlamaCloud) -> dict[str, Any]:
    here = {"api_key": fake.api_key, "where": fake.url, "timeout_s": 5, "parse_tier": "fast"}
    return {**here, "parsing": "cloud", "extraction": "cloud"}


async def test_llamacloud_hears_of_the_job_it_works_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_llamacloud() as fake:
        async with observed(tmp_path, monkeypatch, llamacloud=cloud_at(fake)) as service:
            accepted = await service.ingest(invoice_pdf(), "invoice.pdf")
            ingest = accepted["job"]["trace_id"]
            parsing = [r.headers for r in fake.requests.records]
            asked = {"document_id": accepted["document"]["id"], "schema": INVOICE_NUMBER}
            sent = await service.client.post("/v1/extractions", json=asked)
            job = await service.ended(sent.json()["id"])
            assert job["status"] == "completed", job
            extracting = [r.headers for r in fake.requests.records[len(parsing) :]]
            runs = {
                ingest: ("invoke_workflow IngestWorkflow", "parse", parsing),
                job["trace_id"]: ("invoke_workflow ExtractWorkflow", "extract", extracting),
            }
            for trace_id, (run, stage, headers) in runs.items():
                spans = service.trace(trace_id, ends_with=run)
                names = {span.span_id.hex(): span.name for span in spans}
                carried = [h["traceparent"].split("-") for h in headers if "traceparent" in h]
                assert {(of_trace, flags) for _, of_trace, _, flags in carried} == {
                    (trace_id, "01")
                }
                assert {names[span] for _, _, span, _ in carried} == {stage}
                assert tree(spans)[tree(spans)[stage]] == run
        for headers in (r.headers for r in fake.requests.records):
            assert not {"tracestate", "baggage"} & set(headers)


@pytest.mark.parametrize("off", [{"carry_trace": False}, {"enabled": False}])
async def test_nobody_hears_of_a_trace_where_that_is_switched_off(
    off: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_llamacloud() as fake, running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url, "api_key": "k"}
        async with observed(
            tmp_path, monkeypatch, llamacloud=cloud_at(fake), llm=llm, telemetry=off
        ) as service:
            await service.ingest(invoice_pdf(), "invoice.pdf")
            await service.ask("When is the invoice due?")
        called = [*fake.requests.records, *model.requests.records]
    assert {record.headers["host"] for record in called} == {
        url.removeprefix("http://").split("/")[0] for url in (fake.url, model.url)
    }
    assert not [record for record in called if "traceparent" in record.headers]


async def test_a_redirect_to_another_host_takes_no_trace_along() -> None:
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("traceparent")
        if request.url.host == "cloud.test":
            return httpx.Response(302, headers={"location": "https://elsewhere.test/file"})
        return httpx.Response(200)

    hooks = {"request": [add_traceparent_for("https://cloud.test:8443/api")]}
    with TracerProvider().get_tracer("t").start_as_current_span("call") as span:
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(answer), event_hooks=hooks, follow_redirects=True
        ) as client:
            await client.get("https://cloud.test/api/file")
    context = span.get_span_context()
    assert seen == {
        "cloud.test": f"00-{context.trace_id:032x}-{context.span_id:016x}-01",
        "elsewhere.test": None,
    }
