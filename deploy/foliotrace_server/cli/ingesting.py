"""`foliotrace ingest`: files and folders; what is served already is neither sent nor parsed."""

import asyncio
import hashlib
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from foliotrace_server import contract
from foliotrace_server.cli import shown
from foliotrace_server.cli.failures import Exit
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem

_AT_ONCE = 4
_PAGE = 1000
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A file and the name its document has."""

    path: Path
    name: str


@dataclass(slots=True)
class Outcome:
    """What became of the files."""

    ingested: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0


def find(paths: Sequence[Path]) -> list[Found]:
    """The files under `paths`; hidden ones are left out. Names are relative to what was given."""
    found: list[Found] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            found += [
                Found(p, p.relative_to(path).as_posix())
                for p in inside
                if not any(part.startswith(".") for part in p.relative_to(path).parts)
            ]
        else:
            found.append(Found(path, path.name))
    return found


async def ingest(
    client: AsyncFoliotraceClient,
    files: Sequence[Found],
    *,
    collection: str,
    metadata: dict[str, Any],
    output: str,
) -> Exit:
    """Ingest `files`, a few at a time, with a bar for each."""
    served = await _served(client, collection)
    outcome = Outcome()
    places = asyncio.Semaphore(_AT_ONCE)
    with ExitStack() as stack:
        bars = stack.enter_context(_bars()) if sys.stderr.isatty() else None
        every = bars.add_task("files", total=len(files)) if bars else None

        async def one(file: Found) -> None:
            async with places:
                await _one(client, file, served, collection, metadata, outcome, bars)
                if bars and every is not None:
                    bars.advance(every)

        await asyncio.gather(*(one(file) for file in files))
    _show(outcome, output)
    return Exit.PARTLY_FAILED if outcome.failed else Exit.DONE


def _show(outcome: Outcome, output: str) -> None:
    if output == "json":
        shown.as_json(
            {
                "ingested": outcome.ingested,
                "unchanged": outcome.unchanged,
                "failed": outcome.failed,
            }
        )
        return
    if output == "nothing":
        return
    for failed in outcome.failed:
        shown.line(f"failed: {failed['name']} [{failed['code']}] {failed['detail'] or ''}".rstrip())
    pages = sum(each["pages"] for each in outcome.ingested)
    shown.line(
        f"{len(outcome.ingested)} ingested ({pages} pages), {outcome.unchanged} unchanged, "
        f"{len(outcome.failed)} failed"
    )


async def _served(client: AsyncFoliotraceClient, collection: str) -> dict[str, str]:
    """Name -> content hash of every document that is served or on its way."""
    served: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await client.documents(collection=collection, limit=_PAGE, after=after)
        served |= {d.name: d.content_hash for d in page.documents if d.status == "ready"}
        if page.next is None:
            return served
        after = page.next


async def _one(
    client: AsyncFoliotraceClient,
    file: Found,
    served: dict[str, str],
    collection: str,
    metadata: dict[str, Any],
    outcome: Outcome,
    bars: Progress | None,
) -> None:
    try:
        content_hash = await asyncio.to_thread(_hash, file.path)
    except OSError as error:
        outcome.failed.append(_failure(file.name, "file_unreadable", error.strerror))
        return
    if served.get(file.name) == content_hash and not metadata:
        outcome.unchanged += 1
        return
    try:
        job = await _sent(client, file, collection, metadata)
    except ServerProblem as problem:
        outcome.failed.append(_failure(file.name, problem.error_code, problem.hint))
        return
    done = await _followed(client, job, file.name, bars)
    if done.status != "completed":
        code = done.problem or str(done.status)
        outcome.failed.append(_failure(file.name, code, done.problem_detail))
    elif done.stage == "unchanged":
        outcome.unchanged += 1
    else:
        outcome.ingested.append(
            {
                "name": file.name,
                "document_id": done.document_id,
                "pages": done.pages_total,
                "chunks": done.chunks,
            }
        )


async def _sent(
    client: AsyncFoliotraceClient, file: Found, collection: str, metadata: dict[str, Any]
) -> contract.JobBody:
    """Upload, waiting while the server is busy."""
    while True:
        try:
            with file.path.open("rb") as content:
                answer = await client.upload(
                    [(file.name, content)], collection=collection, metadata=metadata
                )
        except ServerProblem as problem:
            if problem.status != 429:
                raise
            await asyncio.sleep(_PATIENCE_S)
            continue
        return answer.accepted[0].job


async def _followed(
    client: AsyncFoliotraceClient, job: contract.JobBody, name: str, bars: Progress | None
) -> contract.JobBody:
    """The job once it has ended, its progress shown meanwhile."""
    task: TaskID | None = None
    async for event in client.follow(job.id):
        if event.name == "end":
            job = contract.JobBody.model_validate(event.value)
        elif bars is not None:
            if task is None:
                task = bars.add_task(name, total=event.value["pages_total"])
            bars.update(task, completed=event.value["pages_done"], total=event.value["pages_total"])
    if bars is not None and task is not None:
        bars.remove_task(task)
    return job


def _bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _failure(name: str, code: str, detail: str | None) -> dict[str, Any]:
    return {"name": name, "code": code, "detail": detail}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
