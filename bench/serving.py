"""The service as a process: CPU of a question over HTTP, cold start, idle memory, installed size.

Everything is on (limits, audit, metrics, spans without an exporter, cache writes), no question is
asked twice unless it says so, a language model of zero latency cites five passages of about 2,000
chunks. CPU is the server's user and system time. `--peers FOLDER` (their venvs, made by the
`setup.sh` of `../shared/bench/peers`) measures them afterwards in the same run with their own
harness.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.environments import install, make_environment, size_mb
from bench.record import save

COMMAND = "python -m bench.serving"
ROOT = Path(__file__).parent.parent
PEERS = ROOT.parent / "shared" / "bench" / "peers"
PEER_NAMES = ("hayhooks-const-off", "li-fastapi-off", "agents-mem-off")
CHUNKS = 2000
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SERVE = """
import sys
from bench.query_cost import Instant
from foliotrace_server.external.models import Models
from foliotrace_server.cli import main
Models._order = lambda self: (Instant(),)
main(sys.argv[1:])
"""


class Served:
    """One service process on `folder`."""

    def __init__(self, folder: Path, port: int, *, instant_llm: bool) -> None:
        code = (
            SERVE if instant_llm else "import sys; from foliotrace_server.cli import main; main()"
        )
        env = {"PATH": os.defpath, "HOME": str(folder), "FOLIOTRACE_LOG__LEVEL": "error"}
        if instant_llm:
            env |= {"FOLIOTRACE_LLM__PROVIDER": "openai", "FOLIOTRACE_LLM__MODEL": "instant-1"}
            env |= {"OPENAI_API_KEY": "unused", "PYTHONPATH": str(ROOT)}
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--data-dir", str(folder), "serve", "--port", str(port)],
            env=env,
            cwd=folder,
        )

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    @property
    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def ready(self, limit_s: float = 60.0) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise TimeoutError("the service is not ready")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def cold_start(folder: Path, times: int = 5) -> dict[str, float]:
    """Seconds from exec to /readyz, and CPU spent till then: medians; memory when idle."""
    walls, cpus, rss = [], [], 0.0
    for number in range(times):
        begun = time.monotonic()
        service = Served(folder, 18500 + number, instant_llm=False)
        service.ready()
        walls.append(time.monotonic() - begun)
        cpus.append(service.cpu_s)
        rss = service.rss_mb
        service.stop()
    return {
        "to_ready_s": round(statistics.median(walls), 2),
        "to_ready_best_s": round(min(walls), 2),
        "cpu_s": round(statistics.median(cpus), 2),
        "idle_rss_mb": round(rss, 1),
    }


def corpus(folder: Path, seed: int = 7) -> list[str]:
    """About CHUNKS chunks of pseudo-sentences in one text file; and the words to ask about."""
    draw = random.Random(seed)
    words = [
        "".join(draw.choices("bcdfghklmnprstvaeiou", k=draw.randint(4, 9))) for _ in range(6000)
    ]
    paragraphs = []
    for _ in range(CHUNKS * 4):
        sentences = (" ".join(draw.choices(words, k=12)).capitalize() + "." for _ in range(4))
        paragraphs.append(" ".join(sentences))
    (folder / "corpus.txt").write_text("\n\n".join(paragraphs))
    return words


async def asked(
    service: Served, words: list[str], count: int, at_once: int, seed: int, *, same: bool = False
) -> dict[str, float]:
    """CPU and wall milliseconds of `count` questions, `at_once` at a time."""
    draw = random.Random(seed)
    questions = [" ".join(draw.choices(words, k=8)) for _ in range(count)]
    times: list[float] = []
    modes: dict[str, int] = {}
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        queue = iter([questions[0]] * count if same else questions)

        async def ask() -> None:
            for question in queue:
                begun = time.monotonic()
                answer = await client.post("/v1/query", json={"query": question})
                times.append(time.monotonic() - begun)
                assert answer.status_code == 200, answer.text
                body = answer.json()
                modes[body["answer_mode"]] = modes.get(body["answer_mode"], 0) + 1

        before_s = service.cpu_s
        await asyncio.gather(*(ask() for _ in range(at_once)))
        spent_s = service.cpu_s - before_s
    times.sort()
    return {
        "cpu_ms": round(spent_s / count * 1e3, 3),
        "p50_ms": round(times[len(times) // 2] * 1e3, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1e3, 2),
        "generated": modes.get("generated", 0),
        "asked": count,
    }


async def questions(folder: Path, count: int) -> dict[str, object]:
    words = corpus(folder)
    service = Served(folder, 18600, instant_llm=True)
    try:
        service.ready()
        async with httpx.AsyncClient(base_url=service.url, timeout=120) as client:
            files = {"file": ("corpus.txt", (folder / "corpus.txt").read_bytes())}
            job = (await client.post("/v1/documents", files=files)).json()["accepted"][0]["job"]
            async with client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
                async for _ in events.aiter_lines():
                    pass
            found = (await client.get(f"/v1/jobs/{job['id']}")).json()
        await asked(service, words, count // 2, 4, seed=1)
        return {
            "chunks": found["chunks"],
            "unique_c1": await asked(service, words, count, 1, seed=2),
            "unique_c16": await asked(service, words, count, 16, seed=3),
            "cache_hits_c1": await asked(service, words, count, 1, seed=4, same=True),
            "rss_after_mb": round(service.rss_mb, 1),
        }
    finally:
        service.stop()


def installed_mb() -> float:
    """Size of the default lock in a fresh environment, without bytecode."""
    with tempfile.TemporaryDirectory() as folder:
        lock = str(ROOT / "requirements" / "default.lock")
        python = make_environment(Path(folder) / "venv")
        install(python, "--require-hashes", "-r", lock).check_returncode()
        return size_mb(Path(folder))


def peers(venvs: Path) -> list[dict[str, object]]:
    """The peers' own harness on the same machine, right after ours."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        subprocess.run(
            [
                sys.executable,
                str(PEERS / "run.py"),
                "--venvs",
                str(venvs),
                "--data",
                str(venvs / "data"),
                "--only",
                ",".join(PEER_NAMES),
                "--dur",
                "8",
                "--conc",
                "1,16",
                "--repeat",
                "1",
                "--out",
                str(out),
            ],
            check=True,
        )
        return [json.loads(line) for line in out.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--peers", type=Path)
    given = parser.parse_args()
    figures: dict[str, object] = {"load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        figures["cold_start"] = cold_start(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        figures["questions"] = asyncio.run(questions(Path(folder), given.queries))
    figures["installed_mb"] = installed_mb()
    print(json.dumps(figures, indent=1))
    if given.peers is not None:
        figures["peers"] = [
            {
                key: row[key]
                for key in ("peer", "name", "cold_query_s", "rss_idle_mb", "c1", "c16")
                if key in row
            }
            for row in peers(given.peers)
        ]
    save("serving", figures, command=COMMAND + (" --peers" if given.peers else ""))


if __name__ == "__main__":
    main()
