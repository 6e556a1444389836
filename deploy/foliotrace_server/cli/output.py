"""Printing: text for people, one JSON value for programs, progress bars on a terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from foliotrace.model import JobView
    from foliotrace_server import bodies
    from foliotrace_server.client import AsyncFoliotraceClient

T = TypeVar("T")


def print_result(result: T, output_format: str, print_text: Callable[[T], None]) -> None:
    """Print `result` as JSON, or with `print_text`."""
    if output_format == "json":
        print_json(result)
    else:
        print_text(result)


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    print_line(_json(value))


def _json(value: object) -> str:
    from foliotrace_server.bodies import to_json

    return to_json(type(value), value).decode()


def print_line(text: str = "") -> None:
    """Print one line on standard output."""
    sys.stdout.write(text + "\n")


def print_text(text: str) -> None:
    """Print a piece of a line at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line("  ".join(padded).rstrip())


def print_fields(body: object) -> None:
    """Print one `name: value` line for each field that is set."""
    for name, value in json.loads(_json(body)).items():
        if value not in (None, {}, []):
            print_line(f"{name}: {value if isinstance(value, str) else _json(value)}")


def print_sources(answer: "bodies.AnswerBody") -> None:
    """Print what follows the answer text: citations, notice, degradation, trace links."""
    if answer.citations:
        print_line()
    for citation in answer.citations:
        anchor = citation.anchor
        location = f"{anchor.kind} {anchor.page}" + (f" {anchor.cells}" if anchor.cells else "")
        print_line(f"[{citation.marker}] {citation.document_name}, {location}: “{citation.quote}”")
    if answer.notice:
        print_line(f"\n{answer.notice}")
    if answer.degradation.level:
        reasons = ", ".join(answer.degradation.reasons)
        print_line(f"\nDegraded (level {int(answer.degradation.level)}): {reasons}")
    for name, url in answer.links.items():
        print_line(f"\n{name}: {url}")


def print_documents(page: "bodies.DocumentsBody") -> None:
    """Print a table of documents."""
    rows = [
        (d.id, d.status, f"{d.pages_stored}/{d.pages_total}", d.chunks, d.name)
        for d in page.documents
    ]
    print_table(("ID", "STATUS", "PAGES", "CHUNKS", "NAME"), rows)


def print_jobs(page: "bodies.JobsBody") -> None:
    """Print a table of jobs."""
    rows = [
        (j.id, j.kind, j.status, j.stage, f"{j.pages_done}/{j.pages_total}", j.problem or "")
        for j in page.jobs
    ]
    print_table(("ID", "KIND", "STATUS", "STAGE", "PAGES", "PROBLEM"), rows)


def print_job_progress(job: Mapping[str, Any]) -> None:
    """Print one progress event of a job."""
    pages = f"{job['pages_done']}/{job['pages_total']} pages"
    print_line(f"{job['stage']}  {pages}  {job['chunks']} chunks")


def print_extraction(extraction: "bodies.ExtractionBody") -> None:
    """Print each field with value, confidence and source, then validation errors."""
    for field in extraction.fields:
        confidence = "" if field.confidence is None else f" ({field.confidence:.0%})"
        sources = "; ".join(
            f"{c.document_name}, {c.anchor.kind} {c.anchor.page}" for c in field.citations
        )
        suffix = f"  [{sources}]" if sources else ""
        print_line(f"{field.pointer}: {field.value!r}{confidence}{suffix}")
    for error in extraction.errors:
        print_line(f"invalid: {error}")
    if extraction.status != "completed":
        print_line(f"job {extraction.status}: {extraction.job.problem}")


@dataclass(frozen=True, slots=True)
class ProgressBars:
    """Progress bars; without a terminal (`progress` is None) every method does nothing."""

    progress: "Progress | None"

    def add(self, label: str, total: int | None = None) -> "TaskID | None":
        """Add a bar; its id for the other methods."""
        return self.progress.add_task(label, total=total) if self.progress is not None else None

    def move(self, bar: "TaskID | None", done: int, total: int) -> None:
        """Set a bar to `done` of `total`."""
        if self.progress is not None and bar is not None:
            self.progress.update(bar, completed=done, total=total)

    def advance(self, bar: "TaskID | None") -> None:
        """Advance a bar by one."""
        if self.progress is not None and bar is not None:
            self.progress.advance(bar)

    def remove(self, bar: "TaskID | None") -> None:
        """Remove a bar."""
        if self.progress is not None and bar is not None:
            self.progress.remove_task(bar)


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Bars on standard error while the block runs, if it is a terminal."""
    if not sys.stderr.isatty():
        yield ProgressBars(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield ProgressBars(progress)


async def follow_job(
    client: "AsyncFoliotraceClient", job: "JobView", label: str, bars: ProgressBars
) -> "JobView":
    """Show a job's progress until it ends; its final state."""
    from foliotrace.model import JobView
    from foliotrace_server.bodies import from_value

    bar = bars.add(label)
    async for event in client.follow(job.id):
        if event.name == "end":
            job = from_value(JobView, event.value)
        else:
            bars.move(bar, event.value["pages_done"], event.value["pages_total"])
    bars.remove(bar)
    return job
