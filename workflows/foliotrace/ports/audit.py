"""The audit log."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One audit record as a journey knows it; the adapter adds time, trace id, sequence and chain.

    `event` is "query_received", "query_completed", "query_failed", and so for ingest, extract,
    delete and admin. Holds no query and no document text.
    """

    event: str
    run_id: str
    tenant: str
    user_id: str | None = None
    query_hash: str | None = None
    key_id: str | None = None
    success: bool | None = None
    response_length: int | None = None
    error: str | None = None
    error_type: str | None = None
    degradation_level: int | None = None
    degradation_reasons: tuple[str, ...] = ()
    model: str | None = None
    tokens: int | None = None
    cost_usd: Decimal | None = None
    document_ids: tuple[str, ...] = ()


class AuditLog(Protocol):
    """Called first and last by every journey."""

    async def append(self, entry: AuditEntry) -> None:
        """Raises AuditUnavailable when the policy is to refuse unaudited work."""
        ...
