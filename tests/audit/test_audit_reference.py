"""The tables of meanings, the port and the code say the same."""

from dataclasses import fields

from foliotrace.ports import AuditEntry
from foliotrace_audit import AuditWriterSettings, Entry
from foliotrace_audit.control import CONTROL_EVENTS
from foliotrace_audit.record import EVENTS, FIELDS
from foliotrace_audit.settings import SETTINGS
from foliotrace_audit.verify.verdict import (
    TAMPER_KINDS,
    VERDICT_STATUSES,
    TamperKind,
    VerdictStatus,
)
from foliotrace_audit.write.stream_files import ALARMS, AlarmKind


def test_everything_has_a_meaning() -> None:
    assert set(SETTINGS) == {f.name for f in fields(AuditWriterSettings)}
    assert (set(ALARMS), set(TAMPER_KINDS), set(VERDICT_STATUSES)) == (
        set(AlarmKind),
        set(TamperKind),
        set(VerdictStatus),
    )
    assert EVENTS.isdisjoint(CONTROL_EVENTS)
    entry = {f.name for f in fields(Entry)} - {"degradation_level", "degradation_reasons"}
    assert entry <= set(FIELDS)


def test_a_core_audit_entry_can_be_written_field_by_field() -> None:
    assert {f.name for f in fields(AuditEntry)} == {f.name for f in fields(Entry)}
