"""What became of a run, by the records that a crash or a full disk left of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import structlog
from llama_agents.server import HandlerQuery, PersistentHandler, WorkflowServer

from foliotrace.catalog import ErrorCode
from foliotrace.events import attempt
from foliotrace_server.host.internals.engine import is_active
from foliotrace_server.host.internals.stores import DurableStore
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal
from foliotrace_server.host.run_records import RunRecords
from foliotrace_server.http.identity import acting_as
from foliotrace_server.observing.trace_context import continue_trace

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run stands: `active` in the engine, to be started (`lost`), or `ended`."""

    where: Literal["active", "lost", "ended"]
    status: str = ""  # of one that has ended
    problem: str | None = None


_ACTIVE, _LOST = RunState(where="active"), RunState(where="lost")


class RunRecovery:
    """Compares the journal with the engine's records, and removes those that lead nowhere."""

    def __init__(
        self,
        server: WorkflowServer,
        store: DurableStore,
        journal: RunJournal,
        records: RunRecords,
        max_starts: int,
    ) -> None:
        self._server, self._store, self._journal = server, store, journal
        self._records = records
        self._max_starts = max_starts
        self._resumed: dict[str, AcceptedRun] = {}  # by run id, until the engine resumes the run

    async def at_start(self, run: AcceptedRun) -> RunState:
        """The state in which a process left a run; `active` is one that the engine will resume."""
        handler = await self._records.handler(run.handler_id)
        if handler is not None and handler.status != "running":
            return _ended(handler)
        run_id = handler.run_id if handler is not None else None
        if handler is None or run_id is None or not self._store.is_replayable(run_id):
            if handler is not None:  # recorded, but killed before it could be replayed
                await self._store.delete(HandlerQuery(handler_id_in=[run.handler_id]))
            return _LOST
        steps = self._store.steps_done(run_id)
        starts = 1 if steps > run.steps else run.starts + 1
        if starts > self._max_starts:
            _log.error("job.crashed_repeatedly", handler_id=run.handler_id, starts=run.starts)
            handler.status = "failed"
            handler.error = ErrorCode.JOB_CRASHED_REPEATEDLY
            await self._store.update(handler)
            return _ended(handler)
        await self._journal.record_start(run.handler_id, starts=starts, steps=steps)
        self._resumed[run_id] = replace(run, starts=max(1, run.starts))
        return _ACTIVE

    @contextmanager
    def context(self, run_id: str) -> Iterator[None]:
        """Caller and trace that a resumed run continues; a started run is inside its own."""
        run = self._resumed.pop(run_id, None)
        if run is None:
            yield
            return
        restarted = attempt(run.handler_id, run.starts + 1)  # on the span of the run
        with acting_as(run.principal), continue_trace(run.trace), restarted:
            yield

    async def now(self, run: AcceptedRun) -> RunState:
        """The state of a run that was started in this process."""
        handler = await self._records.handler(run.handler_id)
        if handler is None:
            return _LOST
        idle = handler.status == "running" and handler.idle_since is not None
        if idle or is_active(self._server, handler.run_id or ""):
            return _ACTIVE
        if handler.status != "running":
            return _ended(handler)
        self._store.forget([run.handler_id])
        return _LOST


def _ended(handler: PersistentHandler) -> RunState:
    return RunState(where="ended", status=handler.status, problem=handler.error)
