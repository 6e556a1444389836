"""What surrounds a run: the caller, the time, the trace, the audit log, files elsewhere."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeAlias

from foliotrace.model import Principal

Identify: TypeAlias = Callable[[], Principal]
"""The current caller. The HTTP edge sets it; without an edge it is the default principal."""

HashQuery: TypeAlias = Callable[[str, str], tuple[str, str]]
"""(tenant, text) -> (key id, keyed hash). Never a plain hash."""

CurrentTrace: TypeAlias = Callable[[], str | None]
"""The trace id (32 hex digits) of the current span, or None if nothing is traced."""

CurrentSpan: TypeAlias = Callable[[], str | None]
"""The current span as a W3C traceparent, for links to it; None if its trace is not sampled."""


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One audit record as a journey knows it; the adapter adds time, trace id, sequence and chain.

    `event` is "query_received", "query_completed" or "query_failed", and the same for ingest,
    extract, delete and admin; or "access_failed" for a request that was refused. Holds no query and
    no document text.
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
    release: str | None = None
    model: str | None = None
    tokens: int | None = None
    cost_usd: Decimal | None = None
    credits: float | None = None
    cloud_jobs: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    action: str | None = None  # what an administrator did, or what was refused
    caller: str | None = None  # the authenticated subject; `user_id` may be whom a body claims
    api_key_id: str | None = None
    source_address: str | None = None


@dataclass(frozen=True, slots=True)
class OutsideFile:
    """A file outside the service: its own name, and its bytes as they arrive."""

    name: str
    content: AsyncIterator[bytes]


class OutsideFiles(Protocol):
    """Files that a start event names; only what the operator allows is read."""

    def open(self, path: str) -> AbstractAsyncContextManager[OutsideFile]:
        """A file under an allowed folder.

        Raises NotAllowed `source_not_allowed`, NotFound `source_not_found`.
        """
        ...

    def fetch(self, url: str) -> AbstractAsyncContextManager[OutsideFile]:
        """A file of an allowed host. Raises as `open`, SourceUnavailable, DeadlineExceeded."""
        ...


class AuditLog(Protocol):
    """Every journey writes to it first and last."""

    async def append(self, entry: AuditEntry) -> None:
        """Write a record. Raises AuditUnavailable if the policy refuses unaudited work."""
        ...
