"""What a writer takes from its process and reports to it: the clock, alarms, checkpoints, times."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.settings import DescribedEnum

_log = logging.getLogger("foliotrace_audit")


class AlarmKind(DescribedEnum):
    """What an operator must be alerted to."""

    WRITE_FAILED = "write_failed", "The disk refused records; they stay in memory for a retry."
    WRITE_RECOVERED = "write_recovered", "The disk takes records again; those kept are written."
    RECORDS_LOST = "records_lost", "Policy `continue` dropped records; the log holds their number."
    CHECKPOINT_FAILED = "checkpoint_failed", "A checkpoint did not reach one of its places."
    KEYS_UNUSABLE = "keys_unusable", "Rotated keys could not be read; the old ones stay in use."
    STREAM_RECOVERED = (
        "stream_recovered",
        "A crashed writer's stream was ended; torn bytes are kept.",
    )
    STREAM_NOT_RECOVERED = "stream_not_recovered", "A crashed stream cannot be ended: verify it."
    RETENTION_FAILED = "retention_failed", "An old file stays: a file error, or a seal is forged."


@dataclass(frozen=True, slots=True)
class Alarm:
    """`detail` names files and system errors, never content; `count` is the records concerned."""

    kind: AlarmKind
    detail: str
    count: int = 0


Now = Callable[[], datetime]
"""The time, aware UTC."""
OnAlarm = Callable[[Alarm], None]
OnCheckpoint = Callable[[Checkpoint], None]
OnWritten = Callable[[float], None]
"""Receives the seconds that writing (and syncing) a group of records took."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def ignore(_: object) -> None:
    """Default of the callbacks."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The callbacks of one writer. All but `now` run in the writer's thread."""

    now: Now
    on_checkpoint: OnCheckpoint
    on_alarm: OnAlarm
    on_written: OnWritten

    def alarm(self, kind: AlarmKind, detail: str, count: int = 0) -> None:
        """Raise an alarm."""
        try:
            self.on_alarm(Alarm(kind, detail, count))
        except Exception:  # noqa: BLE001 - the operator's callback must not end the log
            _log.exception("audit.alarm_not_delivered", extra={"kind": kind})

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Send a checkpoint out; a callback that fails raises an alarm."""
        try:
            self.on_checkpoint(checkpoint)
        except Exception as error:  # noqa: BLE001 - the operator's callback must not end the log
            self.alarm(AlarmKind.CHECKPOINT_FAILED, f"callback: {type(error).__name__}")
