"""What the audit log costs a query, and how fast it is verified.

`python -m bench.audit [--records 1000000] [--queries 4000]` prints the figures and records them in
bench/results/audit.json. A "query" here is 1 ms of spinning with one record before and one after;
rounds with and without the log alternate, and the medians of the CPU they took are compared.
"""

import argparse
import hmac
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bench.record import save
from foliotrace_audit import AuditWriter, AuditWriterSettings, Durability, Entry, write_new_keys
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log

ROUNDS = 5
WORK_S = 0.001
QUESTION = "What is the notice period of the framework contract, and who may give notice?"


def work() -> None:
    """Spin on this thread's own CPU time, so that the writer's thread does not shorten the work."""
    until = time.thread_time() + WORK_S
    while time.thread_time() < until:
        pass


def query(writer: AuditWriter | None) -> None:
    if writer is None:
        work()
        return
    key_id, query_hash = writer.hash_query("acme", QUESTION)
    received = Entry(
        event="query_received",
        run_id="run-0123456789abcdef",
        tenant="acme",
        user_id="ann@example.com",
        query_hash=query_hash,
        key_id=key_id,
    )
    writer.append(received, trace_id="0" * 32)
    work()
    completed = replace(
        received,
        event="query_completed",
        success=True,
        response_length=420,
        degradation_level=0,
        model="small-1",
        tokens=1234,
        cost_usd=Decimal("0.00042"),
        document_ids=("doc-1", "doc-2", "doc-3", "doc-4", "doc-5"),
    )
    writer.append(completed, trace_id="0" * 32)


def cpu_us(queries: int, writer: AuditWriter | None) -> tuple[float, float]:
    """(process, calling thread) CPU of one query in microseconds."""
    process, thread = time.process_time(), time.thread_time()
    for _ in range(queries):
        query(writer)
    if writer is not None:
        writer.wait_durable(writer.append(Entry(event="admin_received")), timeout_s=60)
    return (
        (time.process_time() - process) / queries * 1e6,
        (time.thread_time() - thread) / queries * 1e6,
    )


def measure_cost(root: Path, queries: int) -> dict[str, object]:
    keys = write_new_keys(root / "keys", dev_key=False)
    writers: dict[str, AuditWriter | None] = {"none": None}
    for durability in (Durability.GROUP, Durability.RELAXED):
        settings = AuditWriterSettings(durability=durability)
        writers[durability] = AuditWriter.open(root / durability, keys, settings)
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in writers}
    for _ in range(ROUNDS):
        for name, writer in writers.items():
            rounds[name].append(cpu_us(queries // ROUNDS, writer))
    for writer in writers.values():
        if writer is not None:
            writer.close()
    median = {
        name: [statistics.median(values) for values in zip(*taken, strict=True)]
        for name, taken in rounds.items()
    }
    return {
        name: {
            "process_us_per_record": round((process - median["none"][0]) / 2, 1),
            "calling_thread_us_per_record": round((thread - median["none"][1]) / 2, 1),
        }
        for name, (process, thread) in median.items()
        if name != "none"
    }


def per_call_us(call: Callable[[], object], calls: int) -> float:
    started = time.thread_time()
    for _ in range(calls):
        call()
    return round((time.thread_time() - started) / calls * 1e6, 1)


def measure_strict(root: Path) -> dict[str, object]:
    """Wall time until a lone record is on the disk, beside a sync of a plain file."""
    keys = write_new_keys(root / "strict-keys", dev_key=False)
    writer = AuditWriter.open(
        root / "strict", keys, AuditWriterSettings(durability=Durability.STRICT)
    )
    waits = []
    for _ in range(200):
        started = time.perf_counter()
        writer.wait_durable(writer.append(Entry(event="query_received")), timeout_s=60)
        waits.append(time.perf_counter() - started)
    writer.close()
    bare = []
    with (root / "plain").open("ab", buffering=0) as file:
        for _ in range(200):
            started = time.perf_counter()
            file.write(b"x" * 600)
            os.fdatasync(file.fileno())
            bare.append(time.perf_counter() - started)
    return {
        "strict_wait_ms_p50": round(statistics.median(waits) * 1e3, 2),
        "plain_write_and_fdatasync_ms_p50": round(statistics.median(bare) * 1e3, 2),
    }


def plain_chain_us() -> float:
    """The obvious way, for comparison: `json.dumps`, `hmac.digest`, one write, no sync."""
    record = {
        "event": "query_received",
        "user_id": "ann",
        "query_hash": "0" * 64,
        "filler": "x" * 300,
    }
    key, state = os.urandom(32), {"prev": "0" * 64}
    with tempfile.TemporaryFile(buffering=0) as file:

        def append() -> None:
            body = json.dumps({"prev": state["prev"], **record}).encode()
            state["prev"] = hmac.digest(key, body, "sha256").hex()
            file.write(body + state["prev"].encode() + b"\n")

        return per_call_us(append, 20_000)


def measure_verify(root: Path, records: int) -> dict[str, object]:
    settings = AuditWriterSettings(
        durability=Durability.RELAXED, checkpoint_folder=root / "outside"
    )
    keys = write_new_keys(root / "verify-keys", dev_key=False)
    writer = AuditWriter.open(root / "log", keys, settings)
    key_id, query_hash = writer.hash_query("acme", QUESTION)
    entry = Entry(
        event="query_completed",
        run_id="run-0123456789abcdef",
        tenant="acme",
        user_id="ann@example.com",
        query_hash=query_hash,
        key_id=key_id,
        success=True,
        response_length=420,
        model="small-1",
        document_ids=("doc-1", "doc-2", "doc-3"),
    )
    for number in range(records):
        seq = writer.append(entry, trace_id="0" * 32)
        if number % 5000 == 0:
            writer.wait_durable(seq, timeout_s=60)
    writer.close()
    figures: dict[str, object] = {
        "records": records,
        "megabytes": sum(f.stat().st_size for f in (root / "log").glob("*/*.jsonl")) // 10**6,
    }
    for jobs in (1, os.cpu_count() or 1):
        started, cpu = time.perf_counter(), time.process_time()
        evidence = read_evidence(
            root / "log",
            key_folder=root / "verify-keys",
            public_keys=[],
            checkpoints=[root / "outside"],
        )
        verdict = verify_log(root / "log", evidence, jobs=jobs)
        figures[f"jobs_{jobs}"] = {
            "wall_s": round(time.perf_counter() - started, 2),
            "own_cpu_s": round(time.process_time() - cpu, 2),
            "records_per_s": round(verdict.records / (time.perf_counter() - started)),
            "status": verdict.status(),
        }
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--queries", type=int, default=4_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        figures = {
            "load_average_at_start": os.getloadavg()[0],
            "append": measure_cost(root, given.queries),
            "plain_json_hmac_write_us_per_record": plain_chain_us(),
            "strict": measure_strict(root),
            "verify": measure_verify(root, given.records),
        }
    print(json.dumps(figures, indent=1, default=str))
    save("audit", figures, command="python -m bench.audit", packages=("orjson", "cryptography"))


if __name__ == "__main__":
    main()
