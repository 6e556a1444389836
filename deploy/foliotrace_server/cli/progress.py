"""Bars on standard error for people; nothing where nobody looks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from foliotrace_server import contract
from foliotrace_server.client import AsyncFoliotraceClient


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar for all files, one for each job that is followed."""

    shown: Progress | None

    def add(self, label: str, total: int | None = None) -> TaskID | None:
        """A new bar."""
        return self.shown.add_task(label, total=total) if self.shown is not None else None

    def move(self, bar: TaskID | None, done: int, total: int) -> None:
        """Set a bar."""
        if self.shown is not None and bar is not None:
            self.shown.update(bar, completed=done, total=total)

    def advance(self, bar: TaskID | None) -> None:
        """One more."""
        if self.shown is not None and bar is not None:
            self.shown.advance(bar)

    def remove(self, bar: TaskID | None) -> None:
        """Take a bar away."""
        if self.shown is not None and bar is not None:
            self.shown.remove_task(bar)


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars while the block runs, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bars(shown)


async def followed(
    client: AsyncFoliotraceClient, job: contract.JobBody, label: str, shown: Bars
) -> contract.JobBody:
    """The job once it has ended, its pages shown meanwhile."""
    bar = shown.add(label)
    async for event in client.follow(job.id):
        if event.name == "end":
            job = contract.JobBody.model_validate(event.value)
        else:
            shown.move(bar, event.value["pages_done"], event.value["pages_total"])
    shown.remove(bar)
    return job
