"""Upload one file, or several small ones in a request, and follow their jobs to the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliotrace.catalog import ErrorCode
from foliotrace_server.cli import output
from foliotrace_server.cli.uploads.local_files import LocalFile
from foliotrace_server.cli.uploads.report import IngestReport, IngestRequest

if TYPE_CHECKING:
    from foliotrace.model import DocumentView, JobView
    from foliotrace_server.client import AsyncFoliotraceClient

_BUSY_RETRY_S: Final = 1.0
_UNFINISHED: Final = ("queued", "ingesting")
_FINAL: Final = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class FileIngestion:
    """The ingestion of one file."""

    client: "AsyncFoliotraceClient"
    file: LocalFile
    document: "DocumentView | None"  # of the same name, as it was at the start
    request: IngestRequest
    report: IngestReport
    bars: output.ProgressBars

    async def run(self) -> None:
        """Upload the file if anything is left to do, and follow its job to the end."""
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
        if not is_utf8(name):
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
        """Whether the document has these bytes, and the requested pages and metadata."""
        if self.request.path is not None:
            return False  # only the server knows which parser was used
        if self.document is None or self.document.pages != self.request.pages:
            return False
        if self.document.size_bytes != self.file.size_bytes():
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
                        pages=self.request.pages,
                    )
            except ServerProblem as problem:
                if problem.status != 429:
                    raise
                await asyncio.sleep(_BUSY_RETRY_S)
                continue
            return answer.accepted[0].job

    def add_result(self, job: "JobView") -> None:
        """Record in the report how the job ended."""
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
class BatchIngestion:
    """The ingestion of several small files in one request."""

    client: "AsyncFoliotraceClient"
    files: Sequence[FileIngestion]
    request: IngestRequest
    report: IngestReport

    async def run(self) -> None:
        """Upload the files, again while the server is busy, and wait until their jobs end."""
        waiting = [each for each in self.files if await self._is_to_be_uploaded(each)]
        while waiting:
            jobs, waiting = await self._uploaded(waiting)
            ended = await self._ended([job for _, job in jobs])
            for each, job in jobs:
                each.add_result(ended.get(job.id, job))
            if waiting:
                await asyncio.sleep(_BUSY_RETRY_S)

    async def _is_to_be_uploaded(self, each: FileIngestion) -> bool:
        if each.document is not None and each.document.status in _UNFINISHED:
            await each.run()  # a job may be at work on it
            return False
        try:
            return await each.is_to_be_uploaded()
        except OSError as error:
            self.report.add_failure(each.file.name, ErrorCode.FILE_UNREADABLE, error.strerror)
            return False

    async def _uploaded(
        self, files: Sequence[FileIngestion]
    ) -> "tuple[list[tuple[FileIngestion, JobView]], list[FileIngestion]]":
        """(files with their jobs, files for which the server is too busy now)."""
        from foliotrace_server.client import ServerProblem

        contents = self._contents(files)
        try:
            answer = await self.client.upload(
                [(each.file.name, content) for each, content in contents],
                collection=self.request.collection,
                metadata=dict(self.request.metadata),
                path=self.request.path,
                pages=self.request.pages,
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

    def _contents(self, files: Sequence[FileIngestion]) -> list[tuple[FileIngestion, bytes]]:
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


def is_utf8(name: str) -> bool:
    """Whether the file system's bytes for the name are UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
