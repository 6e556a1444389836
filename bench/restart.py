"""How fast the service is ready after a kill, and how fast it goes on; for a quiet machine.

A library of `--documents` notes. Again and again: kill it with jobs under way, start it, wait until
it is ready. Then, in turns, a backlog of extractions drains after a kill, and an equal one that
nobody interrupts. Beside the times stand CPU seconds, which other programs disturb less: compare
those where the load average of the record is above 1.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import httpx

from bench.kill import SCHEMA, empty_queue, queue_depth, spread
from bench.record import conclude
from bench.service_process import FailedStart, Service

CLIENTS = 8
READY_GOAL_S = 3.0
DRAIN_GOAL = 0.9
QUIET_LOAD = 1.0


class Restarts:
    """One data folder, killed and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.service = Service(folder / "data", port, {})
        self._number = 0
        self.ready_s: list[float] = []
        self.ready_cpu_s: list[float] = []

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.service.url, timeout=60)

    async def start(self, http: httpx.AsyncClient) -> None:
        began_s = time.monotonic()
        self.service.spawn()
        await self.service.ready(http)
        self.ready_s.append(time.monotonic() - began_s)
        self.ready_cpu_s.append(self.service.cpu_s())

    async def upload(self, http: httpx.AsyncClient, count: int) -> str:
        """Upload so many notes; the id of the last one."""

        async def some(names: Sequence[int]) -> str:
            document = ""
            for number in names:
                text = f"# Note {number}\n\nThe canary of this note is bird{number}."
                content = {"file": (f"{number}.md", text.encode())}
                answer = await http.post("/v1/documents", files=content)
                while answer.status_code == 429:
                    await asyncio.sleep(0.1)
                    answer = await http.post("/v1/documents", files=content)
                document = answer.raise_for_status().json()["accepted"][0]["document"]["id"]
            return document

        numbers = range(self._number, self._number + count)
        self._number += count
        shares = [numbers[each::CLIENTS] for each in range(CLIENTS)]
        return (await asyncio.gather(*map(some, shares)))[0]

    async def queue(self, http: httpx.AsyncClient, document: str, jobs: int) -> None:
        """Ask for so many extractions, fewer if the queue is full."""

        async def ask(count: int) -> None:
            asked = {"document_id": document, "schema": SCHEMA}
            for _ in range(count):
                answer = await http.post("/v1/extractions", json=asked)
                if answer.status_code == 429:
                    return
                answer.raise_for_status()

        await asyncio.gather(*(ask(jobs // CLIENTS) for _ in range(CLIENTS)))

    async def drained(self, http: httpx.AsyncClient) -> tuple[float, float]:
        """(jobs a second, CPU milliseconds a job) from now until the queue is empty."""
        began_s, cpu_s, jobs = time.monotonic(), self.service.cpu_s(), await queue_depth(http)
        await empty_queue(http)
        passed_s, used_s = time.monotonic() - began_s, self.service.cpu_s() - cpu_s
        return jobs / passed_s, 1000 * used_s / max(jobs, 1)


async def measure(
    folder: Path, *, documents: int, starts: int, rounds: int, backlog: int, port: int
) -> dict[str, object]:
    """The figures. Raises FailedStart."""
    run = Restarts(folder, port)
    after_kill, undisturbed = list[tuple[float, float]](), list[tuple[float, float]]()
    try:
        async with run.client() as http:
            await run.start(http)
            document = await run.upload(http, documents)
            await run.drained(http)
            run.ready_s.clear()
            run.ready_cpu_s.clear()
            for _ in range(starts):
                await run.queue(http, document, 2 * CLIENTS)
                run.service.kill()
                await run.start(http)
            await run.drained(http)
            ready, ready_cpu = spread(run.ready_s), spread(run.ready_cpu_s)
            for _ in range(rounds):
                await run.queue(http, document, backlog)
                undisturbed.append(await run.drained(http))
                await run.queue(http, document, backlog)
                run.service.kill()
                await run.start(http)
                after_kill.append(await run.drained(http))
    finally:
        run.service.kill()
    rates = [median(rate for rate, _ in each) for each in (after_kill, undisturbed)]
    costs = [median(cost for _, cost in each) for each in (after_kill, undisturbed)]
    return {
        "documents": documents,
        "ready_s": ready,
        "ready_cpu_s": ready_cpu,
        "drained_jobs_per_s": {"after_a_kill": round(rates[0], 1), "else": round(rates[1], 1)},
        "drain_ratio": round(rates[0] / rates[1], 2),
        "cpu_ms_per_job": {"after_a_kill": round(costs[0], 1), "else": round(costs[1], 1)},
        "cpu_ratio": round(costs[0] / costs[1], 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def missed(figures: dict[str, object], load_before: float) -> list[str]:
    """The goals that the figures miss; nothing where other programs were at work."""
    if load_before > QUIET_LOAD:
        return []
    ready, ratio = figures["ready_s"], figures["drain_ratio"]
    assert isinstance(ready, dict)
    assert isinstance(ratio, float)
    late = [f"ready after {ready['p99']} s"] if ready["p99"] >= READY_GOAL_S else []
    return late + ([f"drains at {ratio} of the rate"] if ratio < DRAIN_GOAL else [])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backlog", type=int, default=400)
    parser.add_argument("--port", type=int, default=24_119)
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(
                measure(
                    Path(folder),
                    documents=chosen.documents,
                    starts=chosen.starts,
                    rounds=chosen.rounds,
                    backlog=chosen.backlog,
                    port=chosen.port,
                )
            )
    except FailedStart as error:
        raise SystemExit(f"a start failed: {error}") from error
    figures["load_average_before"] = round(load, 1)
    conclude("restart", figures, missed(figures, load), recorded=not chosen.no_record)


if __name__ == "__main__":
    main()
