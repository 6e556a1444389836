"""kill -9 in the middle of a document: the durable run goes on at the first missing window."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ingest.ingest_stack import IngestStack

from foliotrace.model import DocumentStatus, JobStatus

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent

SERVES = """
import asyncio, os, signal, sys
from pathlib import Path
from foliotrace.ingest.workflow import IngestDocument, IngestWorkflow
from foliotrace.model import Principal
from foliotrace_server.host.durable_host import DurableHost
from tests.ingest.ingest_stack import IngestStack

folder, dies_at = Path(sys.argv[1]), int(sys.argv[2])
parsed = folder.parent / "parsed.log"

def log(number):
    async def note():
        with parsed.open("a") as file:
            file.write(f"{number} ")
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    return note

async def main():
    stack = IngestStack(folder, window_pages=2)
    stack.parser.before = {number: log(number) for number in range(1, 9)}
    ended = asyncio.Event()

    async def on_ended(run):
        print(run.status, run.problem, flush=True)
        ended.set()

    host = DurableHost(
        folder,
        {"ingest": IngestWorkflow(stack.services)},
        on_ended=on_ended,
        max_concurrent=1,
        max_pending=10,
        max_starts=5,
    )
    await host.start()
    if dies_at:
        accepted = await stack.upload("notes.txt", *(f"Page {n} of topic{n}." for n in range(1, 9)))
        start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
        await host.accept(accepted.job.id, Principal(tenant="t1", subject="test"), "ingest", start)
        await host.begin(accepted.job.id)
    async with asyncio.timeout(60):
        await ended.wait()
    await host.stop()
    stack.close()

asyncio.run(main())
"""


def run_child(folder: Path, *, dies_at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SERVES, str(folder), str(dies_at)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


async def test_a_killed_ingestion_goes_on_at_the_first_missing_window(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert run_child(folder, dies_at=6).returncode == -signal.SIGKILL
    again = run_child(folder, dies_at=0)
    assert again.stdout.split()[:1] == ["completed"], again.stderr[-2000:]
    assert (tmp_path / "parsed.log").read_text().split() == list("1234565678")
    stack = IngestStack(folder)
    (document,) = await stack.library.documents("t1")
    (job,) = await stack.jobs.jobs("t1")
    assert (document.status, document.pages_stored) == (DocumentStatus.READY, 8)
    assert (job.status, job.chunks) == (JobStatus.COMPLETED, 8)
    assert len(await stack.ask("topic7")) == 1
    stack.close()
