"""Stores one window of pages: parses and chunks them, and commits them in batches.

A window is committed before the next one starts, so memory use does not grow with the document.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from hashlib import sha256
from typing import Final

from pydantic import BaseModel, ConfigDict

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, FileRefused, ParserUnavailable
from foliotrace.events import stage
from foliotrace.ingest.chunk import CHUNKER, chunk_pages
from foliotrace.ingest.services import IngestServices
from foliotrace.model import (
    Deadline,
    Document,
    ExecutionMode,
    PageNumbers,
    PageStatus,
    ParsedPage,
    SourceFile,
    page_numbers,
)
from foliotrace.parse import ParserChain
from foliotrace.settings import SHORT_CHARACTERS

_BATCH_PAGES: Final = 25  # committed together, while the next ones are parsed


class IngestCursor(BaseModel):
    """How far an ingestion is: the next page, and the number of chunks of the pages before it.

    `next_page` counts among the pages to read, of which there are `pages_total`; in the file they
    have the numbers of `pages`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str
    job_id: str
    document_id: str
    content_hash: str
    revision: str
    pages_total: int
    next_page: int = 1
    chunks: int = 0
    unreadable: int = 0
    path: ExecutionMode | None = None
    pages: str | None = None

    def numbers(self, most: int) -> PageNumbers:
        """The numbers of the next pages, at most so many."""
        wanted = page_numbers(self.pages, self.pages_total)
        return wanted[self.next_page - 1 : self.next_page - 1 + most]


def revision_of(document: Document, engine: str) -> str:
    """The id of a parse: equal bytes, pages, engine and chunker give equal pages and chunks."""
    parts = [document.content_hash, engine, CHUNKER]
    if document.pages is not None:
        parts.append(f"pages {document.pages}")
    return sha256("|".join(parts).encode()).hexdigest()[:32]


async def store_window(
    services: IngestServices, cursor: IngestCursor, committed: Callable[[IngestCursor], None]
) -> IngestCursor:
    """Store the window at `cursor`; returns the cursor after it.

    Each batch is committed while the next one is parsed; `committed` is called after each but the
    last.
    Raises Conflict `ingest_superseded`, NotFound, FileRefused, ParserUnavailable,
    LibraryUnavailable.
    """
    after = cursor
    committing: asyncio.Task[IngestCursor] | None = None
    async with aclosing(_batches(_pages(services, cursor))) as batches:
        try:
            async for batch in batches:
                if committing is not None:
                    after = await committing
                    committed(after)
                committing = asyncio.create_task(_commit(services, after, batch))
        finally:
            if committing is not None:
                await asyncio.wait([committing])
    return await committing if committing is not None else after


async def _batches(pages: AsyncIterator[ParsedPage]) -> AsyncGenerator[list[ParsedPage], None]:
    batch: list[ParsedPage] = []
    async for page in pages:
        batch.append(page)
        if len(batch) == _BATCH_PAGES:
            yield batch
            batch = []
    if batch:
        yield batch


async def _pages(services: IngestServices, cursor: IngestCursor) -> AsyncIterator[ParsedPage]:
    """The window's pages: those that an earlier run or an equal document stored, then parsed."""
    numbers = cursor.numbers(services.settings.window_pages)
    stored = await services.library.pages(
        cursor.tenant, cursor.document_id, numbers, revision=cursor.revision
    )
    for page in stored:
        yield page
    missing = numbers[len(stored) :]
    if missing:
        document = await require_unchanged(
            services, cursor.tenant, cursor.document_id, cursor.content_hash
        )
        async for page in _parsed(services, services.parser_on(cursor.path), document, missing):
            yield page


async def _parsed(
    services: IngestServices, parser: ParserChain, document: Document, numbers: PageNumbers
) -> AsyncIterator[ParsedPage]:
    """One page per number. Raises ParserUnavailable `pages_missing` if the parser skips one."""
    source = await source_of(services, document)
    deadline = Deadline(services.clock.monotonic_s() + services.settings.parse_deadline_s)
    expected = iter(numbers)
    async for page in parser.parse(source, pages=numbers, deadline=deadline):
        if page.number != next(expected, None):
            break
        yield page
    if next(expected, None) is not None:
        raise ParserUnavailable(
            f"The parser left out pages of {document.name}.", reason=Reason.PAGES_MISSING
        )


async def _commit(
    services: IngestServices, cursor: IngestCursor, pages: Sequence[ParsedPage]
) -> IngestCursor:
    """Store pages, then their chunks; returns the cursor after them."""
    with stage("chunk", pages=len(pages)) as call:
        cut = partial(
            chunk_pages,
            pages,
            document_id=cursor.document_id,
            revision=cursor.revision,
            first_ordinal=cursor.chunks,
        )
        short = sum(len(page.text) for page in pages) <= SHORT_CHARACTERS
        chunks = cut() if short else await asyncio.to_thread(cut)
        place = (cursor.tenant, cursor.document_id)
        await services.library.add_window(*place, revision=cursor.revision, pages=pages)
        await services.library.add_chunks(*place, revision=cursor.revision, chunks=chunks)
        call.result = {"chunks": len(chunks)}
    after = cursor.model_copy(
        update={
            "next_page": cursor.next_page + len(pages),
            "chunks": cursor.chunks + len(chunks),
            "unreadable": cursor.unreadable + sum(p.status is not PageStatus.OK for p in pages),
        }
    )
    if after.chunks and 2 * after.unreadable > after.pages_total:  # no chunk: see `publish`
        document = await services.library.document(cursor.tenant, cursor.document_id)
        raise FileRefused(
            f"{document.name}: more than half of its {after.pages_total} pages cannot be read.",
            name=document.name,
            code=ErrorCode.FILE_MOSTLY_UNREADABLE,
        )
    return after


async def require_unchanged(
    services: IngestServices, tenant: str, document_id: str, content_hash: str
) -> Document:
    """The document, if its bytes are still those that this run began with.

    Raises NotFound, Conflict `ingest_superseded`.
    """
    document = await services.library.document(tenant, document_id)
    if document.content_hash != content_hash:
        raise Conflict(code=ErrorCode.INGEST_SUPERSEDED)
    return document


async def source_of(services: IngestServices, document: Document) -> SourceFile:
    """The document's original. Raises NotFound."""
    path = await services.blobs.path(document.tenant, document.content_hash)
    return document.source_file(path)
