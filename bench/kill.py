"""Kill the service with SIGKILL again and again, start-ups included, and account for every job.

Default limits, and the queue is kept full: uploads go on until the service answers 429. After each
kill the service is started again on the same data folder; a start that fails ends the run with exit
code 1. At the end every acknowledged job must have ended once: none lost, doubled or left queued,
one first and one last audit record each. How fast it is ready, and how fast a backlog drains, is
the subject of `bench.restart`, for a quiet machine: here the load decides.

The state is kept in `--folder`: run the same command again to go on where it stopped.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from bench.record import conclude
from bench.service_process import FailedStart, Service
from foliotrace_audit.verify.search import RecordFilter, find_records

UPLOADERS = 8
FINAL = ("completed", "failed", "cancelled")
SCHEMA = {"type": "object", "properties": {"canary": {"type": "string"}}}
STEP_GOAL_S = 30.0  # a job without a new step for so long is counted as stuck


@dataclass
class State:
    """What happened so far; every acknowledged job by id, with the name of its document."""

    kills: int = 0
    kills_in_start: int = 0
    refused: int = 0
    jobs: dict[str, str] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    ready_cpu_s: list[float] = field(default_factory=list)
    next_step_s: list[float] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> "State":
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def write(self, file: Path) -> None:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(file)


class KillRun:
    """Uploads, kills and starts on one data folder."""

    def __init__(
        self, folder: Path, *, port: int, seed: int, settings: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self._file = folder / "state.json"
        self.state = State.read(self._file)
        self._draw = random.Random(seed + self.state.kills)
        self.service = Service(self.data, port, settings or {})
        self._number = len(self.state.jobs) + self.state.kills * 1000

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.service.url, timeout=30)

    async def round(self) -> None:
        """Start, upload until a random moment, kill; every third time during the start-up."""
        interrupted = self._running_jobs()
        in_start = self.state.kills % 3 == 2
        began_s = time.monotonic()
        self.service.spawn()
        async with self.client() as http:
            if in_start:
                usual_s = statistics.median(self.state.ready_s or [1.0])
                await asyncio.sleep(self._draw.uniform(0.0, 1.2 * usual_s))
                self.service.raise_if_ended()
            else:
                await self.service.ready(http)
                self.state.ready_s.append(time.monotonic() - began_s)
                self.state.ready_cpu_s.append(self.service.cpu_s())
                watching = asyncio.gather(
                    *(self._watch_step(http, job, stamp) for job, stamp in interrupted.items())
                )
                await self._upload_for(http, self._draw.uniform(0.0, 3.0))
                with suppress(httpx.TransportError):
                    await watching
                self.service.raise_if_ended()
        self.service.kill()
        self.state.kills += 1
        self.state.kills_in_start += in_start
        self.state.write(self._file)

    async def fill(self) -> None:
        """Upload until the queue is full."""
        self.service.spawn()
        async with self.client() as http:
            await self.service.ready(http)
            before = self.state.refused
            while self.state.refused == before:
                await asyncio.gather(*(self._upload(http) for _ in range(UPLOADERS)))
        self.service.kill()
        self.state.write(self._file)

    async def drain(self) -> None:
        """Start a last time, and wait until nothing is unfinished."""
        self.service.spawn()
        async with self.client() as http:
            await self.service.ready(http)
            await empty_queue(http)

    async def account(self) -> dict[str, object]:
        """What became of every acknowledged job; the service is running."""
        lost, stuck, outcomes = [], [], Counter[str]()
        async with self.client() as http:
            for job_id in self.state.jobs:
                answer = await http.get(f"/v1/jobs/{job_id}")
                status = answer.json().get("status") if answer.status_code == 200 else None
                outcomes[str(status)] += 1
                if status is None:
                    lost.append(job_id)
                elif status not in FINAL:
                    stuck.append(job_id)
            names = [document["name"] async for document in _documents(http)]
        served = Counter(names)
        missing = {name for name in self.state.jobs.values() if not served[name]}
        twice = [name for name, count in served.items() if count > 1]
        twice += [key for key, ids in self.state.keys.items() if len(set(ids)) > 1]
        return {
            "acknowledged": len(self.state.jobs),
            "refused_by_a_full_queue": self.state.refused,
            "outcomes": dict(outcomes),
            "lost": len(lost) + len(missing),
            "doubled": len(twice) + self._doubled_chunks(),
            "queued_for_ever": len(stuck),
            **self._audit_ends(),
        }

    def _doubled_chunks(self) -> int:
        with closing(sqlite3.connect(self.data / "library.db")) as library:
            sql = "SELECT count(*) FROM (SELECT 1 FROM chunks GROUP BY text HAVING count(*) > 1)"
            return int(library.execute(sql).fetchone()[0])

    def _audit_ends(self) -> dict[str, int]:
        """How many jobs have not exactly one first and one last audit record."""
        first, last = Counter[str](), Counter[str]()
        for record in find_records(self.data / "audit", RecordFilter()):
            counter = first if record["event"].endswith("_received") else last
            counter[record.get("run_id", "")] += 1
        jobs = self.state.jobs
        return {
            "audit_without_end": sum(1 for job in jobs if last[job] == 0),
            "audit_with_two_ends": sum(1 for job in jobs if last[job] > 1),
            "audit_without_beginning": sum(1 for job in jobs if first[job] == 0),
            "audit_with_two_beginnings": sum(1 for job in jobs if first[job] > 1),
        }

    def _running_jobs(self) -> dict[str, str]:
        """The jobs that the kill interrupted, with the time of their last step.

        Read from a copy: whoever opens the file itself would change its write-ahead log.
        """
        if not (self.data / "library.db").exists():
            return {}
        with tempfile.TemporaryDirectory() as copies:
            for path in self.data.glob("library.db*"):
                if not path.name.endswith("-shm"):
                    shutil.copy(path, copies)
            with closing(sqlite3.connect(Path(copies, "library.db"))) as library:
                sql = "SELECT id, updated_at FROM jobs WHERE status = 'running'"
                with suppress(sqlite3.OperationalError):  # killed before it made the tables
                    return dict(library.execute(sql).fetchall())
        return {}

    async def _watch_step(self, http: httpx.AsyncClient, job_id: str, stamp: str) -> None:
        """Record the time from readiness until an interrupted job commits its next step."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < STEP_GOAL_S:
            job = (await http.get(f"/v1/jobs/{job_id}")).json()
            if job.get("updated_at") != stamp:
                break
            await asyncio.sleep(0.05)
        self.state.next_step_s.append(time.monotonic() - began_s)

    async def _upload_for(self, http: httpx.AsyncClient, seconds: float) -> None:
        until_s = time.monotonic() + seconds

        async def upload() -> None:
            while time.monotonic() < until_s:
                if not await self._upload(http):
                    await asyncio.sleep(0.05)  # the queue is full: try for the next place

        with suppress(httpx.TransportError):
            await asyncio.gather(*(upload() for _ in range(UPLOADERS)))

    async def _upload(self, http: httpx.AsyncClient) -> bool:
        """Upload a document, sometimes with a key and twice; sometimes extract from it too."""
        self._number += 1
        number = self._number
        name, text = f"{number}.md", f"# Note {number}\n\nThe canary of this note is bird{number}."
        key = f"key-{number}" if number % 2 else None
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(2 if key and number % 10 == 1 else 1):
            answer = await http.post(
                "/v1/documents", files={"file": (name, text.encode())}, headers=headers
            )
            if answer.status_code == 429:
                self.state.refused += 1
                return False
            accepted = answer.raise_for_status().json()["accepted"][0]
            self.state.jobs[accepted["job"]["id"]] = name
            if key:
                self.state.keys.setdefault(key, []).append(accepted["job"]["id"])
        if number % 4 == 0:
            document = accepted["document"]["id"]
            asked = {"document_id": document, "schema": SCHEMA}
            answer = await http.post("/v1/extractions", json=asked)
            if answer.status_code == 202:
                self.state.jobs[answer.json()["id"]] = name
        return True


async def _documents(http: httpx.AsyncClient) -> AsyncIterator[dict[str, str]]:
    after: dict[str, str] = {}
    while True:
        page = (await http.get("/v1/documents", params={"limit": "100", **after})).json()
        for document in page["documents"]:
            yield document
        if not page.get("next"):
            return
        after = {"after": page["next"]}


async def empty_queue(http: httpx.AsyncClient) -> None:
    """Return once every job has ended."""
    depth = await queue_depth(http)
    while depth:
        await asyncio.sleep(0.1)
        depth = await queue_depth(http)


async def queue_depth(http: httpx.AsyncClient) -> int:
    """Jobs that have not ended."""
    for line in (await http.get("/metrics")).text.splitlines():
        if line.startswith("foliotrace_queue_depth") and 'queue="jobs"' in line:
            return int(float(line.rpartition(" ")[2]))
    raise AssertionError("no queue depth in /metrics")


async def run_kills(
    folder: Path, kills: int, *, port: int, seed: int = 1, settings: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Go on until `kills` were done, then drain and account. Raises FailedStart."""
    run = KillRun(folder, port=port, seed=seed, settings=settings)
    try:
        if not run.state.kills:
            await run.fill()
        while run.state.kills < kills:
            await run.round()
            if run.state.kills % 10 == 0:
                print(f"{run.state.kills} kills, {len(run.state.jobs)} jobs", file=sys.stderr)
        await run.drain()
        figures = await run.account()
    finally:
        run.service.kill()
    state = run.state
    return {
        "kills": state.kills,
        "kills_in_start_up": state.kills_in_start,
        "failed_starts": 0,
        **figures,
        "ready_s": spread(state.ready_s),
        "ready_cpu_s": spread(state.ready_cpu_s),
        "next_step_s": spread(state.next_step_s),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Number, median, 99th percentile and maximum."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    return {
        "n": len(ordered),
        **{name: round(ordered[round(share * last)], 2) for name, share in at.items()},
    }


def broken(figures: Mapping[str, object]) -> list[str]:
    """The promises that the figures break."""
    zero = ["lost", "doubled", "queued_for_ever", *(n for n in figures if n.startswith("audit_"))]
    return [f"{name}: {figures[name]}" for name in zero if figures[name]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "bench-kill"))
    parser.add_argument("--port", type=int, default=24_117)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    try:
        figures = asyncio.run(
            run_kills(chosen.folder, chosen.kills, port=chosen.port, seed=chosen.seed)
        )
    except FailedStart as error:
        raise SystemExit(f"a start failed: {error}") from error
    figures["load_average"] = os.getloadavg()[0]
    conclude("kill", figures, broken(figures), recorded=not chosen.no_record)


if __name__ == "__main__":
    main()
