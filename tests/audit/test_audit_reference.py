"""Every name of the audit log has a meaning, and the core's entries can be written as they are."""

from dataclasses import fields
from decimal import Decimal
from typing import get_type_hints

from foliotrace.ports import AuditEntry
from foliotrace_audit import AuditWriterSettings, Entry
from foliotrace_audit.control import ControlEvent
from foliotrace_audit.record import EVENTS, FIELDS
from foliotrace_audit.settings import DiskFullPolicy, Durability
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus
from foliotrace_audit.write.hooks import AlarmKind


def test_everything_has_a_meaning() -> None:
    enums = (AlarmKind, ControlEvent, DiskFullPolicy, Durability, TamperKind, VerdictStatus)
    assert all(member.meaning for enum in enums for member in enum)
    hints = get_type_hints(AuditWriterSettings, include_extras=True)
    assert all(hint.__metadata__ for hint in hints.values())
    assert EVENTS.isdisjoint(ControlEvent)
    entry = {f.name for f in fields(Entry)} - {"degradation_level", "degradation_reasons"}
    assert entry <= set(FIELDS)


def test_a_core_audit_entry_can_be_written_field_by_field() -> None:
    assert {f.name for f in fields(AuditEntry)} == {f.name for f in fields(Entry)}


def test_a_core_audit_entry_loses_nothing_on_its_way_into_the_log() -> None:
    entry = AuditEntry(
        event="query_completed",
        run_id="run",
        tenant="acme",
        degradation_reasons=("embedding_pending",),
        cost_usd=Decimal("0.0010"),
        document_ids=("d1", "d2"),
    )
    written = Entry.like(entry)
    assert all(getattr(written, f.name) == getattr(entry, f.name) for f in fields(AuditEntry))
