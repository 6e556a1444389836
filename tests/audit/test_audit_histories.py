"""Whatever happens to a log in whatever order, it verifies; and what was acknowledged is in it."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.audit.log_reading import audit_records, judge

from foliotrace_audit import (
    AuditWriter,
    AuditWriterSettings,
    Durability,
    Entry,
    read_keys,
    write_new_keys,
)
from foliotrace_audit.verify.verdict import VerdictStatus

STEPS = ("append", "append", "append", "hour", "minute", "rotate", "restart", "crash", "retain")


class History:
    """A log that lives through steps, and what it acknowledged in strict mode."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self.acknowledged: dict[str, datetime] = {}
        self._now = datetime(2026, 11, 21, tzinfo=UTC)
        self._chance = chance
        self._numbers = count()
        self._retention_s: float | None = None
        write_new_keys(root / "keys", dev_key=False)
        self._open()

    def _open(self) -> None:
        self._writer = AuditWriter.open(
            self.root / "log",
            read_keys(self.root / "keys"),
            AuditWriterSettings(
                durability=Durability.STRICT,
                checkpoint_folder=self.root / "outside",
                segment_bytes=4_000,
                checkpoint_records=5,
                retention_s=self._retention_s,
            ),
            clock=lambda: self._now,
        )

    def step(self, name: str) -> None:
        getattr(self, f"_{name}")()

    def _append(self) -> None:
        for _ in range(self._chance.randint(1, 8)):
            run_id = str(next(self._numbers))
            seq = self._writer.append(Entry(event="query_received", run_id=run_id))
            self._writer.wait_durable(seq, timeout_s=20)
            self.acknowledged[run_id] = self._now

    def _hour(self) -> None:
        self._now += timedelta(hours=1)
        self._append()

    def _minute(self) -> None:
        self._now += timedelta(minutes=1)

    def _rotate(self) -> None:
        self._writer.use_keys(write_new_keys(self.root / "keys", dev_key=False))

    def _restart(self) -> None:
        self.close()
        self._open()

    def _crash(self) -> None:
        """Go on in a copy made while the writer lived: no lock is held there, its end is cut."""
        snapshot = self.root.with_name(self.root.name + "c")
        self._append()
        self._append()
        shutil.copytree(self.root / "keys", snapshot / "keys")
        shutil.copytree(self.root / "outside", snapshot / "outside")
        for checkpoints in (self.root / "log").glob("*/checkpoints.jsonl"):
            stream = snapshot / "log" / checkpoints.parent.name
            stream.mkdir(parents=True, mode=0o700)
            shutil.copy(checkpoints, stream)
        newer = shutil.ignore_patterns("checkpoints.jsonl")  # a log is never behind these
        shutil.copytree(self.root / "log", snapshot / "log", ignore=newer, dirs_exist_ok=True)
        self.close()
        self.root = snapshot
        last = max((snapshot / "log" / self._writer.stream).glob("[0-9]*.jsonl"))
        if self._chance.random() < 0.5 and b"segment.sealed" not in last.read_bytes():
            with last.open("ab") as file:
                file.write(b'{"v":1,"seq":7'[: self._chance.randint(1, 14)])
        self._open()

    def _retain(self) -> None:
        self._retention_s = 7_200.0

    def close(self) -> None:
        self._writer.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12), seed=st.integers(0, 2**32))
def test_every_history_verifies_and_holds_what_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    history = History(tmp_path_factory.mktemp("history"), random.Random(seed))
    for step in steps:
        history.step(step)
    history.close()
    verdict = judge(history.root)
    assert (verdict.findings, verdict.status()) == ((), VerdictStatus.SOUND)
    kept = {record["run_id"] for record in audit_records(history.root / "log")}
    missing = set(history.acknowledged) - kept
    if "retain" not in steps:
        assert not missing
    else:
        newest = max(history.acknowledged.values(), default=None)
        assert all(newest - history.acknowledged[m] >= timedelta(hours=2) for m in missing)
