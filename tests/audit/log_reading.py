"""What the audit tests read and write logs with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foliotrace_audit import AuditWriter
from foliotrace_audit.record import EVENTS

OpenLog = Callable[..., AuditWriter]


def all_records(log: Path) -> list[dict[str, Any]]:
    """Every stored record, by stream and segment."""
    lines = [
        line for f in sorted(log.glob("*/[0-9]*.jsonl")) for line in f.read_bytes().split(b"\n")
    ]
    return [json.loads(line) for line in lines if line]


def audit_records(log: Path) -> list[dict[str, Any]]:
    """Those that are about work, not about the log itself."""
    return [record for record in all_records(log) if record["event"] in EVENTS]


def events(log: Path) -> list[str]:
    """The event of every stored record."""
    return [record["event"] for record in all_records(log)]
