"""llama-deploy 0.9.2, on llama-index-workflows 1.3.0, runs the same workflow sources."""

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.free_ports import free_port
from tests.hosts.running_hosts import (
    QUESTION,
    ROOT,
    absent,
    asked,
    foliotrace,
    ingested,
    running,
    shared_fields,
)

RUN = ROOT / "deploy" / "classic" / "run"
SOURCES = [
    ROOT / "workflows" / "foliotrace" / name
    for name in (
        "query/workflow.py",
        "ingest/workflow.py",
        "extract/workflow.py",
        "workflow_steps.py",
        "jobs.py",
    )
]
# what the workflow sources may take from llama-index-workflows: names that 1.3.0 has
IN_1_3 = {
    "workflows": {"Context", "Workflow", "step"},
    "workflows.events": {"Event", "StartEvent", "StopEvent"},
}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_workflow_source_imports_only_what_the_classic_line_has(source: Path) -> None:
    imported: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source.read_text())):
        names = {alias.name for alias in getattr(node, "names", ())}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows"):
            imported.setdefault(node.module or "", set()).update(names)
        assert not (isinstance(node, ast.Import) and any(n.startswith("workflows") for n in names))
    assert imported
    for module, names in imported.items():
        assert names <= IN_1_3.get(module, set()), module


@pytest.fixture(scope="session")
def classic() -> None:
    """The environment of deploy/classic."""
    if subprocess.run([RUN, "setup", "--path"], capture_output=True).returncode != 0:
        absent("llama-deploy 0.9.2 is not set up here: run deploy/classic/run setup")


ONE_QUESTION = """
import asyncio, json
from importlib.metadata import version
import foliotrace.query.workflow, foliotrace.ingest.workflow, foliotrace.extract.workflow
from foliotrace_server.compose import assemble
from foliotrace_server.settings import load_settings

async def ask():
    assembly = assemble(load_settings())
    handler = assembly.query().run(query=QUESTION, stream=True)
    events = [type(event).__name__ async for event in handler.stream_events()]
    answered = await handler
    for close in assembly.closing:
        await close()
    return {"workflows": version("llama-index-workflows"), "core": version("llama-index-core"),
            "events": events, "answer": json.loads(answered.model_dump_json())["answer"]}

print(json.dumps(asyncio.run(ask())))
"""


@pytest.mark.real_servers
def test_the_three_workflows_import_and_answer_under_workflows_1_3(
    classic: None, tmp_path: Path
) -> None:
    ingested(tmp_path)
    program = f"QUESTION = {QUESTION!r}\n{ONE_QUESTION}"
    output = json.loads(
        _classic(tmp_path, "python", "-W", "ignore", "-c", program).splitlines()[-1]
    )
    assert output["workflows"] == "1.3.0"
    assert output["core"].startswith("0.13.")
    assert "AnswerDelta" in output["events"]
    assert "within 30 days" in output["answer"]["text"]
    assert [c["document_name"] for c in output["answer"]["citations"]] == ["handbook.md"]


@pytest.mark.real_servers
def test_llama_deploy_answers_ingests_and_extracts(classic: None, tmp_path: Path) -> None:
    document_id = ingested(tmp_path)
    ours = foliotrace(tmp_path, "ask", QUESTION)
    url = f"http://127.0.0.1:{(port := free_port())}"
    env = {
        **_environment(tmp_path),
        "LLAMA_DEPLOY_APISERVER_PORT": str(port),
        "LLAMA_DEPLOY_APISERVER_PROMETHEUS_ENABLED": "false",
        "LLAMA_DEPLOY_APISERVER_DEPLOYMENTS_PATH": str(tmp_path / "deployments"),
    }
    with running([str(RUN), "apiserver"], tmp_path, f"{url}/status/", env, wait_s=60):
        deployment = str(RUN.parent / "deployment.yml")
        assert "foliotrace" in _classic(tmp_path, "llamactl", "-s", url, "deploy", deployment)
        by_command = ["run", "-d", "foliotrace", "-s", "query", "-a", "query", QUESTION]
        answer = json.loads(_classic(tmp_path, "llamactl", "-s", url, *by_command))["answer"]
        with httpx.Client(base_url=f"{url}/deployments/foliotrace", timeout=60) as api:
            streamed = _task(api, "query", query=QUESTION, stream=True, bypass_cache=True)
            stored = _task(api, "ingest", document_id=document_id)
            schema = {"type": "object", "properties": {"refund_days": {"type": "integer"}}}
            extracted = _task(api, "extract", document_id=document_id, schema=schema)
            refused = api.post("/tasks/run", json=_definition("query", query=""))
    assert answer["text"] == ours["answer"]
    assert answer["citations"][0]["quote"] == ours["citations"][0]["quote"]
    assert answer["degradation"]["level"] == ours["degradation"]["level"] == 0
    assert streamed["answer"]["text"] == answer["text"]
    assert (stored["document_id"], stored["pages"]) == (document_id, 1)
    assert (extracted["document_id"], extracted["valid"]) == (document_id, True)
    assert refused.status_code == 500  # llama-deploy's only answer to an error
    records = asked(tmp_path)
    pair, others = [shared_fields(r) for r in records[:2]], [shared_fields(r) for r in records[2:6]]
    assert [r["event"] for r in records[:2]] == ["query_received", "query_completed"]
    assert others == pair * 2


def _task(api: httpx.Client, service: str, **fields: Any) -> dict[str, Any]:
    """Create a task, read its events to the end; its result."""
    made = api.post("/tasks/create", json=_definition(service, **fields)).raise_for_status().json()
    session = {"session_id": made["session_id"]}
    events = api.get(f"/tasks/{made['task_id']}/events", params=session).raise_for_status()
    assert events.text.strip()
    output = api.get(f"/tasks/{made['task_id']}/results", params=session).raise_for_status().json()
    result: dict[str, Any] = json.loads(output["result"])
    return result


def _definition(service: str, **fields: Any) -> dict[str, str]:
    return {"service_id": service, "input": json.dumps(fields)}


def _classic(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [RUN, *words],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "FOLIOTRACE_DATA_DIR": str(folder / "data")}  # noqa: TID251 - handed on
