"""Someone who has the chain key writes a consistent chain: the rules beyond MACs still find it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.audit.log_reading import OpenLog, fill, judge, kinds

from foliotrace_audit import Alarm, AlarmKind, AuditKeys
from foliotrace_audit import files as audit_files
from foliotrace_audit.chain import GENESIS, link
from foliotrace_audit.control import read_tombstone, write_tombstone
from foliotrace_audit.errors import TombstoneForged
from foliotrace_audit.files import AppendFile
from foliotrace_audit.verify.verdict import TamperKind
from foliotrace_audit.write.hooks import utc_now

Segments = list[list[bytes]]


@pytest.fixture
def stream(open_log: OpenLog, tmp_path: Path, keys: AuditKeys) -> Path:
    """A closed stream of two files whose checkpoints are all lost."""
    writer = open_log()
    fill(writer, 5)
    writer.use_keys(keys)
    fill(writer, 5)
    writer.close()
    folder = tmp_path / "log" / writer.stream
    shutil.rmtree(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (folder / "checkpoints.jsonl").unlink()
    return folder


def rewrite(stream: Path, keys: AuditKeys, change: Callable[[Segments], None]) -> None:
    """Change the records of each file, then chain them all anew under the true key."""
    files = sorted(stream.glob("[0-9]*.jsonl"))
    segments = [
        [b"{" + line.split(b",", 3)[3][:-75] + b"}" for line in f.read_bytes().splitlines(True)]
        for f in files
    ]
    change(segments)
    seq, prev = 0, GENESIS
    for file, payloads in zip(files, segments, strict=True):
        lines = []
        for payload in payloads:
            line, prev = link(payload, seq, prev, keys.chain.hmac())
            lines.append(line)
            seq += 1
        file.write_bytes(b"".join(lines))


def nothing(segments: Segments) -> None:
    pass


def drop_a_record(segments: Segments) -> None:
    del segments[0][3]


def write_behind_the_seal(segments: Segments) -> None:
    segments[1].append(segments[1][3])


def drop_the_seal(segments: Segments) -> None:
    segments[0].pop()


def take_another_place(segments: Segments) -> None:
    segments[1][0] = segments[1][0].replace(b'"segment":1', b'"segment":2')


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, []),
        (drop_a_record, [TamperKind.DROPPED]),
        (write_behind_the_seal, [TamperKind.FORGED]),
        (drop_the_seal, [TamperKind.UNSEALED]),
        (take_another_place, [TamperKind.FOREIGN]),
    ],
)
def test_a_consistent_chain_must_still_be_a_proper_log(
    stream: Path,
    tmp_path: Path,
    keys: AuditKeys,
    change: Callable[[Segments], None],
    expected: list[TamperKind],
) -> None:
    rewrite(stream, keys, change)
    assert kinds(judge(tmp_path)) == expected


def test_a_file_must_follow_the_very_file_before_it(
    stream: Path, tmp_path: Path, keys: AuditKeys
) -> None:
    second = (stream / "0001.jsonl").read_bytes()
    rewrite(stream, keys, lambda s: s[0].__setitem__(2, s[0][2].replace(b"user-0", b"user-9")))
    (stream / "0001.jsonl").write_bytes(second)
    assert kinds(judge(tmp_path)) == [TamperKind.FOREIGN]


def test_a_renamed_stream_is_foreign_without_any_checkpoint(stream: Path, tmp_path: Path) -> None:
    stream.rename(stream.with_name("other-1-20260101T000000abcdef"))
    assert kinds(judge(tmp_path)) == [TamperKind.FOREIGN] * 2


def test_checkpoints_of_another_stream_and_forged_ones_are_found(
    open_log: OpenLog, tmp_path: Path
) -> None:
    names = []
    for _ in range(2):
        writer = open_log()
        writer.close()
        names.append(writer.stream)
    one, other = (tmp_path / "log" / name / "checkpoints.jsonl" for name in names)
    kept = one.read_bytes()
    one.write_bytes(kept + other.read_bytes())
    assert set(kinds(judge(tmp_path))) == {TamperKind.FOREIGN}
    one.write_bytes(kept)
    outside = tmp_path / "outside" / f"{names[0]}.jsonl"
    outside.write_bytes(outside.read_bytes().replace(names[0].encode(), b"never-1-was"))
    assert set(kinds(judge(tmp_path))) == {TamperKind.BAD_SIGNATURE}


def expired(stream: Path, keys: AuditKeys, number: int, **forged: Any) -> bytes:
    lines = (stream / f"{number:04d}.jsonl").read_bytes().splitlines(keepends=True)
    seal = forged.get("seal", lines[-1])
    return write_tombstone(stream.name, number, lines[0], seal, keys, utc_now())


def test_a_tombstone_of_another_stream_is_found(
    stream: Path, open_log: OpenLog, tmp_path: Path, keys: AuditKeys
) -> None:
    writer = open_log()
    writer.close()
    other = tmp_path / "log" / writer.stream
    (other / "0000.expired").write_bytes(expired(stream, keys, 0))
    (other / "0000.jsonl").unlink()
    assert TamperKind.FOREIGN in kinds(judge(tmp_path))


def test_a_tombstone_cannot_contradict_a_checkpoint(
    open_log: OpenLog, tmp_path: Path, keys: AuditKeys
) -> None:
    writer = open_log()
    fill(writer, 3)
    writer.close()
    stream = tmp_path / "log" / writer.stream
    rewrite(stream, keys, lambda s: s[0].__setitem__(2, s[0][2].replace(b"user-0", b"user-9")))
    (stream / "0000.expired").write_bytes(expired(stream, keys, 0))
    (stream / "0000.jsonl").unlink()
    assert set(kinds(judge(tmp_path))) == {TamperKind.CHECKPOINT_MISMATCH}


def test_a_tombstone_over_a_forged_seal_is_refused(stream: Path, keys: AuditKeys) -> None:
    seal = (stream / "0000.jsonl").read_bytes().splitlines(keepends=True)[-1]
    note = expired(stream, keys, 0, seal=seal.replace(b'"records":', b'"records":1'))
    with pytest.raises(TombstoneForged, match="the seal is not authentic"):
        read_tombstone(note, keys.all_chain)
    with pytest.raises(TombstoneForged, match="no holder"):
        read_tombstone(
            expired(stream, keys, 0).replace(b'"first_seq":', b'"first_seq":1'), keys.all_chain
        )
    assert read_tombstone(expired(stream, keys, 0), {}) is None


def test_bytes_behind_a_seal_are_not_recovered_over(
    stream: Path, open_log: OpenLog, tmp_path: Path
) -> None:
    (stream / "0001.jsonl").unlink()
    with (stream / "0000.jsonl").open("ab") as file:
        file.write(b'{"v":1')
    alarms: list[Alarm] = []
    open_log(on_alarm=alarms.append).close()
    assert [alarm.kind for alarm in alarms] == [AlarmKind.STREAM_NOT_RECOVERED]


def test_an_append_that_failed_leaves_nothing_even_if_its_rewind_failed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AppendFile(tmp_path / "file")
    file.append(b"one\n", sync=True)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(audit_files, "_sync_to_disk", broken)
        patch.setattr(audit_files.os, "ftruncate", broken)
        with pytest.raises(OSError, match="Input/output"):
            file.append(b"lost\n", sync=True)
    file.append(b"two\n", sync=True)
    file.close()
    assert (tmp_path / "file").read_bytes() == b"one\ntwo\n"
