"""Upload runs to a fake LangSmith: what is lost and doubled under faults and kills, and how fast.

`loss`: 20,000 runs; half of all requests end in 503, 429, a reset or a lost reply, and the upload
is killed with SIGKILL at random, then run again until it says it is done. Beside it, the SDK's own
`RunTree` loop under the same faults, without kills. `speed`: the same file through that loop and
through ours, in turn, without faults; file reading and flush included, imports not. Both talk to an
endpoint that only accepts, in a process of its own: it must not be what is measured. The ratio is
the median of each round's. `far`: the same, each request answered 50 ms later, as over a network.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.fakes.langsmith import MULTIPART, FakeLangSmith, running_fake_langsmith
from tests.fakes.wire import Fault

from bench.accepting_ingest import accepting_ingest, received
from bench.record import save
from foliotrace_loop.langsmith.ingest import LangSmithIngest
from foliotrace_loop.langsmith.wire import LangSmithApi, backoff_s
from foliotrace_loop.traces.generate import TraceSynthesis, generate
from foliotrace_loop.traces.journal import Journal
from foliotrace_loop.traces.records import file_hash, read_runs
from foliotrace_loop.traces.upload import Pace, Uploader

COMMAND = "python -m bench.upload"
PROJECT = "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--speed-runs", type=int, default=4000)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(timed(CLIENTS[options.client], options.file, options.url)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "loss": {
                "ours": loss(Path(folder), options.runs, options.kills),
                "runtree": runtree_loss(Path(folder), 1000),
            },
            "speed": speed(Path(folder), options.speed_runs, options.rounds),
            "far": speed(Path(folder), options.speed_runs, options.rounds, delay_s=0.05),
        }
    print(json.dumps(figures, indent=1))
    save("upload", figures, command=" ".join([COMMAND, *sys.argv[1:]]), packages=("langsmith",))


def write_runs(file: Path, count: int) -> int:
    """At least `count` runs, shuffled by trace and within it; how many."""
    runs: list[dict[str, Any]] = []
    for each in generate(TraceSynthesis(traces=count, seed=1)):
        if each["parent_run_id"] is None and len(runs) >= count:
            break
        runs.append(each)
    random.Random(1).shuffle(runs)
    file.write_text("".join(json.dumps(each) + "\n" for each in runs))
    return len(runs)


def half_of_requests_fail(fake: FakeLangSmith) -> None:
    """503, 429, a reset and a lost reply, one in eight each of all requests: half fail."""
    remaining = 1.0
    kinds = (Fault.unavailable, Fault.rate_limited(0.02), Fault.reset_before_work)
    for seed, fault in enumerate((*kinds, Fault.reset_after_work)):
        fake.fail(MULTIPART, fault, probability=0.125 / remaining, seed=seed)
        remaining -= 0.125


def loss(folder: Path, count: int, kills: int) -> dict[str, object]:
    file = folder / "runs.jsonl"
    runs = write_runs(file, count)
    chance = random.Random(2)
    with running_fake_langsmith() as fake:
        half_of_requests_fail(fake)
        command = [str(Path(sys.executable).with_name("foliotrace")), "--data-dir"]
        command += [str(folder / "data"), "traces", "upload", "--project", PROJECT]
        environment = {"LANGSMITH_API_KEY": fake.api_key, "LANGSMITH_ENDPOINT": fake.url}
        killed = starts = 0
        while True:
            starts += 1
            running = subprocess.Popen(
                [*command, "--input", str(file)],
                env=os.environ | environment,  # noqa: TID251 - and what the shell says
                stdout=subprocess.PIPE,
                text=True,
            )
            # By progress, not by time: each kill hits an upload that is under way.
            until = len(fake.state.runs) + chance.randrange(1, max(2, runs // (kills + 1)))
            while running.poll() is None and killed < kills:
                if len(fake.state.runs) >= until:
                    running.send_signal(signal.SIGKILL)
                    killed += 1
                    break
                time.sleep(0.005)
            said = running.communicate(timeout=600)[0]
            if running.returncode != -signal.SIGKILL:
                break
        requests = fake.requests.find(MULTIPART)
        old = [r["extra"]["metadata"]["original_run_id"] for r in fake.state.runs.values()]
        return {
            "runs": runs,
            "kills": killed,
            "starts": starts,
            "exit_code": running.returncode,
            "said": next((x for x in said.splitlines() if x.startswith("Acknowledged")), ""),
            "requests": len(requests),
            "failed_requests": sum(each.fault != "" for each in requests),
            "lost": runs - len(set(old)),
            "doubled": len(old) - len(set(old)),
            "sent_again": fake.state.receipts.total() - len(fake.state.runs),
        }


def runtree_loss(folder: Path, count: int) -> dict[str, object]:
    file = folder / "runtree.jsonl"
    runs = write_runs(file, count)
    with running_fake_langsmith() as fake:
        half_of_requests_fail(fake)
        call("runtree", file, fake.url)
        return {"runs": runs, "lost": runs - len(fake.state.runs)}


def speed(folder: Path, count: int, rounds: int, delay_s: float = 0.0) -> dict[str, object]:
    file = folder / "speed.jsonl"
    runs = write_runs(file, count)
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    for _ in range(rounds):
        for name in CLIENTS:
            with accepting_ingest(delay_s) as url:
                seconds[name].append(call(name, file, url))
                assert received(url) == runs, name
    figures: dict[str, Any] = {"runs": runs, "rounds": rounds}
    for name, each in seconds.items():
        figures[name] = {
            "runs_per_s": round(runs / statistics.median(x["wall_s"] for x in each)),
            "cpu_us_per_run": round(statistics.median(x["cpu_s"] for x in each) * 1e6 / runs),
        }
    pairs = zip(seconds["runtree"], seconds["ours"], strict=True)
    ratios = sorted(slow["wall_s"] / fast["wall_s"] for slow, fast in pairs)
    figures["ratio"] = round(statistics.median(ratios), 2)
    figures["ratios"] = [round(each, 2) for each in ratios]
    return figures


def call(client: str, file: Path, url: str) -> dict[str, float]:
    """Run one client in a process of its own; its times."""
    words = ["--client", client, "--file", str(file), "--url", url]
    done = subprocess.run(
        [sys.executable, "-m", "bench.upload", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    times: dict[str, float] = json.loads(done.stdout)
    return times


def timed(client: Callable[[Path, str], None], file: Path, url: str) -> dict[str, float]:
    import langsmith.run_trees  # noqa: F401 - imports are no part of the figure

    wall, cpu = time.perf_counter(), time.process_time()
    client(file, url)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def runtree(file: Path, url: str) -> None:
    """What people write: group by trace, parents first, `post`, and a flush at the end."""
    import langsmith
    from langsmith.run_trees import RunTree

    client = langsmith.Client(api_url=url, api_key=FakeLangSmith.api_key)
    runs = sorted(map(json.loads, file.open()), key=lambda run: run["dotted_order"])
    for _, trace in groupby(runs, key=lambda run: run["trace_id"]):
        trees: dict[str, RunTree] = {}
        for run in trace:
            known = {
                "name": run["name"],
                "run_type": run["run_type"],
                "inputs": run["inputs"],
                "start_time": datetime.fromisoformat(run["start_time"]),
                "tags": run.get("tags"),
                "extra": run.get("extra") or {},
            }
            if run["parent_run_id"] is None:
                tree = RunTree(project_name=PROJECT, ls_client=client, **known)
                root = tree
            else:
                tree = trees[run["parent_run_id"]].create_child(**known)
            end = datetime.fromisoformat(run["end_time"])
            tree.end(outputs=run["outputs"], error=run["error"], end_time=end)
            trees[run["id"]] = tree
        root.post(exclude_child_runs=False)
    client.flush()


def ours(file: Path, url: str) -> None:
    journal = Journal(file.with_name(f"{time.time_ns()}.db"))
    journal.load(read_runs(file), file_hash(file), datetime.now(UTC))
    ingest = LangSmithIngest(LangSmithApi(url, FakeLangSmith.api_key), PROJECT)
    stopped = Uploader(journal, ingest, Pace(), backoff_s=backoff_s).run()
    assert stopped is None, stopped


CLIENTS = {"runtree": runtree, "ours": ours}


if __name__ == "__main__":
    main()
