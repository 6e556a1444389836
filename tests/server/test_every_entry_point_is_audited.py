"""However work comes in, it leaves its two audit records; a closed log refuses it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.audit.log_reading import audit_records
from tests.server.observed_service import QUESTION, Observed, observed

from foliotrace.errors import LibraryUnavailable, Misconfigured
from foliotrace_audit import write_new_keys
from foliotrace_server.cli import main
from foliotrace_server.compose import compose
from foliotrace_server.observing.audit import ChainedAuditLog
from foliotrace_server.observing.audit_commands import verify_audit
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
STRICT = {"durability": "strict"}


def of_run(service: Observed, run_id: str) -> list[dict[str, Any]]:
    return [record for record in service.records() if record["run_id"] == run_id]


def events(records: list[dict[str, Any]]) -> list[str]:
    return [record["event"] for record in records]


async def test_each_door_leaves_two_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, audit=STRICT) as service:
        accepted = await service.ingest()
        job, document = accepted["job"]["id"], accepted["document"]["id"]
        rest = (await service.ask()).json()
        refused = await service.ask("")
        stream = {"query": QUESTION, "stream": True}
        await service.client.post("/v1/query", json=stream)
        await service.client.post("/workflows/query/run", json={"start_event": {"query": QUESTION}})
        again = {"start_event": {"document_id": document}}
        done = await service.client.post("/workflows/ingest/run", json=again)
        gone = await service.client.delete(f"/v1/documents/{document}")
        assert (refused.status_code, done.status_code, gone.status_code) == (400, 200, 200)
    records = service.records()
    runs: dict[str, list[str]] = {}
    for record in records:
        runs.setdefault(record["run_id"], []).append(record["event"])
    assert sorted(runs.values()) == sorted(
        [["ingest_received", "ingest_completed"]] * 2
        + [["query_received", "query_completed"]] * 3
        + [["query_received", "query_failed"]]
        + [["delete_received", "delete_completed"]]
    )
    assert events(of_run(service, job)) == ["ingest_received", "ingest_completed"]
    asked = of_run(service, rest["run_id"])
    assert {record["trace_id"] for record in asked} == {rest["trace_id"]}
    assert asked[1]["response_length"] == len(rest["answer"])


PAIR = ["extract_received", "extract_completed"]
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}}


async def test_an_extraction_leaves_two_records_by_rest_protocol_and_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path / "data", monkeypatch, audit=STRICT) as service:
        document = (await service.ingest())["document"]["id"]
        asked = {"document_id": document, "schema": SCHEMA}
        sent = await service.client.post("/v1/extractions", json=asked)
        by_rest = await service.ended(sent.json()["id"])
        run = await service.client.post("/workflows/extract/run", json={"start_event": asked})
        gone = {"document_id": "doc_that_is_not_there", "schema": SCHEMA}
        refused = await service.client.post("/v1/extractions", json=gone)
        assert (by_rest["status"], run.status_code, refused.status_code) == ("completed", 200, 404)
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    here = ["--data-dir", str(tmp_path / "data"), "--output", "json", "extract", document]
    by_command = await asyncio.to_thread(
        CliRunner().invoke, main, [*here, "--schema", str(schema)], catch_exceptions=False
    )
    assert by_command.exit_code == 0, by_command.output
    runs: dict[str, list[dict[str, Any]]] = {}
    for record in audit_records(tmp_path / "data" / "audit"):
        if record["event"].startswith("extract"):
            runs.setdefault(record["run_id"], []).append(record)
    assert [events(pair) for pair in runs.values()] == [PAIR] * 3
    assert {record["tenant"] for pair in runs.values() for record in pair} == {"default"}
    assert all(end["success"] and end["document_ids"] == [document] for _, end in runs.values())
    first = runs[by_rest["id"]]
    assert {record["trace_id"] for record in first} == {by_rest["trace_id"]}


async def test_an_extraction_that_fails_leaves_its_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, audit=STRICT) as service:
        document = (await service.ingest())["document"]["id"]
        stored = service.engine.assembly.ingest.library

        async def broken(*_: object, **__: object) -> None:
            raise LibraryUnavailable("the disk is gone", reason="library_disk")

        monkeypatch.setattr(stored, "pages", broken)
        asked = {"document_id": document, "schema": SCHEMA}
        sent = await service.client.post("/v1/extractions", json=asked)
        job = await service.ended(sent.json()["id"])
        assert job["status"] == "failed"
    ends = [record for record in service.records() if record["event"].startswith("extract")]
    assert events(ends) == ["extract_received", "extract_failed"]
    assert (ends[1]["success"], ends[1]["error_type"]) == (False, "LibraryUnavailable")


async def test_a_deletion_that_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, audit=STRICT) as service:
        document = (await service.ingest())["document"]["id"]
        library = service.engine.assembly.ingest.library

        async def broken(tenant: str, document_id: str) -> None:
            raise LibraryUnavailable("the disk is gone", reason="library_disk")

        monkeypatch.setattr(library, "delete", broken)
        answer = await service.client.delete(f"/v1/documents/{document}")
        assert answer.status_code == 503
    ends = [record for record in service.records() if record["event"].startswith("delete")]
    assert events(ends) == ["delete_received", "delete_failed"]
    assert (ends[1]["success"], ends[1]["error_type"]) == (False, "LibraryUnavailable")


async def test_a_closed_log_refuses_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        closing = service.engine.assembly.closing
        await next(c for c in closing if isinstance(getattr(c, "__self__", 0), ChainedAuditLog))()
        answer = await service.ask()
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
        refused = await service.metric("foliotrace_audit_failures_total", reason="refused")
        assert refused >= 1


async def test_the_log_verifies_with_outside_keys_and_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new_keys(tmp_path / "keys", dev_key=False)
    settings = {
        "keys_folder": tmp_path / "keys",
        "checkpoint_folder": tmp_path / "witness",
        "durability": "strict",
    }
    async with observed(tmp_path / "data", monkeypatch, audit=settings) as service:
        await service.ingest()
        await service.ask()
    verdict = verify_audit(service.engine.settings)
    assert verdict.status() == "sound"
    segment = next((tmp_path / "data" / "audit").glob("*/0000.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b'"success":true', b'"success":null', 1))
    assert verify_audit(service.engine.settings).status() == "tampered"


async def test_the_command_line_knows_the_logs_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        await service.ingest()
        await service.ask()
    here = ["--data-dir", str(tmp_path), "audit"]
    found = CliRunner().invoke(
        main, [*here, "find", "--query", QUESTION, "--tenant", "default", "--output", "json"]
    )
    assert events([json.loads(line) for line in found.output.splitlines()]) == [
        "query_received",
        "query_completed",
    ]
    verified = CliRunner().invoke(main, [*here, "verify"])
    assert verified.exit_code == 2
    assert verified.output.startswith("unanchored")
    assert "development keys" in verified.output


async def test_keys_inside_the_logs_folder_stop_the_start(tmp_path: Path) -> None:
    inside = {"folder": tmp_path / "audit", "keys_folder": tmp_path / "audit" / "keys"}
    with pytest.raises(Misconfigured, match="inside the audit log's folder"):
        compose(load_settings(None, data_dir=tmp_path, audit=inside))


async def test_the_logs_folder_is_its_writers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch):
        assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700


async def test_without_an_audit_log_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch, audit={"enabled": False}) as service:
        await service.ingest()
        assert (await service.ask()).status_code == 200
    assert audit_records(tmp_path / "audit") == []
