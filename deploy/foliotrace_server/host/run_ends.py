"""Reports how durable runs ended, again and again until it is recorded."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from foliotrace.errors import Conflict, NotFound
from foliotrace.events import JobQuarantined, emit
from foliotrace.model import JobKind
from foliotrace_server.host.background_tasks import BackgroundTasks, is_cancelled_itself
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal

RETRY_EVERY_S: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """How a durable run ended. `problem` is an error code or the message of one of our errors."""

    handler_id: str
    tenant: str
    subject: str
    workflow: str
    status: str  # completed, failed, cancelled
    problem: str | None


def ended(run: AcceptedRun, status: str, problem: str | None) -> EndedRun:
    """The end of an accepted run."""
    return EndedRun(
        handler_id=run.handler_id,
        tenant=run.tenant,
        subject=run.subject,
        workflow=run.workflow,
        status=status,
        problem=problem,
    )


def report_quarantined(handler_id: str, workflow: str, error: Exception) -> None:
    """Name and count a job that is given up because its record cannot be read."""
    reason = type(error).__name__  # its text may quote a document
    _log.error("job.quarantined", handler_id=handler_id, workflow=workflow, error_type=reason)
    kind = workflow if workflow in tuple(JobKind) else "own"
    emit(JobQuarantined(kind=kind, reason=reason))


class RunEnds:
    """Hands each end to `on_ended`, then removes the run from the journal."""

    def __init__(
        self,
        journal: RunJournal,
        on_ended: Callable[[EndedRun], Awaitable[None]],
        tasks: BackgroundTasks,
    ) -> None:
        self._journal, self._on_ended, self._tasks = journal, on_ended, tasks

    async def report(self, runs: Sequence[EndedRun], on_reported: Callable[[str], None]) -> None:
        """Call `on_reported` with the handler id of each run whose end is recorded.

        One end that cannot be recorded does not keep the others waiting. If the process stops
        first, the journal has the run still, and the next process reports its end.
        """
        unreported, unremoved = list(runs), list[EndedRun]()
        while unreported or unremoved:
            tried, unreported = unreported, []
            for run in tried:
                (unremoved if await self._is_handled(run) else unreported).append(run)
            if await self._is_removed(unremoved):
                for run in unremoved:
                    on_reported(run.handler_id)
                unremoved = []
            is_unfinished = unreported or unremoved
            if is_unfinished and await self._tasks.finishes_within(RETRY_EVERY_S):
                return

    async def _is_handled(self, run: EndedRun) -> bool:
        try:
            with suppress(NotFound, Conflict):  # the job was deleted, or ended otherwise
                await self._on_ended(run)
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, the end is not lost
            if is_cancelled_itself():
                raise
            _log.warning("job.end_not_recorded", error_type=type(error).__name__)
            return False
        return True

    async def _is_removed(self, runs: Sequence[EndedRun]) -> bool:
        try:
            if runs:
                await self._journal.remove(*(run.handler_id for run in runs))
        except (sqlite3.Error, OSError) as error:
            _log.warning("job.end_not_recorded", error_type=type(error).__name__)
            return False
        return True
