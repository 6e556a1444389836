"""When the original of a document may go."""

from foliotrace.ingest.services import IngestServices


async def release(services: IngestServices, tenant: str, content_hash: str) -> bool:
    """Remove an original if no document has it any more; whether it was removed."""
    if await services.library.refers_to(tenant, content_hash):
        return False
    await services.blobs.delete(tenant, content_hash)
    return True


async def sweep(services: IngestServices) -> int:
    """Remove every tenant's originals that no document has; how many.

    Only when no upload is under way.
    """
    return sum(
        [
            await release(services, tenant, content_hash)
            for tenant in await services.blobs.tenants()
            for content_hash in await services.blobs.hashes(tenant)
        ]
    )
