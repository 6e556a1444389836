"""Durable runs: promised, started a few at a time, resumed after a crash, ended with a reason."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from llama_agents.server import HandlerQuery, PersistentHandler
from workflows import Workflow
from workflows.events import StartEvent

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Conflict, FoliotraceError, LibraryUnavailable, NotFound, TooBusy
from foliotrace_server.host.internals import (
    DurableStore,
    EventEnvelopeWithMetadata,
    HandlerData,
    cancel_durably,
    durable_server,
    handler_data,
    is_going,
    start_durably,
    stop_durably,
    wait_durably,
)
from foliotrace_server.host.run_journal import Intent, Intents
from foliotrace_server.host.upstream_errors import EXCEPTION_HANDLERS
from foliotrace_server.observing.trace_context import capture_trace, continue_trace

_LOOK_AFTER_S = 5.0
_DISK = (FoliotraceError, sqlite3.Error, OSError)  # what a full or lost disk makes of a write
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a durable run ended. `problem` is a stable code or the message of one of our errors."""

    handler_id: str
    tenant: str
    workflow: str
    status: str  # completed, failed, cancelled
    problem: str | None


@dataclass(slots=True)
class _Milestones:
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@contextmanager
def _journal() -> Iterator[None]:
    """Turn the failure to open a journal into LibraryUnavailable `jobs_unreadable`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LibraryUnavailable(reason=Reason.JOBS_UNREADABLE) from error


class DurableHost:
    """The workflows whose runs outlive the process.

    `at_once` runs go on together, the others wait; `max_starts` processes may die under a run
    that does not progress before it is failed with `job_crashed_repeatedly`.
    """

    def __init__(
        self,
        folder: Path,
        workflows: Mapping[str, Workflow],
        *,
        on_ended: Callable[[Ended], Awaitable[None]],
        at_once: int,
        max_pending: int,
        max_starts: int,
    ) -> None:
        self.workflows = dict(workflows)
        with _journal():
            self.store = DurableStore(folder / "handlers.db")
            self._intents = Intents(folder / "intents.db")
        self.store.on_finished = self._finished
        self._resumed: dict[str, str] = {}  # trace by the id of a run that another process began
        self.server = durable_server(self.store, EXCEPTION_HANDLERS, self._entering)
        for name, workflow in workflows.items():
            self.server.add_workflow(name, workflow)
        self._on_ended = on_ended
        self._at_once, self._max_pending, self._max_starts = at_once, max_pending, max_starts
        self._promised: dict[str, Intent] = {}
        self._milestones: dict[str, _Milestones] = {}
        self._waiting: deque[Intent] = deque()
        self._running: set[str] = set()
        self._beginning: set[str] = set()
        self._ending: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Resume what a crash interrupted, start what was promised, fail what keeps killing us."""
        for intent in self._intents.all():
            self._note(intent)
            await self._repair(intent)
        await self.server.start()
        self._started = True
        self._fill()
        self._spawn(self._look_after())

    async def settle(self) -> None:
        """Start nothing more, and let what has ended be noted."""
        self._started = False
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Stop; runs under way go on at the next start."""
        await self.settle()
        await stop_durably(self.server)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._intents.close(cleanly=True)
        self.store.close()

    def promise(self, handler_id: str, tenant: str, name: str, start_event: StartEvent) -> None:
        """From here on the run will happen, whatever is killed; `begin` says when.

        Raises Conflict `job_already_running`, TooBusy, LibraryUnavailable.
        """
        self.refuse_if_full()
        intent = Intent(
            handler_id=handler_id,
            tenant=tenant,
            workflow=name,
            start_event=start_event.model_dump_json(),
            trace=capture_trace(),
        )
        try:
            is_new = self._intents.add(intent)
        except sqlite3.Error as error:
            raise LibraryUnavailable(reason=Reason.JOBS_UNWRITABLE) from error
        if not is_new:
            raise Conflict(code=ErrorCode.JOB_ALREADY_RUNNING)
        self._note(intent)

    def refuse_if_full(self) -> None:
        """Raise TooBusy if no further run can be promised."""
        if len(self._promised) >= self._max_pending:
            raise TooBusy("too many unfinished jobs", retry_after_s=5.0)

    async def begin(self, handler_id: str, *, may_wait: bool = True) -> None:
        """Start a promised run, and return once it can be replayed; or queue it if it may wait."""
        intent = self._promised[handler_id]
        if may_wait and len(self._running) >= self._at_once:
            self._waiting.append(intent)
        elif may_wait:
            await self._begin_waiting(intent)
        else:
            await self._begin(intent)

    async def cancel(self, handler_id: str) -> bool:
        """Cancel a run, waiting or going; False if it has ended or never was."""
        for intent in list(self._waiting):
            if intent.handler_id == handler_id:
                self._waiting.remove(intent)
                self._end(intent, "cancelled")
                return True
        return await cancel_durably(self.server, handler_id)

    async def handler(self, handler_id: str) -> PersistentHandler | None:
        """The record of a run that has started."""
        found = await self.store.query(HandlerQuery(handler_id_in=[handler_id]))
        return found[0] if found else None

    async def record(self, handler_id: str, *, wait: bool) -> HandlerData:
        """The record of a run that has started; with `wait`, once it has ended."""
        handler = await self.handler(handler_id)
        if handler is None:
            raise NotFound(code=ErrorCode.HANDLER_NOT_FOUND)
        shown = handler_data(handler)
        if wait and handler.status == "running":
            return await wait_durably(self.server, shown)
        return shown

    async def events(
        self, handler_id: str, *, after: int = -1
    ) -> AsyncIterator[tuple[int, EventEnvelopeWithMetadata]]:
        """(sequence, event) of a run that has started, from behind `after`, until it ends."""
        handler = await self.handler(handler_id)
        if handler is None or handler.run_id is None:
            return
        if handler.status != "running":
            for stored in await self.store.query_events(handler.run_id, after_sequence=after):
                yield stored.sequence, stored.event
            return
        async for stored in self.store.subscribe_events(handler.run_id, after_sequence=after):
            yield stored.sequence, stored.event

    async def begun(self, handler_id: str) -> None:
        """Return once a promised run has started or ended."""
        milestones = self._milestones.get(handler_id)
        if milestones is not None:
            await milestones.begun.wait()

    async def settled(self, handler_id: str) -> None:
        """Return once a promised run has ended and whoever waits for the end has noted it."""
        milestones = self._milestones.get(handler_id)
        if milestones is not None:
            await milestones.settled.wait()

    def is_promised(self, handler_id: str) -> bool:
        """Whether a run is promised and has not ended."""
        return handler_id in self._promised

    def pending(self) -> int:
        """Runs promised and not ended."""
        return len(self._promised)

    def forget_finished(self, before: datetime) -> int:
        """Drop the records of runs that ended before `before`; how many."""
        return self.store.forget_finished(before.isoformat())

    def forget(self, handler_ids: Sequence[str]) -> None:
        """Keep nothing of these runs: what is stored goes at the next `compact` after their end."""
        self._intents.forget(handler_ids)

    def compact(self) -> None:
        """Drop the records of forgotten runs, and leave nothing deleted in the files."""
        forgotten = self._intents.forgotten()
        going = [i for i in forgotten if self.is_promised(i)]
        self.store.forget([i for i in forgotten if i not in going])
        self._intents.compact(going)

    async def _repair(self, intent: Intent) -> None:
        """Bring one promise and the engine's record of it together, before the engine starts."""
        handler = await self.handler(intent.handler_id)
        if handler is not None and handler.status != "running":
            self._end(intent, handler.status, handler.error)
            return
        run_id = handler.run_id if handler is not None else None
        if handler is None or run_id is None or not self.store.is_replayable(run_id):
            if handler is not None:  # recorded, but killed before it could be replayed
                await self.store.delete(HandlerQuery(handler_id_in=[intent.handler_id]))
            self._waiting.append(intent)
            return
        steps = self.store.steps_done(run_id)
        starts = 1 if steps > intent.steps else intent.starts + 1
        if starts > self._max_starts:
            await self._give_up(intent, handler)
            return
        self._intents.note_start(intent.handler_id, starts=starts, steps=steps)
        self._running.add(intent.handler_id)  # the engine resumes it
        self._resumed[run_id] = intent.trace
        self._milestones[intent.handler_id].begun.set()

    async def _give_up(self, intent: Intent, handler: PersistentHandler) -> None:
        _log.error("job.given_up", handler_id=intent.handler_id, starts=intent.starts)
        handler.status = "failed"
        handler.error = ErrorCode.JOB_CRASHED_REPEATEDLY
        await self.store.update(handler)

    async def _look_after(self) -> None:
        """Begin again what the engine lost while its records could not be written."""
        while not await self._is_stopping_within(_LOOK_AFTER_S):
            try:
                for handler_id in self._running - self._beginning - self._ending:
                    await self._begin_again_if_lost(handler_id)
                self._fill()
            except _DISK as error:
                _log.warning("jobs.not_looked_after", error_type=type(error).__name__)

    async def _is_stopping_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _begin_again_if_lost(self, handler_id: str) -> None:
        intent = self._promised.get(handler_id)
        handler = await self.handler(handler_id)
        if intent is None or handler_id in self._ending:
            return
        if handler is not None:
            asleep = handler.status == "running" and handler.idle_since is not None
            if asleep or is_going(self.server, handler.run_id or ""):
                return
            if handler.status != "running":
                self._end(intent, handler.status, handler.error)
                return
            self.store.forget([handler_id])
        _log.warning("job.begun_again", handler_id=handler_id)
        self._running.discard(handler_id)
        self._waiting.append(intent)

    async def _begin_waiting(self, intent: Intent) -> None:
        """Begin, or wait on if that cannot be recorded."""
        try:
            await self._begin(intent)
        except _DISK as error:
            _log.warning("job.not_begun", error_type=type(error).__name__)

    async def _begin(self, intent: Intent) -> None:
        self._beginning.add(intent.handler_id)
        try:
            await self._start_run(intent)
        finally:
            self._beginning.discard(intent.handler_id)

    async def _start_run(self, intent: Intent) -> None:
        workflow = self.workflows.get(intent.workflow)
        self._running.add(intent.handler_id)
        if workflow is None:  # hosted when it was promised, no longer
            self._end(intent, "failed", ErrorCode.WORKFLOW_NOT_HOSTED)
            return
        self._intents.note_start(intent.handler_id, starts=intent.starts + 1, steps=intent.steps)
        event = workflow.start_event_class.model_validate_json(intent.start_event)
        with continue_trace(intent.trace):
            await start_durably(self.server, self.store, intent.workflow, event, intent.handler_id)
        milestones = self._milestones.get(intent.handler_id)
        if milestones is not None:  # it may have ended already
            milestones.begun.set()

    def _entering(self, run_id: str) -> AbstractContextManager[None]:
        """The trace of a run that is resumed; one that is started has been entered already."""
        trace = self._resumed.pop(run_id, None)
        return continue_trace(trace) if trace is not None else nullcontext()

    def _note(self, intent: Intent) -> None:
        self._promised[intent.handler_id] = intent
        self._milestones[intent.handler_id] = _Milestones()

    def _fill(self) -> None:
        """Start waiting runs while places are free."""
        while self._started and self._waiting and len(self._running) < self._at_once:
            intent = self._waiting.popleft()
            self._running.add(intent.handler_id)
            self._spawn(self._begin_waiting(intent))

    def _finished(self, handler: PersistentHandler) -> None:
        """The store tells of every write to an ended run's record; the first one counts."""
        intent = self._promised.get(handler.handler_id)
        if intent is not None and handler.handler_id not in self._ending:
            self._end(intent, handler.status, handler.error)

    def _end(self, intent: Intent, status: str, problem: str | None = None) -> None:
        self._running.discard(intent.handler_id)
        self._ending.add(intent.handler_id)
        self._spawn(self._settle(intent, status, problem))
        self._fill()

    async def _settle(self, intent: Intent, status: str, problem: str | None) -> None:
        """The promise is kept until whoever waits for the end has noted it."""
        ended = Ended(
            handler_id=intent.handler_id,
            tenant=intent.tenant,
            workflow=intent.workflow,
            status=status,
            problem=problem,
        )
        if status == "failed":
            _log.warning("job.failed", workflow=intent.workflow, handler_id=intent.handler_id)
        await self._note_end(ended)
        self._promised.pop(intent.handler_id, None)
        self._ending.discard(intent.handler_id)
        milestones = self._milestones.pop(intent.handler_id)
        milestones.begun.set()
        milestones.settled.set()

    async def _note_end(self, ended: Ended) -> None:
        """Again until it is written, or the process stops: the next one will note it."""
        while True:
            try:
                with suppress(NotFound, Conflict):  # deleted, or ended by somebody else meanwhile
                    await self._on_ended(ended)
                self._intents.remove(ended.handler_id)
                return
            except _DISK as error:
                _log.warning("job.end_not_noted", error_type=type(error).__name__)
                if await self._is_stopping_within(_LOOK_AFTER_S):
                    raise

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
