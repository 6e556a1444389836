"""One upload on the command line: its journal, its progress, and how it ended."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from foliotrace_loop.ports import LoopError, TargetUnavailable
from foliotrace_server.cli import output

if TYPE_CHECKING:
    from foliotrace_loop.langsmith.wire import LangSmithApi
    from foliotrace_loop.traces.journal import Journal

DONE, LEFT, OUTAGE = 0, 1, 2
_PRINTED: Final = 20
_STEP: Final = 10


def upload(journal: "Journal", langsmith: "LangSmithApi", how: dict[str, Any]) -> int:
    """Send what is pending, read it back, and report. Raises LoopError, TargetUnavailable."""
    from foliotrace_loop.langsmith.ingest import LangSmithIngest
    from foliotrace_loop.langsmith.wire import backoff_s
    from foliotrace_loop.traces.upload import Pace, Uploader, read_back

    ingest = LangSmithIngest(langsmith, how["project"])
    began, before = time.monotonic(), journal.counts()
    with _progress(before.sent_traces, before.traces) as on_progress:
        pace = Pace(
            workers=how["workers"],
            runs_per_s=how["rate"],
            give_up_after_s=how["give_up_after_s"],
        )
        stopped = Uploader(
            journal, ingest, pace, backoff_s=backoff_s, on_progress=on_progress
        ).run()
    after = journal.counts()
    elapsed_s = time.monotonic() - began
    sent = after.sent - before.sent
    output.print_line(
        f"Sent {sent} runs in {elapsed_s:.1f} s ({sent / max(elapsed_s, 1e-9):.0f}/s)"
    )
    if stopped is not None:
        left = after.runs - after.sent - after.dead
        sys.stderr.write(
            f"foliotrace: stopped: {stopped}\n  {left} runs are left; run the command again\n"
        )
        return OUTAGE
    output.print_line("Flushing...")
    missing = 0
    try:
        found, missing = read_back(journal, ingest, patience_s=how["patience_s"], sleep=time.sleep)
        output.print_line(f"Acknowledged {after.sent}, found {found}")
    except (TargetUnavailable, LoopError) as error:
        output.print_line(f"Acknowledged {after.sent}; not read back: {error}")
    else:
        if not missing:
            journal.forget_bodies()
    _print_dead(journal, after.dead, how["dead_letter"])
    if missing:
        sys.stderr.write(f"foliotrace: {missing} runs are not found; run the command again\n")
    output.print_line("Done!" if not missing and not after.dead else "Done, with runs left.")
    return LEFT if missing or after.dead else DONE


@contextmanager
def journal_of(folder: Path, how: dict[str, Any], *, reload: bool = False) -> "Iterator[Journal]":
    """The journal of this file and project, with the runs of the file in it."""
    from foliotrace_loop.traces.journal import Journal
    from foliotrace_loop.traces.records import file_hash, read_runs

    file, project = how["file"], how["project"]
    upload = sha256(f"{file_hash(file)}\n{project}".encode()).hexdigest()
    with closing(Journal(folder / f"{upload[:32]}.db")) as journal:
        if reload or not journal.fact("loaded"):
            journal.load(read_runs(file), upload, datetime.now(UTC))
        counts = journal.counts()
        output.print_line(f"Loaded {counts.runs} runs from {file}")
        output.print_line(f"Found {counts.traces} traces")
        for number, what in (
            (counts.orphans, "runs whose parent is not in the file are sent as roots"),
            (counts.repeated, "runs stand in the file more than once: the last counts"),
            (counts.children_first, "runs stand before their parents: they are sent after them"),
        ):
            if number:
                output.print_line(f"{number} {what}")
        yield journal


@contextmanager
def _progress(sent: int, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line for every ten traces or every percent."""
    step = max(_STEP, total // 100)
    done, printed, lock = sent, sent, Lock()
    with output.progress_bars() as bars:
        bar = bars.add("Uploading", total)

        def on_progress(traces: int) -> None:
            nonlocal done, printed
            with lock:
                done += traces
                bars.move(bar, done, total)
                if bars.progress is None and done // step > printed // step:
                    printed = done
                    output.print_line(f"  Uploaded {done // step * step}/{total} traces")

        yield on_progress


def print_plan(journal: "Journal") -> None:
    """Print what an upload would send."""
    from foliotrace_loop.traces.upload import UploadLimits, batches

    counts = journal.counts()
    _print_dead(journal, counts.dead, None)
    times = journal.times()
    requests = sum(1 for _ in batches(journal, UploadLimits(100, 20_971_520)))
    if times is not None:
        output.print_line(f"Starts from {times[0].isoformat()} to {times[1].isoformat()}")
    output.print_line(
        f"Would send {counts.runs - counts.dead} runs in about {requests} requests;"
        " nothing was sent"
    )


def _print_dead(journal: "Journal", dead: int, file: Path | None) -> None:
    if dead:
        letters = islice(journal.dead_letters(), _PRINTED)
        output.print_line(f"{dead} runs are not sent:")
        output.print_table(("ID", "REASON"), [(each.id, each.reason) for each in letters])
    if file is not None:
        with file.open("w", encoding="utf-8") as out:
            for each in journal.dead_letters():
                line = {"id": each.id, "reason": each.reason, "run": each.run}
                out.write(json.dumps(line) + "\n")
