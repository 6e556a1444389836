"""A full queue, or a record that cannot be read, stops neither a start nor the other jobs."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.server.small_service import serving, small_engine

from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.model import Job, JobStatus, Principal
from foliotrace_server.engine import Engine
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal
from foliotrace_server.jobs import service

pytestmark = pytest.mark.anyio
PRINCIPAL = Principal(tenant="default", subject="local")
FINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


async def killed_before_their_runs(folder: Path, number: int) -> list[Accepted]:
    """The folder of a process that was killed after it had stored jobs, before their runs."""
    engine = small_engine(folder)
    services = engine.assembly.ingest

    async def content(text: str) -> AsyncIterator[bytes]:
        yield text.encode()

    left = [
        await accept(services, PRINCIPAL, Upload(name=f"{n}.txt", content=content(f"text {n}")))
        for n in range(number)
    ]
    await engine.durable.stop()
    for close in engine.assembly.closing:
        await close()
    return left


async def ended(engine: Engine, job_id: str) -> Job:
    async with asyncio.timeout(20):
        while True:
            job = await engine.assembly.ingest.jobs.job("default", job_id)
            if job.status in FINAL:
                return job
            await asyncio.sleep(0.02)


async def test_more_unfinished_jobs_than_the_limit_do_not_stop_a_start(tmp_path: Path) -> None:
    left = await killed_before_their_runs(tmp_path, 6)
    engine = small_engine(tmp_path, max_pending_jobs=2)
    await engine.start()
    assert {(await ended(engine, each.job.id)).status for each in left} == {JobStatus.COMPLETED}
    await engine.stop()


async def test_an_upload_that_is_refused_by_a_full_queue_leaves_nothing(tmp_path: Path) -> None:
    engine = small_engine(tmp_path, max_pending_jobs=3, max_concurrent_uploads=20)
    async with serving(engine) as http:

        async def upload(number: int) -> tuple[str, int]:
            name, text = f"{number}.txt", "\f".join([f"slow {number}"] * 10)
            answer = await http.post("/v1/documents", files={"file": (name, text.encode())})
            return name, answer.status_code

        statuses = dict(await asyncio.gather(*(upload(number) for number in range(16))))
        accepted = {name for name, status in statuses.items() if status == 202}
        assert set(statuses.values()) == {202, 429}
        assert len(accepted) == 3
        documents = (await http.get("/v1/documents")).json()["documents"]
        assert {each["name"] for each in documents} == accepted
        assert len((await http.get("/v1/jobs")).json()["jobs"]) == len(accepted)
        assert len(await engine.assembly.ingest.blobs.hashes("default")) == len(accepted)


async def test_an_extraction_that_is_refused_by_a_full_queue_leaves_nothing(
    tmp_path: Path,
) -> None:
    engine = small_engine(tmp_path, max_pending_jobs=1)
    async with serving(engine) as http:
        answer = await http.post(
            "/v1/documents", files={"file": ("a.txt", "\f".join(["slow"] * 20).encode())}
        )
        document = answer.json()["accepted"][0]["document"]["id"]
        asked = {"document_id": document, "schema": {"type": "object"}}
        assert (await http.post("/v1/extractions", json=asked)).status_code == 429
        assert len((await http.get("/v1/jobs")).json()["jobs"]) == 1


async def journal(folder: Path, job: Job, start_event: str) -> None:
    runs = RunJournal(folder / "intents.db")
    await runs.add(
        AcceptedRun(handler_id=job.id, tenant="default", workflow="ingest", start_event=start_event)
    )
    runs.close(cleanly=False)


async def quarantined(folder: Path, bad: Accepted, good: Accepted) -> None:
    """Start the service: `bad` is given up and named, `good` is finished, both places are free."""
    engine = small_engine(folder)
    with capture_logs() as logs:
        await engine.start()
        given_up = await ended(engine, bad.job.id)
        assert (given_up.status, given_up.problem) == (JobStatus.FAILED, "job_unrepairable")
        assert (await ended(engine, good.job.id)).status is JobStatus.COMPLETED
        async with asyncio.timeout(5):
            while engine.durable.accepted:
                await asyncio.sleep(0.02)
    await engine.stop()
    named = [each["handler_id"] for each in logs if each["event"] == "job.quarantined"]
    assert named == [bad.job.id]


async def test_a_run_whose_start_event_cannot_be_read_is_quarantined(tmp_path: Path) -> None:
    bad, good = await killed_before_their_runs(tmp_path, 2)
    await journal(tmp_path, bad.job, '{"document_id": ')
    await quarantined(tmp_path, bad, good)


async def test_a_run_whose_engine_record_cannot_be_read_is_quarantined(tmp_path: Path) -> None:
    bad, good = await killed_before_their_runs(tmp_path, 2)
    await journal(tmp_path, bad.job, "{}")
    with sqlite3.connect(tmp_path / "handlers.db") as handlers:
        handlers.execute(
            "INSERT INTO handlers (handler_id, workflow_name, status, run_id, started_at)"
            " VALUES (?, 'ingest', 'running', 'run', 'no time')",
            (bad.job.id,),
        )
    handlers.close()
    await quarantined(tmp_path, bad, good)


async def test_a_job_whose_repair_fails_is_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await killed_before_their_runs(tmp_path, 2)
    build = service.start_event

    def refuse(kind: type, fields: dict[str, object]) -> object:
        if fields["job_id"] == bad.job.id:
            raise ValueError("cannot be built")
        return build(kind, fields)

    monkeypatch.setattr(service, "start_event", refuse)
    await quarantined(tmp_path, bad, good)
