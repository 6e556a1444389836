"""Publishes and deletes documents: indexes, cached answers and originals follow the library."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from foliotrace.errors import CacheUnavailable, FoliotraceError
from foliotrace.events import CacheEvictionFailed, emit, stage
from foliotrace.ingest.services import IngestServices
from foliotrace.jobs import document_of
from foliotrace.model import Document, Principal
from foliotrace.ports import AuditEntry, StoredBlob


async def catch_up(services: IngestServices) -> int:
    """Bring every index up to the library; returns the version that the first one reached.

    Raises IndexUnavailable.
    """
    with stage("index", indexes=len(services.indexes)) as call:
        reached = call.result = [await index.catch_up() for index in services.indexes]
    return reached[0] if reached else await services.library.version()


async def delete_document(
    services: IngestServices, principal: Principal, document_id: str, *, run_id: str
) -> Document:
    """Delete a document, its chunks, index entries, original, jobs, cached answers and journals.

    It is not served after the library's commit; an ingestion of it that is running ends with
    `document_not_found`. Raises NotFound, LibraryUnavailable, IndexUnavailable, and, before
    anything is deleted, CacheUnavailable: no cached answer may outlive what it cites.
    """
    document = await document_of(services.library, principal, document_id)
    received = AuditEntry(
        event="delete_received",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=principal.subject,
        document_ids=(document_id,),
    )
    await services.audit.append(received)
    try:
        await evict_answers(services, principal.tenant, document_id)  # first: if it fails, retry
        await services.library.delete(principal.tenant, document_id)
        await try_evict_answers(services, principal.tenant, document_id)  # cached since
        await delete_if_unused(services, principal.tenant, document.content_hash)
        for remove in services.on_deleted:
            await remove(principal.tenant, document_id)
        await catch_up(services)
        await services.clear_memory()
    except BaseException as error:
        await services.audit.append(_not_deleted(received, error))
        raise
    await services.audit.append(replace(received, event="delete_completed", success=True))
    return document


async def evict_answers(services: IngestServices, tenant: str, document_id: str) -> None:
    """Delete the cached answers that cite the document. Raises CacheUnavailable."""
    for evict in services.evict_answers:
        await evict(tenant, document_id)


async def try_evict_answers(services: IngestServices, tenant: str, document_id: str) -> None:
    """Delete the cached answers that cite the document, from the stores that can be reached.

    The ones that remain are not served: cache keys hold the library's version, and stale answers
    are checked against the content they cite.
    """
    for evict in services.evict_answers:
        try:
            await evict(tenant, document_id)
        except CacheUnavailable as error:
            emit(CacheEvictionFailed(reason=error.reason))


def _not_deleted(received: AuditEntry, error: BaseException) -> AuditEntry:
    code = error.error_code if isinstance(error, FoliotraceError) else None
    kind = type(error).__name__
    return replace(received, event="delete_failed", success=False, error=code, error_type=kind)


async def compact(services: IngestServices) -> None:
    """Rewrite the files of library and indexes, so that they hold nothing that was deleted.

    Memory too: a question that was under way at the deletion may have read its text afterwards.
    Raises LibraryUnavailable, IndexUnavailable.
    """
    await services.clear_memory()
    await services.library.compact()
    for index in services.indexes:
        await index.compact()


@asynccontextmanager
async def hold_originals(
    services: IngestServices, tenant: str
) -> AsyncIterator[Callable[[StoredBlob], StoredBlob]]:
    """Protect the originals passed to the yielded function; afterwards delete the unused ones.

    An upload stores its original before its document. In between, a deletion or a refused upload
    of the same bytes must not remove the original.
    """
    held: list[str] = []

    def hold(blob: StoredBlob) -> StoredBlob:
        held.append(blob.content_hash)
        services.uploads_in_flight[tenant, blob.content_hash] += 1
        return blob

    try:
        yield hold
    finally:
        for content_hash in held:
            services.uploads_in_flight[tenant, content_hash] -= 1
            await delete_if_unused(services, tenant, content_hash)


async def delete_if_unused(services: IngestServices, tenant: str, content_hash: str) -> bool:
    """Delete an original that no document and no running upload uses; whether it was deleted."""
    if services.uploads_in_flight[tenant, content_hash] > 0:
        return False
    services.uploads_in_flight.pop((tenant, content_hash), None)
    if await services.library.refers_to(tenant, content_hash):
        return False
    await services.blobs.delete(tenant, content_hash)
    return True


async def delete_orphaned_originals(services: IngestServices) -> int:
    """Delete every tenant's originals that no document uses; returns how many.

    Call it only while no upload is running. Nothing is deleted if the library never served a
    document: a library that was lost and created anew knows none of the originals, which are then
    all that is left.
    """
    if not await services.library.version():
        return 0
    return sum(
        [
            await delete_if_unused(services, tenant, content_hash)
            for tenant in await services.blobs.tenants()
            for content_hash in await services.blobs.hashes(tenant)
        ]
    )
