"""CPU of small text files through the durable path: `foliotrace ingest` of a folder, and REST.

`python -m bench.small_files [--files 300 4000]`. `folder`: the command, embedded, in a process of
its own; the CPU of all its processes, less that of the same command on one file. `rest`: a served
process takes the same files one upload a request; `alone` with one client, `four` with four (the
server's limit); the CPU of the server and its parsers from the first upload to the end of the last
job. `threads`: the threads of the server that took most of it. `profile_ms_each`: where the event
loop of the command spends it, under cProfile, which makes all of it dearer.
`calibration_ms` is a fixed loop, so that figures of a noisy machine can be compared.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from bench.record import save

COMMAND = "python -m bench.small_files"
PORT = 24_131
VOCABULARY = (
    "revenue cost margin report section table figure growth market product service customer net"
    " total quarter year annual change increase decrease operating income expense asset liability"
    " river castle bridge winter garden library engine window paper station"
)
WORDS = VOCABULARY.split()
_MAIN = "import sys; from foliotrace_server.cli import main; main()"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def text_of(number: int, words: int = 120) -> str:
    """A note of so many words in sentences, unlike every other."""
    draw = random.Random(number)
    sentences = []
    while words > 0:
        chosen = [draw.choice(WORDS) for _ in range(min(words, draw.randrange(8, 16)))]
        words -= len(chosen)
        sentences.append(" ".join(chosen).capitalize() + ".")
    return f"Note {number}\n\n{' '.join(sentences)}\n"


def write_files(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"note-{number:05}.txt").write_text(text_of(number))
    return folder


def command(data: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", _MAIN, "--data-dir", str(data), *words]


def environment() -> dict[str, str]:
    """As a new installation has it, but for the log."""
    quiet = {"FOLIOTRACE_LOG__LEVEL": "error"}
    return {"PATH": os.defpath, "HOME": tempfile.gettempdir(), **quiet}


def ingest_cpu_s(files: Path, data: Path) -> float:
    """CPU of `foliotrace ingest` of a folder, with the processes it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command(data, "ingest", str(files)), env=environment(), check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def folder(work: Path, counts: Sequence[int]) -> dict[str, float]:
    one = write_files(work / "one", 1)
    start_s = statistics.median(ingest_cpu_s(one, work / f"start-{n}") for n in range(3))
    figures = {"command_of_one_file_cpu_s": round(start_s, 2)}
    for count in counts:
        cpu_s = ingest_cpu_s(write_files(work / f"files-{count}", count), work / f"data-{count}")
        each_ms = 1000 * (cpu_s - start_s) / (count - 1)
        figures[f"{count}_files_cpu_ms_each"] = round(each_ms, 2)
    return figures


PROFILED = {
    "receive and store the originals": "receive",
    "register documents and jobs": "upload",
    "group: all": "execute",
    "group: parser call": "_read",
    "group: chunk and identify": "_chunked",
    "group: keyword index": "catch_up",
    "group: complete the jobs": "_completed",
    "report ended runs": "report",
    "audit records": "_audit",
    "command line: upload and look": "_send",
}
"""What is measured -> the function of ours whose time it is."""
_PROFILE = """
import cProfile, json, pstats, sys, time
from foliotrace_server.cli import main
profile = cProfile.Profile(time.thread_time)
profile.enable()
try:
    main(sys.argv[2:])
except SystemExit:
    pass
profile.disable()
spent = {}
for (file, _, name), (_, _, _, seconds, _) in pstats.Stats(profile).stats.items():
    if "foliotrace" in file:
        spent[name] = max(seconds, spent.get(name, 0.0))
json.dump(spent, open(sys.argv[1], "w"))
"""


def profile(work: Path, count: int) -> dict[str, float]:
    """ms a file of the event loop in each of PROFILED, under cProfile; they overlap."""
    spent = work / "profile.json"
    words = ["--data-dir", str(work / "profiled"), "ingest", str(work / f"files-{count}")]
    subprocess.run(
        [sys.executable, "-c", _PROFILE, str(spent), *words],
        env=environment(),
        check=True,
        capture_output=True,
    )
    seconds = json.loads(spent.read_text())
    return {what: round(1000 * seconds[name] / count, 2) for what, name in PROFILED.items()}


def _cpu_s(stat: str) -> float:
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def tree_cpu_s(pid: int) -> float:
    """CPU of a process and its children, which live on."""
    total = _cpu_s(Path(f"/proc/{pid}/stat").read_text())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return total + sum(_cpu_s(Path(f"/proc/{child}/stat").read_text()) for child in children)


def threads_cpu_s(pid: int) -> dict[str, float]:
    used: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        stat = (task / "stat").read_text()
        name = (
            "event loop" if task.name == str(pid) else stat[stat.index("(") + 1 : stat.rindex(")")]
        )
        used[name] = used.get(name, 0.0) + _cpu_s(stat)
    return used


def served(work: Path, data: Path) -> subprocess.Popen[bytes]:
    words = command(data, "serve", "--port", str(PORT))
    with (work / "server.log").open("ab") as log:
        return subprocess.Popen(words, env=environment(), stdout=log, stderr=log)


async def rest(work: Path, count: int, clients: int) -> dict[str, object]:
    """Single uploads over HTTP, `clients` at a time."""
    server = served(work, work / f"rest-{clients}")
    url = f"http://127.0.0.1:{PORT}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            await _until_ready(http)
            await _upload(http, count)  # the parser has started, everything is imported
            await _until_done(http)
            cpu_s, threads = tree_cpu_s(server.pid), threads_cpu_s(server.pid)
            waits = await _upload_all(http, range(count), clients)
            await _until_done(http)
            used_s = tree_cpu_s(server.pid) - cpu_s
            by_thread = {
                name: round(1000 * (after - threads.get(name, 0.0)) / count, 2)
                for name, after in threads_cpu_s(server.pid).items()
            }
    finally:
        server.terminate()
        server.wait()
    most = sorted(by_thread.items(), key=lambda item: -item[1])[:5]
    return {
        "files": count,
        "cpu_ms_each": round(1000 * used_s / count, 2),
        "answered_ms_p50": round(1000 * statistics.median(waits), 1),
        "threads_ms_each": dict(most),
    }


async def _until_ready(http: httpx.AsyncClient) -> None:
    while True:
        try:
            if (await http.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)


async def _upload(http: httpx.AsyncClient, number: int) -> None:
    file = (f"note-{number:05}.txt", text_of(number).encode())
    while True:
        answer = await http.post("/v1/documents", files={"file": file})
        if answer.status_code != 429:
            answer.raise_for_status()
            return
        await asyncio.sleep(0.2)


async def _upload_all(http: httpx.AsyncClient, numbers: Sequence[int], clients: int) -> list[float]:
    queue, waits = iter(numbers), list[float]()

    async def client() -> None:
        for number in queue:
            began_s = time.perf_counter()
            await _upload(http, number)
            waits.append(time.perf_counter() - began_s)

    await asyncio.gather(*(client() for _ in range(clients)))
    return waits


async def _until_done(http: httpx.AsyncClient) -> None:
    unfinished = {"unfinished": "true", "limit": "1"}
    while True:
        if not (await http.get("/v1/jobs", params=unfinished)).json()["jobs"]:
            return
        await asyncio.sleep(0.25)


def calibration_ms() -> float:
    began_s = time.process_time()
    sum(n * n % 7 for n in range(1_000_000))
    return round(1000 * (time.process_time() - began_s), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[300, 4000])
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        figures: dict[str, object] = {
            "calibration_ms": calibration_ms(),
            "load_average": round(os.getloadavg()[0], 1),
            "folder": folder(work, chosen.files),
            "rest_alone": asyncio.run(rest(work, min(chosen.files), 1)),
            "rest_four": asyncio.run(rest(work, min(chosen.files), 4)),
            "profile_ms_each": profile(work, max(chosen.files)),
        }
    print(json.dumps(figures, indent=1))
    if not chosen.no_record:
        words = " ".join(["", *sys.argv[1:]]).rstrip()
        save("small_files", figures, command=COMMAND + words)


if __name__ == "__main__":
    main()
