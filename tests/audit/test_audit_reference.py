"""The tables of meanings, the port and the code say the same."""

from dataclasses import fields

from foliotrace.ports import AuditEntry
from foliotrace_audit import AuditSettings, Entry
from foliotrace_audit.control import CONTROL_EVENTS
from foliotrace_audit.record import EVENTS, FIELDS
from foliotrace_audit.settings import SETTINGS
from foliotrace_audit.stream import ALARMS, AlarmKind
from foliotrace_audit.verdict import KINDS, STATUSES, Kind, Status


def test_everything_has_a_meaning() -> None:
    assert set(SETTINGS) == {f.name for f in fields(AuditSettings)}
    assert (set(ALARMS), set(KINDS), set(STATUSES)) == (set(AlarmKind), set(Kind), set(Status))
    assert EVENTS.isdisjoint(CONTROL_EVENTS)
    entry = {f.name for f in fields(Entry)} - {"degradation_level", "degradation_reasons"}
    assert entry <= set(FIELDS)


def test_a_core_audit_entry_can_be_written_field_by_field() -> None:
    assert {f.name for f in fields(AuditEntry)} == {f.name for f in fields(Entry)}
