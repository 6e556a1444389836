"""How an audit log is written. Frozen, checked when made."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from foliotrace_audit.errors import AuditSettingInvalid


class Durability(StrEnum):
    """When a record is on the disk. Meanings: `DURABILITIES`."""

    STRICT = "strict"
    GROUP = "group"
    RELAXED = "relaxed"


class DiskFullPolicy(StrEnum):
    """What happens while the log cannot be written. Meanings: `DISK_FULL_POLICIES`."""

    REFUSE = "refuse"
    CONTINUE = "continue"


DURABILITIES: Mapping[str, str] = {
    Durability.STRICT: "Work begins only after its `*_received` record is synced to the disk.",
    Durability.GROUP: "Synced within `linger_ms`, nobody waits; a crash can lose that much.",
    Durability.RELAXED: "With the operating system within `linger_ms`; a power cut can lose more.",
}
DISK_FULL_POLICIES: Mapping[str, str] = {
    DiskFullPolicy.REFUSE: "No new work (`audit_unavailable`); the ends of begun work are kept.",
    DiskFullPolicy.CONTINUE: "Work goes on; what the buffer cannot hold is counted and alarmed.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWriterSettings:
    """Meanings: `SETTINGS`. Policies may be given by their names.

    Raises AuditSettingInvalid for a value out of range.
    """

    durability: Durability = Durability.GROUP
    disk_full: DiskFullPolicy = DiskFullPolicy.REFUSE
    group_records: int = 64
    linger_ms: float = 20.0
    segment_bytes: int = 64 * 1024 * 1024
    segment_age_s: float = 3600.0
    checkpoint_records: int = 10_000
    checkpoint_age_s: float = 60.0
    checkpoint_folder: Path | None = None
    buffered_records: int = 10_000
    retry_s: float = 1.0
    retention_s: float | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "durability", Durability(self.durability))
            object.__setattr__(self, "disk_full", DiskFullPolicy(self.disk_full))
        except ValueError as error:
            raise AuditSettingInvalid(str(error)) from error
        for name in SETTINGS:
            value = getattr(self, name)
            if isinstance(value, (int, float)) and value <= 0:
                raise AuditSettingInvalid(f"{name} must be more than 0, got {value}")


SETTINGS: Mapping[str, str] = {
    "durability": "When a record is on the disk; below.",
    "disk_full": "What happens while the log cannot be written; below.",
    "group_records": "Records that end the linger early.",
    "linger_ms": "Longest wait of a record for company, in milliseconds.",
    "segment_bytes": "Size at which a file is sealed.",
    "segment_age_s": "Age at which a file is sealed, in seconds.",
    "checkpoint_records": "Records after which a checkpoint is signed.",
    "checkpoint_age_s": "Seconds after which new records are signed for, rotated keys taken up.",
    "checkpoint_folder": "A second folder for checkpoints; best where this host can only append.",
    "buffered_records": "Records kept in memory while the disk refuses them.",
    "retry_s": "Seconds before the next try after a failed write.",
    "retention_s": "Sealed files older than this many seconds are removed; `None` keeps all.",
}
