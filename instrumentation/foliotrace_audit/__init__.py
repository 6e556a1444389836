"""A provable audit log: chained records, signed checkpoints, verification.

Knows neither LlamaIndex nor OpenTelemetry nor foliotrace; usable with any Python program.
"""

from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.errors import (
    AuditClosed,
    AuditError,
    AuditFieldInvalid,
    AuditKeyUnusable,
    AuditSettingInvalid,
    AuditUnavailable,
    CheckpointUnreadable,
)
from foliotrace_audit.exported import CHECKPOINT_EVENT, event_attributes
from foliotrace_audit.keys import AuditKeys, open_keys, read_keys, write_new_keys
from foliotrace_audit.query_hash import QueryHasher
from foliotrace_audit.record import Entry
from foliotrace_audit.settings import AuditSettings, DiskFullPolicy, Durability
from foliotrace_audit.stream import Alarm, AlarmKind
from foliotrace_audit.writer import DROPPED, AuditWriter

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
    "AuditSettings",
    "AuditUnavailable",
    "AuditWriter",
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
