"""Errors of the audit log, with stable codes."""

from typing import ClassVar


class AuditError(Exception):
    """Root of every error this package raises.

    `code` never changes once released; `hint` says what to do next. Neither holds record content.
    """

    code: ClassVar[str] = "audit_error"
    hint: ClassVar[str] = "See the message."


class AuditWriteFailed(AuditError):
    """The log cannot take this record now (disk full, sync failed, too many unwritten records)."""

    code = "audit_unavailable"
    hint = "Free space or repair the audit volume; the writer retries by itself."


class AuditClosed(AuditError):
    """The writer was closed, belongs to another process after a fork, or its thread died."""

    code = "audit_closed"
    hint = "Open a new AuditWriter in this process."


class AuditFieldInvalid(AuditError):
    """A record field has a type or form that must not reach the file."""

    code = "audit_field_invalid"
    hint = "Compare the call with docs/reference/audit.md; query_hash must come from QueryHasher."


class AuditKeyUnusable(AuditError):
    """A key file is missing, unreadable, or does not hold the key it is named after."""

    code = "audit_key_unusable"
    hint = "Restore the key folder from its backup, or name another one with --keys."


class CheckpointUnreadable(AuditError):
    """A line that should be a signed checkpoint is not one."""

    code = "audit_checkpoint_unreadable"
    hint = "Pass files with one checkpoint per line, as the writer sent them."


class TombstoneForged(AuditError):
    """The tombstone of a removed segment was not written by a holder of the chain key."""

    code = "audit_tombstone_forged"
    hint = "Run `foliotrace audit verify`; restore the segment from a backup."


class AuditSettingInvalid(AuditError):
    """An audit setting is out of range."""

    code = "audit_setting_invalid"
    hint = "Correct the named setting."
