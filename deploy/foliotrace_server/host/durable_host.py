"""Durable runs: accepted, started a few at a time, resumed after a crash, ended with a reason."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog
from llama_agents.server import PersistentHandler
from workflows import Workflow
from workflows.events import StartEvent

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, LibraryUnavailable
from foliotrace.model import Principal
from foliotrace_server.host.accepted_runs import AcceptedRuns, RunQueue
from foliotrace_server.host.background_tasks import BackgroundTasks
from foliotrace_server.host.engine_runs import DISK_ERRORS, EngineRuns
from foliotrace_server.host.grouped_runs import GroupOutcome, RunGroups, RunTogether
from foliotrace_server.host.internals.engine import durable_server, stop_server
from foliotrace_server.host.internals.stores import DurableStore
from foliotrace_server.host.run_ends import EndedRun, RunEnds, ended
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal, unreadable_journal
from foliotrace_server.host.run_records import RunRecords
from foliotrace_server.host.run_recovery import RunRecovery
from foliotrace_server.http.problems import EXCEPTION_HANDLERS
from foliotrace_server.observing.trace_context import capture_trace

RECONCILE_EVERY_S: Final = 5.0
_log = structlog.get_logger(__name__)


class DurableHost:
    """Hosts workflows whose runs survive the process.

    At most `max_concurrent` runs are active, the others are queued. A run that makes no progress
    while `max_starts` processes die is failed with `job_crashed_repeatedly`; one that cannot be
    started is failed with `job_unrepairable`, one whose step does not return with `job_stalled`.

    A run is in exactly one place: not begun, queued, in a group, active or ending. Each move is
    made without an `await`; what a fault leaves in no place, `_reconcile` queues again.
    """

    def __init__(
        self,
        folder: Path,
        workflows: Mapping[str, Workflow],
        *,
        on_ended: Callable[[EndedRun], Awaitable[None]],
        max_concurrent: int,
        max_pending: int,
        max_starts: int,
        step_limits_s: Mapping[str, float] = MappingProxyType({}),
        together: Mapping[str, RunTogether] = MappingProxyType({}),
    ) -> None:
        """`together` executes runs of a workflow in groups, as far as they can be.

        `step_limits_s` is how long a step of a workflow may take; without it, for ever.
        """
        self.workflows = dict(workflows)
        with unreadable_journal():
            self.store = DurableStore(folder / "handlers.db")
            self._journal = RunJournal(folder / "intents.db")
        self.store.on_finished = self._on_finished
        self.server = durable_server(
            self.store, EXCEPTION_HANDLERS, lambda run_id: self._recovery.context(run_id)
        )
        for name, workflow in workflows.items():
            self.server.add_workflow(name, workflow)
        self.accepted = AcceptedRuns(max_pending)
        self.records = RunRecords(self.server, self.store, self._journal, self.accepted)
        self._recovery = RunRecovery(
            self.server, self.store, self._journal, self.records, max_starts
        )
        self._max_concurrent = max_concurrent
        self._not_begun: dict[str, AcceptedRun] = {}
        self._queue = RunQueue()
        self._groups = RunGroups(together, begin=self._begin_group, settle=self._settle_group)
        self._engine = EngineRuns(
            self.server,
            self.store,
            self._journal,
            self.accepted,
            self.records,
            workflows=self.workflows,
            step_limits_s=step_limits_s,
            end=self._end,
        )
        self._ending: set[str] = set()
        self._tasks = BackgroundTasks()
        self._ends = RunEnds(self._journal, on_ended, self._tasks)
        self._started = False

    def journaled(self) -> Sequence[AcceptedRun]:
        """Every accepted run that has not ended, also before `start`. Raises LibraryUnavailable."""
        with unreadable_journal():
            return self._journal.all()

    async def start(self) -> None:
        """Resume interrupted runs, start queued ones, fail those that keep crashing the process.

        No limit applies to them: they were accepted. Raises LibraryUnavailable.
        """
        with unreadable_journal():
            for run in self._journal.all():
                self.accepted.add(run)
                try:
                    await self._restore(run)
                except DISK_ERRORS:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever one record holds, we start
                    self._engine.quarantine(run, error)
        await self.server.start()
        self._started = True
        self._start_queued()
        self._tasks.spawn(self._reconcile_loop())

    async def settle(self) -> None:
        """Start nothing more, and finish reporting the runs that have ended."""
        self._started = False
        self._groups.stop()
        await self._tasks.finish()

    async def stop(self) -> None:
        """Stop; active runs are resumed at the next start."""
        await self.settle()
        await stop_server(self.server)
        await self._tasks.finish()
        self._journal.close(cleanly=True)
        self.store.close()

    async def accept(
        self, handler_id: str, principal: Principal, name: str, start_event: StartEvent
    ) -> None:
        """Record durably that the run will be executed; `begin` starts or queues it.

        The disk is synced on another thread, once for runs accepted at the same time. Callers
        accept inside `accepted.place`, which limits them; a repair is not limited. One that fails
        before `begin` loses nothing: the run is queued seconds later.
        Raises Conflict `job_already_running`, LibraryUnavailable.
        """
        run = AcceptedRun(
            handler_id=handler_id,
            tenant=principal.tenant,
            subject=principal.subject,
            collections=principal.collections,
            workflow=name,
            start_event=start_event.model_dump_json(),
            trace=capture_trace(),
        )
        await asyncio.shield(self._tasks.spawn(self._record(run)))  # also if the caller is gone

    async def _record(self, run: AcceptedRun) -> None:
        try:
            is_new = await self._journal.add(run)
        except sqlite3.Error as error:
            raise LibraryUnavailable(reason=Reason.JOBS_UNWRITABLE) from error
        if not is_new:
            raise Conflict(code=ErrorCode.JOB_ALREADY_RUNNING)
        self.accepted.add(run)
        self._not_begun[run.handler_id] = run

    async def begin(self, handler_id: str, *, may_queue: bool = True) -> None:
        """Start an accepted run and return once a crash cannot lose it; or queue it."""
        run = self._not_begun.pop(handler_id, None)
        if run is None:  # it was cancelled, or its caller was so slow that it was queued
            if not may_queue:
                await self.accepted.wait_started(handler_id)
        elif may_queue and self._groups.takes(run):
            self._groups.add(run)
            self._start_group()
        elif may_queue and not self._has_room:
            self._queue.add(run)
        elif may_queue:
            await self._engine.start_or_retry(run)
        else:
            await self._engine.start(run)

    async def cancel(self, handler_id: str) -> bool:
        """Cancel a run that has not ended; False if there is none."""
        run = self._not_begun.pop(handler_id, None) or self._queue.remove(handler_id)
        if run is not None:
            self._end(run, "cancelled")
            return True
        if self._groups.cancel(handler_id):
            return True
        return await self._engine.cancel(handler_id)

    def owner(self, handler_id: str) -> Principal:
        """Whose run it is; the default caller's for one that nobody started."""
        return self._journal.owner(handler_id)

    async def _restore(self, run: AcceptedRun) -> None:
        """Make journal and engine records of one run agree, before the engine starts."""
        state = await self._recovery.at_start(run)
        if state.where == "lost":
            self._enqueue(run)
        elif state.where == "ended":
            self._end(run, state.status, state.problem)
        else:
            self._engine.add_resumed(run)

    async def _reconcile_loop(self) -> None:
        not_begun = frozenset[str]()
        while not await self._tasks.finishes_within(RECONCILE_EVERY_S):
            try:
                await self._reconcile(not_begun)
            except Exception as error:  # noqa: BLE001 - the next round may succeed
                _log.warning("jobs.reconcile_failed", error_type=type(error).__name__)
            not_begun = frozenset(self._not_begun)

    async def _reconcile(self, not_begun: frozenset[str]) -> None:
        """Queue what a fault left without progress.

        Runs that the engine lost while the disk did not take its records, those in no place, and
        those not begun since the last round: their caller is gone.
        """
        for run in [self._not_begun[i] for i in not_begun if i in self._not_begun]:
            self._requeue(self._not_begun.pop(run.handler_id))
        places = (self._not_begun, self._engine.active, self._ending, self._groups.handler_ids())
        placed = set(self._queue.handler_ids()).union(*places)
        for run in self.accepted.all():
            if run.handler_id not in placed:
                self._requeue(run)
        perhaps_lost = map(self._restart_if_lost, self._engine.settled())
        for error in await asyncio.gather(*perhaps_lost, return_exceptions=True):
            if error is not None:
                _log.warning("job.not_reconciled", error_type=type(error).__name__)
        await self._engine.give_up_stalled()
        self._start_queued()

    def _requeue(self, run: AcceptedRun) -> None:
        _log.warning("job.restarted", handler_id=run.handler_id)
        self._engine.discard(run.handler_id)
        self._queue.add(run)

    async def _restart_if_lost(self, handler_id: str) -> None:
        run = self.accepted.get(handler_id)
        state = await self._recovery.now(run) if run is not None else None
        if run is None or state is None or handler_id not in self._engine.settled():
            return
        if state.where == "ended":
            self._end(run, state.status, state.problem)
        elif state.where == "lost":
            self._requeue(run)

    @property
    def _has_room(self) -> bool:
        return len(self._engine.active) < self._max_concurrent

    def _enqueue(self, run: AcceptedRun) -> None:
        if self._groups.takes(run):
            self._groups.add(run)
        else:
            self._queue.add(run)

    def _start_group(self) -> None:
        if self._started and self._groups.is_due:
            self._tasks.spawn(self._groups.execute(lambda: self._started), Context())  # in no trace

    async def _begin_group(self, runs: Sequence[AcceptedRun]) -> None:
        for run in runs:
            self.accepted.set_started(run.handler_id)
        await self._journal.record_start(*(run.handler_id for run in runs), starts=1, steps=0)

    def _settle_group(self, outcome: GroupOutcome) -> None:
        """End the runs that have completed or were cancelled; the others go to the engine."""
        if outcome.completed:
            self._ending.update(run.handler_id for run in outcome.completed)
            try:
                self.store.add_completed(outcome.completed[0].workflow, outcome.results)
            except Exception as error:  # noqa: BLE001 - their jobs are stored, and have ended
                _log.warning("jobs.records_not_stored", error_type=type(error).__name__)
            self._tasks.spawn(self._finalize(outcome.completed, "completed", None))
        for run in outcome.cancelled:
            self._end(run, "cancelled")
        for run in outcome.left:
            if run.handler_id in self.accepted:
                self._queue.add(run)
        self._start_queued()

    def _start_queued(self) -> None:
        self._start_group()
        while self._started and self._queue and self._has_room:
            run = self._queue.take(self.accepted.get(i) for i in self._engine.active)
            self._engine.reserve(run)
            self._tasks.spawn(self._engine.start_or_retry(run))

    def _on_finished(self, handler: PersistentHandler) -> None:
        """Called by the store at every write to a finished run's record; the first one counts."""
        run = self.accepted.get(handler.handler_id)
        if run is not None:
            self._end(run, handler.status, handler.error)

    def _end(self, run: AcceptedRun, status: str, problem: str | None = None) -> None:
        if run.handler_id in self._ending:
            return
        self._engine.discard(run.handler_id)
        self._ending.add(run.handler_id)
        self._tasks.spawn(self._finalize([run], status, problem))
        self._start_queued()

    async def _finalize(
        self, runs: Sequence[AcceptedRun], status: str, problem: str | None
    ) -> None:
        """Report the end; runs stay in the journal until `on_ended` has handled it."""
        if status == "failed":
            for run in runs:
                _log.warning("job.failed", workflow=run.workflow, handler_id=run.handler_id)
        await self._ends.report([ended(run, status, problem) for run in runs], self._on_reported)

    def _on_reported(self, handler_id: str) -> None:
        self._ending.discard(handler_id)
        self._engine.forget_cancelled(handler_id)
        self.accepted.set_ended(handler_id)
