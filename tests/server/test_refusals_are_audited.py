"""The audit log tells who called from where, who was refused, and who made keys."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command_line import foliotrace
from tests.server.small_service import serving, small_engine

from foliotrace.ports import AuditEntry
from foliotrace_server.compose import compose
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.keys.api_key import KeyText, Scope
from foliotrace_server.keys.key_file import KeyFile
from foliotrace_server.sections import QuotaSettings
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio


def new_key(folder: Path, *scopes: Scope) -> tuple[str, dict[str, str]]:
    file = KeyFile(folder)
    key, text = file.create(tenant="acme", scopes=frozenset(scopes), now=datetime.now(UTC))
    return key.id, {"Authorization": f"Bearer {text}"}


def refusals(engine: Any) -> list[AuditEntry]:
    entries: list[AuditEntry] = engine.assembly.ingest.audit.entries
    return [entry for entry in entries if entry.event == "access_failed"]


async def test_each_sort_of_refusal_leaves_a_record_with_key_and_address(tmp_path: Path) -> None:
    engine = small_engine(tmp_path, max_body_bytes=100)
    key_id, reader = new_key(tmp_path, Scope.READ)
    engine.quotas = Quotas(QuotaSettings(requests="2/minute"), QuotaSettings())
    stranger = KeyText.new()
    async with serving(engine) as client:
        await client.get("/v1/jobs")
        await client.get("/v1/jobs", headers={"Authorization": f"Bearer {stranger.text}"})
        await client.delete("/v1/documents/doc_1", headers=reader)
        await client.post("/v1/query", json={"query": "x" * 200}, headers=reader)
        await client.get("/v1/jobs", headers=reader)
        await client.get("/v1/jobs", headers=reader)
        await client.get("/v1/no-such-thing/my-secret")
    seen = [(e.error, e.action, e.api_key_id, e.tenant) for e in refusals(engine)]
    assert seen == [
        ("key_required", "GET /v1/jobs", None, ""),
        ("key_refused", "GET /v1/jobs", stranger.id, ""),
        ("scope_missing", "DELETE /v1/documents", key_id, ""),
        ("body_too_large", "POST /v1/query", key_id, "acme"),
        ("rate_limited", "GET /v1/jobs", key_id, "acme"),
        ("key_required", "other", None, ""),
    ]
    assert {e.source_address for e in refusals(engine)} == {"127.0.0.1"}


async def test_a_flood_of_refusals_does_not_fill_the_log(tmp_path: Path) -> None:
    engine = small_engine(tmp_path)
    new_key(tmp_path, Scope.READ)
    async with serving(engine) as client:
        for _ in range(60):
            assert (await client.get("/v1/jobs")).status_code == 401
    assert len(refusals(engine)) == 20


async def test_a_question_is_recorded_with_its_caller_and_the_user_it_claims(
    tmp_path: Path,
) -> None:
    settings = load_settings(None, data_dir=tmp_path)
    key_id, reader = new_key(tmp_path, Scope.READ)
    async with serving(compose(settings)) as client:
        asked = {"query": "who?", "user_id": "somebody"}
        assert (await client.post("/v1/query", json=asked, headers=reader)).status_code == 200
        assert (await client.post("/v1/query", json={"query": "who?"}, headers=reader)).is_success
    by_event = [r for r in records(tmp_path) if r["event"].startswith("query_")]
    assert [r.get("user_claimed") for r in by_event] == [True, True, None, None]
    assert {r["user_id"] for r in by_event[2:]} == {f"key:{key_id}"}
    first = by_event[0]
    assert (first["user_id"], first["caller"]) == ("somebody", f"key:{key_id}")
    assert (first["api_key_id"], first["source_address"]) == (key_id, "127.0.0.1")


def records(folder: Path) -> list[dict[str, Any]]:
    import orjson

    files = sorted((folder / "audit").rglob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return [r for r in map(orjson.loads, lines) if "event" in r]


def test_making_rotating_and_revoking_a_key_leaves_records(tmp_path: Path) -> None:
    made = foliotrace(tmp_path, "--data-dir", "data", "keys", "create", "--tenant", "acme")
    key_id = made.stdout.split("_")[1]
    for words in (("rotate", key_id), ("revoke", key_id), ("revoke", "nosuchkey")):
        foliotrace(tmp_path, "--data-dir", "data", "keys", *words)
    found = sorted(records(tmp_path / "data"), key=lambda r: str(r["timestamp"]))
    ended = [r for r in found if r["event"] in ("admin_completed", "admin_failed")]
    assert [(r["action"], r["event"], r["api_key_id"]) for r in ended] == [
        ("key.create", "admin_completed", key_id),
        ("key.rotate", "admin_completed", key_id),
        ("key.revoke", "admin_completed", key_id),
        ("key.revoke", "admin_failed", "nosuchkey"),
    ]
    assert ended[0]["tenant"] == "acme"
    assert all(r["user_id"].startswith("os:") for r in ended)
    verified = foliotrace(tmp_path, "--data-dir", "data", "audit", "verify")
    assert "TAMPERED" not in verified.stdout.upper().replace("NOT TAMPERED", ""), verified.stdout


async def test_who_read_a_document_is_recorded_and_can_be_switched_off(tmp_path: Path) -> None:
    for reads in (True, False):
        folder = tmp_path / str(reads)
        folder.mkdir()
        settings = load_settings(None, data_dir=folder, audit={"reads": reads})
        key_id, reader = new_key(folder, Scope.READ, Scope.INGEST)
        async with serving(compose(settings)) as client:
            sent = await client.post(
                "/v1/documents", files={"file": ("a.txt", b"Some words.")}, headers=reader
            )
            document = sent.json()["accepted"][0]["document"]["id"]
            await client.get(f"/v1/documents/{document}", headers=reader)
            await client.get("/v1/documents/no-such-canary", headers=reader)
        seen = [r for r in records(folder) if r["event"] == "access_completed"]
        assert len(seen) == reads
        for record in seen:
            assert record["document_ids"] == [document]
            assert (record["caller"], record["api_key_id"]) == (f"key:{key_id}", key_id)
            assert record["action"] == "GET /v1/documents"


def test_searching_this_installations_own_log_is_recorded(tmp_path: Path) -> None:
    foliotrace(tmp_path, "--data-dir", "data", "keys", "create", "--tenant", "acme")
    for command in ("find", "export"):
        foliotrace(tmp_path, "--data-dir", "data", "audit", command)
    actions = {r["action"] for r in records(tmp_path / "data") if r["event"] == "admin_completed"}
    assert actions == {"key.create", "audit.find", "audit.export"}
