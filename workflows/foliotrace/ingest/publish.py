"""A published document becomes searchable, and a deleted one leaves no trace."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from foliotrace.errors import CacheUnavailable, FoliotraceError
from foliotrace.events import CacheEvictionFailed, emit, stage
from foliotrace.ingest.services import IngestServices
from foliotrace.model import Document, Principal
from foliotrace.ports import AuditEntry, StoredBlob


async def catch_up(services: IngestServices) -> int:
    """Let every index follow the library; the version the first one reached.

    Raises IndexUnavailable.
    """
    with stage("index"):
        reached = [await index.catch_up() for index in services.indexes]
    return reached[0] if reached else await services.library.version()


async def delete_document(
    services: IngestServices, principal: Principal, document_id: str, *, run_id: str
) -> Document:
    """Remove a document, its chunks, index entries, original, jobs, answers and journals.

    From the library's commit on it is served no more; an ingestion of it that is under way ends
    with `document_not_found`. Raises NotFound, LibraryUnavailable, IndexUnavailable, and, before
    anything is deleted, CacheUnavailable: no answer may outlive what it cites.
    """
    document = await services.library.document(principal.tenant, document_id)
    received = AuditEntry(
        event="delete_received",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=principal.subject,
        document_ids=(document_id,),
    )
    await services.audit.append(received)
    try:
        await forget_answers(services, principal.tenant, document_id)  # while it can be repeated
        await services.library.delete(principal.tenant, document_id)
        await forget_superseded(services, principal.tenant, document_id)  # given meanwhile
        await release(services, principal.tenant, document.content_hash)
        for forget in services.forget:
            await forget(principal.tenant, document_id)
        await catch_up(services)
    except BaseException as error:
        await services.audit.append(_not_deleted(received, error))
        raise
    await services.audit.append(replace(received, event="delete_completed", success=True))
    return document


async def forget_answers(services: IngestServices, tenant: str, document_id: str) -> None:
    """Drop the kept answers that cite the document. Raises CacheUnavailable."""
    for forget in services.forget_answers:
        await forget(tenant, document_id)


async def forget_superseded(services: IngestServices, tenant: str, document_id: str) -> None:
    """Drop the kept answers that cite the document, as far as their stores answer.

    Nobody is given what is left: keys hold the library's version, and stale answers are compared
    with what they cite.
    """
    for forget in services.forget_answers:
        try:
            await forget(tenant, document_id)
        except CacheUnavailable as error:
            emit(CacheEvictionFailed(reason=error.reason))


def _not_deleted(received: AuditEntry, error: BaseException) -> AuditEntry:
    code = error.error_code if isinstance(error, FoliotraceError) else None
    kind = type(error).__name__
    return replace(received, event="delete_failed", success=False, error=code, error_type=kind)


async def compact(services: IngestServices) -> None:
    """Rewrite the files so that nothing deleted can be found in them.

    Raises LibraryUnavailable, IndexUnavailable.
    """
    await services.library.compact()
    for index in services.indexes:
        await index.compact()


@asynccontextmanager
async def keeping(
    services: IngestServices, tenant: str
) -> AsyncIterator[Callable[[StoredBlob], StoredBlob]]:
    """Within it, what is handed to the given function stays; behind it, only what a document has.

    An upload's original is stored before its document is: a deletion or a refused upload of the
    same bytes must not take it away in between.
    """
    kept: list[str] = []

    def keep(blob: StoredBlob) -> StoredBlob:
        kept.append(blob.content_hash)
        services.arriving[tenant, blob.content_hash] += 1
        return blob

    try:
        yield keep
    finally:
        for content_hash in kept:
            services.arriving[tenant, content_hash] -= 1
            await release(services, tenant, content_hash)


async def release(services: IngestServices, tenant: str, content_hash: str) -> bool:
    """Remove an original that no document has and no upload brings; whether it was removed."""
    if services.arriving[tenant, content_hash] > 0:
        return False
    services.arriving.pop((tenant, content_hash), None)
    if await services.library.refers_to(tenant, content_hash):
        return False
    await services.blobs.delete(tenant, content_hash)
    return True


async def sweep(services: IngestServices) -> int:
    """Remove every tenant's originals that no document has; how many.

    Only when no upload is under way. A library that never served a document, as one that was lost
    and made anew, tells nothing of them: then all stay.
    """
    if not await services.library.version():
        return 0
    return sum(
        [
            await release(services, tenant, content_hash)
            for tenant in await services.blobs.tenants()
            for content_hash in await services.blobs.hashes(tenant)
        ]
    )
