"""Durable runs from acceptance to end: how many there may be, which waits, who waits for them."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from foliotrace.errors import TooBusy
from foliotrace_server.host.run_journal import AcceptedRun


@dataclass(slots=True)
class _Tracked:
    run: AcceptedRun
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class AcceptedRuns:
    """The accepted runs that have not ended; callers accept at most `max_pending`."""

    def __init__(self, max_pending: int) -> None:
        self._max_pending = max_pending
        self._places_held = 0
        self._tracked: dict[str, _Tracked] = {}

    def add(self, run: AcceptedRun) -> None:
        """Track a run from its acceptance."""
        self._tracked[run.handler_id] = _Tracked(run)

    def set_started(self, handler_id: str) -> None:
        """Wake who waits for the start of a run; nothing for a run that has ended."""
        if handler_id in self._tracked:
            self._tracked[handler_id].started.set()

    def set_ended(self, handler_id: str) -> None:
        """Track a run no more, and wake who waits for it; nothing if that was done."""
        tracked = self._tracked.pop(handler_id, None)
        if tracked is not None:
            tracked.started.set()
            tracked.ended.set()

    def __len__(self) -> int:
        return len(self._tracked)

    def __contains__(self, handler_id: str) -> bool:
        return handler_id in self._tracked

    def get(self, handler_id: str) -> AcceptedRun | None:
        """The run; None if it has ended."""
        tracked = self._tracked.get(handler_id)
        return tracked.run if tracked is not None else None

    def all(self) -> Sequence[AcceptedRun]:
        """Every run, in the order of acceptance."""
        return [tracked.run for tracked in self._tracked.values()]

    async def wait_started(self, handler_id: str) -> None:
        """Return once a run has started or ended."""
        tracked = self._tracked.get(handler_id)
        if tracked is not None:
            await tracked.started.wait()

    async def wait_ended(self, handler_id: str) -> None:
        """Return once a run has ended and its end was reported."""
        tracked = self._tracked.get(handler_id)
        if tracked is not None:
            await tracked.ended.wait()

    def refuse_if_full(self) -> None:
        """Raise TooBusy if no further run can be accepted."""
        if len(self._tracked) + self._places_held >= self._max_pending:
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


class RunQueue:
    """Runs that wait to be started by themselves."""

    def __init__(self) -> None:
        self._runs: deque[AcceptedRun] = deque()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, run: AcceptedRun) -> None:
        """Queue a run behind the others."""
        self._runs.append(run)

    def take(self, active: Iterable[AcceptedRun | None]) -> AcceptedRun:
        """Take the oldest run of the tenant with the fewest `active` ones; one must wait."""
        by_tenant = Counter(run.tenant for run in active if run is not None)
        run = min(self._runs, key=lambda queued: by_tenant[queued.tenant])
        self._runs.remove(run)
        return run

    def remove(self, handler_id: str) -> AcceptedRun | None:
        """Take a run off the queue; None if it is not there."""
        run = next((each for each in self._runs if each.handler_id == handler_id), None)
        if run is not None:
            self._runs.remove(run)
        return run

    def handler_ids(self) -> Set[str]:
        """The ids of the runs that wait."""
        return {run.handler_id for run in self._runs}
