"""When the original of a document may go."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from foliotrace.ingest.services import IngestServices
from foliotrace.ports import StoredBlob


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
