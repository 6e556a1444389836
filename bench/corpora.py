"""The evaluation sets in ../shared/data, served from a library as the service would serve them."""

import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.ingest.identity import FIRST_PAGES, identify
from foliotrace.model import Deadline, Identity, ParsedPage, SourceFile
from foliotrace.parse import ParserChain
from foliotrace.ports import DocumentDraft, StoredBlob

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
TENANT = "bench"
NO_HURRY = Deadline(float("inf"))
WINDOW_PAGES = 100


@dataclass(frozen=True)
class SearchableLibrary:
    """A library with its keyword index, caught up."""

    library: SqliteLibrary
    index: KeywordIndex
    folder: Path


@asynccontextmanager
async def searchable_library(folder: Path) -> AsyncIterator[SearchableLibrary]:
    """Open (and at the end close) the library in `folder`."""
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    try:
        yield SearchableLibrary(library, index, folder)
    finally:
        index.close()
        library.close()


async def serve_files(at: SearchableLibrary, files: Iterable[Path], *, collection: str) -> int:
    """Parse, chunk, identify and publish; how many pages. What is served already is left alone."""
    workers = WorkerPool(2)
    order = ParserChain(local_parsers(workers, SystemClock()))
    served = {d.name for d in await at.library.documents(TENANT, collection=collection, limit=1000)}
    pages = 0
    try:
        for file in files:
            if file.name not in served:
                pages += await _serve_file(at.library, order, file, collection)
    finally:
        await workers.close()
    await at.index.catch_up()
    return pages


async def _serve_file(
    library: SqliteLibrary, order: ParserChain, file: Path, collection: str
) -> int:
    content = file.read_bytes()  # noqa: ASYNC240 - nothing else runs beside it
    source = SourceFile(
        path=file,
        name=file.name,
        media_type=sniff(file, file.name),
        content_hash=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    blob = StoredBlob(
        content_hash=source.content_hash, size_bytes=len(content), media_type=source.media_type
    )
    draft = DocumentDraft(collection=collection, name=file.name, blob=blob)
    document = (await library.register(TENANT, draft)).document
    seen = await order.inspect(source, deadline=NO_HURRY)
    await library.begin(
        TENANT, document.id, revision=source.content_hash[:32], pages_total=seen.pages_total
    )
    ordinal = 0
    first: list[ParsedPage] = []
    for start in range(1, seen.pages_total + 1, WINDOW_PAGES):
        numbers = range(start, min(start + WINDOW_PAGES, seen.pages_total + 1))
        pages = [p async for p in order.parse(source, pages=numbers, deadline=NO_HURRY)]
        first = first or pages[:FIRST_PAGES]
        ordinal += await _add(library, document.id, source.content_hash[:32], pages, ordinal)
    await library.publish(
        TENANT,
        document.id,
        revision=source.content_hash[:32],
        identity=identify(first, name=file.name, title=seen.title),
    )
    return seen.pages_total


async def _add(
    library: SqliteLibrary, document_id: str, revision: str, pages: Sequence[ParsedPage], at: int
) -> int:
    await library.add_window(TENANT, document_id, revision=revision, pages=pages)
    chunks = chunk_pages(pages, document_id=document_id, revision=revision, first_ordinal=at)
    await library.add_chunks(TENANT, document_id, revision=revision, chunks=chunks)
    return len(chunks)


async def serve_texts(
    at: SearchableLibrary, texts: Iterable[tuple[str, str, str]], *, collection: str
) -> None:
    """Publish (name, title, text) as one-page documents."""
    if await at.library.documents(TENANT, collection=collection, limit=1):
        await at.index.catch_up()
        return
    for name, title, text in texts:
        digest = hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()
        blob = StoredBlob(content_hash=digest, size_bytes=len(text), media_type="text/plain")
        draft = DocumentDraft(collection=collection, name=name, blob=blob)
        document = (await at.library.register(TENANT, draft)).document
        await at.library.begin(TENANT, document.id, revision=digest[:32], pages_total=1)
        page = ParsedPage(number=1, text=text, engine="bench 1")
        await _add(at.library, document.id, digest[:32], [page], 0)
        await at.library.publish(
            TENANT, document.id, revision=digest[:32], identity=Identity(title=title)
        )
    await at.index.catch_up()


def scifact_texts() -> Iterable[tuple[str, str, str]]:
    """(id, title, abstract) of SciFact's abstracts."""
    with gzip.open(SHARED / "scifact" / "corpus.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["_id"], row["title"], row["text"] or row["title"]


def rows(name: str) -> list[dict[str, object]]:
    """The lines of a .jsonl file under ../shared/data."""
    with (SHARED / name).open() as lines:
        return [json.loads(line) for line in lines]


def pdfs(corpus: str) -> list[Path]:
    """The PDFs of a set, by name."""
    return sorted((SHARED / corpus / "pdfs").glob("*.pdf"))


def present(*names: str) -> None:
    """Stop when the shared data is not there."""
    missing = [name for name in names if not (SHARED / name).exists()]
    if missing:
        sys.exit(f"not found under {SHARED}: {', '.join(missing)}")


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
