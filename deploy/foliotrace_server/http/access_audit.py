"""What the edge adds to the audit log: who called from where, and which requests were refused."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from decimal import Decimal
from time import monotonic
from typing import Final
from uuid import uuid4

import structlog
from starlette.requests import HTTPConnection

from foliotrace.catalog import ErrorCode
from foliotrace.errors import AuditUnavailable
from foliotrace.ports import AuditEntry, AuditLog
from foliotrace_server.http.identity import api_key_id, caller, source_address
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.http.scopes import Access, needed

_log = structlog.get_logger(__name__)
_AUDITED: Final = (401, 403, 413, 429)
_READABLE: Final = frozenset(
    {"documents", "extractions", "runs", "queues", "handlers", "results", "events"}
)
_WINDOW_S: Final = 60.0
_PER_SOURCE: Final = 20  # records of one address and code in a window: a flood must not fill disks
_TOTAL: Final = 600
_REMEMBERED: Final = 10_000


class CallerAudit:
    """An `AuditLog` that names key and address in first records, and counts what runs have used."""

    def __init__(self, audit: AuditLog, quotas: Quotas) -> None:
        self._audit, self._quotas = audit, quotas

    async def append(self, entry: AuditEntry) -> None:
        """Append an entry. Raises AuditUnavailable."""
        principal = caller()
        if entry.tokens or entry.cost_usd:
            await self._quotas.add(
                principal, tokens=entry.tokens or 0, usd=entry.cost_usd or Decimal(0)
            )
        if entry.event.endswith("_received") or entry.event.startswith("query_"):
            entry = replace(
                entry,
                caller=principal.subject,
                api_key_id=api_key_id(principal),
                source_address=source_address(),
            )
        await self._audit.append(entry)


@dataclass(slots=True)
class _Window:
    began_s: float
    records: int = 0


class RefusalAudit:
    """Records requests that were refused for who sent them, how many, or how large; and reads."""

    def __init__(self, audit: AuditLog, *, reads: bool = True) -> None:
        self._audit = audit
        self._reads = reads
        self._windows: OrderedDict[tuple[str | None, str], _Window] = OrderedDict()
        self._all = _Window(monotonic())

    async def record(
        self, connection: HTTPConnection, status: int, code: str, key_id: str | None
    ) -> None:
        """Write an `access_failed` record, unless this source has had many of them."""
        if status not in _AUDITED or not self._admits(source_address(), code):
            return
        principal = caller()
        entry = AuditEntry(
            event="access_failed",
            run_id=f"req_{uuid4().hex}",
            tenant=principal.tenant,
            user_id=principal.subject,
            success=False,
            error=code,
            error_type=code,
            action=_action(connection),
            caller=principal.subject,
            api_key_id=api_key_id(principal) or key_id,
            source_address=source_address(),
        )
        try:
            await self._audit.append(entry)
        except AuditUnavailable:  # the refusal stands all the same
            _log.warning("access.refusal_not_audited", code=ErrorCode.AUDIT_UNAVAILABLE)

    async def read(self, connection: HTTPConnection, status: int) -> None:
        """Write an `access_completed` record of a GET that has shown documents, runs or results."""
        method, path = connection.scope["method"], connection.scope["path"]
        parts = path.strip("/").split("/")
        noun, identity = (parts[1:2], parts[2:3]) if parts[0] == "v1" else (parts[:1], parts[1:2])
        if not self._reads or method != "GET" or status >= 400 or not _READABLE & set(noun):
            return
        principal = caller()
        entry = AuditEntry(
            event="access_completed",
            run_id=f"req_{uuid4().hex}",
            tenant=principal.tenant,
            user_id=principal.subject,
            success=True,
            document_ids=tuple(identity) if noun == ["documents"] else (),
            action=_action(connection),
            caller=principal.subject,
            api_key_id=api_key_id(principal),
            source_address=source_address(),
        )
        try:
            await self._audit.append(entry)
        except AuditUnavailable:  # it has been read all the same
            _log.warning("access.read_not_audited", code=ErrorCode.AUDIT_UNAVAILABLE)

    def _admits(self, source: str | None, code: str) -> bool:
        now_s = monotonic()
        window = self._windows.setdefault((source, code), _Window(now_s))
        for each in (window, self._all):
            if now_s - each.began_s >= _WINDOW_S:
                each.began_s, each.records = now_s, 0
        if window.records >= _PER_SOURCE or self._all.records >= _TOTAL:
            if window.records == _PER_SOURCE:
                _log.warning("access.refusals_not_audited", source=source, code=code)
            window.records += 1
            return False
        window.records += 1
        self._all.records += 1
        while len(self._windows) > _REMEMBERED:
            self._windows.popitem(last=False)
        return True


def _action(connection: HTTPConnection) -> str:
    """Method and route, without ids; a path that is no route could hold any text."""
    method, path = connection.scope["method"], connection.scope["path"]
    if needed(method, path) is Access.NO_ROUTE:
        return "other"
    parts = path.strip("/").split("/")
    return f"{method} /{'/'.join(parts[: 2 if parts[0] == 'v1' else 1])}"
