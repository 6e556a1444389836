"""An answer below what is configured says so in five places; nothing private says anything."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault
from tests.server.observed_service import QUESTION, Observed, attributes_named, observed

from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Passage, Query

pytestmark = pytest.mark.anyio


def take_the_index_down(service: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        raise IndexUnavailable("the index is gone", reason="keyword_index_unavailable")

    index = service.engine.assembly.ingest.indexes[0]
    monkeypatch.setattr(index, "retrieve", down)
    monkeypatch.setattr(index, "search", down, raising=False)


async def test_an_index_outage_is_said_in_five_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, audit={"durability": "strict"}) as service:
        await service.ingest()
        take_the_index_down(service, monkeypatch)
        answer = await service.ask()
        body = answer.json()
        level = body["degradation"]["level"]
        assert level >= 2
        assert body["degradation"]["reasons"]
        assert answer.headers["x-degradation-level"] == str(level)
        spans = service.trace(body["trace_id"], ends_with="POST /v1/query")
        run = attributes_named(spans, "invoke_workflow QueryWorkflow")
        assert run["foliotrace.degraded"] is True
        assert run["foliotrace.degradation.level"] == level
        assert run["foliotrace.degradation.reasons"].split(",") == body["degradation"]["reasons"]
        reason = body["degradation"]["reasons"][0]
        counted = await service.metric(
            "foliotrace_degraded_answers_total", level=str(level), reason=reason
        )
        assert counted == 1
    (record,) = [
        r
        for r in service.records()
        if r["event"] == "query_completed" and r["run_id"] == body["run_id"]
    ]
    reasons = body["degradation"]["reasons"]
    assert record["degradation"] == {"level": level, "reasons": reasons}


async def test_a_streamed_answer_says_it_in_its_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        take_the_index_down(service, monkeypatch)
        asked = {"query": QUESTION, "stream": True}
        async with service.client.stream("POST", "/v1/query", json=asked) as stream:
            lines = [line async for line in stream.aiter_lines() if line]
    assert lines[-2] == "event: answer"
    assert '"level":4' in lines[-1]


async def test_the_trace_of_six_failed_model_calls_takes_at_most_5_kb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        llm = {"provider": "openai", "api_base": model.url, "api_key": "sk-fake-degraded"}
        models = [{**llm, "model": name} for name in ("gpt-4o-mini", "gpt-4o", "gpt-4.1")]
        settings = {
            "llm": models[0],
            "llm_fallbacks": models[1:],
            "resilience": {"attempts": 2, "first_wait_s": 0.01, "longest_wait_s": 0.02},
        }
        async with observed(tmp_path, monkeypatch, **settings) as service:
            await service.ingest()
            await service.ask()  # loads the prices, in spans of its own
            model.fail("POST /v1/chat/completions", Fault.unavailable, times=20)
            answer = await service.ask("Within how many weeks are refunds paid?")
            spans = service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
    assert sum(span.name.startswith("chat") for span in spans) == 6
    assert sum(span.ByteSize() + 3 for span in spans) <= 5_000  # with tag and length


SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}}


async def test_a_degraded_extraction_is_said_in_five_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        model.fail("POST /v1/chat/completions", Fault.unavailable, times=20)
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-degraded"
        guard = {"attempts": 1}
        strict = {"durability": "strict"}
        async with observed(
            tmp_path, monkeypatch, llm=llm, resilience=guard, audit=strict
        ) as service:
            document = (await service.ingest())["document"]["id"]
            asked = {"document_id": document, "schema": SCHEMA}
            job = (await service.client.post("/v1/extractions", json=asked)).json()
            await service.ended(job["id"])
            answer = await service.client.get(f"/v1/extractions/{job['id']}")
            mark = answer.json()["degradation"]
            trace = await service.job_trace(
                job["job"]["trace_id"], ends_with="invoke_workflow ExtractWorkflow"
            )
            counted = await service.metric(
                "foliotrace_degraded_answers_total",
                level=str(mark["level"]),
                reason=mark["reasons"][0],
            )
    assert mark["level"] >= 2
    assert answer.headers["x-degradation-level"] == str(mark["level"])
    run = attributes_named(trace, "invoke_workflow ExtractWorkflow")
    assert run["foliotrace.degraded"] is True
    assert run["foliotrace.degradation.level"] == mark["level"]
    assert run["foliotrace.degradation.reasons"].split(",") == mark["reasons"]
    assert counted == 1
    (record,) = [r for r in service.records() if r["event"] == "extract_completed"]
    assert record["degradation"] == {name: mark[name] for name in ("level", "reasons")}


CANARY = "canary7f3c"


async def test_what_is_private_is_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    env = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    headers = {
        "authorization": f"Bearer {CANARY}-key",
        "x-api-key": f"{CANARY}-key",
        "user-agent": f"{CANARY}-header",
        "cookie": f"session={CANARY}-header",
        "baggage": f"user.id={CANARY}-header",
        "referer": f"http://{CANARY}-header/",
    }
    settings = {"openai_api_key": f"{CANARY}-key", "audit": {"durability": "strict"}}
    async with observed(tmp_path / "data", monkeypatch, env=env, **settings) as service:
        service.client.headers.update(headers)
        text = f"Refunds of {CANARY}-document are paid within 30 days of the return."
        fields = {"metadata": f'{{"note": "{CANARY}-metadata"}}'}
        files = {"file": (f"{CANARY}-document.txt", text.encode())}
        upload = await service.client.post("/v1/documents", files=files, data=fields)
        job = upload.json()["accepted"][0]["job"]["id"]
        assert (await service.ended(job))["status"] == "completed"
        document = upload.json()["accepted"][0]["document"]["id"]
        asked = await service.ask(f"When are refunds of {CANARY}-document {CANARY}-query paid?")
        assert asked.status_code == 200
        await service.ask(f"{CANARY}-query", top_k=-1)
        await service.client.post("/v1/query", content=f'{{"query": "{CANARY}-query'.encode())
        await service.client.get(f"/{CANARY}-path")
        await service.client.get(f"/v1/documents/doc_{CANARY}-path")
        schema = {"type": "object", "properties": {"days": {"type": "integer"}}}
        body = {"document_id": document, "schema": schema}
        extraction = await service.client.post("/v1/extractions", json=body)
        await service.ended(extraction.json()["id"])
        broken = {"file": ("a.pdf", f"%PDF-1.7 {CANARY}-document".encode())}
        await service.client.post("/v1/documents", files=broken)
        await service.client.delete(f"/v1/documents/{document}")
        scraped = (await service.client.get("/metrics")).text
        assert service.sink.wait_for(lambda sink: sink.of("metrics"))
    printed = capfd.readouterr()
    logged = printed.out + printed.err
    audit = b"".join(
        file.read_bytes() for file in (tmp_path / "data" / "audit").rglob("*") if file.is_file()
    )
    assert len(service.sink.spans) > 20
    assert b"query_completed" in audit
    assert "foliotrace_stage_duration_seconds" in scraped
    assert CANARY.encode() not in service.sink.raw()
    assert CANARY not in scraped
    assert CANARY not in logged
    assert CANARY.encode() not in audit
