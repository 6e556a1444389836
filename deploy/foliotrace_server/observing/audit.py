"""The journeys' `AuditLog` port over the chained log, and the counts and alarms beside it."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from foliotrace.errors import AuditUnavailable, Misconfigured
from foliotrace.events import stage
from foliotrace.events.instruments import AUDIT_FAILURES, AUDIT_RECORDS, AUDIT_SYNC
from foliotrace.ports import AuditEntry, AuditLog, CurrentTrace, HashQuery
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
    """An `AuditLog` that adds the trace id; the log itself adds time, sequence and chain.

    `strict`: work waits until its first record is on disk, which is a stage of its own.
    """

    writer: AuditWriter
    current_trace: CurrentTrace
    strict: bool = False

    async def append(self, entry: AuditEntry) -> None:
        """See `AuditLog.append`."""
        waits = self.strict and entry.event.endswith("_received")
        try:
            with stage("audit") if waits else nullcontext():
                await self.writer.write(Entry.like(entry), trace_id=self.current_trace())
        except (AuditWriteFailed, AuditClosed) as error:
            raise AuditUnavailable("the audit log cannot be written", hint=error.hint) from error

    def seal(self) -> None:
        """Seal and sign the end of the stream, waiting for the disk. Twice is fine."""
        try:
            self.writer.close()
        except AuditWriteFailed as error:
            _log.error("audit.records_lost", code=error.code)

    async def close(self) -> None:
        """See `seal`."""
        await asyncio.to_thread(self.seal)


class NoAudit:
    """An `AuditLog` that keeps nothing, for `audit.enabled = false`."""

    async def append(self, entry: AuditEntry) -> None:
        """See `AuditLog.append`."""

    def seal(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


OpenedAuditLog: TypeAlias = ChainedAuditLog | NoAudit


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedAuditLog:
    """Counts what goes into the audit log, and what it refuses."""

    inner: AuditLog
    metrics: Metrics

    async def append(self, entry: AuditEntry) -> None:
        """See `AuditLog.append`."""
        try:
            await self.inner.append(entry)
        except AuditUnavailable:
            self.metrics.record_all((AUDIT_FAILURES.measured(1, "refused"),))
            raise
        self.metrics.record_all((AUDIT_RECORDS.measured(1, entry.event),))


@dataclass(frozen=True, slots=True)
class AuditOperations:
    """What an operator hears of the log itself; called in the writer's thread."""

    metrics: Metrics
    log_events: LogEvents | None = None

    def alarmed(self, alarm: Alarm) -> None:
        """Log, and count unless it is good news."""
        if alarm.kind in _RECOVERIES:
            _log.warning("audit.recovered", kind=alarm.kind.value, detail=alarm.detail)
            return
        _log.error("audit.alarm", kind=alarm.kind.value, detail=alarm.detail, records=alarm.count)
        self.metrics.record_all((AUDIT_FAILURES.measured(1, alarm.kind.value),))

    def written(self, seconds: float) -> None:
        """Measure what the disk took."""
        self.metrics.record_all((AUDIT_SYNC.measured(seconds),))

    def checkpointed(self, checkpoint: Checkpoint) -> None:
        """Send the signed line out of the box: as an OTel log event, and with the log."""
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


def folders(settings: Settings) -> tuple[Path, Path]:
    """(log, keys). The keys lie outside the log's folder."""
    given = settings.audit
    log = given.folder or settings.data_dir / AUDIT_FOLDER
    return log, given.keys_folder or settings.data_dir / KEYS_FOLDER


def open_audit(
    settings: Settings, telemetry: Telemetry, current_trace: CurrentTrace
) -> tuple[AuditLog, OpenedAuditLog, HashQuery]:
    """(the port, what is to be closed, the keyed hash of queries).

    The keys are made, as development keys, if there are none. Raises Misconfigured,
    AuditUnavailable.
    """
    log_folder, keys_folder = folders(settings)
    if keys_folder.resolve().is_relative_to(log_folder.resolve()):
        raise Misconfigured("audit.keys_folder lies inside the audit log's folder")
    try:
        keys = open_keys(keys_folder)
        if not settings.audit.enabled:
            nothing = NoAudit()
            return nothing, nothing, QueryHasher(keys.query)
        operations = AuditOperations(telemetry.metrics, telemetry.log_events)
        writer = AuditWriter.open(
            log_folder,
            keys,
            _writer_settings(settings),
            reload_keys=lambda: read_keys(keys_folder),
            on_checkpoint=operations.checkpointed,
            on_alarm=operations.alarmed,
            on_written=operations.written,
        )
    except (AuditKeyUnusable, AuditSettingInvalid) as error:
        raise Misconfigured(str(error), hint=error.hint) from error
    except AuditError as error:
        raise AuditUnavailable("the audit log cannot be opened", hint=error.hint) from error
    strict = settings.audit.durability == "strict"
    chained = ChainedAuditLog(writer=writer, current_trace=current_trace, strict=strict)
    return CountedAuditLog(inner=chained, metrics=telemetry.metrics), chained, writer.hash_query


def _writer_settings(settings: Settings) -> AuditWriterSettings:
    given = settings.audit
    days = given.retention_days
    return AuditWriterSettings(
        durability=Durability(given.durability),
        disk_full=DiskFullPolicy.REFUSE if given.fail_closed else DiskFullPolicy.CONTINUE,
        checkpoint_folder=given.checkpoint_folder,
        retention_s=days * _S_PER_DAY if days is not None else None,
    )


def verify_audit(settings: Settings) -> Verdict:
    """What can be said of this installation's log with what it holds itself.

    Development keys, or no second checkpoint folder, make that `unanchored` at best. Raises
    AuditKeyUnusable, OSError.
    """
    log_folder, keys_folder = folders(settings)
    second = settings.audit.checkpoint_folder
    evidence = read_evidence(
        log_folder,
        key_folder=keys_folder,
        public_keys=(),
        checkpoints=(second,) if second is not None else (),
    )
    return verify_log(log_folder, evidence, jobs=1)


def command_defaults(settings: Settings, output: str) -> dict[str, dict[str, object]]:
    """The options of `foliotrace audit ...` that are known already: click's `default_map`.

    Keys are among them only where the folder exists: an auditor elsewhere has none, needs none.
    """
    log_folder, keys_folder = (str(folder) for folder in folders(settings))
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
