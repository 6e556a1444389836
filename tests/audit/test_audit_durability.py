"""Nothing acknowledged is lost, whatever is killed; a full disk is never silent."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.audit.log_reading import OpenLog, all_records, audit_records, events, fill, judge, kinds

from foliotrace_audit import (
    DROPPED,
    Alarm,
    AlarmKind,
    AuditClosed,
    AuditKeys,
    AuditWriteFailed,
    Durability,
    Entry,
)
from foliotrace_audit import files as audit_files
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus

RECEIVED = Entry(event="query_received", run_id="run")
COMPLETED = Entry(event="query_completed", run_id="run", success=True)

WRITER = """
import sys, anyio
from pathlib import Path
from foliotrace_audit import AuditWriterSettings, AuditWriter, Durability, Entry, read_keys
root, durability = Path(sys.argv[1]), Durability(sys.argv[2])
settings = AuditWriterSettings(
    durability=durability, checkpoint_folder=root / "outside",
    segment_bytes=int(sys.argv[3]), checkpoint_records=50,
)
writer = AuditWriter.open(root / "log", read_keys(root / "keys"), settings)

async def work(worker):
    for i in range(1_000_000):
        run_id = f"{worker}-{i}"
        await writer.write(Entry(event="query_received", run_id=run_id))
        sys.stdout.write(run_id + "\\n")
        sys.stdout.flush()
        await writer.write(Entry(event="query_completed", run_id=run_id, success=True))

async def main():
    async with anyio.create_task_group() as group:
        for worker in range(8):
            group.start_soon(work, worker)

anyio.run(main)
"""


def start_writer(
    root: Path, durability: Durability, segment_bytes: int = 30_000
) -> "subprocess.Popen[str]":
    arguments = [str(root), durability, str(segment_bytes)]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    """Every whole line the process wrote until it was killed, at least `lines`."""
    assert process.stdout is not None
    read = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    read += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    return [line.strip() for line in read if line.endswith("\n")]


def test_kill_9_under_load_loses_nothing_that_strict_acknowledged(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    for lines in (1, 150, 400):
        acknowledged = kill_after(start_writer(tmp_path, Durability.STRICT), lines)
        begun = {
            r["run_id"] for r in audit_records(tmp_path / "log") if r["event"] == "query_received"
        }
        assert set(acknowledged) <= begun
        assert len(acknowledged) >= lines
    open_log().close()
    verdict = judge(tmp_path)
    assert (verdict.findings, verdict.status()) == ((), VerdictStatus.SOUND)
    assert events(tmp_path / "log").count("tail.recovered") == 3


def test_a_torn_tail_is_kept_beside_its_file_and_recorded(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    # one segment: a kill between a seal and the next file would leave nothing to tear
    kill_after(start_writer(tmp_path, Durability.GROUP, segment_bytes=1 << 30), 100)
    last = sorted((tmp_path / "log").glob("*/[0-9]*.jsonl"))[-1]
    torn = last.read_bytes().rpartition(b"\n")[2] + b'{"v":1,"seq":'  # the kill may have torn too
    with last.open("ab") as file:
        file.write(b'{"v":1,"seq":')
    assert judge(tmp_path).status() is VerdictStatus.UNPROVEN
    alarms: list[Alarm] = []
    open_log(on_alarm=alarms.append).close()
    assert [alarm.kind for alarm in alarms] == [AlarmKind.STREAM_RECOVERED]
    assert last.with_suffix(".torn").read_bytes() == torn
    [recovered] = [r for r in all_records(tmp_path / "log") if r["event"] == "tail.recovered"]
    assert recovered["torn_bytes"] == len(torn)
    assert judge(tmp_path).status() is VerdictStatus.SOUND
    last.with_suffix(".torn").unlink()
    assert kinds(judge(tmp_path)) == [TamperKind.EVIDENCE_REMOVED]


@pytest.mark.parametrize("keep", ["nothing", "half of the first record", "up to a seal"])
def test_a_crash_at_any_point_of_a_files_life_can_be_recovered(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path, keep: str
) -> None:
    kill_after(start_writer(tmp_path, Durability.STRICT), 200)
    *_, sealed, last = sorted((tmp_path / "log").glob("*/[0-9]*.jsonl"))
    assert b"segment.sealed" in sealed.read_bytes()
    if keep == "up to a seal":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[: 40 if keep.startswith("half") else 0])
    for file in [*(tmp_path / "outside").iterdir(), last.parent / "checkpoints.jsonl"]:
        about_sealed = f'"segment":{int(last.stem)},'.encode()
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(line for line in lines if about_sealed not in line))
    open_log().close()
    verdict = judge(tmp_path)
    assert (verdict.findings, verdict.status()) == ((), VerdictStatus.SOUND)


def test_a_crashed_stream_that_was_tampered_with_is_not_sealed_over(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    kill_after(start_writer(tmp_path, Durability.GROUP), 50)
    files = sorted((tmp_path / "log").glob("*/[0-9]*.jsonl"))
    last = next(file for file in reversed(files) if b"\n" in file.read_bytes())
    whole, _, torn = last.read_bytes().rpartition(b"\n")  # the kill may have torn the last record
    *before, end = whole.splitlines(keepends=True)
    assert b'"timestamp":"2' in end
    edited = end.replace(b'"timestamp":"2', b'"timestamp":"1')
    last.write_bytes(b"".join([*before, edited, b"\n", torn]))
    alarms: list[Alarm] = []
    open_log(on_alarm=alarms.append).close()
    assert [alarm.kind for alarm in alarms] == [AlarmKind.STREAM_NOT_RECOVERED]
    assert judge(tmp_path).status() is VerdictStatus.TAMPERED


def test_living_streams_of_other_processes_are_left_alone(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    process = start_writer(tmp_path, Durability.GROUP)
    assert process.stdout is not None
    process.stdout.readline()
    open_log().close()
    assert "tail.recovered" not in events(tmp_path / "log")
    kill_after(process, 1)


def test_processes_write_side_by_side(keys: AuditKeys, tmp_path: Path) -> None:
    processes = [start_writer(tmp_path, Durability.GROUP) for _ in range(3)]
    acknowledged = [kill_after(process, 50) for process in processes]
    verdict = judge(tmp_path)
    assert len(verdict.streams) == 3
    assert verdict.findings == ()
    assert all(len(lines) >= 50 for lines in acknowledged)


def test_threads_share_one_chain(open_log: OpenLog, tmp_path: Path) -> None:
    writer = open_log({"segment_bytes": 20_000})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fill(writer, 50), range(8)))
    writer.close()
    assert len(audit_records(tmp_path / "log")) == 800
    assert judge(tmp_path).status() is VerdictStatus.SOUND


@pytest.mark.anyio
@pytest.mark.parametrize("durability", list(Durability))
async def test_durable_returns_once_the_record_can_be_read_back(
    open_log: OpenLog, tmp_path: Path, durability: Durability
) -> None:
    writer = open_log({"durability": durability})

    async def work(i: int) -> None:
        seq = await writer.write(Entry(event="query_received", run_id=str(i)))
        if durability is not Durability.STRICT:
            await writer.durable(seq)
        stored = {r["run_id"] for r in audit_records(tmp_path / "log")}
        assert str(i) in stored

    async with anyio.create_task_group() as group:
        for i in range(20):
            group.start_soon(work, i)


@pytest.mark.anyio
async def test_a_cancelled_waiter_harms_nobody(open_log: OpenLog) -> None:
    writer = open_log()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writer.durable(writer.append(RECEIVED))
    await writer.durable(writer.append(COMPLETED))


def test_an_event_loop_that_ends_while_it_waits_harms_nobody(
    open_log: OpenLog, tmp_path: Path
) -> None:
    alarms = Alarms()
    writer = open_log({"linger_ms": 300.0}, on_alarm=alarms)

    async def give_up() -> None:
        with anyio.move_on_after(0.01):
            seq = writer.append(RECEIVED)
            await writer.durable(seq + 1)

    anyio.run(give_up)
    writer.wait_durable(writer.append(COMPLETED), timeout_s=10)
    writer.wait_durable(writer.append(COMPLETED), timeout_s=10)
    assert len(audit_records(tmp_path / "log")) == 3


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """A disk that is full: writes beyond `size_bytes` fail with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def fill_disk(writer: Any, alarms: "Alarms") -> None:
    """Append until the writer noticed that the disk is full."""
    while not alarms.seen(AlarmKind.WRITE_FAILED).wait(0.001):
        try:
            writer.append(COMPLETED)
        except AuditWriteFailed:
            return


class Alarms:
    """Collects alarms; `seen(kind)` is set once one of that kind came."""

    def __init__(self) -> None:
        self.all: list[Alarm] = []
        self._seen = {kind: threading.Event() for kind in AlarmKind}

    def __call__(self, alarm: Alarm) -> None:
        self.all.append(alarm)
        self._seen[alarm.kind].set()

    def seen(self, kind: AlarmKind) -> threading.Event:
        return self._seen[kind]


def test_a_full_disk_refuses_new_work_and_keeps_the_ends_of_begun_work(
    open_log: OpenLog, tmp_path: Path
) -> None:
    alarms = Alarms()
    writer = open_log({"retry_s": 0.01, "disk_full": "refuse"}, on_alarm=alarms)
    fill(writer, 5)
    with file_size_limit(8_000):
        fill_disk(writer, alarms)
        with pytest.raises(AuditWriteFailed, match="File too large"):
            writer.append(RECEIVED)
        kept = writer.append(Entry(event="query_failed", run_id="kept"))
        with pytest.raises(AuditWriteFailed):
            writer.wait_durable(kept, timeout_s=10)
    assert alarms.seen(AlarmKind.WRITE_RECOVERED).wait(10)
    writer.wait_durable(writer.append(RECEIVED), timeout_s=10)
    writer.close()
    assert "kept" in {r["run_id"] for r in audit_records(tmp_path / "log")}
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_a_full_disk_under_policy_continue_counts_what_it_drops(
    open_log: OpenLog, tmp_path: Path
) -> None:
    alarms = Alarms()
    settings = {"retry_s": 0.01, "disk_full": "continue", "buffered_records": 30}
    writer = open_log(settings, on_alarm=alarms)
    with file_size_limit(4_000):
        fill_disk(writer, alarms)
        while writer.append(RECEIVED) != DROPPED:
            pass
        assert [writer.append(RECEIVED) for _ in range(4)] == [DROPPED] * 4
        writer.wait_durable(writer.append(RECEIVED), timeout_s=10)
    assert alarms.seen(AlarmKind.WRITE_RECOVERED).wait(10)
    writer.close()
    lost = [r["count"] for r in all_records(tmp_path / "log") if r["event"] == "records.lost"]
    assert sum(lost) >= 5
    verdict = judge(tmp_path)
    assert verdict.status() is VerdictStatus.SOUND
    assert any("records lost" in note for note in verdict.streams[0].notes)


def test_a_failing_sync_is_retried_without_repeating_or_losing_a_record(
    open_log: OpenLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = Alarms()
    writer = open_log({"retry_s": 0.01}, on_alarm=alarms)

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(audit_files, "_sync_to_disk", broken)
    writer.append(Entry(event="query_received", run_id="once"))
    assert alarms.seen(AlarmKind.WRITE_FAILED).wait(10)
    monkeypatch.setattr(audit_files, "_sync_to_disk", os.fsync)
    assert alarms.seen(AlarmKind.WRITE_RECOVERED).wait(10)
    writer.close()
    assert [r["run_id"] for r in audit_records(tmp_path / "log")] == ["once"]
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_a_log_that_cannot_be_written_is_refused_at_start(
    open_log: OpenLog, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("a file, not a folder")
    with pytest.raises(AuditWriteFailed, match="cannot open the audit log"):
        open_log()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # the point
def test_a_forked_child_cannot_write_its_parents_stream(open_log: OpenLog, tmp_path: Path) -> None:
    writer = open_log()
    child = os.fork()
    if child == 0:
        try:
            writer.append(RECEIVED)
        except AuditClosed:
            writer.close()
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    writer.append(RECEIVED)
    writer.close()
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_an_alarm_callback_that_fails_is_logged_and_ends_nothing(
    open_log: OpenLog, caplog: pytest.LogCaptureFixture
) -> None:
    alarms = Alarms()

    def broken(alarm: Alarm) -> None:
        alarms(alarm)
        raise RuntimeError("pager is down")

    writer = open_log({"retry_s": 0.01}, on_alarm=broken)
    with file_size_limit(2_000):
        fill_disk(writer, alarms)
    assert alarms.seen(AlarmKind.WRITE_RECOVERED).wait(10)
    writer.wait_durable(writer.append(COMPLETED), timeout_s=10)
    assert "audit.alarm_not_delivered" in caplog.text


def test_a_clock_set_back_does_not_stop_checkpoints(open_log: OpenLog) -> None:
    now = [datetime(2026, 11, 21, tzinfo=UTC)]
    sent = threading.Semaphore(0)
    writer = open_log(clock=lambda: now[0], on_checkpoint=lambda checkpoint: sent.release())
    assert sent.acquire(timeout=10)
    now[0] -= timedelta(days=365)
    writer.append(COMPLETED)
    assert sent.acquire(timeout=10)
