"""Settings of the audit log's writer: frozen, checked when made."""

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from foliotrace_audit.errors import AuditSettingInvalid


class DescribedEnum(StrEnum):
    """A stable name and its meaning; docs/reference/audit.md is generated from them."""

    meaning: str

    def __new__(cls, name: str, meaning: str = "") -> Self:
        """A member; looking one up by its name alone needs no meaning."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member


class Durability(DescribedEnum):
    """When a record is on the disk."""

    STRICT = "strict", "Work begins only after its `*_received` record is synced to the disk."
    GROUP = "group", "Synced within `linger_ms`, nobody waits; a crash can lose that much."
    RELAXED = "relaxed", "Left to the operating system's cache; a power cut can lose more."


class DiskFullPolicy(DescribedEnum):
    """What happens while the log cannot be written."""

    REFUSE = "refuse", "No new work (`audit_unavailable`); records that end running work are kept."
    CONTINUE = "continue", "Work goes on; what the buffer cannot hold is counted and alarmed."


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWriterSettings:
    """How one process writes its stream. The two policies may be given as text.

    The annotations become the reference page.

    Raises AuditSettingInvalid for an unknown policy or a number that is not positive.
    """

    durability: Annotated[Durability, "When a record is on the disk; below."] = Durability.GROUP
    disk_full: Annotated[DiskFullPolicy, "What happens while the log cannot be written; below."] = (
        DiskFullPolicy.REFUSE
    )
    group_records: Annotated[int, "Waiting records that are written without lingering."] = 64
    linger_ms: Annotated[float, "Longest wait of a record for others, in milliseconds."] = 20.0
    segment_bytes: Annotated[int, "Size at which a file is sealed."] = 64 * 1024 * 1024
    segment_age_s: Annotated[float, "Age at which a file is sealed, in seconds."] = 3600.0
    checkpoint_records: Annotated[int, "Records after which a checkpoint is signed."] = 10_000
    checkpoint_age_s: Annotated[
        float, "Seconds after which new records get a checkpoint and rotated keys are loaded."
    ] = 60.0
    checkpoint_folder: Annotated[
        Path | None, "A second folder for checkpoints; best where this host can only append."
    ] = None
    buffered_records: Annotated[int, "Records kept in memory while the disk fails."] = 10_000
    retry_s: Annotated[float, "Seconds before the next try after a failed write."] = 1.0
    retention_s: Annotated[
        float | None, "Sealed files older than this many seconds are removed; `None` keeps all."
    ] = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "durability", Durability(self.durability))
            object.__setattr__(self, "disk_full", DiskFullPolicy(self.disk_full))
        except ValueError as error:
            raise AuditSettingInvalid(str(error)) from error
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, (int, float)) and value <= 0:
                raise AuditSettingInvalid(f"{setting.name} must be more than 0, got {value}")
