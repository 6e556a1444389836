"""The `AuditLog` port over the hash-chained log, with metrics, alarms and verification."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from foliotrace.errors import AuditUnavailable, Misconfigured
from foliotrace.events import stage
from foliotrace.events.instruments import AUDIT_FAILURES, AUDIT_RECORDS, AUDIT_SYNC
from foliotrace.ports import AuditEntry, CurrentTrace, HashQuery
from foliotrace_audit import (
    CHECKPOINT_EVENT,
    Alarm,
    AlarmKind,
    AuditClosed,
    AuditError,
    AuditKeyUnusable,
    AuditSettingInvalid,
    AuditWriteFailed,
    AuditWriter,
    AuditWriterSettings,
    Checkpoint,
    DiskFullPolicy,
    Durability,
    Entry,
    QueryHasher,
    event_attributes,
    open_keys,
    read_keys,
)
from foliotrace_audit.write.recovery import unended_streams
from foliotrace_otel import LogEvents, Metrics, Telemetry
from foliotrace_server.logging import CHECKPOINT
from foliotrace_server.observing.audited_runs import AuditedRuns, interrupted
from foliotrace_server.settings import Settings

AUDIT_FOLDER: Final = "audit"
KEYS_FOLDER: Final = "audit-keys"
CHECKPOINTS_FOLDER: Final = "checkpoints"
_S_PER_DAY: Final = 86_400.0
_RECOVERIES: Final = (AlarmKind.WRITE_RECOVERED, AlarmKind.STREAM_RECOVERED)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedAuditLog:
    """Writes and counts entries of the hash-chained log, with the id of the running trace.

    With `strict`, work starts after its first record is on disk; that wait is traced as a stage.
    """

    writer: AuditWriter
    metrics: Metrics
    current_trace: CurrentTrace
    folder: Path
    strict: bool = False
    runs: AuditedRuns = field(default_factory=AuditedRuns)
    died: Sequence[Path] = ()  # streams of processes that did not close them

    async def append(self, entry: AuditEntry) -> None:
        """Append an entry, unless the job has it already. Raises AuditUnavailable."""
        if self.runs.is_written(entry):
            return
        waits = self.strict and entry.event.endswith("_received")
        try:
            with stage("audit", event=entry.event) if waits else nullcontext() as call:
                seq = self.writer.append(Entry.like(entry), trace_id=self.current_trace())
                self.runs.note(entry, seq)
                if waits:
                    await self.writer.durable(seq)
                if call is not None:
                    call.result = "written"
        except (AuditWriteFailed, AuditClosed) as error:
            self.metrics.record_all((AUDIT_FAILURES.measured(1, "refused"),))
            raise AuditUnavailable("the audit log cannot be written", hint=error.hint) from error
        self.metrics.record_all((AUDIT_RECORDS.measured(1, entry.event),))

    async def recall(self, run_ids: Collection[str], since: datetime | None) -> None:
        """Learn what a killed process has written of these jobs, and end its other runs.

        `since` is the time of the oldest job. Raises AuditUnavailable.
        """
        with _readable():
            await asyncio.to_thread(self.runs.recall, self.folder, run_ids, since)
            lost = await asyncio.to_thread(lambda: list(interrupted(self.folder, self.died)))
        for entry in lost:
            await self.append(entry)

    def lacks_records(self, run_id: str) -> bool:
        """Whether the first or the last record of a job is missing."""
        return self.runs.lacks(run_id)

    async def settled(self, run_id: str) -> None:
        """Wait until the records of an ended job are on the disk. Raises AuditUnavailable."""
        seq = self.runs.last_seq(run_id)
        try:
            await self.writer.durable(seq)
        except (AuditWriteFailed, AuditClosed) as error:
            raise AuditUnavailable("the audit log cannot be written", hint=error.hint) from error
        self.runs.forget(run_id)

    def close_blocking(self) -> None:
        """Sign the end of the stream, and wait for the disk. May be called twice."""
        try:
            self.writer.close()
        except AuditWriteFailed as error:
            _log.error("audit.records_lost", code=error.code)

    async def close(self) -> None:
        """Close without blocking the event loop."""
        await asyncio.to_thread(self.close_blocking)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditUnavailable("the audit log cannot be read") from error


class DisabledAuditLog:
    """Drops every entry, for `audit.enabled = false`."""

    async def append(self, entry: AuditEntry) -> None:
        """Drop the entry."""

    async def recall(self, run_ids: Collection[str], since: datetime | None) -> None:
        """Do nothing: there is no log."""

    def lacks_records(self, run_id: str) -> bool:
        """None is kept, so none is missing."""
        return False

    async def settled(self, run_id: str) -> None:
        """Do nothing: there is no log."""

    def close_blocking(self) -> None:
        """Do nothing: no stream is open."""

    async def close(self) -> None:
        """Do nothing: no stream is open."""


OpenedAuditLog: TypeAlias = ChainedAuditLog | DisabledAuditLog


@dataclass(frozen=True, slots=True)
class AuditOperations:
    """Reports the state of the log to operators; the writer calls it in its own thread."""

    metrics: Metrics
    log_events: LogEvents | None = None

    def on_alarm(self, alarm: Alarm) -> None:
        """Log an alarm, and count it unless it reports a recovery."""
        if alarm.kind in _RECOVERIES:
            _log.warning("audit.recovered", kind=alarm.kind.value, detail=alarm.detail)
            return
        _log.error("audit.alarm", kind=alarm.kind.value, detail=alarm.detail, records=alarm.count)
        self.metrics.record_all((AUDIT_FAILURES.measured(1, alarm.kind.value),))

    def on_written(self, seconds: float) -> None:
        """Record the duration of a write with fsync."""
        self.metrics.record_all((AUDIT_SYNC.measured(seconds),))

    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Send the signed line off this machine: as an OTel log event and in the service's log."""
        if self.log_events is not None:
            self.log_events.emit(
                CHECKPOINT_EVENT,
                f"checkpoint of {checkpoint.stream} at {checkpoint.seq}",
                event_attributes(checkpoint),
                proofs={CHECKPOINT_EVENT: checkpoint.line},
            )
        _log.info(
            CHECKPOINT,
            line=checkpoint.line,
            stream=checkpoint.stream,
            segment=checkpoint.segment,
            seq=checkpoint.seq,
            final=checkpoint.final,
        )


def audit_folders(settings: Settings) -> tuple[Path, Path]:
    """(folder of the log, folder of the keys)."""
    log = settings.audit.folder or settings.data_dir / AUDIT_FOLDER
    return log, settings.audit.keys_folder or settings.data_dir / KEYS_FOLDER


def checkpoint_folder(settings: Settings) -> Path:
    """The second folder of the checkpoints; beside the keys, unless the settings name one.

    Whoever can write there holds the keys and could sign anything; whoever can only write the log
    can remove none of these proofs.
    """
    return settings.audit.checkpoint_folder or audit_folders(settings)[1] / CHECKPOINTS_FOLDER


def open_audit(
    settings: Settings, telemetry: Telemetry, current_trace: CurrentTrace
) -> tuple[OpenedAuditLog, HashQuery]:
    """(the audit log, the keyed hash of queries).

    Makes development keys if there are no keys. Raises Misconfigured, AuditUnavailable.
    """
    log_folder, keys_folder = audit_folders(settings)
    if keys_folder.resolve().is_relative_to(log_folder.resolve()):
        raise Misconfigured("audit.keys_folder must not be inside the audit log's folder")
    try:
        keys = open_keys(keys_folder)
        if not settings.audit.enabled:
            return DisabledAuditLog(), QueryHasher(keys.query)
        died = unended_streams(log_folder)
        operations = AuditOperations(telemetry.metrics, telemetry.log_events)
        writer = AuditWriter.open(
            log_folder,
            keys,
            writer_settings(settings),
            reload_keys=lambda: read_keys(keys_folder),
            resume=True,
            on_checkpoint=operations.on_checkpoint,
            on_alarm=operations.on_alarm,
            on_written=operations.on_written,
        )
    except (AuditKeyUnusable, AuditSettingInvalid) as error:
        raise Misconfigured(str(error), hint=error.hint) from error
    except (AuditError, OSError) as error:
        hint = error.hint if isinstance(error, AuditError) else ""
        raise AuditUnavailable("the audit log cannot be opened", hint=hint) from error
    log = ChainedAuditLog(
        writer=writer,
        metrics=telemetry.metrics,
        current_trace=current_trace,
        folder=log_folder,
        strict=settings.audit.durability == "strict",
        died=died,
    )
    return log, writer.hash_query


def writer_settings(settings: Settings) -> AuditWriterSettings:
    """How the settings have the log written."""
    audit = settings.audit
    days = audit.retention_days
    return AuditWriterSettings(
        durability=Durability(audit.durability),
        disk_full=DiskFullPolicy.REFUSE if audit.fail_closed else DiskFullPolicy.CONTINUE,
        checkpoint_folder=checkpoint_folder(settings),
        retention_s=days * _S_PER_DAY if days is not None else None,
    )
