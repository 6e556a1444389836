"""Documents for tests: pages of plain sentences, stored and published in a library."""

from collections.abc import AsyncIterator, Sequence

from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import Document, Identity, Metadata, ParsedPage
from foliotrace.ports import DocumentDraft, Library, StoredBlob


def page(number: int, text: str) -> ParsedPage:
    return ParsedPage(number=number, text=text, engine="test 1")


def blob(content_hash: str = "a" * 64) -> StoredBlob:
    return StoredBlob(content_hash=content_hash, size_bytes=3, media_type="text/plain")


async def bytes_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def serve(
    library: Library,
    *texts: str,
    tenant: str = "t1",
    collection: str = "default",
    name: str = "notes.txt",
    content_hash: str = "a" * 64,
    metadata: Metadata | None = None,
    identity: Identity | None = None,
) -> Document:
    """Register, store, chunk and publish a document with one page for each text."""
    draft = DocumentDraft(
        collection=collection, name=name, blob=blob(content_hash), metadata=metadata or {}
    )
    document = (await library.register(tenant, draft)).document
    revision = f"{content_hash[:8]}-{collection}-{name}"
    await library.begin(tenant, document.id, revision=revision, pages_total=len(texts))
    pages = [page(number, text) for number, text in enumerate(texts, 1)]
    await store(library, document, revision, pages)
    found = identity or Identity(title=name)
    await library.publish(tenant, document.id, revision=revision, identity=found)
    return await library.document(tenant, document.id)


async def store(
    library: Library, document: Document, revision: str, pages: Sequence[ParsedPage]
) -> None:
    """Store pages and their chunks as one window."""
    tenant = document.tenant
    await library.add_window(tenant, document.id, revision=revision, pages=pages)
    chunks = chunk_pages(pages, document_id=document.id, revision=revision, first_ordinal=0)
    await library.add_chunks(tenant, document.id, revision=revision, chunks=chunks)
