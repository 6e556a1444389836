"""One stream's files: its segments, and the checkpoints that leave it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import GENESIS, is_authentic, mac_of
from foliotrace_audit.checkpoint import Checkpoint, sign_checkpoint
from foliotrace_audit.control import ControlEvent, Tombstone, write_tombstone
from foliotrace_audit.errors import AuditClosed, AuditKeyUnusable
from foliotrace_audit.files import (
    CHECKPOINT_FILE,
    AppendFile,
    read_last_line,
    segment_path,
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


class StreamFiles:
    """Writes chained lines into a stream's current segment, and signed checkpoints beside it.

    Used by one thread at a time. `written_seq` is the last record written (-1 before the first),
    `signed_seq` the last one under a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        hooks: Hooks,
        checkpoint_folder: Path | None,
        *,
        segment: int = 0,
        written_seq: int = -1,
        head: bytes = GENESIS,
        prev_checkpoint: str = "",
    ) -> None:
        self.folder = folder
        self.written_seq = written_seq
        self.signed_seq = -1
        self.opened_at = self.signed_at = hooks.now()
        self._keys = keys
        self._hooks = hooks
        self._segment = segment
        self._head = head
        self._prev_checkpoint = prev_checkpoint
        self._sinks = [folder / CHECKPOINT_FILE]
        if checkpoint_folder is not None:
            checkpoint_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sinks.append(checkpoint_folder / f"{folder.name}.jsonl")
        self._open(segment)

    @property
    def segment_bytes(self) -> int:
        """Size of the segment being written."""
        return self._file.size_bytes

    def write(self, lines: Sequence[bytes], *, sync: bool) -> None:
        """Append `lines`: all of them or, with OSError, none."""
        content = b"".join(lines)
        self._file.append(content, sync=sync)
        self._sha256.update(content)
        self.written_seq += len(lines)
        self._head = mac_of(lines[-1])

    def next_segment(self, segment: int, keys: AuditKeys) -> None:
        """Sign the sealed segment, open the next under `keys`. Raises OSError; may be retried."""
        # Signed while its keys are still the stream's: the new ones never vouch for old records.
        self.checkpoint(final=False)
        sealed = self._file
        self._open(segment)  # before the old one is closed: if this fails, nothing has changed
        self._segment, self._keys = segment, keys
        sealed.close()

    def checkpoint(self, *, final: bool) -> None:
        """Sync, sign what is written and send it to every sink. Raises OSError if syncing fails.

        A sink that fails raises an alarm; the others still receive the checkpoint.
        """
        # Before signing, also under `relaxed`: a checkpoint that outlives the records it proves
        # would turn a power cut into proof of tampering.
        self._file.sync()
        now = self._hooks.now()
        checkpoint = sign_checkpoint(
            self._keys.sign,
            stream=self.folder.name,
            segment=self._segment,
            seq=self.written_seq,
            head=self._head,
            segment_bytes=self._file.size_bytes,
            segment_sha256=self._sha256.hexdigest(),
            final=final,
            timestamp=now,
            dev_key=self._keys.dev_key,
            prev=self._prev_checkpoint,
        )
        self._prev_checkpoint = checkpoint.digest()
        self.signed_seq = self.written_seq
        self.signed_at = now
        for sink in self._sinks:
            self._store(sink, checkpoint)
        self._hooks.checkpoint(checkpoint)

    def close(self) -> None:
        """Close the segment's file. Twice is fine."""
        self._file.close()

    def _open(self, segment: int) -> None:
        path = segment_path(self.folder, segment)
        file = AppendFile(path)
        try:
            sync_folder(self.folder)
        except OSError:
            file.close()
            raise
        self._file = file
        # Kept running over every append: a checkpoint does not read the segment again.
        self._sha256 = hashlib.sha256(path.read_bytes() if file.size_bytes else b"")
        self.opened_at = self._hooks.now()

    def _store(self, sink: Path, checkpoint: Checkpoint) -> None:
        # Opened for each line: the second folder may be a mount that comes and goes.
        try:
            file = AppendFile(sink)
            try:
                file.append(checkpoint.line.encode() + b"\n", sync=True)
            finally:
                file.close()
        except OSError as error:
            self._hooks.alarm(AlarmKind.CHECKPOINT_FAILED, f"{sink}: {error.strerror}")


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
