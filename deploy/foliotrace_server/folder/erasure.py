"""Erases data by user, collection or age, with a receipt in the audit log.

Documents go through the ordinary deletion. Every store with rows of its own about people registers
an `Eraser` in `Assembly.erasers`, in order: what refers to runs comes before the runs.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

from foliotrace.errors import FoliotraceError, InvalidRequest, NotFound
from foliotrace.ingest.publish import evict_answers
from foliotrace.model import JobKind, Principal
from foliotrace.ports import AuditEntry, Erased, ErasureScope
from foliotrace_server.bodies import ErasureBody

if TYPE_CHECKING:
    from foliotrace_server.engine import Engine

Eraser: TypeAlias = Callable[[ErasureScope], Awaitable[Erased]]
"""Deletes a store's rows in a scope. May be called again for the same scope after a failure."""

_PAGE: Final = 500


async def erase(engine: "Engine", principal: Principal, scope: ErasureScope) -> ErasureBody:
    """Erase what the scope covers; the record `admin_completed` of the receipt proves it.

    A failure leaves an `admin_failed` record; the same request goes on where it stopped. Raises
    InvalidRequest for a scope that covers everything, LibraryUnavailable, CacheUnavailable.
    """
    if scope.user is None and scope.collection is None and scope.before is None:
        raise InvalidRequest(
            "the erasure names nothing", hint="Give at least one of user, collection and before."
        )
    services = engine.assembly.ingest
    receipt = f"erase_{uuid4().hex}"

    async def record(
        event: str, erased: tuple[str, ...] = (), error: FoliotraceError | None = None
    ) -> None:
        await services.audit.append(
            AuditEntry(
                event=f"admin_{event}",
                run_id=receipt,
                tenant=scope.tenant,
                user_id=principal.subject,
                success=None if event == "received" else error is None,
                error=error.error_code if error else None,
                document_ids=erased,
                action="erase",
            )
        )

    await record("received")
    try:
        documents = await _documents(engine, scope)
        counts = await _rows(engine, scope)  # first: a deleted document takes its runs with it
        for document_id in documents:
            with suppress(NotFound):  # somebody else deleted it
                await engine.jobs.forget(principal, document_id)
        await engine.forget_feedback()  # of the runs that the documents took with them
    except FoliotraceError as error:
        await record("failed", error=error)
        raise
    await record("completed", tuple(documents))
    engine.compaction.request()
    return ErasureBody(receipt=receipt, documents=len(documents), rows=counts)


async def _rows(engine: "Engine", scope: ErasureScope) -> Mapping[str, int]:
    """Erase the rows of every registered store; how many, by store."""
    counts = {}
    for name, erase_rows in engine.assembly.erasers.items():
        erased = await erase_rows(scope)
        counts[name] = erased.count
        for document_id in erased.cited:  # kept answers to the erased questions cite the same
            await evict_answers(engine.assembly.ingest, scope.tenant, document_id)
    return counts


async def _documents(engine: "Engine", scope: ErasureScope) -> list[str]:
    """Ids of the documents in the scope. A document is of every user who uploaded it."""
    of_user = await _uploaded_by(engine, scope) if scope.user is not None else None
    library = engine.assembly.ingest.library
    found: list[str] = []
    after = None
    while page := await library.documents(
        scope.tenant, collection=scope.collection, limit=_PAGE, after=after
    ):
        after = page[-1].id
        found += [
            document.id
            for document in page
            if (of_user is None or document.id in of_user)
            and (scope.before is None or document.updated_at < scope.before)
        ]
    return found


async def _uploaded_by(engine: "Engine", scope: ErasureScope) -> set[str]:
    jobs, after = engine.assembly.ingest.jobs, None
    found = set()
    while page := await jobs.jobs(scope.tenant, limit=_PAGE, after=after):
        after = page[-1].id
        found |= {
            job.document_id
            for job in page
            if job.kind is JobKind.INGEST and job.subject == scope.user
        }
    return found
