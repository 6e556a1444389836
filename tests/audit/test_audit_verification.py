"""Every change to a log with outside checkpoints is found; without them none is called sound."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.audit.log_reading import OpenLog, fill, judge, kinds

from foliotrace_audit import (
    AuditKeys,
    AuditWriter,
    AuditWriterSettings,
    Entry,
    open_keys,
    write_new_keys,
)
from foliotrace_audit.chain import GENESIS, link, mac_of
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus

Lines = list[bytes]


@pytest.fixture
def closed_log(open_log: OpenLog, tmp_path: Path) -> Path:
    """A closed stream of several segments and checkpoints; its root folder."""
    writer = open_log({"segment_bytes": 12_000, "checkpoint_records": 7, "group_records": 4})
    for _ in range(12):
        fill(writer, 4)
        writer.wait_durable(last_seq(writer), timeout_s=10)
    writer.close()
    return tmp_path


def last_seq(writer: AuditWriter) -> int:
    return writer.append(Entry(event="admin_received"), action="test.mark")


def segment_files(root: Path) -> list[Path]:
    return sorted((root / "log").glob("*/[0-9]*.jsonl"))


def edit(file: Path, change: Callable[[Lines], Lines]) -> None:
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))


def test_an_untouched_log_is_sound(closed_log: Path) -> None:
    verdict = judge(closed_log)
    assert (verdict.findings, verdict.status()) == ((), VerdictStatus.SOUND)
    assert len(segment_files(closed_log)) > 3
    assert verdict.records > 100


CHANGES: list[tuple[Callable[[Lines], Lines], TamperKind]] = [
    (lambda lines: [*lines[:5], lines[5].replace(b"acme", b"evil"), *lines[6:]], TamperKind.EDITED),
    (lambda lines: [*lines[:5], *lines[6:]], TamperKind.DROPPED),
    (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], TamperKind.REORDERED),
    (lambda lines: [*lines[:6], lines[5], *lines[6:]], TamperKind.REPEATED),
    (
        lambda lines: [*lines, lines[-1].replace(b"segment.sealed", b"query_received")],
        TamperKind.FORGED,
    ),
    (lambda lines: lines[:-1], TamperKind.TRUNCATED),
    (lambda lines: [*lines[:-1], lines[-1][:40]], TamperKind.TRUNCATED),
    (lambda lines: [*lines, b'{"v":1,'], TamperKind.FORGED),
    (lambda lines: [b"", *lines[1:]], TamperKind.DROPPED),
    (lambda lines: [], TamperKind.TRUNCATED),
]


@pytest.mark.parametrize(("change", "kind"), CHANGES)
def test_a_change_of_the_last_file_is_found_and_named(
    closed_log: Path, change: Callable[[Lines], Lines], kind: TamperKind
) -> None:
    files = segment_files(closed_log)
    at_the_end = kind in (TamperKind.FORGED, TamperKind.TRUNCATED)
    edit(files[-1] if at_the_end else max(files, key=lambda f: f.stat().st_size), change)
    verdict = judge(closed_log)
    assert kind in kinds(verdict)
    assert verdict.status().exit_code == 1


@pytest.mark.parametrize("at", [0, 1])
def test_a_file_cannot_be_removed_or_exchanged(closed_log: Path, at: int) -> None:
    files = segment_files(closed_log)
    kept = files[at].read_bytes()
    files[at].unlink()
    assert kinds(judge(closed_log))[0] is TamperKind.MISSING_SEGMENT
    files[at].write_bytes(files[at + 1].read_bytes())
    assert judge(closed_log).status() is VerdictStatus.TAMPERED
    files[at].write_bytes(kept)
    assert judge(closed_log).status() is VerdictStatus.SOUND


def test_removed_last_files_and_removed_streams_are_found(closed_log: Path) -> None:
    files = segment_files(closed_log)
    files[-1].unlink()
    assert TamperKind.TRUNCATED in kinds(judge(closed_log))
    shutil.rmtree(files[0].parent)
    assert kinds(judge(closed_log)) == [TamperKind.MISSING_STREAM]


def test_a_renamed_stream_is_found(closed_log: Path) -> None:
    stream = segment_files(closed_log)[0].parent
    (stream / "checkpoints.jsonl").unlink()
    stream.rename(stream.with_name("other-1-20260101T000000abcdef"))
    assert TamperKind.FOREIGN in kinds(judge(closed_log))


def test_a_forger_with_the_chain_key_cannot_contradict_outside_checkpoints(
    closed_log: Path, keys: AuditKeys
) -> None:
    hmac, prev, seq = keys.chain.hmac(), GENESIS, 0
    for file in segment_files(closed_log):
        forged = []
        for line in file.read_bytes().splitlines(keepends=True):
            record = b"{" + line.split(b",", 3)[3][:-75].replace(b"user-1", b"user-9") + b"}"
            line, prev = link(record, seq, prev, hmac)
            forged.append(line)
            seq += 1
        file.write_bytes(b"".join(forged))
    (next((closed_log / "log").iterdir()) / "checkpoints.jsonl").unlink()
    verdict = judge(closed_log)
    assert set(kinds(verdict)) == {TamperKind.CHECKPOINT_MISMATCH}
    assert judge(closed_log, outside=segment_files(closed_log)[0].parent).status() is (
        VerdictStatus.UNANCHORED
    )


def test_truncation_behind_the_last_outside_checkpoint_cannot_be_told_and_is_not_called_sound(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log()
    fill(writer, 20)
    writer.wait_durable(last_seq(writer), timeout_s=10)
    [file] = segment_files(tmp_path)
    for keep in (40, 10, 1):
        edit(file, lambda lines, keep=keep: lines[:keep])
        verdict = judge(tmp_path)
        assert (verdict.status(), verdict.status().exit_code) == (VerdictStatus.UNPROVEN, 2)
        assert verdict.streams[0].proved_seq == 0
        assert verdict.status(accept_open=True) is VerdictStatus.SOUND


def test_a_living_log_is_proved_to_its_newest_checkpoint(open_log: OpenLog, tmp_path: Path) -> None:
    writer = open_log({"checkpoint_records": 5, "group_records": 1})
    fill(writer, 10)
    writer.wait_durable(last_seq(writer), timeout_s=10)
    verdict = judge(tmp_path)
    [stream] = verdict.streams
    assert stream.is_live
    assert verdict.status() is VerdictStatus.UNPROVEN
    assert verdict.status(accept_open=True) is VerdictStatus.SOUND


def test_local_checkpoints_and_local_keys_anchor_nothing(closed_log: Path) -> None:
    log = closed_log / "log"
    inside = read_evidence(log, key_folder=closed_log / "keys", public_keys=[], checkpoints=[log])
    assert verify_log(log, inside).status() is VerdictStatus.UNANCHORED
    shutil.copytree(closed_log / "keys", log / "keys")
    assert judge(closed_log, keys=log / "keys").status() is VerdictStatus.UNANCHORED
    nothing = read_evidence(log, key_folder=None, public_keys=[], checkpoints=[])
    assert verify_log(log, nothing).status() is VerdictStatus.UNANCHORED


def test_development_keys_anchor_nothing(tmp_path: Path) -> None:
    settings = AuditWriterSettings(checkpoint_folder=tmp_path / "outside")
    writer = AuditWriter.open(tmp_path / "log", open_keys(tmp_path / "keys"), settings)
    writer.close()
    verdict = judge(tmp_path)
    assert verdict.status() is VerdictStatus.UNANCHORED
    assert verdict.streams[0].doubts == ("development keys signed it",)


def test_an_auditor_needs_no_secret(closed_log: Path, keys: AuditKeys) -> None:
    public = closed_log / "auditor.pub.pem"
    public.write_bytes(keys.sign.verify.pem())

    def audit() -> VerdictStatus:
        evidence = read_evidence(
            closed_log / "log",
            key_folder=None,
            public_keys=[public],
            checkpoints=[closed_log / "outside"],
        )
        return verify_log(closed_log / "log", evidence).status()

    assert audit() is VerdictStatus.SOUND
    file = segment_files(closed_log)[1]
    edit(file, lambda lines: [*lines[:3], lines[3].replace(b"user", b"usar"), *lines[4:]])
    assert audit() is VerdictStatus.TAMPERED


def test_a_lost_chain_key_is_not_called_tampering_and_not_called_sound(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log()
    fill(writer, 3)
    writer.wait_durable(last_seq(writer), timeout_s=10)
    write_new_keys(tmp_path / "others", dev_key=False)
    for public in (tmp_path / "keys").glob("*.pub.pem"):
        shutil.copy(public, tmp_path / "others")
    verdict = judge(tmp_path, keys=tmp_path / "others")
    assert verdict.status(accept_open=True) is VerdictStatus.UNPROVEN
    assert any("no chain key" in note for note in verdict.streams[0].notes)


@pytest.mark.parametrize("with_local_checkpoints", [False, True])
def test_a_thousand_random_mutations_are_each_found_or_called_unanchored(
    closed_log: Path, with_local_checkpoints: bool
) -> None:
    chance = random.Random(20261121 + with_local_checkpoints)
    files = segment_files(closed_log)
    local = files[0].parent / "checkpoints.jsonl"
    evidence = read_evidence(
        closed_log / "log",
        key_folder=closed_log / "keys",
        public_keys=[],
        checkpoints=[local if with_local_checkpoints else closed_log / "outside"],
    )
    found = 0
    for _ in range(500):
        victims = [chance.choice(files)] + [local] * with_local_checkpoints
        kept = {file: file.read_bytes() for file in victims}
        for file, content in kept.items():
            mutated = mutate(content, chance)
            assert mutated != content
            file.write_bytes(mutated)
        status = verify_log(closed_log / "log", evidence, jobs=1).status()
        expected = {VerdictStatus.TAMPERED} | (
            {VerdictStatus.UNANCHORED} if with_local_checkpoints else set()
        )
        assert status in expected
        found += status is VerdictStatus.TAMPERED
        for file, content in kept.items():
            file.write_bytes(content)
    assert found > 400
    assert judge(closed_log).status() is VerdictStatus.SOUND


def mutate(content: bytes, chance: random.Random) -> bytes:
    """`content` with one random edit of bytes or of lines; always different."""
    lines = content.splitlines(keepends=True)
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    byte = chance.randrange(len(content))
    size = chance.randint(1, 40)
    noise = bytes(chance.randrange(256) for _ in range(size))
    mutated = chance.choice(
        [
            lambda: (
                content[:byte]
                + bytes([content[byte] ^ chance.randint(1, 255)])
                + content[byte + 1 :]
            ),
            lambda: content[:byte] + noise + content[byte:],
            lambda: content[:byte] + content[byte + size :],
            lambda: content[:byte],
            lambda: content + noise,
            lambda: content + lines[at],
            lambda: b"".join([*lines[:at], *lines[at + 1 :]]),
            lambda: b"".join([*lines[:at], lines[other], *lines[at:]]),
            lambda: b"".join(swapped(lines, at, other)),
            lambda: b"".join([*lines[: min(at, other)], *lines[max(at, other) + 1 :]]),
        ]
    )()
    return mutated if mutated != content else content[:-1]


def swapped(lines: Lines, one: int, other: int) -> Lines:
    lines = list(lines)
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def test_mac_of_reads_what_link_wrote(keys: AuditKeys) -> None:
    line, mac = link(b'{"a":1}', 0, GENESIS, keys.chain.hmac())
    assert mac_of(line) == mac
