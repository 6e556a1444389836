"""`foliotrace ingest`: upload local files, skipping those whose content the server already has."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput
from foliotrace_server.cli import output
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Options,
    parse_json_object,
    pass_options,
    path_option,
    run,
    with_exit_code,
)
from foliotrace_server.cli.local_files import LocalFile, find_files

if TYPE_CHECKING:
    from foliotrace.model import DocumentView, JobView
    from foliotrace_server.client import AsyncFoliotraceClient

_CONCURRENT_UPLOADS: Final = 4
_SMALL_BYTES: Final = 64 * 1024  # files of at most that size share a request
_BATCH_FILES: Final = 32  # a server takes so many in a request, unless it is set otherwise
_FEW_FILES: Final = 16  # up to this many are looked up by name; otherwise the collection is listed
_LISTING_PAGE: Final = 1000
_BUSY_RETRY_S: Final = 1.0
_NAMES_PRINTED: Final = 5
_UNFINISHED: Final = ("queued", "ingesting")
_FINAL: Final = ("completed", "failed", "cancelled")


@click.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--collection", default="default", show_default=True, help="Collection to add documents to."
)
@click.option("--metadata", default="{}", help="Flat JSON object, stored with every document.")
@click.option(
    "--delete-missing",
    is_flag=True,
    help="Delete documents of the collection that are not in these folders.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@path_option("parse the files")
@pass_options
@with_exit_code
def ingest(
    options: Options,
    paths: tuple[Path, ...],
    collection: str,
    metadata: str,
    delete_missing: bool,
    dry_run: bool,
    path: str | None,
) -> Exit | None:
    """Ingest files and folders; a document is named by its path in the folder.

    Unchanged files are neither uploaded nor parsed again, so the command can be repeated at any
    time: after a change, after an interruption, or with --delete-missing to mirror a folder.

    Examples:
      foliotrace ingest report.pdf
      foliotrace ingest ./contracts --collection legal --metadata '{"year": 2024}'
      foliotrace ingest ./contracts --collection legal --delete-missing --dry-run
    """
    if delete_missing and not all(path.is_dir() for path in paths):
        raise BadInput(
            "--delete-missing takes folders, not files",
            hint="Name the folder that the collection should mirror.",
        )
    request = IngestRequest(
        collection=collection,
        metadata=parse_json_object(metadata, "--metadata"),
        delete_missing=delete_missing,
        dry_run=dry_run,
        path=path,
    )
    report = IngestReport(dry_run)
    files = find_files(paths, report.skipped_links)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        try:
            await ingest_files(client, files, request, report)
        finally:  # an interrupted command reports what it has done
            output.print_result(report, options.output, print_report)
        return Exit.PARTLY_FAILED if report.failed else Exit.DONE

    return run(options, command, makes_library=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to do with the files."""

    collection: str = "default"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    delete_missing: bool = False
    dry_run: bool = False
    path: str | None = None


@dataclass(slots=True)
class IngestReport:
    """What was done with the files; with `dry_run`, what would be done."""

    dry_run: bool = False
    ingested: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    deleted: list[str] = field(default_factory=list)
    skipped_links: list[str] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add_failure(self, name: str, code: str, detail: str | None) -> None:
        """Record that the file `name` failed."""
        self.failed.append({"name": name, "code": code, "detail": detail})


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
                    _FileIngestion(client, file, existing.get(file.name), request, report, bars)
                    for file in batch
                ]
                if len(ingestions) > 1:
                    await _BatchIngestion(client, ingestions, request, report).run()
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
            if _is_utf8(file.name):
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


@dataclass(frozen=True, slots=True)
class _FileIngestion:
    """The ingestion of one file."""

    client: "AsyncFoliotraceClient"
    file: LocalFile
    document: "DocumentView | None"  # of the same name, as it was at the start
    request: IngestRequest
    report: IngestReport
    bars: output.ProgressBars

    async def run(self) -> None:
        from foliotrace_server.client import ServerProblem

        try:
            if await self.is_to_be_uploaded():
                job = await self._unfinished_job()
                job = job or await self._upload()
                await self._follow(job)
        except OSError as error:
            self.report.add_failure(self.file.name, ErrorCode.FILE_UNREADABLE, error.strerror)
        except ServerProblem as problem:
            self.report.add_failure(self.file.name, problem.error_code, problem.hint)

    async def is_to_be_uploaded(self) -> bool:
        """Whether anything is left to do; if not, the report says why. Raises OSError."""
        name = self.file.name
        if not _is_utf8(name):
            printable = name.encode("utf-8", "backslashreplace").decode()
            self.report.add_failure(printable, ErrorCode.INVALID_NAME, "The name is not UTF-8.")
            return False
        same = self.document is not None and await asyncio.to_thread(self._is_unchanged)
        if same and self.document and self.document.status == "ready":
            self.report.unchanged += 1
        elif self.request.dry_run:
            self.report.ingested.append({"name": name})
        else:
            return True
        return False

    async def _follow(self, job: "JobView") -> None:
        self.add_result(await output.follow_job(self.client, job, self.file.name, self.bars))

    def _is_unchanged(self) -> bool:
        """Whether the document has these bytes and the requested metadata."""
        if self.request.path is not None:
            return False  # only the server knows which parser was used
        if self.document is None or self.document.size_bytes != self.file.size_bytes():
            return False
        if self.request.metadata and dict(self.request.metadata) != self.document.metadata:
            return False
        return self.document.content_hash == self.file.content_hash()

    async def _unfinished_job(self) -> "JobView | None":
        """The job that is already ingesting these bytes, for example of an interrupted command."""
        if self.document is None or self.document.status not in _UNFINISHED:
            return None
        if not await asyncio.to_thread(self._is_unchanged):
            return None
        page = await self.client.jobs(document_id=self.document.id, unfinished=True)
        return next((job for job in page.jobs if job.kind == "ingest"), None)

    async def _upload(self) -> "JobView":
        """Upload, waiting while the server is busy; the job."""
        from foliotrace_server.client import ServerProblem

        while True:
            try:
                with self.file.path.open("rb") as content:
                    answer = await self.client.upload(
                        [(self.file.name, content)],
                        collection=self.request.collection,
                        metadata=dict(self.request.metadata),
                        path=self.request.path,
                    )
            except ServerProblem as problem:
                if problem.status != 429:
                    raise
                await asyncio.sleep(_BUSY_RETRY_S)
                continue
            return answer.accepted[0].job

    def add_result(self, job: "JobView") -> None:
        if job.status != "completed":
            self.report.add_failure(self.file.name, job.problem or job.status, job.problem_detail)
        elif job.stage == "unchanged":
            self.report.unchanged += 1
        else:
            self.report.ingested.append(
                {
                    "name": self.file.name,
                    "document_id": job.document_id,
                    "pages": job.pages_total,
                    "chunks": job.chunks,
                }
            )


@dataclass(frozen=True, slots=True)
class _BatchIngestion:
    """The ingestion of several small files in one request."""

    client: "AsyncFoliotraceClient"
    files: Sequence[_FileIngestion]
    request: IngestRequest
    report: IngestReport

    async def run(self) -> None:
        waiting = [each for each in self.files if await self._is_to_be_uploaded(each)]
        while waiting:
            jobs, waiting = await self._uploaded(waiting)
            ended = await self._ended([job for _, job in jobs])
            for each, job in jobs:
                each.add_result(ended.get(job.id, job))
            if waiting:
                await asyncio.sleep(_BUSY_RETRY_S)

    async def _is_to_be_uploaded(self, each: _FileIngestion) -> bool:
        if each.document is not None and each.document.status in _UNFINISHED:
            await each.run()  # a job may be at work on it
            return False
        try:
            return await each.is_to_be_uploaded()
        except OSError as error:
            self.report.add_failure(each.file.name, ErrorCode.FILE_UNREADABLE, error.strerror)
            return False

    async def _uploaded(
        self, files: Sequence[_FileIngestion]
    ) -> "tuple[list[tuple[_FileIngestion, JobView]], list[_FileIngestion]]":
        """(files with their jobs, files for which the server is too busy now)."""
        from foliotrace_server.client import ServerProblem

        contents = self._contents(files)
        try:
            answer = await self.client.upload(
                [(each.file.name, content) for each, content in contents],
                collection=self.request.collection,
                metadata=dict(self.request.metadata),
                path=self.request.path,
            )
        except ServerProblem as problem:
            if problem.status == 429:
                return [], [each for each, _ in contents]
            for each, _ in contents:  # a cause of each, or one that a file alone does not have
                await each.run()
            return [], []
        by_name = {each.file.name: each for each, _ in contents}
        if any(refused.name not in by_name for refused in answer.refused):
            for each, _ in contents:  # a name that a form cannot carry; the jobs are found again
                await each.run()
            return [], []
        busy = []
        for refused in answer.refused:
            each = by_name.pop(refused.name)
            if refused.problem.status == 429:
                busy.append(each)
            else:
                problem_of = refused.problem
                self.report.add_failure(refused.name, problem_of.code, problem_of.detail)
        accepted = zip(by_name.values(), answer.accepted, strict=True)  # in the order of the files
        return [(each, accepted_one.job) for each, accepted_one in accepted], busy

    def _contents(self, files: Sequence[_FileIngestion]) -> list[tuple[_FileIngestion, bytes]]:
        contents = []
        for each in files:
            try:
                contents.append((each, each.file.path.read_bytes()))
            except OSError as error:
                self.report.add_failure(each.file.name, ErrorCode.FILE_UNREADABLE, error.strerror)
        return contents

    async def _ended(self, jobs: "Sequence[JobView]") -> "dict[str, JobView]":
        """The final state of each job, by id: one is followed, then all are looked at."""
        ended = {job.id: job for job in jobs if job.status in _FINAL}
        while unfinished := [job.id for job in jobs if job.id not in ended]:
            async for _ in self.client.follow(unfinished[-1]):
                pass
            page = await self.client.jobs(ids=unfinished)
            known = {job.id for job in page.jobs}
            ended |= {job.id: job for job in page.jobs if job.status in _FINAL}
            if unfinished[-1] not in known:  # deleted meanwhile
                ended |= {job.id: job for job in jobs if job.id not in known}
        return ended


def print_report(report: IngestReport) -> None:
    """Print what was done, one line per deletion and per kind of failure, and a summary."""
    for line in _report_lines(report):
        output.print_line(line)


def _report_lines(report: IngestReport) -> Iterator[str]:
    would = "would be " if report.dry_run else ""
    if report.dry_run:
        yield from (f"would be ingested: {each['name']}" for each in report.ingested)
    yield from (f"{would}deleted: {name}" for name in report.deleted)
    if report.skipped_links:
        yield (
            f"skipped: {_names(report.skipped_links, 'symbolic links')}: a link to a folder, or "
            "out of the folder, is not followed; name its target instead"
        )
    by_cause: dict[tuple[str, str], list[str]] = {}
    for failed in report.failed:
        detail = (failed["detail"] or "").removeprefix(f"{failed['name']}: ")
        by_cause.setdefault((failed["code"], detail), []).append(failed["name"])
    for (code, detail), names in by_cause.items():
        yield f"failed: {_names(names, 'files')} [{code}] {detail}".rstrip()
    pages = sum(each.get("pages", 0) for each in report.ingested)
    counts = [
        f"{len(report.ingested)} {would}ingested" + ("" if report.dry_run else f" ({pages} pages)"),
        f"{report.unchanged} unchanged",
        *([f"{len(report.deleted)} {would}deleted"] if report.deleted else []),
        f"{len(report.failed)} failed",
    ]
    yield ", ".join(counts)


def _names(names: Sequence[str], kind: str) -> str:
    """The names if they are few, else how many there are and the first of them."""
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _NAMES_PRINTED} more" if len(names) > _NAMES_PRINTED else ""
    return f"{len(names)} {kind} ({', '.join(names[:_NAMES_PRINTED])}{more})"


def _is_utf8(name: str) -> bool:
    """Whether the file system's bytes for the name are UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
