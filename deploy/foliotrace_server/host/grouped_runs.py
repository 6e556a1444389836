"""Accepted runs that are executed together, outside the workflow engine.

The journal of accepted runs is all that such a run needs to survive a crash: its work is idempotent
and does not end half-way. What interrupts a group (a crash, a full disk) sends each of its runs to
the engine, so that one bad file is found and cannot stop the others again.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog
from workflows.events import StopEvent

from foliotrace_server.host.background_tasks import is_cancelled_itself
from foliotrace_server.host.run_journal import AcceptedRun

RunTogether: TypeAlias = Callable[[str, Sequence[AcceptedRun]], Awaitable[Mapping[str, StopEvent]]]
"""(tenant, runs) -> the results of those that have completed, by handler id.

The others were left as they were found. May raise FoliotraceError.
"""

_GROUP_RUNS: Final = 64
_FEW_RUNS: Final = 16
_GATHER_S: Final = 0.1
GROUP_DEADLINE_S: Final = 600.0  # above the deadlines of what it consists of
STOP_DEADLINE_S: Final = 10.0  # for the group that is at work when the service stops
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """What became of the runs of a group; those that are `left` are to be executed singly."""

    completed: Sequence[AcceptedRun]
    results: Mapping[str, StopEvent]
    cancelled: Sequence[AcceptedRun]
    left: Sequence[AcceptedRun]


class RunGroups:
    """Runs that wait to be executed together, by workflow and tenant, and the group at work.

    `begin` records durably that runs are started, `settle` takes what became of them. A group that
    does not return is given up after `GROUP_DEADLINE_S`, and its runs are `left`: its work repeats
    what may still go on unseen, as it does after a crash.
    """

    def __init__(
        self,
        together: Mapping[str, RunTogether],
        *,
        begin: Callable[[Sequence[AcceptedRun]], Awaitable[None]],
        settle: Callable[[GroupOutcome], None],
    ) -> None:
        self._together = together
        self._begin, self._settle = begin, settle
        self._waiting: OrderedDict[tuple[str, str], deque[AcceptedRun]] = OrderedDict()
        self._at_work: dict[str, bool] = {}  # of the group at work: whether it was cancelled
        self._is_running = False
        self._stopping = asyncio.Event()

    def takes(self, run: AcceptedRun) -> bool:
        """Whether the run may be executed with others: no process has died over it yet."""
        return run.workflow in self._together and not run.starts

    def add(self, run: AcceptedRun) -> None:
        """Let a run wait for the next group of its tenant."""
        self._waiting.setdefault((run.workflow, run.tenant), deque()).append(run)

    @property
    def is_due(self) -> bool:
        """Whether runs wait and nothing executes them."""
        return bool(self._waiting) and not self._is_running

    def handler_ids(self) -> Set[str]:
        """The ids of the runs that wait and of those at work."""
        waiting = {run.handler_id for runs in self._waiting.values() for run in runs}
        return waiting | self._at_work.keys()

    def cancel(self, handler_id: str) -> bool:
        """Cancel a run that waits, or that is at work: it ends with its group."""
        if handler_id in self._at_work:
            self._at_work[handler_id] = True
            return True
        for key, runs in self._waiting.items():
            for run in runs:
                if run.handler_id == handler_id:
                    runs.remove(run)
                    if not runs:
                        del self._waiting[key]
                    self._settle(GroupOutcome(completed=(), results={}, cancelled=(run,), left=()))
                    return True
        return False

    async def execute(self, goes_on: Callable[[], bool]) -> None:
        """Execute group after group: while one is at work, the next one gathers.

        Where runs arrive faster than they are executed singly, a few of them wait for more. One
        that finds nothing at work never waits. A second call returns at once: two runs that are
        added before the first call has begun each start one.
        """
        if self._is_running:
            return
        self._is_running = True
        try:
            while goes_on() and self._waiting:
                await self._execute_group(*self._take())
                if self._waiting and sum(map(len, self._waiting.values())) < _FEW_RUNS:
                    await asyncio.sleep(_GATHER_S)
        finally:
            self._is_running = False

    def stop(self) -> None:
        """Let the group at work end soon; no other one begins."""
        self._stopping.set()

    def _take(self) -> tuple[RunTogether, str, list[AcceptedRun]]:
        """What executes the next group, its tenant and its runs; each tenant in its turn."""
        (workflow, tenant), runs = self._waiting.popitem(last=False)
        group = [runs.popleft() for _ in range(min(len(runs), _GROUP_RUNS))]
        if runs:
            self._waiting[workflow, tenant] = runs  # behind the others
        return self._together[workflow], tenant, group

    async def _execute_group(
        self, run_together: RunTogether, tenant: str, runs: Sequence[AcceptedRun]
    ) -> None:
        results: Mapping[str, StopEvent] = {}
        self._at_work = dict.fromkeys((run.handler_id for run in runs), False)
        try:
            await self._begin(runs)
            results = await self._before_deadline(run_together(tenant, runs))
        except (Exception, asyncio.CancelledError) as error:  # each run reports its own error
            if is_cancelled_itself():
                raise
            _log.warning("jobs.group_failed", error_type=type(error).__name__, jobs=len(runs))
        finally:
            cancelled, self._at_work = self._at_work, {}
            self._report(runs, results, cancelled)

    async def _before_deadline(
        self, work: Awaitable[Mapping[str, StopEvent]]
    ) -> Mapping[str, StopEvent]:
        """The result of `work`. Raises TimeoutError without waiting for what ignores its end."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait(
                {working, stopping}, timeout=GROUP_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if stopping.done():
                await asyncio.wait({working}, timeout=STOP_DEADLINE_S)
            if not working.done():
                raise TimeoutError
            return working.result()
        finally:
            stopping.cancel()
            working.cancel()

    def _report(
        self,
        runs: Sequence[AcceptedRun],
        results: Mapping[str, StopEvent],
        cancelled: Mapping[str, bool],
    ) -> None:
        unfinished = [run for run in runs if run.handler_id not in results]
        outcome = GroupOutcome(
            completed=[run for run in runs if run.handler_id in results],
            results={
                run.handler_id: results[run.handler_id] for run in runs if run.handler_id in results
            },
            cancelled=[run for run in unfinished if cancelled[run.handler_id]],
            left=[run for run in unfinished if not cancelled[run.handler_id]],
        )
        try:
            self._settle(outcome)
        except Exception as error:  # noqa: BLE001 - the host finds the runs; the next group goes on
            _log.error("jobs.group_not_settled", error_type=type(error).__name__, jobs=len(runs))
