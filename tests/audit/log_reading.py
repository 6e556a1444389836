"""What the audit tests read and write logs with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from foliotrace_audit import AuditWriter, Entry
from foliotrace_audit.record import EVENTS
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import TamperKind, Verdict

OpenLog = Callable[..., AuditWriter]


def all_records(log: Path) -> list[dict[str, Any]]:
    """Every whole record, by stream and segment; what a writer or a kill left half is none."""
    lines = [
        line
        for file in sorted(log.glob("*/[0-9]*.jsonl"))
        for line in file.read_bytes().split(b"\n")[:-1]
    ]
    return [json.loads(line) for line in lines]


def audit_records(log: Path) -> list[dict[str, Any]]:
    """Those that are about work, not about the log itself."""
    return [record for record in all_records(log) if record["event"] in EVENTS]


def events(log: Path) -> list[str]:
    """The event of every stored record."""
    return [record["event"] for record in all_records(log)]


def fill(writer: AuditWriter, count: int) -> None:
    """Append `count` pairs of records, the second ones long enough to differ in length."""
    for i in range(count):
        key_id, query_hash = writer.hash_query("acme", f"question {i}")
        entry = Entry(
            event="query_received",
            run_id=f"run-{i}",
            tenant="acme",
            user_id=f"user-{i % 3}",
            query_hash=query_hash,
            key_id=key_id,
        )
        writer.append(entry, trace_id=f"{i:032x}")
        done = replace(
            entry, event="query_completed", success=True, response_length=i, document_ids=(f"d{i}",)
        )
        writer.append(done, trace_id=f"{i:032x}")


def judge(root: Path, *, outside: Path | None = None, keys: Path | None = None) -> Verdict:
    """Verify `root/log` with `root/keys` and the checkpoints in `root/outside`."""
    evidence = read_evidence(
        root / "log",
        key_folder=keys or root / "keys",
        public_keys=[],
        checkpoints=[outside or root / "outside"],
    )
    return verify_log(root / "log", evidence, jobs=1)


def kinds(verdict: Verdict) -> list[TamperKind]:
    """The kinds of tampering found, in order."""
    return [finding.kind for finding in verdict.findings]
