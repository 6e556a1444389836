"""The `AuditLog` port over the hash-chained log, with metrics, alarms and verification."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
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
from foliotrace_audit.verify.evidence import read_evidence
from foliotrace_audit.verify.log import verify_log
from foliotrace_audit.verify.verdict import Verdict
from foliotrace_otel import LogEvents, Metrics, Telemetry
from foliotrace_server.logging import CHECKPOINT
from foliotrace_server.settings import Settings

AUDIT_FOLDER: Final = "audit"
KEYS_FOLDER: Final = "audit-keys"
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
    strict: bool = False

    async def append(self, entry: AuditEntry) -> None:
        """Append an entry. Raises AuditUnavailable."""
        waits = self.strict and entry.event.endswith("_received")
        try:
            with stage("audit") if waits else nullcontext():
                await self.writer.write(Entry.like(entry), trace_id=self.current_trace())
        except (AuditWriteFailed, AuditClosed) as error:
            self.metrics.record_all((AUDIT_FAILURES.measured(1, "refused"),))
            raise AuditUnavailable("the audit log cannot be written", hint=error.hint) from error
        self.metrics.record_all((AUDIT_RECORDS.measured(1, entry.event),))

    def seal(self) -> None:
        """Seal and sign the end of the stream, and wait for the disk. May be called twice."""
        try:
            self.writer.close()
        except AuditWriteFailed as error:
            _log.error("audit.records_lost", code=error.code)

    async def close(self) -> None:
        """Seal without blocking the event loop."""
        await asyncio.to_thread(self.seal)


class DisabledAuditLog:
    """Drops every entry, for `audit.enabled = false`."""

    async def append(self, entry: AuditEntry) -> None:
        """Drop the entry."""

    def seal(self) -> None:
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
        operations = AuditOperations(telemetry.metrics, telemetry.log_events)
        writer = AuditWriter.open(
            log_folder,
            keys,
            _writer_settings(settings),
            reload_keys=lambda: read_keys(keys_folder),
            on_checkpoint=operations.on_checkpoint,
            on_alarm=operations.on_alarm,
            on_written=operations.on_written,
        )
    except (AuditKeyUnusable, AuditSettingInvalid) as error:
        raise Misconfigured(str(error), hint=error.hint) from error
    except AuditError as error:
        raise AuditUnavailable("the audit log cannot be opened", hint=error.hint) from error
    log = ChainedAuditLog(
        writer=writer,
        metrics=telemetry.metrics,
        current_trace=current_trace,
        strict=settings.audit.durability == "strict",
    )
    return log, writer.hash_query


def _writer_settings(settings: Settings) -> AuditWriterSettings:
    audit = settings.audit
    days = audit.retention_days
    return AuditWriterSettings(
        durability=Durability(audit.durability),
        disk_full=DiskFullPolicy.REFUSE if audit.fail_closed else DiskFullPolicy.CONTINUE,
        checkpoint_folder=audit.checkpoint_folder,
        retention_s=days * _S_PER_DAY if days is not None else None,
    )


def verify_audit(settings: Settings) -> Verdict:
    """Verify this installation's log with the keys and checkpoints it holds itself.

    With development keys, or without a second checkpoint folder, the best verdict is `unanchored`.
    Raises AuditKeyUnusable, OSError.
    """
    log_folder, keys_folder = audit_folders(settings)
    second = settings.audit.checkpoint_folder
    evidence = read_evidence(
        log_folder,
        key_folder=keys_folder,
        public_keys=(),
        checkpoints=(second,) if second is not None else (),
    )
    return verify_log(log_folder, evidence, jobs=1)


def command_defaults(settings: Settings, output: str) -> dict[str, dict[str, object]]:
    """Defaults of the `foliotrace audit` options from the settings, as click's `default_map`.

    The keys folder is included only if it exists: an auditor on another machine needs none.
    """
    log_folder, keys_folder = (str(folder) for folder in audit_folders(settings))
    second = settings.audit.checkpoint_folder
    seconds = [str(second)] if second is not None else []
    keys = {"keys": keys_folder} if Path(keys_folder).is_dir() else {}
    reading = {"log_folder": log_folder, "output": output, **keys}
    return {
        "verify": {**reading, "checkpoints": seconds},
        "find": dict(reading),
        "export": {"log_folder": log_folder},
        "checkpoints": {"log_folder": log_folder, "output": output},
        "rotate-key": {
            "output": output,
            "log_folder": log_folder,
            "key_folder": keys_folder,
            "checkpoints": seconds[0] if seconds else None,
        },
    }
