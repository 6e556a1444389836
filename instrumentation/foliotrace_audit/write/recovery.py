"""Ending the streams of writers that died, without hiding what was torn.

A crash leaves whole lines and at most one torn one behind them. The torn bytes are kept in a file
of their own, and their hash is chained: they may be all that is left of a record, or an intruder's
doing, and that is for whoever verifies to judge.

Each step may be cut off by another crash and is safe to repeat:
1. the tail is copied and synced; a crash here finds it again, still in the segment, and copies it
   once more;
2. the segment is truncated; a crash here finds the copy, which counts as the tail;
3. the closing records are appended and synced; a crash within them is a torn tail like any other;
4. the final checkpoint is signed; a crash before it leaves a sealed stream whose end no outside
   checkpoint proves, which `verify` says.
"""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import GENESIS, is_authentic, link, mac_of
from foliotrace_audit.checkpoint import read_checkpoint
from foliotrace_audit.control import ControlEvent
from foliotrace_audit.errors import AuditKeyUnusable, CheckpointUnreadable
from foliotrace_audit.files import (
    CHECKPOINT_FILE,
    lock_stream,
    read_last_line,
    segment_path,
    segments,
    streams,
    sync_folder,
    torn_path,
    try_lock_stream,
    write_synced,
)
from foliotrace_audit.keys import AuditKeys, MacKey
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.write.hooks import AlarmKind, Hooks, ignore, utc_now
from foliotrace_audit.write.stream_files import StreamFiles


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Where a dead stream goes on: in `segment`, which is new or still empty if `is_new`.

    `seq` and `head` are those of its last whole record (-1 and GENESIS without one), `records` how
    many the segment holds, `key` the chain key it goes on with, `torn` the bytes after them.
    """

    segment: int
    is_new: bool
    seq: int
    head: bytes
    records: int
    key: MacKey
    torn: bytes


def recover_streams(
    log_folder: Path,
    keys: AuditKeys,
    hooks: Hooks,
    *,
    by: str,
    checkpoint_folder: Path | None,
    ended: set[str],
) -> None:
    """Seal every stream of the log that has no living writer and no final seal.

    `by` is the stream of the process that does it. `ended` collects the streams that need no
    further look. A stream that cannot be ended honestly (its last record is not authentic, or its
    key is gone) stays as it is, for `verify` to judge; both outcomes raise an alarm.
    """
    for stream in streams(log_folder):
        if stream.name == by or stream.name in ended:
            continue
        with try_lock_stream(stream) as locked:
            if not locked or not segments(stream):
                continue
            if _is_final(stream):
                ended.add(stream.name)  # a log keeps streams for years: each is opened once
                continue
            try:
                torn_bytes = _recover(stream, keys, hooks, by, checkpoint_folder)
            except (AuditKeyUnusable, OSError) as error:
                hooks.alarm(AlarmKind.STREAM_NOT_RECOVERED, f"{stream.name}: {error}")
            else:
                detail = f"{stream.name}: {torn_bytes} torn bytes kept"
                hooks.alarm(AlarmKind.STREAM_RECOVERED, detail)


@dataclass(frozen=True, slots=True)
class Resumed:
    """An ended stream that a new writer goes on with; it holds the lock `lock_descriptor`."""

    stream: Path
    lock_descriptor: int
    end: StreamEnd
    prev_checkpoint: str


def resume_stream(log_folder: Path, keys: AuditKeys) -> Resumed | None:
    """The newest stream, if it has ended under `keys` and no process holds it; else None.

    Raises OSError.
    """
    newest = max(streams(log_folder), key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None or not segments(newest):
        return None
    descriptor = lock_stream(newest, wait=False)
    if descriptor is None:
        return None
    try:
        end = _find_end(newest, keys) if _is_final(newest) else None
    except AuditKeyUnusable:
        end = None  # left as it is, for `verify` to judge
    if end is None or not end.is_new or end.key.id != keys.chain.id:
        os.close(descriptor)
        return None
    return Resumed(newest, descriptor, end, _last_checkpoint_digest(newest))


def unended_streams(log_folder: Path) -> list[Path]:
    """The streams of writers that died; those that a new writer will end. Raises OSError."""
    found = []
    for stream in streams(log_folder):
        with try_lock_stream(stream) as locked:
            if locked and segments(stream) and not _is_final(stream):
                found.append(stream)
    return found


def sign_ended_streams(log_folder: Path, keys: AuditKeys, checkpoint_folder: Path | None) -> None:
    """Sign the end of every stream that has ended with `keys`, the first that are guarded.

    A stream with a last record that is not authentic is left as it is, for `verify` to judge.
    Raises OSError.
    """
    hooks = Hooks(utc_now, ignore, ignore, ignore)
    for stream in streams(log_folder):
        with try_lock_stream(stream) as locked:
            if not locked or not segments(stream) or not _is_final(stream):
                continue
            number, path = next(reversed(segments(stream).items()))
            line, _ = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
            try:
                seq = _authentic_seq(line, _opening(path, keys)[0])
            except AuditKeyUnusable:
                continue
            files = StreamFiles(
                stream,
                keys,
                hooks,
                checkpoint_folder,
                segment=number,
                written_seq=seq,
                head=mac_of(line),
                prev_checkpoint=_last_checkpoint_digest(stream),
            )
            try:
                files.checkpoint(final=True)
            finally:
                files.close()


def _is_final(stream: Path) -> bool:
    last = next(reversed(segments(stream).values()))
    line, _ = read_last_line(last, limit_bytes=MAX_LINE_BYTES)
    return control.parse(line).get("final") is True


def _recover(
    stream: Path, keys: AuditKeys, hooks: Hooks, by: str, checkpoint_folder: Path | None
) -> int:
    """Keep the torn tail beside its segment, record it, seal, sign. Returns the torn bytes."""
    end = _find_end(stream, keys)
    keys = replace(keys, chain=end.key)  # the key may have been rotated since the stream began
    torn = _keep_torn(stream, end)
    files = StreamFiles(
        stream,
        keys,
        hooks,
        checkpoint_folder,
        segment=end.segment,
        written_seq=end.seq,
        prev_checkpoint=_last_checkpoint_digest(stream),
    )
    try:
        files.write(_closing_lines(stream.name, end, torn, keys, by, hooks.now()), sync=True)
        files.checkpoint(final=True)
    finally:
        files.close()
    return len(torn)


def _find_end(stream: Path, keys: AuditKeys) -> StreamEnd:
    """Raises AuditKeyUnusable if the stream cannot be continued honestly."""
    numbered = segments(stream)
    last = next(reversed(numbered))
    line, torn = read_last_line(numbered[last], limit_bytes=MAX_LINE_BYTES)
    if line:
        key, first_seq = _opening(numbered[last], keys)
        seq = _authentic_seq(line, key)
        if control.parse(line)["event"] != ControlEvent.SEGMENT_SEALED:
            return StreamEnd(last, False, seq, mac_of(line), seq - first_seq + 1, key, torn)
        if torn:
            raise AuditKeyUnusable("bytes follow a sealed segment")
        # It died between sealing one segment and creating the next.
        return StreamEnd(last + 1, True, seq, mac_of(line), 0, key, b"")
    if last == 0:
        return StreamEnd(0, True, -1, GENESIS, 0, keys.chain, torn)
    # It died between creating a segment and its first whole record: go on from the one before.
    if last - 1 not in numbered:
        raise AuditKeyUnusable(f"segment {last - 1} is missing")
    line, _ = read_last_line(numbered[last - 1], limit_bytes=MAX_LINE_BYTES)
    key, _ = _opening(numbered[last - 1], keys)
    return StreamEnd(last, True, _authentic_seq(line, key), mac_of(line), 0, key, torn)


def _opening(path: Path, keys: AuditKeys) -> tuple[MacKey, int]:
    """(chain key, sequence number) of a segment's first record."""
    with path.open("rb") as file:
        first = control.parse(file.readline(MAX_LINE_BYTES))
    key = keys.all_chain.get(str(first.get("chain_key_id")))
    if key is None:
        raise AuditKeyUnusable(f"the key folder has no {first.get('chain_key_id')}")
    return key, int(first["seq"])


def _authentic_seq(line: bytes, key: MacKey) -> int:
    # Checked before anything is chained to it: sealing a forged record would make it genuine.
    if not is_authentic(line, key.hmac()):
        raise AuditKeyUnusable("its last record is not authentic")
    return int(control.parse(line)["seq"])


def _closing_lines(
    stream: str, end: StreamEnd, torn: bytes, keys: AuditKeys, by: str, now: datetime
) -> list[bytes]:
    """The records that end the stream."""
    opened = [control.segment_opened(stream, end.segment, keys, now)] if end.is_new else []
    recovered = control.tail_recovered(by, end.segment, torn, now)
    records = end.records + len(opened) + 2
    sealed = control.segment_sealed(end.segment, records, now, final=True)
    lines, seq, head, hmac = [], end.seq, end.head, end.key.hmac()
    for payload in (*opened, recovered, sealed):
        seq += 1
        line, head = link(payload, seq, head, hmac)
        lines.append(line)
    return lines


def _keep_torn(stream: Path, end: StreamEnd) -> bytes:
    """Move the torn tail out of the segment; returns it, or what an earlier recovery moved."""
    kept = torn_path(stream, end.segment)
    if not end.torn:
        return kept.read_bytes() if kept.exists() else b""
    write_synced(kept, end.torn)
    sync_folder(stream)
    path = segment_path(stream, end.segment)
    os.truncate(path, path.stat().st_size - len(end.torn))
    return end.torn


def _last_checkpoint_digest(stream: Path) -> str:
    path = stream / CHECKPOINT_FILE
    if not path.exists():
        return ""
    line, _ = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
    try:
        return read_checkpoint(line).digest()
    except CheckpointUnreadable:
        return ""
