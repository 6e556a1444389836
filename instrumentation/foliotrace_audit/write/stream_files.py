"""One stream's files: its segments, and the checkpoints that leave it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from foliotrace_audit.chain import GENESIS, mac_of
from foliotrace_audit.checkpoint import Checkpoint, sign_checkpoint
from foliotrace_audit.files import CHECKPOINT_FILE, AppendFile, segment_path, sync_folder
from foliotrace_audit.keys import AuditKeys

Clock = Callable[[], datetime]
"""Aware UTC."""


class AlarmKind(StrEnum):
    """What an operator must hear of. Meanings: `ALARMS`."""

    WRITE_FAILED = "write_failed"
    WRITE_RECOVERED = "write_recovered"
    RECORDS_LOST = "records_lost"
    CHECKPOINT_FAILED = "checkpoint_failed"
    KEYS_UNUSABLE = "keys_unusable"
    STREAM_RECOVERED = "stream_recovered"
    STREAM_NOT_RECOVERED = "stream_not_recovered"
    RETENTION_FAILED = "retention_failed"


ALARMS: Mapping[str, str] = {
    AlarmKind.WRITE_FAILED: "The disk refused records; they are kept in memory and tried again.",
    AlarmKind.WRITE_RECOVERED: "The disk takes records again; what was kept is written.",
    AlarmKind.RECORDS_LOST: "Policy `continue` dropped records; their number is in the log.",
    AlarmKind.CHECKPOINT_FAILED: "A checkpoint did not reach one of its places.",
    AlarmKind.KEYS_UNUSABLE: "Rotated keys could not be read; the old ones stay in use.",
    AlarmKind.STREAM_RECOVERED: "The stream of a crashed writer was ended; torn bytes are kept.",
    AlarmKind.STREAM_NOT_RECOVERED: "A crashed stream cannot be ended honestly: verify.",
    AlarmKind.RETENTION_FAILED: "An old file stays: a file error, or its seal is not authentic.",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """`detail` names files and system errors, never content; `count` is the records concerned."""

    kind: AlarmKind
    detail: str
    count: int = 0


OnAlarm = Callable[[Alarm], None]
OnCheckpoint = Callable[[Checkpoint], None]
OnWritten = Callable[[float], None]
"""Told the seconds that a group of records took to be written, and synced where that is wanted."""


class StreamFiles:
    """Writes chained lines into a stream's current segment, and signed checkpoints beside it.

    Used by one thread at a time. `written_seq` is the last record written (-1 before the first).
    """

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        *,
        clock: Clock,
        on_checkpoint: OnCheckpoint,
        on_alarm: OnAlarm,
        checkpoint_folder: Path | None,
        segment: int = 0,
        written_seq: int = -1,
        head: bytes = GENESIS,
        prev_checkpoint: str = "",
    ) -> None:
        self.folder = folder
        self.written_seq = written_seq
        self.signed_seq = -1
        self.opened_at = clock()
        self.signed_at = self.opened_at
        self._keys = keys
        self._clock = clock
        self._on_checkpoint = on_checkpoint
        self._on_alarm = on_alarm
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

    def turn(self, segment: int, keys: AuditKeys) -> None:
        """Sign the sealed segment, open the next under `keys`. Raises OSError; may be retried."""
        self.checkpoint(final=False)
        sealed = self._file
        self._open(segment)
        self._segment, self._keys = segment, keys
        sealed.close()

    def checkpoint(self, *, final: bool) -> None:
        """Sync, sign what is written and send it to every sink. Raises OSError if syncing fails.

        A sink that fails raises an alarm and stops nobody.
        """
        self._file.sync()
        checkpoint = sign_checkpoint(
            self._keys.sign,
            stream=self.folder.name,
            segment=self._segment,
            seq=self.written_seq,
            head=self._head,
            segment_bytes=self._file.size_bytes,
            segment_sha256=self._sha256.hexdigest(),
            final=final,
            timestamp=self._clock(),
            dev_key=self._keys.dev_key,
            prev=self._prev_checkpoint,
        )
        self._prev_checkpoint = checkpoint.digest()
        self.signed_seq = self.written_seq
        self.signed_at = self._clock()
        for sink in self._sinks:
            self._store(sink, checkpoint)
        try:
            self._on_checkpoint(checkpoint)
        except Exception as error:  # noqa: BLE001 - the operator's callback must not end the log
            self._on_alarm(Alarm(AlarmKind.CHECKPOINT_FAILED, f"callback: {type(error).__name__}"))

    def close(self) -> None:
        """Close the segment's file. Twice is fine."""
        self._file.close()

    def _open(self, segment: int) -> None:
        path = segment_path(self.folder, segment)
        self._file = AppendFile(path)
        self._sha256 = hashlib.sha256(path.read_bytes() if self._file.size_bytes else b"")
        self.opened_at = self._clock()
        sync_folder(self.folder)

    def _store(self, sink: Path, checkpoint: Checkpoint) -> None:
        try:
            file = AppendFile(sink)
            try:
                file.append(checkpoint.line.encode() + b"\n", sync=True)
            finally:
                file.close()
        except OSError as error:
            detail = f"{sink}: {error.strerror}"
            self._on_alarm(Alarm(AlarmKind.CHECKPOINT_FAILED, detail))
