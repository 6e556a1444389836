"""`llamactl serve` in a copy of the repository answers and audits as the other hosts do."""

import os
import subprocess
from pathlib import Path

import pytest
from llama_agents.client import WorkflowClient
from tests.free_ports import free_port
from tests.hosts.running_hosts import (
    QUESTION,
    ROOT,
    absent,
    asked,
    checkout_copy,
    ingested,
    running,
    shared_fields,
)
from tests.server.small_service import serving

from foliotrace_audit.checkpoint import read_checkpoint
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = [pytest.mark.anyio, pytest.mark.real_servers, pytest.mark.timeout(600)]
RUN = ROOT / "deploy" / "llamactl" / "run"
_SERVE = ("serve", "--no-open-browser", "--no-reload", "--persistence", "memory")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What llamactl needs of the repository, in a folder where it may write."""
    if subprocess.run([RUN, "setup", "--path"], capture_output=True).returncode != 0:
        absent("llamactl is not set up here: run deploy/llamactl/run setup")
    return checkout_copy(tmp_path)


async def test_llamactl_serve_answers_as_rest_and_protocol_do(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = ingested(tmp_path)
    monkeypatch.chdir(tmp_path)
    start = {"query": QUESTION, "bypass_cache": True}
    async with (
        serving(compose(load_settings(data_dir=tmp_path / "data"))) as http,
        AsyncFoliotraceClient(str(http.base_url)) as client,
    ):
        rest = await client.ask(QUESTION)
        run = await WorkflowClient(httpx_client=http).run_workflow("query", start_event=start)
    assert run.result is not None
    url = f"http://127.0.0.1:{(port := free_port())}"
    env = {**os.environ, "FOLIOTRACE_DATA_DIR": str(tmp_path / "data")}  # noqa: TID251 - handed on
    command = [str(RUN), *_SERVE, "--port", str(port)]
    with running(command, copy, f"{url}/health", env, wait_s=480):
        hosted = WorkflowClient(base_url=f"{url}/deployments/foliotrace")
        names = (await hosted.list_workflows()).workflows
        there = await hosted.run_workflow("query", start_event=start)
        started = await hosted.run_workflow_nowait("query", start_event={**start, "stream": True})
        streamed = [event async for event in hosted.get_workflow_events(started.handler_id)]
        schema = {"type": "object", "properties": {"refund_days": {"type": "integer"}}}
        extract = {"document_id": document_id, "schema": schema}
        extracted = await hosted.run_workflow("extract", start_event=extract)
    assert set(names) == {"query", "ingest", "extract"}
    assert there.result is not None
    assert extracted.result is not None
    answers = [run.result.value["answer"], there.result.value["answer"]]
    answers.append(streamed[-1].value["answer"])
    assert {a["text"] for a in answers} == {rest.answer}
    assert "within 30 days" in rest.answer
    assert [a["degradation"] for a in answers] == [answers[0]["degradation"]] * 3
    assert answers[0]["degradation"]["level"] == rest.degradation.level == 0
    assert [a["citations"][0]["quote"] for a in answers] == [rest.citations[0].quote] * 3
    assert extracted.result.value["valid"]
    ends = [file.read_bytes() for file in (tmp_path / "data/audit").glob("*/checkpoints.jsonl")]
    assert all(read_checkpoint(end.splitlines()[-1]).final for end in ends)
    marks = [shared_fields(record) for record in asked(tmp_path)]
    assert [m[0] for m in marks] == ["query_received", "query_completed"] * 4
    assert marks == marks[:2] * 4
    assert marks[1][-1] == {"level": 0, "reasons": []}
