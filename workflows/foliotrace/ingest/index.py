"""A published document becomes searchable, and a deleted one leaves no trace."""

from foliotrace import events
from foliotrace.ingest.originals import release
from foliotrace.ingest.services import IngestServices
from foliotrace.model import Document, Principal
from foliotrace.ports import AuditEntry


async def catch_up(services: IngestServices) -> int:
    """Let every index follow the library; the version the first one reached.

    Raises IndexUnavailable.
    """
    with events.stage("index"):
        reached = [await index.catch_up() for index in services.indexes]
    return reached[0] if reached else await services.library.version()


async def delete_document(
    services: IngestServices, principal: Principal, document_id: str, *, run_id: str
) -> Document:
    """Remove a document, its chunks, index entries, original, jobs, answers and journals.

    From the library's commit on it is served no more; an ingestion of it that is under way ends
    with `document_not_found`. Raises NotFound, LibraryUnavailable, IndexUnavailable.
    """
    document = await services.library.document(principal.tenant, document_id)
    entry = AuditEntry(
        event="delete_received",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=principal.subject,
        document_ids=(document_id,),
    )
    await services.audit.append(entry)
    await services.library.delete(principal.tenant, document_id)
    await release(services, principal.tenant, document.content_hash)
    for forget in services.forget:
        await forget(principal.tenant, document_id)
    await catch_up(services)
    done = AuditEntry(
        event="delete_completed",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=principal.subject,
        success=True,
        document_ids=(document_id,),
    )
    await services.audit.append(done)
    return document


async def compact(services: IngestServices) -> None:
    """Rewrite the files so that nothing deleted can be found in them.

    Raises LibraryUnavailable, IndexUnavailable.
    """
    await services.library.compact()
    for index in services.indexes:
        await index.compact()
