"""The library of documents, pages and chunks; its change log.

Every method may raise LibraryUnavailable. A caller names the smallest of these protocols that has
what it needs; `SqliteLibrary` implements them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from foliotrace.model import (
    Chunk,
    Document,
    Filters,
    Identity,
    Metadata,
    PageNumbers,
    ParsedPage,
    Passage,
    RetrievalMode,
)
from foliotrace.ports.files import StoredBlob, WholeFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """A file as uploaded, before it is registered."""

    collection: str
    name: str
    blob: StoredBlob
    metadata: Metadata = field(default_factory=dict)
    pages: str | None = None  # of a `PageSelection`; None: all


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDocument:
    """What a small file was read as: all that a document needs to be served."""

    document_id: str
    content_hash: str  # of the bytes that were read
    revision: str
    file: WholeFile
    chunks: Sequence[Chunk]
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The document of a draft; `unchanged` if its name serves the same pages of the same bytes."""

    document: Document
    unchanged: bool
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class DocumentLabel:
    """What a question needs of a document: name and identity line, as passages carry them.

    `header` is `Identity.header`; `content_hash` is that of the original that is served.
    """

    name: str
    header: str
    content_hash: str

    def passage(self, chunk: Chunk, score: float, path: RetrievalMode) -> Passage:
        """The passage of a chunk of this document that was found."""
        return Passage(
            chunk_id=chunk.id,
            document_id=chunk.document_id,
            document_name=self.name,
            revision=chunk.revision,
            page=chunk.page,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            context=chunk.context,
            header=self.header,
            score=score,
            path=path,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A document was published or deleted at `version`; derived indexes follow these."""

    version: int
    tenant: str
    collection: str
    document_id: str
    deleted: bool


class DocumentReader(Protocol):
    """Look up documents. Unknown ids raise NotFound."""

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
        """In order of id, starting behind the id `after`."""
        ...

    async def unsettled(self) -> Sequence[Document]:
        """Queued or ingesting documents of all tenants: what a starting process must look after."""
        ...

    async def degraded(self, *, limit: int) -> Sequence[Document]:
        """Served documents of all tenants with degraded pages, the longest unchanged first."""
        ...

    async def refers_to(self, tenant: str, content_hash: str) -> bool:
        """Whether any document has this original. If none has, the original may be deleted."""
        ...


class DocumentWriter(Protocol):
    """Register, ingest and delete documents; each call is one transaction.

    `add_window`, `add_chunks` and `publish` raise Conflict `ingest_superseded` once `revision` is
    no longer the pending one, because newer bytes were registered or the job was cancelled.
    Unknown ids raise NotFound.
    """

    async def register(self, tenant: str, draft: DocumentDraft) -> Registration:
        """Create the document of (tenant, collection, name), or find it. Durable on return."""
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
        """Start or resume `revision`; returns how many of its first pages are stored already."""
        ...

    async def add_window(
        self, tenant: str, document_id: str, *, revision: str, pages: Sequence[ParsedPage]
    ) -> None:
        """Store pages in one commit. Storing the same window twice changes nothing."""
        ...

    async def add_chunks(
        self, tenant: str, document_id: str, *, revision: str, chunks: Sequence[Chunk]
    ) -> None:
        """Store chunks in one commit, idempotent by chunk id; not served before `publish`."""
        ...

    async def publish(
        self, tenant: str, document_id: str, *, revision: str, identity: Identity
    ) -> int:
        """Serve `revision` in place of the previous one, atomically.

        Returns the new library version. Raises NothingToIndex if the revision has no chunk.
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
        """Record why ingestion ended. A served revision stays served; pending chunks are dropped.

        The pending pages stay, so that their problems can be read, unless `keep_pages` is False.
        With `content_hash`, nothing is done once newer bytes have been registered.
        """
        ...

    async def delete(self, tenant: str, document_id: str) -> Document:
        """Delete the document with its pages and chunks; returns its last state."""
        ...

    async def compact(self) -> None:
        """Return freed space to the disk, so that no deleted text can be found there."""
        ...


class WholeDocumentWriter(Protocol):
    """Store documents that are read in one go."""

    async def publish_whole(
        self, tenant: str, documents: Sequence[WholeDocument]
    ) -> Sequence[Document | None]:
        """Do for each document what `begin` to `publish` do, for all of them in one commit.

        Returns each document as it is served now. None, and nothing of it stored, for one that is
        gone, has newer bytes, is not waiting to be ingested, or has no chunk.
        """
        ...


class PageReader(Protocol):
    """Read stored pages of `revision`: by default the served one, or else the pending one."""

    async def page(
        self, tenant: str, document_id: str, number: int, *, revision: str | None = None
    ) -> ParsedPage:
        """One stored page. Raises NotFound."""
        ...

    async def pages(
        self, tenant: str, document_id: str, numbers: PageNumbers, *, revision: str | None = None
    ) -> Sequence[ParsedPage]:
        """Those of `numbers` that are stored, in order."""
        ...


class ChunkReader(Protocol):
    """Read what is served: chunks, and the labels and filters of their documents."""

    async def chunks(self, tenant: str, ids: Sequence[str]) -> Sequence[Chunk]:
        """The served chunks among `ids`, in the order of `ids`; others are left out."""
        ...

    async def document_chunks(
        self, tenant: str, document_id: str, *, after_ordinal: int = -1, limit: int = 1000
    ) -> Sequence[Chunk]:
        """The served chunks of a document, in document order."""
        ...

    async def labels(self, tenant: str, document_ids: Sequence[str]) -> Sequence[DocumentLabel]:
        """The labels of the documents, in the order of `document_ids`. Raises NotFound."""
        ...

    async def matching(self, tenant: str, collection: str, filters: Filters) -> Sequence[str]:
        """The ids of the served documents that pass `filters`."""
        ...


class ChangeLog(Protocol):
    """What was published and deleted, in the order of library versions."""

    def library_id(self) -> int:
        """A random number, drawn when the library was created; indexes store it as their owner."""
        ...

    async def version(self) -> int:
        """The number of publications and deletions so far."""
        ...

    async def changes(self, after_version: int, *, limit: int = 1000) -> Sequence[Change]:
        """The changes after a version, oldest first; only the last one of each document."""
        ...

    async def changed_since(self, version: int, tenant: str, collection: str) -> bool:
        """Whether this collection has a change after `version`."""
        ...


class IndexSource(ChunkReader, PageReader, ChangeLog, Protocol):
    """What an index is built from and answers with."""


class LibraryReader(DocumentReader, PageReader, ChunkReader, ChangeLog, Protocol):
    """Everything that can be read: for the journeys and adapters that do not write."""


class Library(LibraryReader, DocumentWriter, WholeDocumentWriter, Protocol):
    """The whole library, for ingestion and for whoever assembles the service."""
