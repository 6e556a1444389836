"""How an audit log is written. Frozen, checked when made."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from foliotrace_audit.errors import AuditSettingInvalid


class Durability(StrEnum):
    """When a record is on the disk.

    `strict`: work begins only after its `*_received` record is synced. `group`: synced within
    `linger_ms`, nobody waits; a power cut can lose that much, a killed process too. `relaxed`:
    given to the operating system within `linger_ms`; a power cut can lose seconds.
    """

    STRICT = "strict"
    GROUP = "group"
    RELAXED = "relaxed"


class DiskFullPolicy(StrEnum):
    """While the log cannot be written: no new work, or work with an alarm and a count."""

    REFUSE = "refuse"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Raises AuditSettingInvalid for a value out of range; names of policies may be plain text."""

    durability: Durability = Durability.GROUP
    disk_full: DiskFullPolicy = DiskFullPolicy.REFUSE
    group_records: int = 64
    """Records that end the linger early."""
    linger_ms: float = 20.0
    """Longest wait of a record for company."""
    segment_bytes: int = 64 * 1024 * 1024
    segment_age_s: float = 3600.0
    checkpoint_records: int = 10_000
    checkpoint_age_s: float = 60.0
    checkpoint_folder: Path | None = None
    """A second folder for checkpoints; put it where the log's writer cannot be followed."""
    buffered_records: int = 10_000
    """Records kept in memory while the disk refuses them."""
    retry_s: float = 1.0
    """Wait before the next try to write after a failure."""
    retention_s: float | None = None
    """Sealed segments older than this are deleted; None keeps all."""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "durability", Durability(self.durability))
            object.__setattr__(self, "disk_full", DiskFullPolicy(self.disk_full))
        except ValueError as error:
            raise AuditSettingInvalid(str(error)) from error
        positive = (
            "group_records", "linger_ms", "segment_bytes", "segment_age_s", "checkpoint_records",
            "checkpoint_age_s", "buffered_records", "retry_s", "retention_s",
        )  # fmt: skip
        for name in positive:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise AuditSettingInvalid(f"{name} must be more than 0, got {value}")
