"""An answer links to its trace, and its trace is short, cheap and readable."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.fakes.openai import running_fake_openai
from tests.otlp_sink import attributes_of
from tests.server.observed_service import (
    JAEGER,
    QUESTION,
    Observed,
    attributes_named,
    observed,
    tree,
)

from foliotrace import __version__

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Observed]:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        yield service


async def test_an_answer_names_its_trace_everywhere(service: Observed) -> None:
    answer = await service.ask()
    body = answer.json()
    trace_id = body["trace_id"]
    assert answer.headers["x-trace-id"] == trace_id
    version, trace, span, flags = answer.headers["traceresponse"].split("-")
    assert (version, trace, flags) == ("00", trace_id, "01")
    assert body["links"] == {"jaeger": JAEGER.replace("{trace_id}", trace_id)}
    spans = service.trace(trace_id, 6, ends_with="POST /v1/query")
    root = next(s for s in spans if s.name == "POST /v1/query")
    assert root.span_id.hex() == span
    run = (await service.client.get(f"/v1/runs/{body['run_id']}")).json()
    assert run["trace_id"] == trace_id


async def test_a_stream_names_its_trace_first(service: Observed) -> None:
    asked = {"query": QUESTION, "stream": True}
    async with service.client.stream("POST", "/v1/query", json=asked) as stream:
        lines = [line async for line in stream.aiter_lines() if line]
        trace_id = stream.headers["x-trace-id"]
    assert lines[0] == "event: start"
    assert f'"trace_id":"{trace_id}"' in lines[1]
    assert "jaeger.test" in lines[1]
    assert (
        tree(service.trace(trace_id, 6, ends_with="POST /v1/query"))["ground"]
        == "invoke_workflow QueryWorkflow"
    )


async def test_a_query_is_a_short_tree(service: Observed) -> None:
    answer = await service.ask()
    spans = service.trace(answer.headers["x-trace-id"], 6, ends_with="POST /v1/query")
    under_run = dict.fromkeys(("validate", "retrieve", "synthesize", "ground"))
    assert tree(spans) == {
        "POST /v1/query": None,
        "invoke_workflow QueryWorkflow": "POST /v1/query",
        **dict.fromkeys(under_run, "invoke_workflow QueryWorkflow"),
        **({"cache": "invoke_workflow QueryWorkflow"} if "cache" in tree(spans) else {}),
    }
    server = next(s for s in spans if s.name == "POST /v1/query")
    assert server.kind == server.SPAN_KIND_SERVER
    assert attributes_of(server) == {
        "foliotrace.entry": True,
        "http.request.method": "POST",
        "http.route": "/v1/query",
        "http.response.status_code": 200,
    }
    assert attributes_named(spans, "retrieve")["foliotrace.retrieval.mode"] == "keyword"
    run = attributes_named(spans, "invoke_workflow QueryWorkflow")
    assert run["foliotrace.degradation.level"] == 0


async def test_a_query_costs_at_most_3_kb_of_otlp(service: Observed) -> None:
    service.sink.received.clear()
    for number in range(20):
        assert (await service.ask(f"{QUESTION} ({number})")).status_code == 200
    service.engine.assembly.observability.telemetry.flush(5)
    roots = [s for s in service.sink.spans if s.name == "POST /v1/query"]
    assert len(roots) == 20
    assert 6 * 20 <= len(service.sink.spans) <= 10 * 20
    assert len(service.sink.raw("traces")) / 20 <= 3 * 1024


async def test_a_callers_trace_is_continued(service: Observed) -> None:
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    headers = {"traceparent": traceparent, "baggage": "user.id=mallory,tenant.id=other"}
    answer = await service.client.post("/v1/query", json={"query": QUESTION}, headers=headers)
    assert answer.json()["trace_id"] == "a" * 32
    spans = service.trace("a" * 32, 6, ends_with="POST /v1/query")
    root = next(s for s in spans if s.name == "POST /v1/query")
    assert root.parent_span_id.hex() == "b" * 16
    assert attributes_of(root)["foliotrace.entry"] is True
    assert b"mallory" not in service.sink.raw()


async def test_probes_and_scrapes_are_not_traced(service: Observed) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/health", "/openapi.json"):
        answer = await service.client.get(path)
        assert answer.status_code == 200
        assert "x-trace-id" not in answer.headers
    last = await service.client.get("/v1/jobs")
    service.trace(last.headers["x-trace-id"])
    assert not any("healthz" in s.name or "metrics" in s.name for s in service.sink.spans)
    assert await service.metric("http_server_request_duration_seconds_count", http_route="/healthz")


async def test_a_refused_question_says_why_on_its_span(service: Observed) -> None:
    answer = await service.ask("")
    assert answer.status_code == 400
    spans = service.trace(answer.headers["x-trace-id"], 3)
    root = next(s for s in spans if s.name == "POST /v1/query")
    assert attributes_of(root)["foliotrace.problem"] == answer.json()["code"]
    for span in spans:  # the caller's mistake, not ours
        assert span.status.code == span.status.STATUS_CODE_UNSET, span.name
        assert "error.type" not in attributes_of(span), span.name
    run = next(s for s in spans if s.name == "invoke_workflow QueryWorkflow")
    assert attributes_of(run)["foliotrace.outcome"] == "refused"
    assert await service.metric("foliotrace_requests_total", outcome="refused") == 1


async def test_the_log_has_a_line_for_each_request_and_the_reason_of_each_failure(
    service: Observed, capfd: pytest.CaptureFixture[str]
) -> None:
    answered = await service.ask()
    refused = await service.ask("")
    broken = {"file": ("a.pdf", b"%PDF-1.7 broken")}
    upload = (await service.client.post("/v1/documents", files=broken)).json()["accepted"][0]
    job = await service.ended(upload["job"]["id"])
    printed = capfd.readouterr()
    lines = (printed.out + printed.err).splitlines()
    (one,) = [line for line in lines if answered.headers["x-trace-id"] in line]
    assert "http.request" in one
    assert "/v1/query" in one
    assert "200" in one
    assert any("http.request" in line and refused.json()["code"] in line for line in lines)
    assert job["problem"]
    assert any("job.ended" in line and job["problem"] in line for line in lines)


async def test_traces_name_the_version_and_the_instance_of_the_service(service: Observed) -> None:
    await service.ask()
    assert service.sink.wait_for(lambda sink: bool(sink.of("traces")))
    (resource, *_) = (
        {a.key: a.value.string_value for a in spans.resource.attributes}
        for received in service.sink.of("traces")
        for spans in received.message.resource_spans
    )
    assert resource["service.version"] == __version__
    assert len(resource["service.instance.id"]) == 36
    assert resource["telemetry.sdk.name"] == "opentelemetry"


async def test_a_path_nobody_serves_is_no_span_name(service: Observed) -> None:
    answer = await service.client.get("/secret-path-of-a-caller")
    assert answer.status_code == 404
    assert service.trace(answer.headers["x-trace-id"])[0].name == "GET unknown"
    assert b"secret-path" not in service.sink.raw()


async def test_an_unsampled_answer_links_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {"OTEL_TRACES_SAMPLER": "always_off"}
    async with observed(tmp_path, monkeypatch, env=env) as service:
        await service.ingest()
        answer = await service.ask()
        assert (answer.json()["trace_id"], answer.json()["links"]) == (None, {})
        assert "x-trace-id" not in answer.headers
        assert "traceresponse" not in answer.headers
        assert await service.metric("foliotrace_stage_duration_seconds_count", stage="retrieve")
    assert service.sink.spans == []


async def test_telemetry_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry={"enabled": False}) as service:
        await service.ingest()
        answer = await service.ask()
        assert answer.status_code == 200
        assert "x-trace-id" not in answer.headers
    assert service.sink.received == []


async def test_a_langsmith_link_may_name_the_trace_as_a_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = {"langsmith_url": "https://smith.test/r/{trace_uuid}"}
    async with observed(tmp_path, monkeypatch, telemetry=template) as service:
        await service.ingest()
        body = (await service.ask()).json()
    assert body["links"] == {"langsmith": f"https://smith.test/r/{UUID(body['trace_id'])}"}


async def test_the_protocol_names_the_trace_too(service: Observed) -> None:
    asked = {"start_event": {"query": QUESTION}}
    answer = await service.client.post("/workflows/query/run", json=asked)
    assert answer.status_code == 200
    spans = service.trace(answer.headers["x-trace-id"], 6, ends_with="POST /workflows/{name}/run")
    assert tree(spans)["invoke_workflow QueryWorkflow"] == "POST /workflows/{name}/run"


async def test_a_first_question_names_what_it_waits_for_before_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-first"
        async with observed(tmp_path, monkeypatch, llm=llm) as service:
            await service.ingest()
            first = await service.ask()
            spans = service.trace(first.headers["x-trace-id"], ends_with="POST /v1/query")
            again = await service.ask(f"{QUESTION} Please.")
            later = service.trace(again.headers["x-trace-id"], ends_with="POST /v1/query")
    assert tree(spans)["load prices"] == "synthesize"
    assert "load prices" not in tree(later)
