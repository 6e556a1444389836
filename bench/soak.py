"""Half an hour of ordinary work: does the service leak, err or forget?

Clients ask, upload, ask about what they uploaded, extract from it and delete the oldest again, so
that the library stays about as large as it was. Memory and open files of the server process are
sampled; the slope of the memory is taken after the first third, when caches are full. At the end
every job is accounted for and the audit log is verified under keys made for this run.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median

import httpx

from bench.record import conclude
from bench.service_process import Service

CLIENTS = 4
KEPT_DOCUMENTS = 40  # of each client
PAUSE_S = 0.05
SAMPLE_EVERY_S = 1.0
FINAL = ("completed", "failed", "cancelled")
SLOPE_GOAL_MB = 1.0  # a minute
SCHEMA = {"type": "object", "properties": {"fee": {"type": "string"}}}


@dataclass
class Work:
    """What the clients did and what went wrong."""

    done: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, str] = field(default_factory=dict)
    samples: list[tuple[float, float, int]] = field(default_factory=list)


class Client:
    """One client's round: upload, wait, ask, extract, delete."""

    def __init__(self, http: httpx.AsyncClient, number: int, work: Work) -> None:
        self._http, self._number, self._work = http, number, work
        self._documents: deque[str] = deque()
        self._round = 0

    async def until(self, end_s: float) -> None:
        while time.monotonic() < end_s:
            await self.round()
            await asyncio.sleep(PAUSE_S)

    async def round(self) -> None:
        self._round += 1
        boat = f"boat{self._number}x{self._round}"
        text = f"# Berth of {boat}\n\nThe fee of {boat} is {self._round} euros a month.\n" * 3
        answer = await self._send(
            "upload", "POST", "/v1/documents", files={"file": (f"{boat}.md", text.encode())}
        )
        if answer is None:
            return
        accepted = answer.json()["accepted"][0]
        await self._wait(accepted["job"]["id"])
        self._documents.append(accepted["document"]["id"])
        for question in (f"What is the fee of {boat}?", "Which berth is free?"):
            await self._send("question", "POST", "/v1/query", json={"query": question})
        if self._round % 5 == 0:
            asked = {"document_id": self._documents[-1], "schema": SCHEMA}
            job = await self._send("extraction", "POST", "/v1/extractions", json=asked)
            if job is not None:
                await self._wait(job.json()["id"])
        if len(self._documents) > KEPT_DOCUMENTS:
            oldest = self._documents.popleft()
            await self._send("deletion", "DELETE", f"/v1/documents/{oldest}")

    async def _wait(self, job_id: str) -> None:
        self._work.jobs[job_id] = "accepted"
        while self._work.jobs[job_id] not in FINAL:
            answer = await self._send("look at a job", "GET", f"/v1/jobs/{job_id}")
            if answer is None:
                return
            self._work.jobs[job_id] = answer.json()["status"]
            await asyncio.sleep(PAUSE_S)

    async def _send(
        self, what: str, method: str, path: str, **content: object
    ) -> httpx.Response | None:
        """The answer; None, counted, if it is an error. A 429 is waited out."""
        while True:
            answer = await self._http.request(method, path, **content)  # type: ignore[arg-type]
            if answer.status_code != 429:
                break
            self._work.done["waited for a 429"] += 1
            await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
        if answer.is_error:
            self._work.errors[f"{what}: {answer.status_code}"] += 1
            return None
        self._work.done[what] += 1
        return answer


async def measure(folder: Path, minutes: float, *, port: int) -> dict[str, object]:
    """The figures of one run."""
    data = folder / "data"
    keys = ("rotate-key", "--keys", str(data / "audit-keys"), "--log", str(data / "audit"))
    if code := _foliotrace(folder, data, "audit", *keys):
        raise SystemExit(f"audit rotate-key ended with exit code {code}")
    service, work = Service(data, port, {"FOLIOTRACE_QUERY__CACHE_TTL_S": "5"}), Work()
    service.spawn()
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            await service.ready(http)
            end_s = time.monotonic() + minutes * 60
            clients = [Client(http, number, work) for number in range(CLIENTS)]
            sampling = asyncio.create_task(_sample(service, work))
            await asyncio.gather(*(client.until(end_s) for client in clients))
            sampling.cancel()
        service.stop()
    finally:
        service.kill()
    return {
        "minutes": minutes,
        **_memory(work.samples),
        "done": dict(work.done),
        "errors": dict(work.errors),
        "jobs": len(work.jobs),
        "jobs_not_completed": sum(status != "completed" for status in work.jobs.values()),
        "audit_verify_exit_code": _foliotrace(folder, data, "audit", "verify"),
        "load_average": os.getloadavg()[0],
    }


async def _sample(service: Service, work: Work) -> None:
    while True:
        work.samples.append((time.monotonic() / 60, service.rss_mb(), service.open_files()))
        await asyncio.sleep(SAMPLE_EVERY_S)


def _memory(samples: Sequence[tuple[float, float, int]]) -> dict[str, object]:
    settled = samples[len(samples) // 3 :]
    tenth = max(1, len(settled) // 10)
    return {
        "rss_mb_at_the_start": round(samples[0][1], 1),
        "rss_mb_at_the_end": round(samples[-1][1], 1),
        "rss_mb_per_minute": _slope(settled),
        "rss_mb_per_minute_in_the_last_third": _slope(samples[len(samples) * 2 // 3 :]),
        "open_files_after_a_third": median(s[2] for s in settled[:tenth]),
        "open_files_at_the_end": median(s[2] for s in settled[-tenth:]),
    }


def _slope(samples: Sequence[tuple[float, float, int]]) -> float:
    """MB a minute: a bounded cache that fills up makes it smaller with time, a leak does not."""
    return round(linear_regression([s[0] for s in samples], [s[1] for s in samples]).slope, 2)


def _foliotrace(folder: Path, data: Path, *words: str) -> int:
    command = [sys.executable, "-c", "from foliotrace_server.cli import main; main()"]
    command += ["--data-dir", str(data), *words]
    env = {"PATH": os.defpath, "HOME": str(folder), "OTEL_SDK_DISABLED": "true"}
    return subprocess.run(
        command, env=env, cwd=folder, capture_output=True, timeout=600, check=False
    ).returncode


def broken(figures: Mapping[str, object]) -> list[str]:
    """The promises that the figures break; the slope counts from five minutes on."""
    promised_none = ("errors", "jobs_not_completed")
    wrong = [f"{name}: {figures[name]}" for name in promised_none if figures[name]]
    if figures["audit_verify_exit_code"]:
        wrong.append(f"audit verify exits {figures['audit_verify_exit_code']}")
    before, after = figures["open_files_after_a_third"], figures["open_files_at_the_end"]
    if float(str(after)) > float(str(before)) + 5:
        wrong.append(f"open files: {before} to {after}")
    slope = float(str(figures["rss_mb_per_minute"]))
    if float(str(figures["minutes"])) >= 5 and slope >= SLOPE_GOAL_MB:
        wrong.append(f"memory grows by {slope} MB a minute")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--port", type=int, default=24_121)
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), chosen.minutes, port=chosen.port))
    conclude("soak", figures, broken(figures), recorded=not chosen.no_record)


if __name__ == "__main__":
    main()
