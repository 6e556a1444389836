"""Erasure by user, collection and age leaves nothing but its receipt."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.audit.log_reading import audit_records
from tests.data_folder.folders import ingest, serving

from foliotrace_server.cli.main import main

pytestmark = pytest.mark.anyio
CANARY = "zebrafinch"


def files_with(folder: Path, text: str) -> list[str]:
    """Files other than the audit log that hold the text."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes() and "audit" not in path.parts
    ]


async def upload(client: Any, name: str, text: str, collection: str) -> str:
    sent = await client.post(
        "/v1/documents", files={"file": (name, text.encode())}, data={"collection": collection}
    )
    assert sent.status_code == 202, sent.text
    job = sent.json()["accepted"][0]["job"]["id"]
    async with asyncio.timeout(20):
        while (await client.get(f"/v1/jobs/{job}")).json()["status"] != "completed":
            await asyncio.sleep(0.05)
    return str(sent.json()["accepted"][0]["document"]["id"])


async def test_a_collection_is_erased_with_its_runs_and_kept_answers(tmp_path: Path) -> None:
    async with serving(tmp_path, runs={"keep_content": "redacted"}) as client:
        kept = await ingest(client, "kept.txt", "The whale weighs 190 tonnes.")
        gone = await upload(client, "gone.txt", f"The {CANARY} weighs 12 grams.", "birds")
        for collection, query in (("birds", CANARY), ("default", "whale")):
            question = {"query": f"How much does the {query} weigh?", "collection": collection}
            assert (await client.post("/v1/query", json=question)).status_code == 200
        await asyncio.sleep(0.6)  # runs and kept answers are written in groups
        assert files_with(tmp_path, CANARY)
        erased = (await client.post("/v1/erasures", json={"collection": "birds"})).json()
        assert (erased["documents"], erased["rows"]["runs"]) == (1, 1)
        assert [d["id"] for d in (await client.get("/v1/documents")).json()["documents"]] == [kept]
        assert len((await client.get("/v1/runs")).json()["runs"]) == 1
    assert files_with(tmp_path, CANARY) == []
    receipt = [r for r in audit_records(tmp_path / "audit") if r["run_id"] == erased["receipt"]]
    assert [(r["event"], r.get("document_ids")) for r in receipt] == [
        ("admin_received", None),
        ("admin_completed", [gone]),
    ]


async def test_a_user_is_erased(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        for user in ("ann", "bob"):
            question = {"query": "How much does the whale weigh?", "user_id": user}
            assert (await client.post("/v1/query", json=question)).status_code == 200
        erased = (await client.post("/v1/erasures", json={"user": "ann"})).json()
        assert (erased["documents"], erased["rows"]["runs"]) == (0, 1)
        runs = (await client.get("/v1/runs")).json()["runs"]
        assert [run["user_id"] for run in runs] == ["bob"]
        erased = (await client.post("/v1/erasures", json={"user": "anonymous"})).json()
        assert (erased["documents"], erased["rows"]["runs"]) == (1, 1)


async def test_what_is_old_is_erased_and_an_erasure_of_everything_is_refused(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        for before, documents in (("2020-01-01T00:00:00Z", 0), ("2100-01-01T00:00:00Z", 1)):
            erased = (await client.post("/v1/erasures", json={"before": before})).json()
            assert erased["documents"] == documents
        assert (await client.post("/v1/erasures", json={})).status_code == 400


def test_the_command_prints_the_receipt(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The whale weighs 190 tonnes.")
    data = ["--data-dir", str(tmp_path / "data"), "--output", "json"]
    assert CliRunner().invoke(main, ["ingest", str(tmp_path / "a.txt"), *data]).exit_code == 0
    result = CliRunner().invoke(main, ["erase", "--collection", "default", "--yes", *data])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["documents"] == 1


async def test_ratings_reviews_and_dataset_rows_are_erased_with_the_runs(tmp_path: Path) -> None:
    from foliotrace_loop.datasets.rows import Datasets
    from foliotrace_loop.shapes import Row

    datasets = Datasets(tmp_path / "datasets")
    async with serving(tmp_path / "data", loop={"datasets": str(datasets.folder)}) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        queue = {"name": "low", "reviewers": 1}
        assert (await client.post("/v1/queues", json=queue)).is_success
        runs = {}
        for user in ("ann", "bob"):
            question = {"query": "How much does the whale weigh?", "user_id": user}
            run_id = (await client.post("/v1/query", json=question)).json()["run_id"]
            rating = {"run_id": run_id, "key": "user", "score": 0.0, "comment": f"{CANARY} {user}"}
            assert (await client.post("/v1/feedback", json=rating)).status_code == 200
            came = {"promoted_from_run": run_id, "category": CANARY}
            datasets.put(
                "complaints",
                Row(
                    id=f"row-{user}",
                    inputs={"query": f"{CANARY} {user}?"},
                    reference_outputs={"answer": CANARY},
                    metadata=came,
                    split="smoke",
                ),
            )
            runs[user] = run_id
        await client.post("/v1/queues/low/fill", json={})
        erased = (await client.post("/v1/erasures", json={"user": "ann"})).json()
        assert erased["rows"] == {"feedback_and_reviews": 2, "dataset_rows": 1, "runs": 1}
        assert (await client.get(f"/v1/runs/{runs['bob']}")).json()["feedback"]
        again = (await client.post("/v1/erasures", json={"user": "ann"})).json()
        assert again["rows"] == {"feedback_and_reviews": 0, "dataset_rows": 0, "runs": 0}
    stone, kept = datasets.read("complaints")
    assert (stone.id, stone.inputs, stone.reference_outputs) == ("row-ann", {}, {})
    assert stone.retired_at is not None
    assert stone.metadata == {"erased_at": stone.retired_at}
    assert kept.id == "row-bob"
    assert [row.id for row in datasets.suite("complaints", "full")] == ["row-bob"]
    assert files_with(tmp_path, f"{CANARY} ann") == []


async def test_what_a_person_said_of_the_runs_of_others_is_erased(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from foliotrace_loop.feedback import feedback_of
    from foliotrace_loop.store import LoopStore

    async with serving(tmp_path) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        question = {"query": "How much does the whale weigh?"}
        run_id = (await client.post("/v1/query", json=question)).json()["run_id"]
        store = LoopStore(tmp_path / "loop.db")
        for person in ("ann", "bob"):
            said = feedback_of(
                tenant="default",
                subject=person,
                run_id=run_id,
                trace_id=None,
                key="user",
                score=1.0,
                source="api",
                now=datetime.now(UTC),
            )
            store.save_feedback(said)
        elsewhere = {"user": "ann", "collection": "other"}
        erased = (await client.post("/v1/erasures", json=elsewhere)).json()
        assert erased["rows"]["feedback_and_reviews"] == 0
        erased = (await client.post("/v1/erasures", json={"user": "ann"})).json()
        assert erased["rows"] == {"feedback_and_reviews": 1, "dataset_rows": 0, "runs": 0}
        assert len(store.feedback_of("default", run_id)) == 1
        store.close()


async def test_an_unreadable_dataset_stops_the_erasure_before_the_runs(tmp_path: Path) -> None:
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    (datasets / "complaints.jsonl").write_text("no JSON\n")
    async with serving(tmp_path / "data", loop={"datasets": str(datasets)}) as client:
        await ingest(client, "a.txt", "The whale weighs 190 tonnes.")
        question = {"query": "How much does the whale weigh?", "user_id": "ann"}
        assert (await client.post("/v1/query", json=question)).status_code == 200
        refused = await client.post("/v1/erasures", json={"user": "ann"})
        assert (refused.status_code, "complaints" in refused.text) == (503, True)
        assert len((await client.get("/v1/runs")).json()["runs"]) == 1
        (datasets / "complaints.jsonl").unlink()
        again = (await client.post("/v1/erasures", json={"user": "ann"})).json()
        assert again["rows"]["runs"] == 1
