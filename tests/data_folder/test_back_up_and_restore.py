"""A backup that is made while the service works opens elsewhere with the same answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.command_line import foliotrace, json_output
from tests.data_folder.folders import filled, ingest, serving

from foliotrace.errors import BadInput
from foliotrace_server.folder.backup import back_up, restore

pytestmark = pytest.mark.anyio
QUESTIONS = ("How long is the refund window?", "How much does a blue whale weigh?", "number 3")


async def answers(client: httpx.AsyncClient) -> list[Any]:
    bodies = [(await client.post("/v1/query", json={"query": query})).json() for query in QUESTIONS]
    # not the scores: they depend on the documents that are added meanwhile
    return [
        [body["answer"], [{**each, "score": 0} for each in body["citations"]]] for body in bodies
    ]


async def upload_many(client: httpx.AsyncClient) -> None:
    for number in range(100):
        await ingest(client, f"late {number}.txt", f"This is the text with number {number}.")
        await answers(client)


async def test_a_backup_made_under_load_answers_the_same_elsewhere(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    backups = [tmp_path / f"backup-{number}" for number in range(3)]
    async with serving(folder) as client:
        before = await answers(client)
        working = asyncio.create_task(upload_many(client))
        for backup in backups:
            await asyncio.sleep(0.4)
            await asyncio.to_thread(back_up, folder, backup)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        shown = (await client.get("/v1/documents")).json()["documents"]
        live = {each["id"] for each in shown}
    for backup in backups:
        restored = tmp_path / f"{backup.name}-restored"
        await asyncio.to_thread(restore, backup, restored)
        async with serving(restored) as client:
            assert (await client.get("/readyz")).json()["problems"] == []
            documents = (await client.get("/v1/documents")).json()["documents"]
            while any(each["status"] in ("queued", "ingesting") for each in documents):
                await asyncio.sleep(0.05)
                documents = (await client.get("/v1/documents")).json()["documents"]
            # An upload that was not yet accepted at that moment may stand there, and says so.
            accepted = [each for each in documents if each["problem"] != "upload_interrupted"]
            assert {each["status"] for each in accepted} == {"ready"}
            assert len(documents) - len(accepted) <= 1  # one after the other
            assert {each["id"] for each in documents} <= live
            assert (await answers(client))[:2] == before[:2]
        verified = foliotrace(tmp_path, "--data-dir", str(restored), "audit", "verify")
        assert "TAMPERED" not in verified.stdout.upper()


@pytest.mark.parametrize("kind", ["original", "library", "manifest gone", "file gone"])
async def test_a_changed_or_incomplete_backup_is_not_restored(tmp_path: Path, kind: str) -> None:
    backup = tmp_path / "backup"
    back_up(await filled(tmp_path / "data"), backup)
    original = next(path for path in backup.glob("blobs/*/*/*"))
    if kind == "manifest gone":
        (backup / "backup.json").unlink()
    elif kind == "file gone":
        original.unlink()
    else:
        path = original if kind == "original" else backup / "library.db"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        restore(backup, tmp_path / "restored")
    assert refused.value.error_code == "backup_invalid"
    assert not (tmp_path / "restored").exists()


async def test_the_commands_back_up_and_restore_and_refuse_full_folders(tmp_path: Path) -> None:
    await filled(tmp_path / "data")
    made = json_output(tmp_path, "--data-dir", "data", "backup", "b")
    assert made["files"] == len(json.loads((tmp_path / "b" / "backup.json").read_text())["files"])
    assert foliotrace(tmp_path, "--data-dir", "data", "backup", "b").returncode == 2
    assert foliotrace(tmp_path, "--data-dir", "data", "restore", "b").returncode == 2
    assert foliotrace(tmp_path, "--data-dir", "new", "restore", "b").returncode == 0
    asked = json_output(tmp_path, "--data-dir", "new", "ask", QUESTIONS[0])
    assert "30 days" in asked["answer"]
