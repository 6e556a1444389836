"""Rotation of files and keys, retention, and checkpoints that leave the box."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.audit.log_reading import OpenLog, all_records, events, fill, judge, kinds

from foliotrace_audit import (
    Alarm,
    AlarmKind,
    AuditKeys,
    AuditKeyUnusable,
    AuditWriter,
    Checkpoint,
    CheckpointUnreadable,
    Entry,
    read_keys,
    write_new_keys,
)
from foliotrace_audit.chain import link
from foliotrace_audit.checkpoint import read_checkpoint
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus
from foliotrace_audit.write.writer import rotate_keys


class SetClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


def settle(writer: AuditWriter) -> None:
    """Append until the writer thread has gone through its upkeep."""
    for _ in range(3):
        writer.wait_durable(writer.append(Entry(event="admin_received")), timeout_s=10)


def test_a_file_is_sealed_and_followed_after_an_hour(open_log: OpenLog, tmp_path: Path) -> None:
    clock = SetClock()
    writer = open_log(clock=clock)
    settle(writer)
    clock.advance(minutes=61)
    settle(writer)
    writer.close()
    seals = [r for r in all_records(tmp_path / "log") if r["event"] == "segment.sealed"]
    assert [(seal["segment"], seal["final"]) for seal in seals] == [(0, False), (1, True)]
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_checkpoints_come_after_a_minute_and_reach_every_sink(
    open_log: OpenLog, tmp_path: Path
) -> None:
    clock = SetClock()
    sent: list[Checkpoint] = []
    writer = open_log(clock=clock, on_checkpoint=sent.append)
    settle(writer)
    clock.advance(seconds=61)
    settle(writer)
    writer.close()
    lines = [checkpoint.line for checkpoint in sent]
    assert [checkpoint.final for checkpoint in sent] == [False, False, True]
    assert [c.prev for c in sent[1:]] == [c.digest() for c in sent[:-1]]
    assert (tmp_path / "outside" / f"{writer.stream}.jsonl").read_text().splitlines() == lines
    local = tmp_path / "log" / writer.stream / "checkpoints.jsonl"
    assert local.read_text().splitlines() == lines
    assert [read_checkpoint(line.encode()) for line in lines] == sent


def test_a_sink_that_fails_raises_an_alarm_and_stops_nobody(
    open_log: OpenLog, tmp_path: Path
) -> None:
    alarms: list[Alarm] = []

    def broken(checkpoint: Checkpoint) -> None:
        raise ConnectionError("collector is gone")

    (tmp_path / "outside").mkdir()
    writer = open_log(on_checkpoint=broken, on_alarm=alarms.append)
    (tmp_path / "outside" / f"{writer.stream}.jsonl").unlink()
    (tmp_path / "outside" / f"{writer.stream}.jsonl").mkdir()
    fill(writer, 3)
    writer.close()
    details = [alarm.detail for alarm in alarms if alarm.kind is AlarmKind.CHECKPOINT_FAILED]
    assert "callback: ConnectionError" in details
    assert any("Is a directory" in detail for detail in details)
    assert len(all_records(tmp_path / "log")) == 8


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"v":1', b"\xff", b'{"stream":1}'])
def test_what_is_no_checkpoint_is_refused(line: bytes) -> None:
    with pytest.raises(CheckpointUnreadable):
        read_checkpoint(line)


def test_new_keys_are_announced_taken_up_and_verified(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    writer = open_log()
    old_id, old_hash = writer.hash_query("acme", "question")
    fill(writer, 3)
    new = write_new_keys(tmp_path / "keys", dev_key=False)
    writer.use_keys(new)
    new_id, new_hash = writer.hash_query("acme", "question")
    fill(writer, 3)
    writer.close()
    assert (old_id, new_id) == (keys.query.id, new.query.id)
    assert old_hash != new_hash
    [rotated] = [r for r in all_records(tmp_path / "log") if r["event"] == "key.rotated"]
    assert rotated["old"]["chain"] == keys.chain.id
    assert rotated["new"]["chain"] == new.chain.id
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_a_running_writer_takes_up_rotated_keys_by_itself(
    open_log: OpenLog, tmp_path: Path
) -> None:
    clock = SetClock()
    writer = open_log(clock=clock, reload_keys=lambda: read_keys(tmp_path / "keys"))
    settle(writer)
    new = rotate_keys(tmp_path / "keys", tmp_path / "log", checkpoint_folder=tmp_path / "outside")
    clock.advance(seconds=61)
    settle(writer)
    assert writer.hash_query("acme", "question")[0] == new.query.id
    writer.close()
    assert events(tmp_path / "log").count("key.rotated") == 2
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_keys_that_became_unusable_raise_an_alarm_and_the_old_ones_stay(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    clock, alarms = SetClock(), list[Alarm]()
    writer = open_log(
        clock=clock, on_alarm=alarms.append, reload_keys=lambda: read_keys(tmp_path / "keys")
    )
    (tmp_path / "keys" / f"{keys.chain.id}.key").write_text("00" * 32)
    settle(writer)
    clock.advance(seconds=61)
    settle(writer)
    assert [alarm.kind for alarm in alarms] == [AlarmKind.KEYS_UNUSABLE]
    assert writer.hash_query("acme", "question")[0] == keys.query.id


def test_a_file_under_an_unannounced_key_is_found(
    open_log: OpenLog, keys: AuditKeys, tmp_path: Path
) -> None:
    writer = open_log({"segment_bytes": 2_000})
    for _ in range(4):
        fill(writer, 2)
        settle(writer)
    writer.close()
    other = write_new_keys(tmp_path / "keys", dev_key=False)
    [*_, file] = sorted((tmp_path / "log").glob("*/[0-9]*.jsonl"))
    relink(file, keys, other)
    assert TamperKind.KEY_UNANNOUNCED in kinds(judge(tmp_path))


def relink(file: Path, old: AuditKeys, new: AuditKeys) -> None:
    """Write `file` again under another chain key, as someone with a stolen key would."""
    lines = file.read_bytes().splitlines(keepends=True)
    first = all_records(file.parent.parent)[-len(lines)]
    prev, seq, forged = first["prev"].encode(), first["seq"], []
    for line in lines:
        record = b"{" + line.split(b",", 3)[3][:-75] + b"}"
        record = record.replace(old.chain.id.encode(), new.chain.id.encode())
        line, prev = link(record, seq, prev, new.chain.hmac())
        forged.append(line)
        seq += 1
    file.write_bytes(b"".join(forged))


@pytest.mark.parametrize("damage", ["missing", "changed", "not a key", "no active key"])
def test_unusable_keys_are_named(tmp_path: Path, keys: AuditKeys, damage: str) -> None:
    file = tmp_path / "keys" / f"{keys.chain.id}.key"
    match damage:
        case "missing":
            file.unlink()
        case "changed":
            file.write_text("00" * 32)
        case "not a key":
            file.write_text("hello")
        case _:
            (tmp_path / "keys" / "active.json").write_text("{}")
    with pytest.raises(AuditKeyUnusable):
        read_keys(tmp_path / "keys")


def old_log(open_log: OpenLog, tmp_path: Path) -> SetClock:
    """A closed stream with three files, sealed a day before the clock's time."""
    clock = SetClock()
    writer = open_log(clock=clock)
    for _ in range(3):
        fill(writer, 5)
        settle(writer)
        clock.advance(hours=2)
        settle(writer)
    writer.close()
    clock.advance(days=1)
    return clock


def test_retention_removes_old_files_and_the_chain_still_verifies(
    open_log: OpenLog, tmp_path: Path
) -> None:
    clock = old_log(open_log, tmp_path)
    [old] = (tmp_path / "log").iterdir()
    writer = open_log({"retention_s": 3600.0}, clock=clock)
    settle(writer)
    writer.close()
    assert list(old.glob("[0-9]*.jsonl")) == []
    assert {stat.S_IMODE(f.stat().st_mode) for f in old.glob("*.expired")} == {0o600}
    assert events(tmp_path / "log").count("segment.expired") == len(list(old.glob("*.expired")))
    verdict = judge(tmp_path)
    assert verdict.status() is VerdictStatus.SOUND
    assert "segment 0 was removed by retention" in verdict.streams[0].notes


def test_retention_keeps_what_is_young_and_removes_within_its_own_stream(
    open_log: OpenLog, tmp_path: Path
) -> None:
    clock = SetClock()
    writer = open_log({"retention_s": 3 * 3600.0}, clock=clock)
    for _ in range(5):
        fill(writer, 5)
        settle(writer)
        clock.advance(hours=2)
        settle(writer)
    writer.close()
    kept = sorted(int(f.stem) for f in (tmp_path / "log" / writer.stream).glob("[0-9]*.jsonl"))
    assert kept[0] > 0
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert judge(tmp_path).status() is VerdictStatus.SOUND


def test_a_removed_file_cannot_pass_as_expired(open_log: OpenLog, tmp_path: Path) -> None:
    clock = old_log(open_log, tmp_path)
    writer = open_log({"retention_s": 3600.0}, clock=clock)
    settle(writer)
    writer.close()
    tombstone = next((tmp_path / "log").glob("*/0001.expired"))
    content = tombstone.read_bytes()
    tombstone.unlink()
    assert TamperKind.MISSING_SEGMENT in kinds(judge(tmp_path))
    tombstone.write_bytes(content.replace(b'"first_seq":', b'"first_seq":1'))
    assert TamperKind.MISSING_SEGMENT in kinds(judge(tmp_path))
    tombstone.write_bytes((tombstone.with_name("0000.expired")).read_bytes())
    assert judge(tmp_path).status() is VerdictStatus.TAMPERED


def test_retention_does_not_touch_what_it_cannot_prove(open_log: OpenLog, tmp_path: Path) -> None:
    clock = old_log(open_log, tmp_path)
    file = next((tmp_path / "log").glob("*/0000.jsonl"))
    file.write_bytes(file.read_bytes().replace(b'"segment":0', b'"segment":1'))
    alarms: list[Alarm] = []
    settle(open_log({"retention_s": 3600.0}, clock=clock, on_alarm=alarms.append))
    assert file.exists()
    assert [alarm.kind for alarm in alarms] == [AlarmKind.RETENTION_FAILED]
