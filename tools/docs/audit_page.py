"""Generates the reference page of the audit log: docs/reference/audit.md."""

from collections.abc import Iterable
from dataclasses import fields
from typing import get_type_hints

from foliotrace_audit.checkpoint import CHECKPOINT_EVENT, EVENT_ATTRIBUTES, LOGGED_AS
from foliotrace_audit.control import ControlEvent
from foliotrace_audit.errors import AuditError
from foliotrace_audit.record import ALWAYS_PRESENT, FAMILIES, FIELDS, STAGES
from foliotrace_audit.settings import (
    AuditWriterSettings,
    DescribedEnum,
    DiskFullPolicy,
    Durability,
)
from foliotrace_audit.verify.verdict import TamperKind, VerdictStatus
from foliotrace_audit.write.hooks import AlarmKind

_CHAIN_FIELDS = ("v", "seq", "prev", "mac")


def page() -> str:
    """The whole page, Markdown."""
    sections = [
        "# The audit log: records, files, settings, verdicts",
        "Made from the code by `python -m tools.docs.reference`; do not edit by hand. "
        "How to use it: [prove the audit log](../how-to/prove-the-audit-log.md).",
        "## Events",
        f"`{{{','.join(FAMILIES)}}}_{{{','.join(STAGES)}}}`. A `*_received` record is written "
        "before the work, one of the other two after it; a missing second record is evidence "
        "(`audit find --unfinished`).",
        "The log writes about itself:",
        _table(("event", "meaning"), _meanings(ControlEvent)),
        "## Fields of a record",
        _table(("field", "present", "meaning"), _field_rows()),
        "## Files",
        _FILES,
        "## Checkpoints that leave",
        _EXPORTED,
        _table(("attribute", "meaning"), _event_rows()),
        "## Settings",
        _table(("setting", "default", "meaning"), _setting_rows()),
        _table(("durability", "meaning"), _meanings(Durability)),
        _table(("disk_full", "meaning"), _meanings(DiskFullPolicy)),
        "## Alarms",
        _table(("kind", "meaning"), _meanings(AlarmKind)),
        "## Verdicts",
        _table(("status", "exit code", "meaning"), _status_rows()),
        "What tampering is called:",
        _table(("kind", "meaning"), _meanings(TamperKind)),
        "## Errors",
        _table(("code", "meaning", "hint"), _error_rows()),
    ]
    return "\n\n".join(sections) + "\n"


_FILES = """\
```
audit/                                   0700
  <host>-<pid>-<start>/                  one stream: one chain, one writer at a time
    0000.jsonl 0001.jsonl ...            0600; from segment.opened to segment.sealed
    0003.torn                            what a crash left after the last whole record
    0000.expired                         what retention left of 0000.jsonl: its seal
    checkpoints.jsonl                    signed checkpoints
    lock                                 held while the writer lives
audit-keys/                              0700; keep it outside audit/
  active.json                            the keys in use, and whether they were made up
  chain-<id>.key query-<id>.key          0600, 64 hex digits
  sign-<id>.pem sign-<id>.pub.pem        Ed25519
```

A stored line is `{"v":1,"seq":N,"prev":"<mac of N-1>",...,"mac":"<HMAC>"}`; the MAC (HMAC-SHA256
under the chain key) covers the bytes before `,"mac"`. A checkpoint is a line
`{...,"signature":"<base64>"}`; the Ed25519 signature covers `foliotrace-audit-checkpoint`, a zero
byte, and the bytes before `,"signature"`. It holds `head` (the record's MAC), `segment_bytes` and
`segment_sha256` (of the file's first so many bytes), so it can be checked without any secret."""


_EXPORTED = f"""\
Each checkpoint also leaves as an OpenTelemetry log event named `{CHECKPOINT_EVENT}`
(`OTEL_LOGS_EXPORTER`, `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` and the other standard variables say where
to), and as a line of the service's log, event `{LOGGED_AS}`. `audit verify --checkpoints` reads
signed lines, OTLP JSON (a batch a line, as the collector's file exporter writes), the JSON log."""


def _event_rows() -> Iterable[tuple[str, ...]]:
    yield f"`{CHECKPOINT_EVENT}`", "the signed line, byte by byte: it is never redacted"
    for name, meaning in EVENT_ATTRIBUTES.items():
        yield f"`foliotrace.audit.{name}`", meaning


def _field_rows() -> Iterable[tuple[str, ...]]:
    for name, meaning in FIELDS.items():
        always = name in ALWAYS_PRESENT or name in _CHAIN_FIELDS
        yield f"`{name}`", "always" if always else "when known", meaning


def _setting_rows() -> Iterable[tuple[str, ...]]:
    hints = get_type_hints(AuditWriterSettings, include_extras=True)
    for setting in fields(AuditWriterSettings):
        (meaning,) = hints[setting.name].__metadata__
        yield f"`{setting.name}`", f"`{setting.default}`", meaning


def _status_rows() -> Iterable[tuple[str, ...]]:
    for status in VerdictStatus:
        yield f"`{status}`", str(status.exit_code), status.meaning


def _error_rows() -> Iterable[tuple[str, ...]]:
    for error in AuditError.__subclasses__():
        yield f"`{error.code}`", (error.__doc__ or "").strip().split("\n")[0], error.hint


def _meanings(names: type[DescribedEnum]) -> Iterable[tuple[str, ...]]:
    return ((f"`{name}`", name.meaning) for name in names)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
