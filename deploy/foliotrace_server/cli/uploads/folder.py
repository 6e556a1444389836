"""Bring a collection to the content of local files: upload what changed, delete what is gone."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from foliotrace_server.cli import output
from foliotrace_server.cli.uploads.file import BatchIngestion, FileIngestion, is_utf8
from foliotrace_server.cli.uploads.local_files import LocalFile
from foliotrace_server.cli.uploads.report import IngestReport, IngestRequest

if TYPE_CHECKING:
    from foliotrace.model import DocumentView
    from foliotrace_server.client import AsyncFoliotraceClient

_CONCURRENT_UPLOADS: Final = 4
_SMALL_BYTES: Final = 64 * 1024  # files of at most that size share a request
_BATCH_FILES: Final = 32  # a server takes so many in a request, unless it is set otherwise
_FEW_FILES: Final = 16  # up to this many are looked up by name; otherwise the collection is listed
_LISTING_PAGE: Final = 1000


async def ingest_files(
    client: "AsyncFoliotraceClient",
    files: Sequence[LocalFile],
    request: IngestRequest,
    report: IngestReport,
) -> None:
    """Ingest `files` concurrently; `report` is correct at every moment, also after an exception.

    Raises Unreachable, and ServerProblem for failures that do not belong to one file.
    """
    existing = await _existing_documents(client, files, request)
    batches = iter(_batches(files))
    with output.progress_bars() as bars:
        total = bars.add("files", len(files))

        async def worker() -> None:
            for batch in batches:
                ingestions = [
                    FileIngestion(client, file, existing.get(file.name), request, report, bars)
                    for file in batch
                ]
                if len(ingestions) > 1:
                    await BatchIngestion(client, ingestions, request, report).run()
                else:
                    await ingestions[0].run()
                for _ in batch:
                    bars.advance(total)

        await asyncio.gather(*(worker() for _ in range(_CONCURRENT_UPLOADS)))
    if request.delete_missing:
        names = {file.name for file in files}
        missing = [document for name, document in existing.items() if name not in names]
        await _delete(client, missing, report)


def _batches(files: Sequence[LocalFile]) -> Iterator[list[LocalFile]]:
    """The files in order; small ones that follow each other are uploaded in one request."""
    batch: list[LocalFile] = []
    for file in files:
        if not _is_small(file):
            yield [file]
            continue
        batch.append(file)
        if len(batch) == _BATCH_FILES:
            yield batch
            batch = []
    if batch:
        yield batch


def _is_small(file: LocalFile) -> bool:
    try:
        return file.size_bytes() <= _SMALL_BYTES
    except OSError:  # reported when the file is read
        return False


async def _existing_documents(
    client: "AsyncFoliotraceClient", files: Sequence[LocalFile], request: IngestRequest
) -> "dict[str, DocumentView]":
    """Documents of the collection by name: those of a few files, or all."""
    by_name: dict[str, DocumentView] = {}
    if len(files) <= _FEW_FILES and not request.delete_missing:
        for file in files:
            if is_utf8(file.name):
                page = await client.documents(collection=request.collection, name=file.name)
                by_name |= {document.name: document for document in page.documents}
        return by_name
    after: str | None = None
    while True:
        page = await client.documents(
            collection=request.collection, limit=_LISTING_PAGE, after=after
        )
        by_name |= {document.name: document for document in page.documents}
        if page.next is None:
            return by_name
        after = page.next


async def _delete(
    client: "AsyncFoliotraceClient",
    missing: "Sequence[DocumentView]",
    report: IngestReport,
) -> None:
    from foliotrace_server.client import ServerProblem

    for document in missing:
        try:
            if not report.dry_run:
                await client.delete_document(document.id)
        except ServerProblem as problem:
            if problem.status != 404:  # 404: already deleted
                report.add_failure(document.name, problem.error_code, problem.hint)
                continue
        report.deleted.append(document.name)
