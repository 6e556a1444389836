"""An extraction that is ended from outside its run leaves its last audit record, as others do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.server import small_service
from tests.server.small_service import Extract, serving, small_engine
from workflows import Workflow, step
from workflows.events import StopEvent

from foliotrace_server.client import AsyncFoliotraceClient

pytestmark = pytest.mark.anyio


class Waiting(Workflow):
    @step
    async def extract(self, ev: Extract) -> StopEvent:
        await asyncio.Event().wait()
        return StopEvent()


async def ended(folder: Path, *, cancel: bool) -> tuple[str | None, list[Any]]:
    """How the job ended, and its audit records."""
    engine = small_engine(folder)
    async with (
        serving(engine) as http,
        AsyncFoliotraceClient(str(http.base_url)) as client,
    ):
        accepted = (await client.upload([("a.txt", b"whale")])).accepted[0]
        _ = [event async for event in client.follow(accepted.job.id)]
        started = await client.extract(accepted.document.id, {"type": "object"})
        if cancel:
            await client.cancel_job(started.id)
        _ = [event async for event in client.follow(started.id)]
        job = await client.job(started.id)
    audit: Any = engine.assembly.ingest.audit
    return job.problem, [entry for entry in audit.entries if entry.run_id == started.id]


async def test_a_cancelled_extraction_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_service, "ExtractWorkflow", Waiting)
    _, entries = await ended(tmp_path, cancel=True)
    assert [(e.event, e.success, e.error) for e in entries] == [
        ("extract_failed", False, "job_cancelled")
    ]


async def test_an_extraction_whose_workflow_breaks_says_so(tmp_path: Path) -> None:
    problem, entries = await ended(tmp_path, cancel=False)
    assert problem == "internal_error"
    assert [(e.event, e.success, e.error) for e in entries] == [
        ("extract_failed", False, "internal_error")
    ]
