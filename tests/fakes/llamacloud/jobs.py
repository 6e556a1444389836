"""Jobs that behave: pending, running, then a terminal state; and what each one is billed."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.wire import Fault

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
PARSE_CREDITS = {"fast": 1.0, "cost_effective": 3.0, "agentic": 10.0, "agentic_plus": 45.0}
EXTRACT_CREDITS = {"cost_effective": 5.0, "agentic": 15.0, "agentic_plus": 50.0, "turbo": 35.0}


def now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pace:
    """How long a job takes: `polls` status reads, or `seconds` by the clock if given."""

    polls: int = 2
    seconds: float | None = None


@dataclass(frozen=True)
class Charge:
    """One billed job. `work` is the same for two jobs that did the same work on the same bytes."""

    job_id: str
    product: str
    credits: float
    pages: int
    key: str
    work: str
    at: datetime


@dataclass
class Billing:
    """Every accepted job is billed once; cancelling or failing voids the charge."""

    charges: list[Charge] = field(default_factory=list)
    void: set[str] = field(default_factory=set)
    is_late: bool = False  # the credits of finished jobs are still null

    @property
    def standing(self) -> list[Charge]:
        """The charges that were not voided."""
        return [charge for charge in list(self.charges) if charge.job_id not in self.void]

    @property
    def credits(self) -> float:
        """Credits billed in total."""
        return sum(charge.credits for charge in self.standing)

    def jobs(self, product: str | None = None) -> int:
        """How many jobs were billed, also voided ones."""
        return sum(product in (None, charge.product) for charge in list(self.charges))

    def billed_twice(self) -> list[str]:
        """The pieces of work that more than one job was accepted for."""
        counted = Counter(charge.work for charge in list(self.charges))
        return sorted(work for work, times in counted.items() if times > 1)

    def of(self, job_id: str) -> float | None:
        """The credits of one job, None if it has none or they come late."""
        if self.is_late:
            return None
        found = [charge.credits for charge in self.standing if charge.job_id == job_id]
        return found[0] if found else None


@dataclass
class Job:
    """One parse, extract, classify or split job, or one sync of an index."""

    id: str
    product: str
    project_id: str
    work: Callable[[], Any]
    pace: Pace
    behaviours: tuple[Fault, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)
    status: str = "PENDING"
    error: str | None = None
    outcome: Any = None
    polls: int = 0
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    born: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    on_change: list[Callable[["Job"], None]] = field(default_factory=list)

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL

    def behaves(self, kind: str) -> Fault | None:
        """The behaviour of that kind that was planned for this job."""
        return next((fault for fault in self.behaviours if fault.kind == kind), None)

    def poll(self) -> None:
        """A status read: moves the job on as its pace says. Safe from several threads."""
        with self.lock:
            self._poll()

    def _poll(self) -> None:
        self.polls += 1
        if self.terminal:
            return
        slow = self.behaves("slow_job")
        if self.pace.seconds is not None and not slow:
            if time.monotonic() - self.born >= self.pace.seconds:
                self._finish()
            elif self.polls > 1:
                self._become("RUNNING")
            return
        needed = slow.amount if slow else self.pace.polls
        if self.polls >= needed:
            self._finish()
        else:
            self._become("RUNNING")

    def finish(self) -> None:
        """Do the work and end as planned. Safe from several threads."""
        with self.lock:
            self._finish()

    def _finish(self) -> None:
        if self.terminal:
            return
        self._become("RUNNING")
        if self.behaves("never_finishes"):
            return
        failed = self.behaves("job_failed")
        if failed:
            self.fail(failed.detail)
        elif self.behaves("job_cancelled"):
            self._become("CANCELLED")
        else:
            try:
                self.outcome = self.work()
            except JobFailed as error:
                self.fail(str(error))
                return
            self._become("COMPLETED")

    def fail(self, message: str) -> None:
        """End as FAILED."""
        self.error = message
        self._become("FAILED")

    def cancel(self) -> None:
        """End as CANCELLED."""
        self._become("CANCELLED")

    def _become(self, status: str) -> None:
        if status == self.status:
            return
        self.status, self.updated_at = status, now()
        for notify in self.on_change:
            notify(self)


class JobFailed(Exception):
    """The work cannot be done; the text is the job's error message."""
