"""Durable runs: accepted, started a few at a time, resumed after a crash, ended with a reason."""

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import structlog
from llama_agents.server import HandlerQuery, PersistentHandler
from workflows import Workflow
from workflows.events import StartEvent

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, FoliotraceError, LibraryUnavailable, NotFound, TooBusy
from foliotrace.events import JobQuarantined, attempt, emit
from foliotrace.model import JobKind, Principal
from foliotrace_server.host.grouped_runs import GroupOutcome, RunGroups, RunTogether
from foliotrace_server.host.internals import (
    DurableStore,
    EventEnvelopeWithMetadata,
    HandlerData,
    cancel_run,
    durable_server,
    handler_data,
    is_active,
    start_durable_run,
    stop_server,
    wait_for_run,
)
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal
from foliotrace_server.http.identity import acting_as
from foliotrace_server.http.problems import EXCEPTION_HANDLERS
from foliotrace_server.observing.trace_context import capture_trace, continue_trace

_RECONCILE_EVERY_S: Final = 5.0
_DISK_ERRORS: Final = (FoliotraceError, sqlite3.Error, OSError)  # of a full or lost disk
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


@dataclass(slots=True)
class _Milestones:
    started: asyncio.Event = field(default_factory=asyncio.Event)
    finalized: asyncio.Event = field(default_factory=asyncio.Event)


@contextmanager
def _opening_journal() -> Iterator[None]:
    """Turn a damaged file into LibraryUnavailable `jobs_unreadable`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LibraryUnavailable(reason=Reason.JOBS_UNREADABLE) from error


def report_quarantined(handler_id: str, workflow: str, error: Exception) -> None:
    """Name and count a job that is given up because its record cannot be read."""
    reason = type(error).__name__  # its text may quote a document
    _log.error("job.quarantined", handler_id=handler_id, workflow=workflow, error_type=reason)
    kind = workflow if workflow in tuple(JobKind) else "own"
    emit(JobQuarantined(kind=kind, reason=reason))


class DurableHost:
    """Hosts workflows whose runs survive the process.

    At most `max_concurrent` runs are active, the others are queued. A run that makes no progress
    while `max_starts` processes die is failed with `job_crashed_repeatedly`; one whose record
    cannot be read is failed with `job_unrepairable`.
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
        together: Mapping[str, RunTogether] = MappingProxyType({}),
    ) -> None:
        """`together` executes runs of a workflow in groups, as far as they can be."""
        self.workflows = dict(workflows)
        with _opening_journal():
            self.store = DurableStore(folder / "handlers.db")
            self._journal = RunJournal(folder / "intents.db")
        self.store.on_finished = self._on_finished
        self._resumed: dict[str, AcceptedRun] = {}  # by run id, until the engine resumes the run
        self.server = durable_server(self.store, EXCEPTION_HANDLERS, self._context_of_resumed)
        for name, workflow in workflows.items():
            self.server.add_workflow(name, workflow)
        self._on_ended = on_ended
        self._max_concurrent = max_concurrent
        self._max_pending, self._max_starts = max_pending, max_starts
        self._accepted: dict[str, AcceptedRun] = {}
        self._milestones: dict[str, _Milestones] = {}
        self._places_held = 0
        self._queue: deque[AcceptedRun] = deque()
        self._groups = RunGroups(together, begin=self._begin_group, settle=self._settle_group)
        self._active: set[str] = set()
        self._starting: set[str] = set()
        self._ending: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        self._stopping = asyncio.Event()

    def journaled(self) -> Sequence[AcceptedRun]:
        """Every accepted run that has not ended, also before `start`. Raises LibraryUnavailable."""
        with _opening_journal():
            return self._journal.all()

    async def start(self) -> None:
        """Resume interrupted runs, start queued ones, fail those that keep crashing the process.

        No limit applies to them: they were accepted. Raises LibraryUnavailable.
        """
        with _opening_journal():
            for run in self._journal.all():
                self._track(run)
                try:
                    await self._restore(run)
                except _DISK_ERRORS:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever one record holds, we start
                    self._quarantine(run, error)
        await self.server.start()
        self._started = True
        self._start_queued()
        self._spawn(self._reconcile_loop())

    async def settle(self) -> None:
        """Start nothing more, and finish reporting the runs that have ended."""
        self._started = False
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Stop; active runs are resumed at the next start."""
        await self.settle()
        await stop_server(self.server)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._journal.close(cleanly=True)
        self.store.close()

    async def accept(
        self, handler_id: str, principal: Principal, name: str, start_event: StartEvent
    ) -> None:
        """Record durably that the run will be executed; `begin` starts or queues it.

        The disk is synced on another thread, once for runs that are accepted at the same time.

        What a caller asks for is accepted inside `place`, which limits it; a repair is not limited.
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
        recording = self._spawn(self._record(run))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:  # the caller is gone, and cannot `begin` it
            recording.add_done_callback(lambda _: self._begin_abandoned(run))
            raise

    async def _record(self, run: AcceptedRun) -> None:
        try:
            is_new = await self._journal.add(run)
        except sqlite3.Error as error:
            raise LibraryUnavailable(reason=Reason.JOBS_UNWRITABLE) from error
        if not is_new:
            raise Conflict(code=ErrorCode.JOB_ALREADY_RUNNING)
        self._track(run)

    def _begin_abandoned(self, run: AcceptedRun) -> None:
        if self._accepted.get(run.handler_id) is run:
            self._enqueue(run)
            self._start_queued()

    def refuse_if_full(self) -> None:
        """Raise TooBusy if no further run can be accepted."""
        if len(self._accepted) + self._places_held >= self._max_pending:
            raise TooBusy("too many unfinished jobs", retry_after_s=5.0)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold the place of a run until it is accepted inside. Raises TooBusy.

        Whoever stores something for the run does so inside: no place, nothing stored.
        """
        self.refuse_if_full()
        self._places_held += 1
        try:
            yield
        finally:
            self._places_held -= 1

    async def begin(self, handler_id: str, *, may_queue: bool = True) -> None:
        """Start an accepted run and return once a crash cannot lose it; or queue it."""
        run = self._accepted[handler_id]
        if may_queue and self._groups.takes(run):
            self._groups.add(run)
            self._start_group()
        elif may_queue and len(self._active) >= self._max_concurrent:
            self._queue.append(run)
        elif may_queue:
            await self._start_or_retry(run)
        else:
            await self._start(run)

    async def cancel(self, handler_id: str) -> bool:
        """Cancel a queued or active run; False if there is none."""
        for run in list(self._queue):
            if run.handler_id == handler_id:
                self._queue.remove(run)
                self._end(run, "cancelled")
                return True
        if self._groups.cancel(handler_id):
            return True
        return await cancel_run(self.server, handler_id)

    def owner(self, handler_id: str) -> Principal:
        """Whose run it is; the default caller's for one that nobody started."""
        return self._journal.owner(handler_id)

    async def handler(self, handler_id: str) -> PersistentHandler | None:
        """The stored record of a run that has started."""
        handlers = await self.store.query(HandlerQuery(handler_id_in=[handler_id]))
        return handlers[0] if handlers else None

    async def record(self, handler_id: str, *, wait: bool) -> HandlerData:
        """The record of a run that has started; with `wait`, after its end. Raises NotFound."""
        handler = await self.handler(handler_id)
        if handler is None:
            raise NotFound(code=ErrorCode.HANDLER_NOT_FOUND)
        data = handler_data(handler)
        if wait and handler.status == "running":
            return await wait_for_run(self.server, data)
        return data

    async def events(
        self, handler_id: str, *, after: int = -1
    ) -> AsyncIterator[tuple[int, EventEnvelopeWithMetadata]]:
        """(sequence, event) of a run that has started, after sequence `after`, until it ends."""
        handler = await self.handler(handler_id)
        if handler is None or handler.run_id is None:
            return
        if handler.status != "running":
            for stored in await self.store.query_events(handler.run_id, after_sequence=after):
                yield stored.sequence, stored.event
            return
        async for stored in self.store.subscribe_events(handler.run_id, after_sequence=after):
            yield stored.sequence, stored.event

    async def wait_started(self, handler_id: str) -> None:
        """Return once an accepted run has started or ended."""
        milestones = self._milestones.get(handler_id)
        if milestones is not None:
            await milestones.started.wait()

    async def wait_finalized(self, handler_id: str) -> None:
        """Return once an accepted run has ended and `on_ended` has handled that."""
        milestones = self._milestones.get(handler_id)
        if milestones is not None:
            await milestones.finalized.wait()

    def is_accepted(self, handler_id: str) -> bool:
        """Whether a run is accepted and has not ended."""
        return handler_id in self._accepted

    def accepted_workflow(self, handler_id: str) -> str | None:
        """The workflow of a run that is accepted and has not ended, started or not."""
        run = self._accepted.get(handler_id)
        return run.workflow if run is not None else None

    def pending(self) -> int:
        """Number of accepted runs that have not ended."""
        return len(self._accepted)

    async def forget_finished(self, before: datetime) -> int:
        """Delete the records of runs that ended before `before`; how many."""
        count = self.store.forget_finished(before.isoformat())
        await self._disown_deleted()
        return count

    async def forget(self, handler_ids: Sequence[str]) -> None:
        """Have the records of these runs deleted by the first `compact` after their end."""
        await self._journal.forget(handler_ids)

    async def compact(self) -> None:
        """Delete the records of forgotten runs, and leave nothing deleted in the files."""
        forgotten = self._journal.forgotten()
        unfinished = [i for i in forgotten if self.is_accepted(i)]
        self.store.forget([i for i in forgotten if i not in unfinished])
        await self._disown_deleted()
        await self._journal.compact(unfinished)

    async def _disown_deleted(self) -> None:
        owned = self._journal.owned()
        if owned:
            kept = self.store.handler_ids()
            await self._journal.disown(
                [i for i in owned if i not in kept and i not in self._accepted]
            )

    async def _restore(self, run: AcceptedRun) -> None:
        """Make journal and engine records of one run agree, before the engine starts."""
        handler = await self.handler(run.handler_id)
        if handler is not None and handler.status != "running":
            self._end(run, handler.status, handler.error)
            return
        run_id = handler.run_id if handler is not None else None
        if handler is None or run_id is None or not self.store.is_replayable(run_id):
            if handler is not None:  # recorded, but killed before it could be replayed
                await self.store.delete(HandlerQuery(handler_id_in=[run.handler_id]))
            self._enqueue(run)
            return
        steps = self.store.steps_done(run_id)
        starts = 1 if steps > run.steps else run.starts + 1
        if starts > self._max_starts:
            _log.error("job.crashed_repeatedly", handler_id=run.handler_id, starts=run.starts)
            handler.status = "failed"
            handler.error = ErrorCode.JOB_CRASHED_REPEATEDLY
            await self.store.update(handler)
            return
        await self._journal.record_start(run.handler_id, starts=starts, steps=steps)
        self._active.add(run.handler_id)  # the engine resumes it
        self._resumed[run_id] = replace(run, starts=max(1, run.starts))
        self._milestones[run.handler_id].started.set()

    async def _reconcile_loop(self) -> None:
        """Restart runs that the engine lost while the disk did not take its records."""
        while not await self._stops_within(_RECONCILE_EVERY_S):
            try:
                for handler_id in self._active - self._starting - self._ending:
                    await self._restart_if_lost(handler_id)
                self._start_queued()
            except _DISK_ERRORS as error:
                _log.warning("jobs.reconcile_failed", error_type=type(error).__name__)

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _restart_if_lost(self, handler_id: str) -> None:
        run = self._accepted.get(handler_id)
        handler = await self.handler(handler_id)
        if run is None or handler_id in self._ending:
            return
        if handler is not None:
            idle = handler.status == "running" and handler.idle_since is not None
            if idle or is_active(self.server, handler.run_id or ""):
                return
            if handler.status != "running":
                self._end(run, handler.status, handler.error)
                return
            self.store.forget([handler_id])
        _log.warning("job.restarted", handler_id=handler_id)
        self._active.discard(handler_id)
        self._queue.append(run)

    async def _start_or_retry(self, run: AcceptedRun) -> None:
        """Start a run; if the disk refuses its record, `_reconcile_loop` tries again."""
        try:
            await self._start(run)
        except _DISK_ERRORS as error:
            _log.warning("job.start_failed", error_type=type(error).__name__)
        except ValueError as error:  # its start event cannot be read
            self._quarantine(run, error)

    def _quarantine(self, run: AcceptedRun, error: Exception) -> None:
        """Give up a run whose record cannot be read."""
        report_quarantined(run.handler_id, run.workflow, error)
        self.store.forget([run.handler_id])  # the engine would stumble over it, too
        self._end(run, "failed", ErrorCode.JOB_UNREPAIRABLE)

    async def _start(self, run: AcceptedRun) -> None:
        workflow = self.workflows.get(run.workflow)
        self._active.add(run.handler_id)
        if workflow is None:  # it was hosted when the run was accepted
            self._end(run, "failed", ErrorCode.WORKFLOW_NOT_HOSTED)
            return
        self._starting.add(run.handler_id)
        try:
            await self._journal.record_start(run.handler_id, starts=run.starts + 1, steps=run.steps)
            event = workflow.start_event_class.model_validate_json(run.start_event)
            with acting_as(run.principal), continue_trace(run.trace):
                await start_durable_run(
                    self.server, self.store, run.workflow, event, run.handler_id
                )
        finally:
            self._starting.discard(run.handler_id)
        milestones = self._milestones.get(run.handler_id)
        if milestones is not None:  # None: it has ended already
            milestones.started.set()

    @contextmanager
    def _context_of_resumed(self, run_id: str) -> Iterator[None]:
        """Caller and trace that a resumed run continues; a started run is inside its own."""
        run = self._resumed.pop(run_id, None)
        if run is None:
            yield
            return
        restarted = attempt(run.handler_id, run.starts + 1)  # on the span of the run
        with acting_as(run.principal), continue_trace(run.trace), restarted:
            yield

    def _track(self, run: AcceptedRun) -> None:
        self._accepted[run.handler_id] = run
        self._milestones[run.handler_id] = _Milestones()

    def _enqueue(self, run: AcceptedRun) -> None:
        if self._groups.takes(run):
            self._groups.add(run)
        else:
            self._queue.append(run)

    def _start_group(self) -> None:
        if self._started and self._groups.is_due:
            self._spawn(self._groups.execute(lambda: self._started), Context())  # in no trace

    async def _begin_group(self, runs: Sequence[AcceptedRun]) -> None:
        for run in runs:
            self._milestones[run.handler_id].started.set()
        await self._journal.record_start(*(run.handler_id for run in runs), starts=1, steps=0)

    def _settle_group(self, outcome: GroupOutcome) -> None:
        """End the runs that have completed or were cancelled; the others go to the engine."""
        if outcome.completed:
            try:
                self.store.add_completed(outcome.completed[0].workflow, outcome.results)
            except sqlite3.Error as error:  # their jobs are stored
                _log.warning("jobs.records_not_stored", error_type=type(error).__name__)
            self._ending.update(outcome.results)
            self._spawn(self._finalize(outcome.completed, "completed", None))
        for run in outcome.cancelled:
            self._end(run, "cancelled")
        self._queue.extend(outcome.left)
        self._start_queued()

    def _start_queued(self) -> None:
        self._start_group()
        while self._started and self._queue and len(self._active) < self._max_concurrent:
            run = self._next_queued()
            self._active.add(run.handler_id)
            self._spawn(self._start_or_retry(run))

    def _next_queued(self) -> AcceptedRun:
        """The oldest run of the tenant with the fewest active ones, taken off the queue."""
        active = Counter(
            self._accepted[each].tenant for each in self._active if each in self._accepted
        )
        run = min(self._queue, key=lambda queued: active[queued.tenant])
        self._queue.remove(run)
        return run

    def _on_finished(self, handler: PersistentHandler) -> None:
        """Called by the store at every write to a finished run's record; the first one counts."""
        run = self._accepted.get(handler.handler_id)
        if run is not None and handler.handler_id not in self._ending:
            self._end(run, handler.status, handler.error)

    def _end(self, run: AcceptedRun, status: str, problem: str | None = None) -> None:
        self._active.discard(run.handler_id)
        self._ending.add(run.handler_id)
        self._spawn(self._finalize([run], status, problem))
        self._start_queued()

    async def _finalize(
        self, runs: Sequence[AcceptedRun], status: str, problem: str | None
    ) -> None:
        """Report the end; runs stay in the journal until `on_ended` has handled it."""
        if status == "failed":
            for run in runs:
                _log.warning("job.failed", workflow=run.workflow, handler_id=run.handler_id)
        await self._report_ends([_ended(run, status, problem) for run in runs])
        for run in runs:
            self._accepted.pop(run.handler_id, None)
            self._ending.discard(run.handler_id)
            milestones = self._milestones.pop(run.handler_id)
            milestones.started.set()
            milestones.finalized.set()

    async def _report_ends(self, runs: Sequence[EndedRun]) -> None:
        """Retry until each end is recorded; if the process stops first, the next one reports it."""
        unreported = deque(runs)
        while True:
            try:
                while unreported:
                    with suppress(NotFound, Conflict):  # the job was deleted, or ended otherwise
                        await self._on_ended(unreported[0])
                    unreported.popleft()
                await self._journal.remove(*(run.handler_id for run in runs))
                return
            except _DISK_ERRORS as error:
                _log.warning("job.end_not_recorded", error_type=type(error).__name__)
                if await self._stops_within(_RECONCILE_EVERY_S):
                    raise

    def _spawn(
        self, work: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _ended(run: AcceptedRun, status: str, problem: str | None) -> EndedRun:
    return EndedRun(
        handler_id=run.handler_id,
        tenant=run.tenant,
        subject=run.subject,
        workflow=run.workflow,
        status=status,
        problem=problem,
    )
