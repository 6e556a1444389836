"""Removing old sealed segments while the chain still verifies."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import is_authentic
from foliotrace_audit.errors import AuditClosed, AuditKeyUnusable
from foliotrace_audit.files import (
    read_last_line,
    segments,
    streams,
    sync_folder,
    tombstone_path,
    torn_path,
    try_lock_stream,
)
from foliotrace_audit.keys import AuditKeys
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.tombstone import write_tombstone
from foliotrace_audit.write.stream_files import Alarm, AlarmKind, OnAlarm

Record = Callable[[bytes], object]
"""Appends a control record to the stream of the process that removes."""


def expire_segments(
    log_folder: Path,
    keys: AuditKeys,
    *,
    own_stream: str,
    sealed_before: datetime,
    now: datetime,
    record: Record,
    on_alarm: OnAlarm,
) -> None:
    """Remove every segment sealed before `sealed_before`, oldest first.

    Each leaves a tombstone (its seal, under a MAC) and a `segment.expired` record. Streams of other
    living writers are theirs to clean. A segment whose seal is not authentic stays, with an alarm.
    """
    for stream in streams(log_folder):
        lock = nullcontext(True) if stream.name == own_stream else try_lock_stream(stream)
        try:
            with lock as is_ours:
                for number, path in _expired(stream, sealed_before) if is_ours else ():
                    record(_bury(stream, number, path, keys, now))
                    _remove(stream, number, path)
        except AuditClosed:
            return  # this writer ends; the next one goes on
        except (OSError, AuditKeyUnusable) as error:
            on_alarm(Alarm(AlarmKind.RETENTION_FAILED, f"{stream.name}: {error}"))


def _expired(stream: Path, sealed_before: datetime) -> Iterator[tuple[int, Path]]:
    for number, path in segments(stream).items():
        line, torn = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
        seal = control.parse(line)
        if torn or seal.get("event") != control.SEGMENT_SEALED:
            return
        if datetime.fromisoformat(seal["timestamp"]) >= sealed_before:
            return
        yield number, path


def _bury(stream: Path, number: int, path: Path, keys: AuditKeys, now: datetime) -> bytes:
    """Write the tombstone; the record to append. Raises AuditKeyUnusable, OSError."""
    with path.open("rb") as file:
        opened = file.readline(MAX_LINE_BYTES)
    seal, _ = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
    first, last = control.parse(opened), control.parse(seal)
    key = keys.all_chain.get(str(first.get("chain_key_id")))
    if key is None or not (is_authentic(opened, key.hmac()) and is_authentic(seal, key.hmac())):
        raise AuditKeyUnusable(f"segment {number} is not authentic, or its key is gone")
    tombstone = write_tombstone(stream.name, number, opened, seal, keys, now)
    staged = tombstone_path(stream, number).with_suffix(".staged")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(tombstone)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(tombstone_path(stream, number))
    return control.segment_expired(stream.name, number, first["seq"], last["seq"], last["mac"], now)


def _remove(stream: Path, number: int, path: Path) -> None:
    torn_path(stream, number).unlink(missing_ok=True)
    path.unlink()
    sync_folder(stream)
