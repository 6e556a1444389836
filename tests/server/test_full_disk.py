"""A disk that is full for a while: what was acknowledged is done when there is room again."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.test_kill_nine import Process

from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process's file sizes"),
]
LOGS = """
import structlog
from foliotrace_server.logging import set_up_logging
set_up_logging("info", "json")
structlog.get_logger().info("server.starting")
print("went on")
"""
FINAL = ("completed", "failed", "cancelled")


def limit_files(service: Process, size_bytes: int) -> None:
    """Let no file of the service grow beyond `size_bytes`: its writes fail as on a full disk."""
    assert service.process is not None
    hard = resource.RLIM_INFINITY
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


async def uploaded(client: AsyncFoliotraceClient, name: str, text: str) -> list[str]:
    """The job of an upload, if it was acknowledged."""
    try:
        upload = await client.upload([(name, text.encode())])
    except ServerProblem as problem:
        if problem.status == 503:
            return []
        raise
    return [accepted.job.id for accepted in upload.accepted]


async def test_jobs_go_on_without_a_restart_when_there_is_room_again(tmp_path: Path) -> None:
    service = Process(tmp_path, output=asyncio.subprocess.DEVNULL)
    await service.start()
    async with AsyncFoliotraceClient(service.url) as client:
        jobs: list[str] = []
        for number in range(6):
            jobs += await uploaded(client, f"{number}.txt", "\f".join(["slow whale"] * 20))
        limit_files(service, 1)
        for number in range(6):
            jobs += await uploaded(client, f"late {number}.txt", "whale")
        await asyncio.sleep(4)  # long enough for runs to end unrecorded; more is no harm
        limit_files(service, resource.RLIM_INFINITY)
        jobs += await uploaded(client, "last.txt", "whale")
        assert len(jobs) >= 7
        ended: dict[str, str] = {}
        while len(ended) < len(jobs):
            known = {job.id: job.status for job in (await client.jobs()).jobs}
            ended = {job: known[job] for job in jobs if known[job] in FINAL}
            await asyncio.sleep(0.2)
    await service.kill()
    assert ended[jobs[-1]] == "completed"


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", LOGS], stderr=full, stdout=subprocess.PIPE, check=False
        )
    assert done.stdout == b"went on\n"
