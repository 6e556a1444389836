"""Forged tombstones, renamed folders and streams of strangers; a thousand changes of 25 kinds."""

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.audit.log_reading import OpenLog, fill, judge, kinds

from foliotrace_audit import AuditKeys, AuditWriter, read_keys, write_new_keys
from foliotrace_audit.chain import GENESIS, link
from foliotrace_audit.control import write_tombstone
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def two_streams(open_log: OpenLog, tmp_path: Path) -> Path:
    """Two closed streams of several segments, with outside checkpoints; their root folder."""
    for _ in range(2):
        writer = open_log({"segment_bytes": 6_000, "checkpoint_records": 7, "group_records": 4})
        for _ in range(6):
            fill(writer, 3)
        writer.close()
    return tmp_path


def streams_of(root: Path) -> list[Path]:
    return sorted(p for p in (root / "log").iterdir() if p.is_dir())


def strangers_keys(root: Path) -> AuditKeys:
    return write_new_keys(root / "strangers", dev_key=False)


FORGED_TOMBSTONES = [b'{"v":1}\n', b"", b"x", b"[]\n[]\n", b'{"v":1}\n{"chain_key_id":"k"}\n']


@pytest.mark.parametrize("content", FORGED_TOMBSTONES)
@pytest.mark.parametrize("last", [False, True])
def test_a_text_that_only_stands_where_a_tombstone_would_is_tampering(
    two_streams: Path, content: bytes, last: bool
) -> None:
    stream = streams_of(two_streams)[0]
    segment = sorted(stream.glob("[0-9]*.jsonl"))[-1 if last else 0]
    segment.unlink()
    segment.with_suffix(".expired").write_bytes(content)
    assert TamperKind.MISSING_SEGMENT in kinds(judge(two_streams))


@pytest.mark.parametrize("last", [False, True])
def test_a_tombstone_under_a_key_that_the_log_never_had_is_tampering(
    two_streams: Path, last: bool
) -> None:
    stream = streams_of(two_streams)[0]
    segment = sorted(stream.glob("[0-9]*.jsonl"))[-1 if last else 0]
    lines = segment.read_bytes().splitlines(keepends=True)
    forged = write_tombstone(
        stream.name, int(segment.stem), lines[0], lines[-1], strangers_keys(two_streams), NOW
    )
    segment.unlink()
    segment.with_suffix(".expired").write_bytes(forged)
    assert TamperKind.MISSING_SEGMENT in kinds(judge(two_streams))


def test_an_auditor_without_chain_keys_does_not_call_retention_tampering(
    two_streams: Path, keys: AuditKeys
) -> None:
    stream = streams_of(two_streams)[0]
    segment = stream / "0000.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    proper = write_tombstone(stream.name, 0, lines[0], lines[-1], keys, NOW)
    segment.unlink()
    segment.with_suffix(".expired").write_bytes(proper)
    public = two_streams / "keys" / f"{keys.sign.id}.pub.pem"
    evidence = read_evidence(
        two_streams / "log", key_folder=None, public_keys=[public],
        checkpoints=[two_streams / "outside"],
    )  # fmt: skip
    assert verify_log(two_streams / "log", evidence, jobs=1).status().exit_code == 2
    assert judge(two_streams).status() is VerdictStatus.SOUND


def test_a_folder_that_is_no_stream_is_reported(two_streams: Path) -> None:
    (two_streams / "log" / "lost+found").mkdir()
    assert any("lost+found" in note for note in judge(two_streams).notes)
    shutil.copytree(streams_of(two_streams)[-1], two_streams / "log" / "copy")
    verdict = judge(two_streams)
    assert verdict.status() is VerdictStatus.TAMPERED
    assert [(f.kind, f.stream) for f in verdict.findings] == [(TamperKind.FOREIGN, "copy")]


def strangers_stream(root: Path) -> None:
    writer = AuditWriter.open(root / "theirs", strangers_keys(root))
    fill(writer, 3)
    writer.close()
    shutil.copytree(root / "theirs" / writer.stream, root / "log" / writer.stream)


def test_a_stream_that_no_key_of_the_log_wrote_is_tampering(two_streams: Path) -> None:
    strangers_stream(two_streams)
    assert TamperKind.FORGED in kinds(judge(two_streams))


Change = Callable[[Path, list[bytes], random.Random], "list[bytes] | None"]


def rechained(lines: list[bytes], keys: AuditKeys, changed: int) -> list[bytes]:
    """`lines` as an insider with the chain key would link them after a change."""
    out: list[bytes] = []
    prev = GENESIS
    for at, line in enumerate(lines):
        body = b"{" + line.split(b'",', 1)[1].rpartition(b',"mac"')[0] + b"}"
        if at == changed:
            body = body.replace(b"user-", b"eve-")
        new, prev = link(body, at, prev, keys.chain.hmac())
        out.append(new)
    return out


def pick(lines: list[bytes], chance: random.Random) -> int:
    return chance.randrange(len(lines))


def edited(old: bytes, new: bytes) -> Change:
    def change(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
        at = [i for i, line in enumerate(lines) if old in line]
        i = chance.choice(at)
        return [*lines[:i], lines[i].replace(old, new, 1), *lines[i + 1 :]]

    return change


def flipped(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    content = b"".join(lines)
    at = chance.randrange(len(content))
    return [content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]]


def without(count: int) -> Change:
    def change(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
        at = chance.randrange(len(lines) - count + 1)
        return [*lines[:at], *lines[at + count :]]

    return change


def repeated(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at, to = pick(lines, chance), pick(lines, chance)
    return [*lines[:to], lines[at], *lines[to:]]


def swapped(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    one, other = chance.sample(range(len(lines)), 2)
    lines = list(lines)
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def cut(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    content = b"".join(lines)
    return [content[: chance.randrange(len(content))]]


def noise(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = pick(lines, chance)
    return [*lines[:at], chance.randbytes(chance.randint(1, 60)) + b"\n", *lines[at:]]


def behind(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    return [*lines, chance.randbytes(chance.randint(1, 60))]


def zeroed(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = pick(lines, chance)
    return [*lines[:at], bytes(len(lines[at])), *lines[at + 1 :]]


def blank_line(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = pick(lines, chance)
    return [*lines[:at], b"\n", *lines[at:]]


def joined(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(lines) - 1)
    return [*lines[:at], lines[at].rstrip(b"\n") + lines[at + 1], *lines[at + 2 :]]


def spaced(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = pick(lines, chance)
    return [*lines[:at], lines[at].replace(b'":', b'": ', 1), *lines[at + 1 :]]


def emptied(_: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    return []


def removed(file: Path, lines: list[bytes], chance: random.Random) -> None:
    file.unlink()


def with_false_tombstone(file: Path, lines: list[bytes], chance: random.Random) -> None:
    file.unlink()
    file.with_suffix(".expired").write_bytes(chance.choice(FORGED_TOMBSTONES))


def with_strangers_tombstone(file: Path, lines: list[bytes], chance: random.Random) -> None:
    stranger = strangers_keys(file.parents[2] / f"{chance.random()}")
    note = write_tombstone(file.parent.name, int(file.stem), lines[0], lines[-1], stranger, NOW)
    file.unlink()
    file.with_suffix(".expired").write_bytes(note)


def of_the_other_stream(file: Path, lines: list[bytes], chance: random.Random) -> None:
    other = next(s for s in sorted(file.parents[1].iterdir()) if s != file.parent)
    shutil.copy(other / "0000.jsonl", file)


def stream_removed(file: Path, lines: list[bytes], chance: random.Random) -> None:
    shutil.rmtree(file.parent)


def stream_renamed(file: Path, lines: list[bytes], chance: random.Random) -> None:
    file.parent.rename(file.parent.with_name(f"h-1-20260101T000000{chance.randrange(16**6):06x}"))


def stream_hidden(file: Path, lines: list[bytes], chance: random.Random) -> None:
    file.parent.rename(file.parent.with_name(f"old{chance.randrange(99)}"))


def stream_added(file: Path, lines: list[bytes], chance: random.Random) -> None:
    strangers_stream(file.parents[2])


def segment_added(file: Path, lines: list[bytes], chance: random.Random) -> None:
    last = max(int(p.stem) for p in file.parent.glob("[0-9]*.jsonl"))
    shutil.copy(file, file.with_name(f"{last + 1:04d}.jsonl"))


def by_an_insider(file: Path, lines: list[bytes], chance: random.Random) -> list[bytes]:
    users = [i for i, line in enumerate(lines) if b"user-" in line]
    return rechained(lines, read_keys(file.parents[2] / "keys"), chance.choice(users))


def folder_in_its_place(file: Path, lines: list[bytes], chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


KINDS: dict[str, Change] = {
    "another user": edited(b'"user_id":"user-', b'"user_id":"eve-'),
    "another time": edited(b'"timestamp":"20', b'"timestamp":"19'),
    "another mac": edited(b'"mac":"', b'"mac":"0'),
    "another place": edited(b'"seq":', b'"seq":1'),
    "one bit": flipped,
    "one record dropped": without(1),
    "three records dropped": without(3),
    "repeated": repeated,
    "swapped": swapped,
    "cut off": cut,
    "noise between": noise,
    "noise behind": behind,
    "zeroed": zeroed,
    "empty line": blank_line,
    "two lines joined": joined,
    "another spelling": spaced,
    "emptied": emptied,
    "file removed": removed,
    "a folder in its place": folder_in_its_place,
    "false tombstone": with_false_tombstone,
    "a stranger's tombstone": with_strangers_tombstone,
    "file of the other stream": of_the_other_stream,
    "stream removed": stream_removed,
    "stream renamed": stream_renamed,
    "stream hidden": stream_hidden,
    "stream added": stream_added,
    "file added": segment_added,
    "linked again by an insider": by_an_insider,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_of_a_log_with_outside_checkpoints_is_exit_code_1(
    two_streams: Path, kind: str
) -> None:
    """40 changes of each of 28 kinds: more than a thousand."""
    chance = random.Random(kind)
    kept = two_streams / "kept"
    shutil.copytree(two_streams / "log", kept)
    for _ in range(40):
        stream = chance.choice(streams_of(two_streams))
        files = sorted(stream.glob("[0-9]*.jsonl"))
        file = files[0] if kind == "linked again by an insider" else chance.choice(files)
        content = file.read_bytes()
        lines = KINDS[kind](file, content.splitlines(keepends=True), chance)
        if lines is not None:
            if b"".join(lines) == content:
                continue
            file.write_bytes(b"".join(lines))
        verdict = judge(two_streams)
        assert verdict.status().exit_code == 1, (file, verdict.notes)
        shutil.rmtree(two_streams / "log")
        shutil.copytree(kept, two_streams / "log")
        shutil.rmtree(two_streams / "strangers", ignore_errors=True)
        shutil.rmtree(two_streams / "theirs", ignore_errors=True)
    assert judge(two_streams).status() is VerdictStatus.SOUND
