"""Ending the streams of writers that died, without hiding what was torn."""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import GENESIS, is_authentic, link, mac_of
from foliotrace_audit.checkpoint import read_checkpoint
from foliotrace_audit.errors import AuditKeyUnusable, CheckpointUnreadable
from foliotrace_audit.files import (
    CHECKPOINT_FILE,
    read_last_line,
    segment_path,
    segments,
    streams,
    sync_folder,
    torn_path,
    try_lock_stream,
)
from foliotrace_audit.keys import AuditKeys, MacKey
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.write.stream_files import (
    Alarm,
    AlarmKind,
    Clock,
    OnAlarm,
    OnCheckpoint,
    StreamFiles,
)


@dataclass(frozen=True, slots=True)
class End:
    """How a dead stream goes on: in `segment`, which is new or starts empty if `is_new`.

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
    *,
    by: str,
    clock: Clock,
    on_checkpoint: OnCheckpoint,
    on_alarm: OnAlarm,
    checkpoint_folder: Path | None,
    ended: set[str],
) -> None:
    """Seal every stream of the log that has no living writer and no final seal.

    `ended` remembers the streams that need no further look.

    A stream that cannot be ended honestly (its last record is not authentic, or its key is gone)
    stays as it is, for `verify` to judge; both outcomes raise an alarm.
    """
    for stream in streams(log_folder):
        if stream.name == by or stream.name in ended:
            continue
        with try_lock_stream(stream) as locked:
            if not locked or not segments(stream):
                continue
            if _is_final(stream):
                ended.add(stream.name)
                continue
            try:
                torn_bytes = _recover(
                    stream,
                    keys,
                    by=by,
                    clock=clock,
                    on_checkpoint=on_checkpoint,
                    on_alarm=on_alarm,
                    checkpoint_folder=checkpoint_folder,
                )
            except (AuditKeyUnusable, OSError) as error:
                detail = f"{stream.name}: {error}"
                on_alarm(Alarm(AlarmKind.STREAM_NOT_RECOVERED, detail))
            else:
                detail = f"{stream.name}: {torn_bytes} torn bytes kept"
                on_alarm(Alarm(AlarmKind.STREAM_RECOVERED, detail))


def _is_final(stream: Path) -> bool:
    line, _ = read_last_line(_last_segment(stream), limit_bytes=MAX_LINE_BYTES)
    return control.parse(line).get("final") is True


def _last_segment(stream: Path) -> Path:
    return next(reversed(segments(stream).values()))


def _recover(
    stream: Path,
    keys: AuditKeys,
    *,
    by: str,
    clock: Clock,
    on_checkpoint: OnCheckpoint,
    on_alarm: OnAlarm,
    checkpoint_folder: Path | None,
) -> int:
    """Keep the torn tail beside its segment, record it, seal, sign. Returns the torn bytes."""
    end = _find_end(stream, keys)
    keys = replace(keys, chain=end.key)
    torn = _keep_torn(stream, end)
    files = StreamFiles(
        stream,
        keys,
        clock=clock,
        on_checkpoint=on_checkpoint,
        on_alarm=on_alarm,
        checkpoint_folder=checkpoint_folder,
        segment=end.segment,
        written_seq=end.seq,
        prev_checkpoint=_last_checkpoint_digest(stream),
    )
    try:
        files.write(_closing_lines(stream.name, end, torn, keys, by, clock()), sync=True)
        files.checkpoint(final=True)
    finally:
        files.close()
    return len(torn)


def _find_end(stream: Path, keys: AuditKeys) -> End:
    """Raises AuditKeyUnusable if the stream cannot be continued honestly."""
    numbered = segments(stream)
    last = next(reversed(numbered))
    line, torn = read_last_line(numbered[last], limit_bytes=MAX_LINE_BYTES)
    if line:
        key, first_seq = _opening(numbered[last], keys)
        seq = _authentic_seq(line, key)
        if control.parse(line)["event"] != control.SEGMENT_SEALED:
            return End(last, False, seq, mac_of(line), seq - first_seq + 1, key, torn)
        if torn:
            raise AuditKeyUnusable("bytes follow a sealed segment")
        return End(last + 1, True, seq, mac_of(line), 0, key, b"")
    if last == 0:
        return End(0, True, -1, GENESIS, 0, keys.chain, torn)
    if last - 1 not in numbered:
        raise AuditKeyUnusable(f"segment {last - 1} is missing")
    line, _ = read_last_line(numbered[last - 1], limit_bytes=MAX_LINE_BYTES)
    key, _ = _opening(numbered[last - 1], keys)
    return End(last, True, _authentic_seq(line, key), mac_of(line), 0, key, torn)


def _opening(path: Path, keys: AuditKeys) -> tuple[MacKey, int]:
    """(chain key, sequence number) of a segment's first record."""
    with path.open("rb") as file:
        first = control.parse(file.readline(MAX_LINE_BYTES))
    key = keys.all_chain.get(str(first.get("chain_key_id")))
    if key is None:
        raise AuditKeyUnusable(f"the key folder has no {first.get('chain_key_id')}")
    return key, int(first["seq"])


def _authentic_seq(line: bytes, key: MacKey) -> int:
    if not is_authentic(line, key.hmac()):
        raise AuditKeyUnusable("its last record is not authentic")
    return int(control.parse(line)["seq"])


def _closing_lines(
    stream: str, end: End, torn: bytes, keys: AuditKeys, by: str, now: datetime
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


def _keep_torn(stream: Path, end: End) -> bytes:
    """Move the torn tail out of the segment; what an interrupted recovery moved counts too."""
    kept = torn_path(stream, end.segment)
    if not end.torn:
        return kept.read_bytes() if kept.exists() else b""
    descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(end.torn)
        file.flush()
        os.fsync(file.fileno())
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
