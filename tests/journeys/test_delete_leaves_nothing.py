"""A canary word enters every way a document can; once the document is deleted no file holds it."""

import asyncio
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from tantivy import Index
from tests.cloud.service import Service, service

from foliotrace.settings import QuerySettings, RunsSettings

pytestmark = pytest.mark.anyio
CANARY = "quoxblimtor"  # a word that stemming leaves as it is
QUESTION = "Who nests in hollow oaks?"
NEST = f"The {CANARY} nests in hollow oaks. \n\nSpecies: {CANARY}\nEggs: 41"
SCHEMA = {"type": "object", "properties": {"species": {"type": "string"}}}
_DEFLATED = re.compile(rb"x[\x01\x5e\x9c\xda]")


def holding(folder: Path, word: str = CANARY) -> set[str]:
    """The files of a folder that hold the word in their bytes, deflated bytes, or name."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and (word in path.name or _holds(path.read_bytes(), word.encode()))
    }


def indexed(folder: Path, word: str = CANARY) -> bool:
    """Whether the dictionary of a keyword index knows the word; its bytes there are not plain."""
    indexes = [meta.parent for meta in (folder / "keyword").rglob("meta.json")]
    return any(Index.open(str(at)).searcher().doc_freq("body", word) > 0 for at in indexes)


def _holds(content: bytes, word: bytes) -> bool:
    low = content.lower()
    return word in low or any(
        word in _inflated(content[found.start() :]).lower() for found in _DEFLATED.finditer(content)
    )


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, 1_000_000)
    except zlib.error:
        return b""


async def put(
    running: Service, text: str, name: str = f"{CANARY}.txt", status: str = "completed"
) -> str:
    sent = await running.client.post(
        "/v1/documents",
        files={"file": (name, text.encode())},
        data={"metadata": json.dumps({"species": CANARY} if CANARY in text + name else {})},
    )
    accepted = sent.json()["accepted"][0]
    assert (await running.finished(accepted["job"]["id"]))["status"] == status
    return str(accepted["document"]["id"])


async def until_gone(folder: Path) -> None:
    """The product wipes by itself, soon."""
    left: set[str] = set()
    for _ in range(300):
        left = holding(folder)
        if not left and not indexed(folder):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still in {sorted(left)}, keyword index: {indexed(folder)}")


def settings_that_keep_content(**settings: Any) -> dict[str, Any]:
    """Everything that can hold an answer, on."""
    return {
        "query": QuerySettings(cache_ttl_s=300.0),
        "runs": RunsSettings(keep_content="redacted"),
        **settings,
    }


async def use(running: Service, document_id: str) -> None:
    """Leave traces of the document wherever the product keeps something."""
    asked = await running.ask(QUESTION)
    assert CANARY in asked.body["answer"]
    again = await running.ask(QUESTION)
    assert again.body["cache"] == "exact"
    sent = await running.client.post(
        "/v1/extractions", json={"document_id": document_id, "schema": SCHEMA}
    )
    job = await running.finished(sent.json()["id"])
    assert job["status"] == "completed"
    record = (await running.client.get(f"/v1/extractions/{job['id']}")).json()
    assert CANARY in json.dumps(record)


async def test_a_deleted_document_is_in_no_file_while_the_service_runs_and_after(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, **settings_that_keep_content()) as running:
        kept = await put(running, "Unleaded costs 2.31 EUR per litre.", name="fuel.txt")
        gone = await put(running, NEST)
        broken = await put(running, " \n", name=f"{CANARY}-blank.txt", status="failed")
        await use(running, gone)
        await asyncio.sleep(0.7)  # stale answers are written half a second behind
        before = holding(tmp_path)
        assert {"library.db", "stale.db", "blobs"} <= {
            name.split("/")[0].removesuffix("-wal") for name in before
        }
        assert indexed(tmp_path)
        for document_id in (gone, broken):
            deleted = await running.client.delete(f"/v1/documents/{document_id}")
            assert deleted.status_code == 200
        refused = await running.ask(QUESTION)
        assert refused.body["cache"] != "exact"
        assert refused.body["citations"] == []
        await until_gone(tmp_path)
        assert (await running.client.get(f"/v1/documents/{kept}")).status_code == 200
    assert (holding(tmp_path), indexed(tmp_path)) == (set(), False)


async def test_a_replaced_document_leaves_nothing_of_its_old_text(tmp_path: Path) -> None:
    async with service(tmp_path, **settings_that_keep_content(runs=RunsSettings())) as running:
        old = await put(running, NEST, name="nests.txt")
        await running.ask(QUESTION)
        await asyncio.sleep(0.7)
        assert "stale.db" in {n.removesuffix("-wal") for n in holding(tmp_path)}
        sent = await running.client.post(
            "/v1/documents",
            files={"file": ("nests.txt", b"The owl nests in hollow oaks.")},
            data={"metadata": json.dumps({"species": "owl"})},
        )
        accepted = sent.json()["accepted"][0]
        assert accepted["document"]["id"] == old
        await running.finished(accepted["job"]["id"])
        asked = await running.ask(QUESTION)
        assert (asked.body["cache"], "owl" in asked.body["answer"]) == ("miss", True)
        await until_gone(tmp_path)
    assert (holding(tmp_path), indexed(tmp_path)) == (set(), False)


async def test_a_deletion_just_before_the_end_of_the_process_is_wiped_by_it(tmp_path: Path) -> None:
    async with service(tmp_path, **settings_that_keep_content()) as running:
        gone = await put(running, NEST)
        await use(running, gone)
        await running.client.delete(f"/v1/documents/{gone}")
    assert (holding(tmp_path), indexed(tmp_path)) == (set(), False)
