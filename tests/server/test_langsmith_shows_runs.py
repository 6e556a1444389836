"""With content switched on, a person at LangSmith sees what was asked, found and answered."""

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.openai import running_fake_openai
from tests.langsmith_page import run_table
from tests.langsmith_view import Run, roots_of, run_list, thread_view
from tests.otlp_sink import attributes_of
from tests.server.observed_service import QUESTION, Observed, observed
from tests.server.test_every_degradation_is_reported import take_the_index_down

from foliotrace_otel import semconv

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}}
CONTENT = {"content": "redacted", "environment": "staging"}


async def shown(service: Observed, answer: Any) -> list[Run]:
    service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
    return roots_of(service.sink.spans)


async def test_each_run_of_a_question_without_a_model_has_inputs_and_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry=CONTENT) as service:
        await service.ingest()
        asked = {
            "session_id": "thread-7", "user_id": "bob", "tags": ["beta", "mobile"],
            "metadata": {"plan": "gold"},
        }  # fmt: skip
        first = await service.ask(**asked)
        second = await service.ask("Who pays for shipping?", **asked)
        roots = await shown(service, second)
    traces = {first.headers["x-trace-id"], second.headers["x-trace-id"]}
    questions = [root for root in roots if root.trace in traces]
    assert len(questions) == 2  # one root for each trace
    for root in questions:
        assert root.name == "POST /v1/query"
        for run in root.walk():
            assert run.inputs, run.name
            assert run.outputs, run.name
        assert root.thread == "thread-7"
        assert root.tags == ("beta", "mobile")
        assert root.metadata["plan"] == "gold"
        assert root.metadata["tenant"] == "default"
        assert root.metadata["user_id"] not in ("", "bob")
        assert {"release", "prompt_version", "index_version"} <= root.metadata.keys()
        assert {run.thread for run in root.walk()} == {"thread-7"}
    latest = next(r for r in questions if r.trace == second.headers["x-trace-id"])
    assert latest.inputs["query"] == "Who pays for shipping?"
    assert latest.outputs["text"] == second.json()["answer"]
    (retriever,) = [r for r in latest.walk() if r.run_type == "retriever"]
    assert retriever.documents
    assert all(d["id"] and d["content"] and d["score"] is not None for d in retriever.documents)
    assert b"bob" not in service.sink.raw()
    assert QUESTION in run_list(roots)
    assert QUESTION in run_table(roots)
    turns = thread_view(roots, "thread-7")
    assert [question for question, _ in turns] == [QUESTION, "Who pays for shipping?"]
    assert all(answer for _, answer in turns)


async def test_jobs_have_one_root_with_inputs_and_outputs_and_name_their_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry=CONTENT) as service:
        accepted = await service.ingest()
        body = {"document_id": accepted["document"]["id"], "schema": SCHEMA}
        job = (await service.client.post("/v1/extractions", json=body)).json()
        await service.ended(job["id"])
        extraction = job["job"]["trace_id"]
        await service.job_trace(extraction, ends_with="invoke_workflow ExtractWorkflow")
        await service.job_trace(
            accepted["job"]["trace_id"], ends_with="invoke_workflow IngestWorkflow"
        )
        spans = list(service.sink.spans)
    for trace in (extraction, accepted["job"]["trace_id"]):
        (root,) = [r for r in roots_of(spans) if r.trace == trace]
        for run in root.walk():
            assert run.inputs, (root.name, run.name)
            assert run.outputs, (root.name, run.name)
        (span,) = [s for s in spans if s.span_id.hex() == root.id]
        about = attributes_of(span)
        assert about["foliotrace.document.id"] == accepted["document"]["id"]
        assert about["foliotrace.document.type"] == "text/plain"
        assert about["foliotrace.document.size_bytes"] > 0
    (root,) = [r for r in roots_of(spans) if r.trace == extraction]
    assert root.inputs["schema"] == SCHEMA
    (record,) = [r for r in root.walk() if r.name == "validate"]
    assert record.outputs["record"] == {"days": None}


async def test_every_request_is_a_run_with_input_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry=CONTENT) as service:
        accepted = await service.ingest()
        document = accepted["document"]["id"]
        body = {"document_id": document, "schema": SCHEMA}
        job = (await service.client.post("/v1/extractions", json=body)).json()
        await service.ended(job["id"])
        assert (await service.client.post("/v1/query", json={"query": " "})).status_code == 400
        assert (await service.client.delete(f"/v1/documents/{document}")).status_code == 200
        name = "DELETE /v1/documents/{id}"
        assert service.sink.wait_for(lambda sink: name in [span.name for span in sink.spans])
        roots = {root.name: root for root in roots_of(service.sink.spans)}
    for root in roots.values():
        assert root.inputs, root.name
        assert root.outputs, root.name
    for each in (name, "POST /v1/documents", "POST /v1/extractions"):
        assert roots[each].metadata["tenant"] == "default"
    assert roots["POST /v1/documents"].outputs == {"job_id": accepted["job"]["id"]}
    assert roots["POST /v1/extractions"].inputs["schema"] == SCHEMA
    assert roots["POST /v1/extractions"].outputs == {"job_id": job["id"]}
    assert roots["GET /v1/jobs/{id}"].outputs == {"status": 200}
    assert roots["POST /v1/query"].outputs["problem"]


@pytest.mark.parametrize("telemetry", [CONTENT, {}], ids=["with content", "without"])
async def test_the_list_of_runs_marks_a_degraded_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, telemetry: dict[str, Any]
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry=telemetry) as service:
        await service.ingest()
        healthy = await service.ask(tags=["beta"])
        take_the_index_down(service, monkeypatch)
        degraded = await service.ask("Who pays for shipping?", tags=["beta"])
        service.trace(healthy.headers["x-trace-id"], ends_with="POST /v1/query")
        roots = {root.trace: root for root in await shown(service, degraded)}
        raw = service.sink.raw()
    root, well = (roots[answer.headers["x-trace-id"]] for answer in (degraded, healthy))
    (run,) = [run for run in root.children if run.name == "invoke_workflow QueryWorkflow"]
    if telemetry:
        assert root.metadata["degraded"] is run.metadata["degraded"] is True
        assert "degraded" not in well.metadata
        assert root.tags == run.tags == ("beta", "degraded")
        assert well.tags == ("beta",)
        assert "beta,degraded" in run_list([root])
    else:
        assert root.tags == run.tags == ()  # the collector adds it then
        assert b"beta" not in raw
    span = next(span for span in service.sink.spans if span.span_id.hex() == root.id)
    about = attributes_of(span)
    assert about["foliotrace.degraded"] is True
    reasons = degraded.json()["degradation"]["reasons"]
    assert about["foliotrace.degradation.reasons"].split(",") == reasons


async def test_a_model_shows_its_parameters_and_messages_and_its_tokens_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-shown"
        async with observed(tmp_path, monkeypatch, telemetry=CONTENT, llm=llm) as service:
            await service.ingest()
            answer = await service.ask()
            roots = await shown(service, answer)
    (root,) = [r for r in roots if r.trace == answer.headers["x-trace-id"]]
    (call,) = [r for r in root.walk() if r.run_type == "llm"]
    assert call.inputs[-1]["parts"][0]["content"]
    assert call.outputs[-1]["parts"][0]["content"]
    assert call.invocation["max_tokens"] > 0
    usage = answer.json()["usage"]
    assert root.total_tokens == usage["prompt_tokens"] + usage["completion_tokens"]
    assert b"sk-fake-shown" not in service.sink.raw()


@pytest.mark.parametrize(
    "telemetry",
    [
        {},
        {"content": "redacted", "content_tenants": ["acme"]},
        {"content": "redacted", "content_share": 0},
    ],
    ids=["by default", "of another tenant", "outside the share"],
)
async def test_no_content_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, telemetry: dict[str, Any]
) -> None:
    async with observed(tmp_path, monkeypatch, telemetry=telemetry) as service:
        await service.ingest()
        answer = await service.ask(session_id="thread-7", tags=["beta"], user_id="bob")
        service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
    raw = service.sink.raw()
    for text in (QUESTION, "Refunds are paid", "refunds.txt", "thread-7", "bob", "beta"):
        assert text.encode() not in raw
    keys = {key for span in service.sink.spans for key in attributes_of(span)}
    assert not [key for key in keys if semconv.is_content(key)]


async def test_langfuse_and_phoenix_names_are_written_by_a_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {"FOLIOTRACE_LANGFUSE": "1", "FOLIOTRACE_OPENINFERENCE": "1"}
    async with observed(tmp_path, monkeypatch, telemetry=CONTENT, env=env) as service:
        await service.ingest()
        answer = await service.ask(session_id="thread-7", tags=["beta"])
        spans = service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
    by_name = {span.name: attributes_of(span) for span in spans}
    root, retrieve = by_name["POST /v1/query"], by_name["retrieve"]
    assert root["langfuse.observation.input"] == root["input.value"] == root["gen_ai.prompt"]
    assert root["session.id"] == "thread-7"
    assert root["langfuse.trace.tags"] == root["tag.tags"] == ["beta"]
    assert retrieve["langfuse.observation.type"] == "retriever"
    assert retrieve["openinference.span.kind"] == "RETRIEVER"
