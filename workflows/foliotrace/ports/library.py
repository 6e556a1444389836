"""The library: documents, pages and chunks; the truth that indexes follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from foliotrace.model import Chunk, Document, Filters, Identity, Metadata, ParsedPage
from foliotrace.ports.files import StoredBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """What is known of a file when it arrives."""

    collection: str
    name: str
    blob: StoredBlob
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The document of a draft. `unchanged`: the same bytes are already served under its name."""

    document: Document
    unchanged: bool


@dataclass(frozen=True, slots=True)
class DocumentLabel:
    """A document's name and the line that says what it is (`Identity.header`)."""

    name: str
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A document was published or deleted at `version`; derived indexes follow these."""

    version: int
    tenant: str
    collection: str
    document_id: str
    deleted: bool


class Library(Protocol):
    """Documents, pages, chunks, versions. Raises LibraryUnavailable; NotFound for an unknown id."""

    async def register(self, tenant: str, draft: DocumentDraft) -> Registration:
        """Create the document of (tenant, collection, name), or find it. Durable on return."""
        ...

    async def document(self, tenant: str, document_id: str) -> Document:
        """One document."""
        ...

    async def documents(
        self,
        tenant: str,
        *,
        collection: str | None = None,
        filters: Filters | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[Document]:
        """In order of id, from behind `after`."""
        ...

    async def collections(self, tenant: str) -> Sequence[tuple[str, int]]:
        """(name, number of documents) of each collection, by name."""
        ...

    async def labels(self, tenant: str, document_ids: Sequence[str]) -> Sequence[DocumentLabel]:
        """What passages say of their documents, in the order asked. Raises NotFound."""
        ...

    async def unsettled(self) -> Sequence[Document]:
        """Of every tenant, queued or being ingested: what a process looks after when it starts."""
        ...

    async def refers_to(self, tenant: str, content_hash: str) -> bool:
        """Whether a document has this original; if none has, the original may go."""
        ...

    async def begin(
        self,
        tenant: str,
        document_id: str,
        *,
        revision: str,
        pages_total: int,
        stated_title: str | None = None,
    ) -> int:
        """Start (or go on with) `revision`; how many of its first pages are stored already."""
        ...

    async def add_window(
        self, tenant: str, document_id: str, *, revision: str, pages: Sequence[ParsedPage]
    ) -> None:
        """Store pages in one commit. The same window twice changes nothing.

        This, `add_chunks` and `publish` raise Conflict `ingest_superseded` when `revision` is not
        the pending one any more, because newer bytes were registered or the job was cancelled.
        """
        ...

    async def add_chunks(
        self, tenant: str, document_id: str, *, revision: str, chunks: Sequence[Chunk]
    ) -> None:
        """Store chunks in one commit, idempotent by chunk id; not served before `publish`."""
        ...

    async def publish(
        self, tenant: str, document_id: str, *, revision: str, identity: Identity
    ) -> int:
        """Serve `revision` from now on, drop the one before it: at once, completely.

        Returns the library version. Raises NothingToIndex when the revision holds no chunk.
        """
        ...

    async def fail(
        self,
        tenant: str,
        document_id: str,
        *,
        problem: str,
        detail: str,
        content_hash: str | None = None,
        keep_pages: bool = True,
    ) -> None:
        """Record why ingestion ended. A served revision stays served; pending chunks go.

        The pending pages stay, so that their problems can be read, unless `keep_pages` is False.
        With `content_hash`, nothing is done once newer bytes have been registered.
        """
        ...

    async def delete(self, tenant: str, document_id: str) -> Document:
        """Forget the document, its pages and chunks; the last state of it."""
        ...

    async def page(
        self, tenant: str, document_id: str, number: int, *, revision: str | None = None
    ) -> ParsedPage:
        """One stored page of `revision`: by default the served one, or the pending one."""
        ...

    async def pages(
        self, tenant: str, document_id: str, numbers: range, *, revision: str | None = None
    ) -> Sequence[ParsedPage]:
        """Those of `numbers` that are stored, in order; `revision` as for `page`."""
        ...

    async def chunks(self, tenant: str, ids: Sequence[str]) -> Sequence[Chunk]:
        """The served chunks of these ids, in the order asked; those not served are left out."""
        ...

    async def document_chunks(
        self, tenant: str, document_id: str, *, after_ordinal: int = -1, limit: int = 1000
    ) -> Sequence[Chunk]:
        """The served chunks of a document in order."""
        ...

    async def matching(self, tenant: str, collection: str, filters: Filters) -> Sequence[str]:
        """Ids of the served documents that `filters` admits."""
        ...

    def library_id(self) -> int:
        """Drawn when the library was made; an index of another library is not this one's."""
        ...

    async def version(self) -> int:
        """Grows by one with every publish and delete."""
        ...

    async def changes(self, after_version: int, *, limit: int = 1000) -> Sequence[Change]:
        """What happened since, oldest first; at most one per document."""
        ...

    async def changed_since(self, version: int, tenant: str, collection: str) -> bool:
        """Whether this collection has a change after `version`; another's is none of its own."""
        ...

    async def compact(self) -> None:
        """Give deleted bytes back to the disk, so that nothing deleted can be found there."""
        ...
