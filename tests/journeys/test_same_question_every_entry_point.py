"""One question by REST, protocol, engine and command line: the same answer, mark and audit pair."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from llama_agents.client import WorkflowClient
from tests.audit.log_reading import audit_records
from tests.server.small_service import serving

from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
_HANDBOOK = b"# Handbook\n\nRefunds are paid within 30 days of the return. The customer ships."
_QUESTION = "When are refunds paid?"


def audited(folder: Path) -> list[dict[str, object]]:
    records = audit_records(folder / "audit")
    return [record for record in records if record["event"].startswith("query_")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


async def test_the_doors_of_one_server_agree(folder: Path) -> None:
    async with (
        serving(compose(load_settings(data_dir=folder))) as http,
        AsyncFoliotraceClient(str(http.base_url)) as client,
    ):
        upload = await client.upload([("handbook.md", _HANDBOOK)])
        async for _ in client.follow(upload.accepted[0].job.id):
            pass
        rest = await client.ask(_QUESTION)
        protocol = WorkflowClient(httpx_client=http)
        start = {"query": _QUESTION, "bypass_cache": True}
        run = await protocol.run_workflow("query", start_event=start)
        assert run.result is not None
        started = await protocol.run_workflow_nowait("query", start_event=start)
        async for event in protocol.get_workflow_events(started.handler_id):
            last = event
        streamed = [e async for e in client.ask_in_pieces(_QUESTION)]
        kept = await client.run(rest.run_id)
    answers = [run.result.value["answer"], last.value["answer"]]
    assert "within 30 days" in rest.answer
    assert {a["text"] for a in answers} == {rest.answer}
    assert streamed[-1].value["answer"] == rest.answer
    assert (int(rest.degradation.level), rest.degradation.answer) == (0, "extractive")
    assert {a["degradation"]["level"] for a in answers} == {0}
    assert (kept.query_text, kept.answer_text) == (None, None)
    records = audited(folder)
    assert [r["event"] for r in records] == ["query_received", "query_completed"] * 4
    assert len({r["query_hash"] for r in records}) == 1
    assert [r["degradation"] for r in records[1::2]] == [{"level": 0, "reasons": []}] * 4
    everything = "".join(json.dumps(r) for r in records)
    assert "refund" not in everything.lower()


def foliotrace(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from foliotrace_server.cli import main; main()",
         "--data-dir", str(folder), *words],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_command_line_tells_the_whole_story_without_a_server(folder: Path) -> None:
    files = folder.parent / "files"
    (files / "deep").mkdir(parents=True)
    (files / "deep" / "handbook.md").write_bytes(_HANDBOOK)
    (files / "empty.txt").write_bytes(b"")
    first = json.loads(foliotrace(folder, "--output", "json", "ingest", str(files), code=3))
    assert [each["name"] for each in first["ingested"]] == ["deep/handbook.md"]
    assert [(each["name"], each["code"]) for each in first["failed"]] == [
        ("empty.txt", "file_empty")
    ]
    (files / "empty.txt").unlink()
    assert "0 ingested (0 pages), 1 unchanged" in foliotrace(folder, "ingest", str(files))
    assert "within 30 days" in foliotrace(folder, "ask", _QUESTION)
    schema = folder.parent / "schema.json"
    schema.write_text('{"type": "object", "properties": {"refund_days": {"type": "integer"}}}')
    foliotrace(folder, "extract", "deep/handbook.md", "--schema", str(schema))
    assert "development keys" in foliotrace(folder, "audit", "verify", code=2)
    foliotrace(folder, "--url", "http://127.0.0.1:9", "jobs", "list", code=6)
