"""One first and one last audit record for each run, however often the process dies in between.

A resumed job repeats its interrupted step, which may append a record that is on the disk already;
and a job can end in the library a moment before its last record is written. What the log holds of
unfinished runs is therefore read at start: what is there is not repeated, what is missing is added.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from foliotrace.catalog import ErrorCode
from foliotrace.model import JobKind
from foliotrace.ports import AuditEntry
from foliotrace_audit.control import parse
from foliotrace_audit.files import segments, streams
from foliotrace_audit.record import EVENTS

_RUN_ID: Final = re.compile(rb'"run_id":"([^"\\]*)"')
_CLOCK_SLACK: Final = timedelta(hours=1)
_REMEMBERED: Final = 20_000  # only hosts that settle no job reach it
_JOBS: Final = tuple(JobKind)


class AuditedRuns:
    """The records of jobs that are written, by run and place: the first or the last."""

    def __init__(self) -> None:
        self._written: OrderedDict[tuple[str, bool], int] = OrderedDict()

    def is_written(self, entry: AuditEntry) -> bool:
        """Whether a job has this first or last record; never of what is not a job."""
        return _is_of_job(entry.event) and _place(entry) in self._written

    def note(self, entry: AuditEntry, seq: int) -> None:
        """Remember that the record is in the log, with its sequence number in our stream."""
        if _is_of_job(entry.event):
            self._written[_place(entry)] = seq
            if len(self._written) > _REMEMBERED:
                self._written.popitem(last=False)

    def recall(self, log_folder: Path, run_ids: Collection[str], since: datetime | None) -> None:
        """Read which records of these runs the log holds; none is older than `since`."""
        for record in _records_of(log_folder, run_ids, since):
            if _is_of_job(record["event"]):
                self._written[record["run_id"], _is_first(record["event"])] = -1  # on the disk

    def lacks(self, run_id: str) -> bool:
        """Whether a job's first or last record is not written."""
        return any((run_id, first) not in self._written for first in (True, False))

    def last_seq(self, run_id: str) -> int:
        """The sequence number of a run's newest record in our stream; -1 if it has none there."""
        return max(self._written.get((run_id, first), -1) for first in (True, False))

    def forget(self, run_id: str) -> None:
        """Forget a run that is over."""
        for first in (True, False):
            self._written.pop((run_id, first), None)


def interrupted(log_folder: Path, died: Sequence[Path]) -> Iterator[AuditEntry]:
    """The last records of questions and deletions that ended with the processes that `died`.

    Jobs are resumed and write their own.
    """
    begun: dict[str, Mapping[str, Any]] = {}
    for stream in died:
        for record in _records(stream, None):
            if _is_first(record["event"]) and not _is_of_job(record["event"]):
                begun[record["run_id"]] = record
    if not begun:
        return
    since = min(datetime.fromisoformat(record["timestamp"]) for record in begun.values())
    for record in _records_of(log_folder, begun, since):
        if not _is_first(record["event"]):
            begun.pop(record["run_id"], None)
    for run_id, record in begun.items():
        yield AuditEntry(
            event=f"{record['event'].partition('_')[0]}_failed",
            run_id=run_id,
            tenant=record.get("tenant", ""),
            user_id=record.get("user_id"),
            query_hash=record.get("query_hash"),
            key_id=record.get("key_id"),
            success=False,
            error=ErrorCode.JOB_INTERRUPTED,
            document_ids=tuple(record.get("document_ids", ())),
        )


def _records_of(
    log_folder: Path, run_ids: Collection[str], since: datetime | None
) -> Iterator[Mapping[str, Any]]:
    """The records of these runs, from the files that were written `since` or later."""
    wanted = {run_id.encode() for run_id in run_ids}
    oldest_s = (since - _CLOCK_SLACK).timestamp() if since is not None else 0.0
    for stream in streams(log_folder) if wanted else ():
        yield from (r for r in _records(stream, wanted, oldest_s))


def _records(
    stream: Path, wanted: Collection[bytes] | None, oldest_s: float = 0.0
) -> Iterator[Mapping[str, Any]]:
    for path in segments(stream).values():
        if path.stat().st_mtime < oldest_s:
            continue
        with path.open("rb") as file:
            for line in file:
                found = _RUN_ID.search(line)
                if found is None or (wanted is not None and found[1] not in wanted):
                    continue
                record = parse(line)  # {} for a line that the crash cut off
                if record.get("event") in EVENTS and "run_id" in record:
                    yield record


def _place(entry: AuditEntry) -> tuple[str, bool]:
    return entry.run_id, _is_first(entry.event)


def _is_first(event: str) -> bool:
    return event.endswith("_received")


def _is_of_job(event: str) -> bool:
    return event.partition("_")[0] in _JOBS
