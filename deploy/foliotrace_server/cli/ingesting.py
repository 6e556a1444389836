"""Files become documents; bytes that are held already are neither sent nor parsed."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foliotrace_server import contract
from foliotrace_server.cli import shown
from foliotrace_server.cli.local_files import Found
from foliotrace_server.cli.progress import Bars, bars, followed
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem

_AT_ONCE: Final = 4
_FEW: Final = 16  # files whose documents are asked for by name
_PAGE: Final = 1000
_PATIENCE_S: Final = 1.0
_UNDER_WAY: Final = ("queued", "ingesting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to become of the files."""

    collection: str = "default"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    delete_missing: bool = False
    dry_run: bool = False
    path: str | None = None


@dataclass(slots=True)
class Outcome:
    """What became of the files; with `dry_run` what would."""

    dry_run: bool = False
    ingested: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    deleted: list[str] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def note_failure(self, name: str, code: str, detail: str | None) -> None:
        """Note a failure."""
        self.failed.append({"name": name, "code": code, "detail": detail})


async def ingest(
    client: AsyncFoliotraceClient, files: Sequence[Found], wanted: Wanted, outcome: Outcome
) -> None:
    """Ingest `files`, a few at a time; `outcome` is true at every moment, if this breaks off too.

    Raises ServerProblem for what is not one file's, Unreachable.
    """
    held = await _held(client, files, wanted)
    work = iter(files)
    with bars() as seen:
        every = seen.add("files", len(files))

        async def some() -> None:
            for file in work:
                await _Ingestion(client, file, held.get(file.name), wanted, outcome, seen).run()
                seen.advance(every)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    if wanted.delete_missing:
        there = {file.name for file in files}
        await _delete(client, [d for n, d in held.items() if n not in there], outcome)


async def _held(
    client: AsyncFoliotraceClient, files: Sequence[Found], wanted: Wanted
) -> dict[str, contract.DocumentBody]:
    """The collection's documents by name: those of a few files, or all."""
    held: dict[str, contract.DocumentBody] = {}
    if len(files) <= _FEW and not wanted.delete_missing:
        for file in files:
            if _is_text(file.name):
                page = await client.documents(collection=wanted.collection, name=file.name)
                held |= {document.name: document for document in page.documents}
        return held
    after: str | None = None
    while True:
        page = await client.documents(collection=wanted.collection, limit=_PAGE, after=after)
        held |= {document.name: document for document in page.documents}
        if page.next is None:
            return held
        after = page.next


async def _delete(
    client: AsyncFoliotraceClient, missing: Sequence[contract.DocumentBody], outcome: Outcome
) -> None:
    for document in missing:
        try:
            if not outcome.dry_run:
                await client.delete_document(document.id)
        except ServerProblem as problem:
            if problem.status != 404:  # gone already
                outcome.note_failure(document.name, problem.error_code, problem.hint)
                continue
        outcome.deleted.append(document.name)


@dataclass(frozen=True, slots=True)
class _Ingestion:
    """One file on its way."""

    client: AsyncFoliotraceClient
    file: Found
    held: contract.DocumentBody | None
    wanted: Wanted
    outcome: Outcome
    bars: Bars

    async def run(self) -> None:
        name = self.file.name
        if not _is_text(name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            self.outcome.note_failure(shown, "invalid_name", "The file's name is not UTF-8.")
            return
        try:
            same = await asyncio.to_thread(self._is_held)
            if same and self.held and self.held.status == "ready":
                self.outcome.unchanged += 1
            elif self.outcome.dry_run:
                self.outcome.ingested.append({"name": name})
            else:
                job = await self._under_way() if same else None
                self._note(await followed(self.client, job or await self._sent(), name, self.bars))
        except OSError as error:
            self.outcome.note_failure(name, "file_unreadable", error.strerror)
        except ServerProblem as problem:
            self.outcome.note_failure(name, problem.error_code, problem.hint)

    def _is_held(self) -> bool:
        """Whether the document has these bytes, and the metadata that is wanted."""
        if self.wanted.path is not None:
            return False  # the server knows who has read it
        if self.held is None or self.held.size_bytes != self.file.size_bytes():
            return False
        if self.wanted.metadata and dict(self.wanted.metadata) != self.held.metadata:
            return False
        return self.held.content_hash == self.file.content_hash()

    async def _under_way(self) -> contract.JobBody | None:
        """The job that is making these bytes a document, of an earlier command perhaps."""
        if self.held is None or self.held.status not in _UNDER_WAY:
            return None
        found = await self.client.jobs(document_id=self.held.id, unfinished=True)
        return next((job for job in found.jobs if job.kind == "ingest"), None)

    async def _sent(self) -> contract.JobBody:
        """The job of the upload; waits while the server is busy."""
        while True:
            try:
                with self.file.path.open("rb") as content:
                    answer = await self.client.upload(
                        [(self.file.name, content)],
                        collection=self.wanted.collection,
                        metadata=dict(self.wanted.metadata),
                        path=self.wanted.path,
                    )
            except ServerProblem as problem:
                if problem.status != 429:
                    raise
                await asyncio.sleep(_PATIENCE_S)
                continue
            return answer.accepted[0].job

    def _note(self, job: contract.JobBody) -> None:
        if job.status != "completed":
            self.outcome.note_failure(self.file.name, job.problem or job.status, job.problem_detail)
        elif job.stage == "unchanged":
            self.outcome.unchanged += 1
        else:
            self.outcome.ingested.append(
                {
                    "name": self.file.name,
                    "document_id": job.document_id,
                    "pages": job.pages_total,
                    "chunks": job.chunks,
                }
            )


def report(outcome: Outcome) -> None:
    """Tell people."""
    for line in _lines(outcome):
        shown.line(line)


def _lines(outcome: Outcome) -> Iterator[str]:
    would = "would be " if outcome.dry_run else ""
    if outcome.dry_run:
        yield from (f"would be ingested: {each['name']}" for each in outcome.ingested)
    yield from (f"{would}deleted: {name}" for name in outcome.deleted)
    for failed in outcome.failed:
        yield f"failed: {failed['name']} [{failed['code']}] {failed['detail'] or ''}".rstrip()
    pages = sum(each.get("pages", 0) for each in outcome.ingested)
    told = [
        f"{len(outcome.ingested)} {would}ingested"
        + ("" if outcome.dry_run else f" ({pages} pages)"),
        f"{outcome.unchanged} unchanged",
        *([f"{len(outcome.deleted)} {would}deleted"] if outcome.deleted else []),
        f"{len(outcome.failed)} failed",
    ]
    yield ", ".join(told)


def _is_text(name: str) -> bool:
    """Whether the file system's bytes for the name are UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
