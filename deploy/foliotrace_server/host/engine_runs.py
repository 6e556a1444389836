"""Runs that the workflow engine executes: a few at a time, given up when they cease to move."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Set
from time import monotonic
from typing import Final, TypeAlias

import structlog
from llama_agents.server import WorkflowServer
from workflows import Workflow

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError
from foliotrace_server.host.accepted_runs import AcceptedRuns
from foliotrace_server.host.internals.engine import cancel_run, start_durable_run
from foliotrace_server.host.internals.stores import DurableStore
from foliotrace_server.host.run_ends import report_quarantined
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal
from foliotrace_server.host.run_records import RunRecords
from foliotrace_server.http.identity import acting_as
from foliotrace_server.observing.trace_context import continue_trace

CANCEL_DEADLINE_S: Final = 10.0
DISK_ERRORS: Final = (FoliotraceError, sqlite3.Error, OSError)  # of a full or lost disk
End: TypeAlias = Callable[[AcceptedRun, str, str | None], None]
"""(run, status, problem): takes a run that has ended."""
_log = structlog.get_logger(__name__)


class EngineRuns:
    """Starts runs in the engine and knows those that are `active`, also while they are started."""

    def __init__(
        self,
        server: WorkflowServer,
        store: DurableStore,
        journal: RunJournal,
        accepted: AcceptedRuns,
        records: RunRecords,
        *,
        workflows: Mapping[str, Workflow],
        step_limits_s: Mapping[str, float],
        end: End,
    ) -> None:
        self._server, self._store, self._journal = server, store, journal
        self._accepted, self._records = accepted, records
        self._workflows, self._step_limits_s = workflows, step_limits_s
        self._end = end
        self._starting: set[str] = set()
        self._cancelled: set[str] = set()
        self._moved: dict[str, tuple[float, int]] = {}  # when a run was seen, with how many steps
        self._cancelling: set[asyncio.Future[bool]] = set()
        self.active: set[str] = set()

    def reserve(self, run: AcceptedRun) -> None:
        """Count a run as active; `start_or_retry` follows."""
        self.active.add(run.handler_id)
        self._starting.add(run.handler_id)

    def add_resumed(self, run: AcceptedRun) -> None:
        """Count a run as active that the engine resumes by itself."""
        self.active.add(run.handler_id)
        self._accepted.set_started(run.handler_id)

    def discard(self, handler_id: str) -> None:
        """Forget a run that is active no more."""
        self.active.discard(handler_id)
        self._moved.pop(handler_id, None)

    def forget_cancelled(self, handler_id: str) -> None:
        """Forget that an ended run was to be cancelled."""
        self._cancelled.discard(handler_id)

    def settled(self) -> Set[str]:
        """The active runs that are not just being started."""
        return self.active - self._starting

    async def start_or_retry(self, run: AcceptedRun) -> None:
        """Start a run; if the disk refuses its record, it is lost, and found by who reconciles."""
        try:
            await self.start(run)
        except DISK_ERRORS as error:
            _log.warning("job.start_failed", error_type=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - it will never start
            self.quarantine(run, error)

    async def start(self, run: AcceptedRun) -> None:
        """Start a run; on return a crash cannot lose it."""
        self.reserve(run)
        try:
            workflow = self._workflows.get(run.workflow)
            if workflow is None:  # it was hosted when the run was accepted
                return self._end(run, "failed", ErrorCode.WORKFLOW_NOT_HOSTED)
            if run.handler_id in self._cancelled:
                return self._end(run, "cancelled", None)
            await self._journal.record_start(run.handler_id, starts=run.starts + 1, steps=run.steps)
            event = workflow.start_event_class.model_validate_json(run.start_event)
            with acting_as(run.principal), continue_trace(run.trace):
                await start_durable_run(
                    self._server, self._store, run.workflow, event, run.handler_id
                )
        finally:
            self._starting.discard(run.handler_id)
        self._accepted.set_started(run.handler_id)
        if run.handler_id in self._cancelled:  # before the engine knew it
            await cancel_run(self._server, run.handler_id)
        return None

    async def cancel(self, handler_id: str) -> bool:
        """Cancel a run, also if its start is under way or must be repeated; False if unknown."""
        is_active = handler_id in self.active
        if is_active:
            self._cancelled.add(handler_id)
        return await cancel_run(self._server, handler_id) or is_active

    def quarantine(self, run: AcceptedRun, error: Exception) -> None:
        """Give up a run whose record cannot be read."""
        report_quarantined(run.handler_id, run.workflow, error)
        self._store.forget([run.handler_id])  # the engine would stumble over it, too
        self._end(run, "failed", ErrorCode.JOB_UNREPAIRABLE)

    async def give_up_stalled(self) -> None:
        """Fail the runs that completed no step for the limit of their workflow, or twice as long.

        A workflow without a limit may wait for as long as it likes, for example for a person.
        """
        for handler_id in self.settled():
            run = self._accepted.get(handler_id)
            if run is not None and await self._is_stalled(run):
                await self._give_up(run)

    async def _is_stalled(self, run: AcceptedRun) -> bool:
        limit_s = self._step_limits_s.get(run.workflow)
        if limit_s is None:
            return False
        seen_s, steps = self._moved.get(run.handler_id, (0.0, -1))
        if steps >= 0 and monotonic() - seen_s < limit_s:
            return False  # the store is asked once in the limit, not in each round
        handler = await self._records.handler(run.handler_id)
        done = self._store.steps_done(handler.run_id or "") if handler is not None else 0
        self._moved[run.handler_id] = (monotonic(), done)
        return done == steps

    async def _give_up(self, run: AcceptedRun) -> None:
        _log.error("job.stalled", handler_id=run.handler_id, workflow=run.workflow)
        self._end(run, "failed", ErrorCode.JOB_STALLED)
        cancelling = asyncio.ensure_future(cancel_run(self._server, run.handler_id))
        self._cancelling.add(cancelling)  # it ends with a step that may ignore its cancellation
        cancelling.add_done_callback(self._cancelling.discard)
        await asyncio.wait({cancelling}, timeout=CANCEL_DEADLINE_S)
        handler = await self._records.handler(run.handler_id)
        if handler is not None:  # its callers read why, not that it was cancelled
            handler.status, handler.error = "failed", ErrorCode.JOB_STALLED
            await self._store.update(handler)
