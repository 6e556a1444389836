"""Upload hostile files to a running service while somebody asks it questions.

Empty, cut, mutated and wrongly named files of every format, bombs and depth: what does the server
process grow by, and how much longer do questions take than on the idle service beside it? Every
file must end in pages or in a code; an error of the service's own fails the run.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import httpx

from bench.mixed_files import huge, sources, variants
from bench.record import conclude
from bench.service_process import Service

DOCUMENTS = [
    (f.name, f.read_bytes())
    for f in sorted(Path(__file__).parents[1].joinpath("examples", "documents").iterdir())
]
QUESTIONS = ("What is the notice period?", "Who must be told of an incident?", "What is the fee?")
UPLOADERS = 4
IDLE_QUESTIONS = 200
OWN_FAULTS = {"internal_error"}
GROWTH_GOAL_MB, SLOWDOWN_GOAL = 50.0, 2.0


def hostile_files(count: int) -> Iterator[tuple[str, bytes]]:
    """`count` of them: the bombs first, then the variants of each source in turn."""
    bombs = [(name, content) for name, content, _ in huge()]
    rows = [list(variants(name, content))[1:] for name, content in sources()]
    turns = ((name, content) for turn in zip(*rows, strict=False) for _, name, content in turn)
    yield from islice((*bombs, *turns), count)


class Asking:
    """One client that asks one question after the other, each a little different."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._number = 0
        self.errors = Counter[str]()

    async def once(self) -> float:
        """Seconds that the answer took."""
        self._number += 1
        question = f"{QUESTIONS[self._number % len(QUESTIONS)]} (case {self._number})"
        began_s = time.monotonic()
        answer = await self._http.post("/v1/query", json={"query": question})
        if answer.status_code != 200:
            self.errors[str(answer.status_code)] += 1
        return time.monotonic() - began_s

    async def until(self, done: asyncio.Event) -> list[float]:
        taken = []
        while not done.is_set():
            taken.append(await self.once())
        return taken


async def upload_all(http: httpx.AsyncClient, files: Sequence[tuple[str, bytes]]) -> Counter[str]:
    """How each file ended: a status of its job or the code that refused it."""
    waiting = list(reversed(files))
    outcomes = Counter[str]()

    async def upload() -> None:
        while waiting:
            name, content = waiting.pop()
            outcomes[await _outcome(http, name, content)] += 1

    await asyncio.gather(*(upload() for _ in range(UPLOADERS)))
    return outcomes


async def _outcome(http: httpx.AsyncClient, name: str, content: bytes) -> str:
    answer = await http.post("/v1/documents", files={"file": (name, content)})
    while answer.status_code == 429:
        await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
        answer = await http.post("/v1/documents", files={"file": (name, content)})
    body = answer.json()
    if not body.get("accepted"):
        return str(body.get("code") or body["refused"][0]["code"])
    job_id = body["accepted"][0]["job"]["id"]
    while True:
        job = (await http.get(f"/v1/jobs/{job_id}")).json()
        if job["status"] in ("completed", "failed", "cancelled"):
            return str(job["problem"] or job["status"])
        await asyncio.sleep(0.2)


async def measure(folder: Path, count: int, *, port: int) -> dict[str, object]:
    """The figures of one run."""
    service = Service(folder / "data", port, {"FOLIOTRACE_QUERY__CACHE_TTL_S": "0"})
    service.spawn()
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=120) as http:
            await service.ready(http)
            for name, content in DOCUMENTS:
                await _outcome(http, name, content)
            asking = Asking(http)
            for _ in range(IDLE_QUESTIONS // 4):
                await asking.once()
            idle = [await asking.once() for _ in range(IDLE_QUESTIONS)]
            before_mb, peak_mb, done = service.rss_mb(), service.rss_mb(), asyncio.Event()
            files = list(hostile_files(count))
            questions = asyncio.create_task(asking.until(done))
            uploads = asyncio.create_task(upload_all(http, files))
            while not uploads.done():
                peak_mb = max(peak_mb, service.rss_mb())
                await asyncio.sleep(0.1)
            done.set()
            meanwhile, outcomes = await questions, await uploads
        service.stop()
    finally:
        service.kill()
    return {
        "files": len(files),
        "outcomes": dict(outcomes.most_common()),
        "server_grew_mb": round(peak_mb - before_mb, 1),
        "question_ms_idle": _spread_ms(idle),
        "question_ms_meanwhile": _spread_ms(meanwhile),
        "question_p99_over_idle": round(_at(meanwhile, 0.99) / _at(idle, 0.99), 2),
        "question_errors": dict(asking.errors),
        "load_average": os.getloadavg()[0],
    }


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def _spread_ms(values: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "p50": round(statistics.median(values) * 1000, 1),
        "p99": round(_at(values, 0.99) * 1000, 1),
    }


def broken(figures: dict[str, object]) -> list[str]:
    """The promises that the figures break; times are reported only, machines differ."""
    outcomes = figures["outcomes"]
    assert isinstance(outcomes, dict)
    wrong = [f"{code}: {outcomes[code]} files" for code in OWN_FAULTS if code in outcomes]
    if figures["question_errors"]:
        wrong.append(f"questions failed: {figures['question_errors']}")
    if float(str(figures["server_grew_mb"])) > GROWTH_GOAL_MB:
        wrong.append(f"the server grew by {figures['server_grew_mb']} MB")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--port", type=int, default=24_119)
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), chosen.files, port=chosen.port))
    conclude("hostile", figures, broken(figures), recorded=not chosen.no_record)


if __name__ == "__main__":
    main()
