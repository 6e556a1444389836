"""Whatever is killed: a job answered with 202 finishes, once, or says why."""

import asyncio
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port

from foliotrace_server.client import AsyncFoliotraceClient, Unreachable

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(110)]
_ROOT = Path(__file__).parents[2]


class Process:
    """The small service in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, *, output: int | None = None) -> None:
        self.folder, self.output = folder, output
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, may_die: bool = False) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.server.small_service", str(self.folder), str(self.port),
            cwd=_ROOT, stdout=self.output, stderr=self.output,
        )  # fmt: skip
        async with httpx.AsyncClient(base_url=self.url) as http:
            while True:
                with suppress(httpx.TransportError):
                    await http.get("/healthz")
                    return
                if self.process.returncode is not None:
                    assert may_die, f"the start failed with {self.process.returncode}"
                    return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.ended()

    async def ended(self) -> None:
        if self.process is not None:
            await self.process.wait()


async def test_what_was_acknowledged_survives_random_kills(tmp_path: Path) -> None:
    service, draw = Process(tmp_path), random.Random(7)
    acknowledged: list[tuple[str, str]] = []
    for round_ in range(4):
        await service.start()
        async with AsyncFoliotraceClient(service.url) as client:
            for number in range(2):
                name = f"{round_}-{number}.txt"
                pages = "\x0c".join(f"slow {name} {page}" for page in range(6))
                upload = await client.upload([(name, pages.encode())])
                acknowledged.append((upload.accepted[0].job.id, upload.accepted[0].document.id))
            await asyncio.sleep(draw.choice([0, 0, 0.1, 0.4]))
        await service.kill()
    await service.start()
    async with AsyncFoliotraceClient(service.url) as client:
        for job_id, document_id in acknowledged:
            async for event in client.follow(job_id):
                last = event
            assert (last.name, last.value["status"]) == ("end", "completed")
            document = await client.document(document_id)
            assert (document.status, document.pages_stored, document.chunks) == ("ready", 6, 6)
        assert len((await client.documents()).documents) == len(acknowledged)
    await service.kill()


async def test_a_file_that_kills_the_process_is_given_up(tmp_path: Path) -> None:
    service = Process(tmp_path)
    await service.start()
    async with AsyncFoliotraceClient(service.url) as client:
        with suppress(Unreachable):
            await client.upload([("die.txt", b"die")])
    await service.ended()
    for _ in range(6):
        await service.start(may_die=True)  # it resumes the job that kills it
        await asyncio.sleep(0.2)
    async with AsyncFoliotraceClient(service.url) as client:
        job = (await client.jobs()).jobs[0]
        assert (job.status, job.problem) == ("failed", "job_crashed_repeatedly")
    await service.kill()
