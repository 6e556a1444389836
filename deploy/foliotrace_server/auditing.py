"""The journeys' `AuditLog` port over the chained log of `foliotrace_audit`."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from foliotrace.errors import AuditUnavailable, Misconfigured
from foliotrace.ports import AuditEntry, CurrentTrace, HashQuery
from foliotrace_audit import (
    AuditError,
    AuditKeyUnusable,
    AuditSettings,
    AuditWriter,
    DiskFullPolicy,
    Entry,
    QueryHasher,
    open_keys,
)
from foliotrace_audit import AuditUnavailable as LogUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedAudit:
    """An `AuditLog` that adds the trace id; the log itself adds time, sequence and chain."""

    writer: AuditWriter
    current_trace: CurrentTrace

    async def append(self, entry: AuditEntry) -> None:
        """See `AuditLog.append`."""
        record = Entry(
            event=entry.event,
            user_id=entry.user_id,
            query_hash=entry.query_hash,
            success=entry.success,
            response_length=entry.response_length,
            error=entry.error,
            error_type=entry.error_type,
            tenant=entry.tenant,
            key_id=entry.key_id,
            run_id=entry.run_id,
            degradation_level=entry.degradation_level,
            degradation_reasons=entry.degradation_reasons,
            model=entry.model,
            tokens=entry.tokens,
            cost_usd=entry.cost_usd,
            document_ids=entry.document_ids,
        )
        try:
            await self.writer.write(record, trace_id=self.current_trace())
        except LogUnavailable as error:
            raise AuditUnavailable("the audit log cannot be written") from error

    async def close(self) -> None:
        """Seal and sign the end of the stream."""
        await asyncio.to_thread(self.writer.close)


class NoAudit:
    """An `AuditLog` that keeps nothing, for `audit.enabled = false`."""

    async def append(self, entry: AuditEntry) -> None:
        """See `AuditLog.append`."""


def open_audit(
    folder: Path, keys: Path, *, fail_closed: bool, current_trace: CurrentTrace
) -> tuple[ChainedAudit, HashQuery]:
    """The log in `folder` and the keyed hash of queries. Raises Misconfigured, AuditUnavailable.

    `keys` is made with development keys if there is none.
    """
    policy = DiskFullPolicy.REFUSE if fail_closed else DiskFullPolicy.CONTINUE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        writer = AuditWriter.open(folder, open_keys(keys), AuditSettings(disk_full=policy))
    except AuditKeyUnusable as error:
        raise Misconfigured("the audit log's keys cannot be used", hint=error.hint) from error
    except AuditError as error:
        raise AuditUnavailable("the audit log cannot be opened", hint=error.hint) from error
    return ChainedAudit(writer=writer, current_trace=current_trace), writer.hash_query


def open_hashing(keys: Path) -> HashQuery:
    """The keyed hash of queries alone. Raises Misconfigured."""
    try:
        return QueryHasher(open_keys(keys).query)
    except AuditKeyUnusable as error:
        raise Misconfigured("the audit log's keys cannot be used", hint=error.hint) from error
