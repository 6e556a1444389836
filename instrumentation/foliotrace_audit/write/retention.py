"""Removing old sealed segments while the chain still verifies."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import is_authentic
from foliotrace_audit.control import ControlEvent, Tombstone, write_tombstone
from foliotrace_audit.errors import AuditClosed, AuditKeyUnusable
from foliotrace_audit.files import (
    read_last_line,
    segments,
    streams,
    sync_folder,
    tombstone_path,
    torn_path,
    try_lock_stream,
    write_synced,
)
from foliotrace_audit.keys import AuditKeys
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.write.hooks import AlarmKind, Hooks


def expire_segments(
    log_folder: Path,
    keys: AuditKeys,
    hooks: Hooks,
    *,
    own_stream: str,
    keep: timedelta,
    record: Callable[[bytes], object],
) -> None:
    """Remove every segment that was sealed longer than `keep` ago, oldest first.

    Each leaves a tombstone and a `segment.expired` record, which `record` appends to this writer's
    stream. Streams of other living writers are theirs to clean. A segment whose seal is not
    authentic stays, with an alarm: removing it would destroy evidence.
    """
    now = hooks.now()
    for stream in streams(log_folder):
        # This process holds its own stream's lock already; asking again would find it taken.
        lock = nullcontext(True) if stream.name == own_stream else try_lock_stream(stream)
        try:
            with lock as is_ours:
                for number, path in _expired(stream, now - keep) if is_ours else ():
                    # The file goes last. A crash before that repeats the other two steps, which
                    # replaces the tombstone and records the removal once more; a crash after the
                    # reverse order would leave a gap that nobody accounts for.
                    record(_bury(stream, number, path, keys, now))
                    torn_path(stream, number).unlink(missing_ok=True)
                    path.unlink()
                    sync_folder(stream)
        except AuditClosed:
            return  # this writer ends; the next one goes on
        except (OSError, AuditKeyUnusable) as error:
            hooks.alarm(AlarmKind.RETENTION_FAILED, f"{stream.name}: {error}")


def _expired(stream: Path, sealed_before: datetime) -> Iterator[tuple[int, Path]]:
    for number, path in segments(stream).items():
        line, torn = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
        seal = control.parse(line)
        if torn or seal.get("event") != ControlEvent.SEGMENT_SEALED:
            return  # and no later one: a stream loses its oldest records, never some in the middle
        if datetime.fromisoformat(seal["timestamp"]) >= sealed_before:
            return
        yield number, path


def _bury(stream: Path, number: int, path: Path, keys: AuditKeys, now: datetime) -> bytes:
    """Write the tombstone; the record to append. Raises AuditKeyUnusable, OSError."""
    with path.open("rb") as file:
        opened = file.readline(MAX_LINE_BYTES)
    seal, _ = read_last_line(path, limit_bytes=MAX_LINE_BYTES)
    key = keys.all_chain.get(str(control.parse(opened).get("chain_key_id")))
    if key is None or not (is_authentic(opened, key.hmac()) and is_authentic(seal, key.hmac())):
        raise AuditKeyUnusable(f"segment {number} is not authentic, or its key is gone")
    staged = tombstone_path(stream, number).with_suffix(".staged")
    write_synced(staged, write_tombstone(stream.name, number, opened, seal, keys, now))
    staged.replace(tombstone_path(stream, number))
    return Tombstone.of(stream.name, number, opened, seal).expired(now)
