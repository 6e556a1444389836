"""A provable audit log: chained records, signed checkpoints, verification.

Knows neither LlamaIndex nor OpenTelemetry nor foliotrace; usable with any Python program.
"""

from foliotrace_audit.checkpoint import CHECKPOINT_EVENT, Checkpoint, event_attributes
from foliotrace_audit.errors import (
    AuditClosed,
    AuditError,
    AuditFieldInvalid,
    AuditKeyUnusable,
    AuditSettingInvalid,
    AuditWriteFailed,
    CheckpointUnreadable,
)
from foliotrace_audit.keys import AuditKeys, QueryHasher, open_keys, read_keys, write_new_keys
from foliotrace_audit.record import Entry
from foliotrace_audit.settings import AuditWriterSettings, DiskFullPolicy, Durability
from foliotrace_audit.write.hooks import Alarm, AlarmKind
from foliotrace_audit.write.writer import DROPPED, AuditWriter

__all__ = [
    "CHECKPOINT_EVENT",
    "DROPPED",
    "Alarm",
    "AlarmKind",
    "AuditClosed",
    "AuditError",
    "AuditFieldInvalid",
    "AuditKeyUnusable",
    "AuditKeys",
    "AuditSettingInvalid",
    "AuditWriteFailed",
    "AuditWriter",
    "AuditWriterSettings",
    "Checkpoint",
    "CheckpointUnreadable",
    "DiskFullPolicy",
    "Durability",
    "Entry",
    "QueryHasher",
    "event_attributes",
    "open_keys",
    "read_keys",
    "write_new_keys",
]
