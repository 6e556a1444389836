"""LlamaCloud requests for each file when many files are parsed, against the fake LlamaCloud.

`python -m bench.cloud_calls --files 500 --seconds 10`

Two runs at the same time, each against a fake of its own: jobs asked for one by one, and together
(`adapters/llamacloud/job_statuses.py`). Both keep the documented rates.
"""

import argparse
import asyncio
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.llamacloud import FakeLlamaCloud, Pace, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.job_statuses import JobStatuses
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline, SourceFile
from foliotrace.settings import LlamaCloudSettings

_REQUEST = {"tier": "fast", "version": "2026-06-15"}
_LIMIT_S = 3600.0


class _OneByOne(JobStatuses):
    """Leaves every job to be asked for by itself."""

    async def of(self, job_id: str) -> str | None:
        return None


async def parse_all(
    cloud: FakeLlamaCloud, folder: Path, files: int, at_once: int, *, together: bool
) -> None:
    """Buy and fetch one parse job for each of `files` files."""
    clock = SystemClock()
    access = CloudAccess(api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url))
    journal = PurchaseJournal(folder / "intents.db", clock=clock)
    gateway = CloudGateway(access, journal, clock=clock)
    if not together:
        gateway._parse_statuses = _OneByOne("parse", lambda: gateway.client, {}, clock=clock)
    slots = asyncio.Semaphore(at_once)
    deadline = Deadline(clock.monotonic_s() + _LIMIT_S)

    async def one(number: int) -> None:
        async with slots:
            source = _source(folder, number)
            key = f"parse-{number}"
            file_id = await gateway.upload("acme", source, deadline)
            request = {**_REQUEST, "file_id": file_id}
            job_id = await gateway.buy_parse("acme", key, request, deadline)
            await gateway.parsed("acme", key, job_id, deadline, expand=["items", "text"])

    try:
        await asyncio.gather(*(one(number) for number in range(files)))
    finally:
        await gateway.aclose()
        journal.close()


def _source(folder: Path, number: int) -> SourceFile:
    content = f"Order {number} was delivered to dock {number % 7}.".encode()
    path = folder / f"{number}.txt"
    path.write_bytes(content)
    return SourceFile(
        path=path,
        name=path.name,
        media_type="text/plain",
        content_hash=sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def measure(files: int, seconds: float, at_once: int, *, together: bool) -> str:
    """The requests of one run, as a line of text."""
    with (
        TemporaryDirectory() as folder,
        running_fake_llamacloud(pace=Pace(seconds=seconds)) as fake,
    ):
        begun = time.monotonic()
        asyncio.run(parse_all(fake, Path(folder), files, at_once, together=together))
        took_s = time.monotonic() - begun
        counted = fake.requests.counts()
        name = "together  " if together else "one by one"
        each = ", ".join(f"{endpoint} {n}" for endpoint, n in sorted(counted.items()))
        return (
            f"{name}: {sum(counted.values()) / files:.2f} requests a file, {took_s:.0f} s, "
            f"{fake.billing.jobs()} jobs billed ({each})"
        )


async def _both(files: int, seconds: float, at_once: int) -> list[str]:
    runs = (
        asyncio.to_thread(measure, files, seconds, at_once, together=together)
        for together in (False, True)
    )
    return await asyncio.gather(*runs)


def main() -> None:
    """Print both runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each job takes")
    parser.add_argument("--at-once", type=int, default=32, help="jobs that are waited for")
    arguments = parser.parse_args()
    for line in asyncio.run(_both(arguments.files, arguments.seconds, arguments.at_once)):
        print(line)


if __name__ == "__main__":
    main()
