"""Waits for the end of a job: polls with growing pauses, woken early by a webhook."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem
from foliotrace.adapters.llamacloud.purchases.buy_once import Sleep
from foliotrace.adapters.llamacloud.webhooks import JobWaiters
from foliotrace.model import Deadline
from foliotrace.ports import Clock

_POLL_GROWTH: Final = 1.5
_MOST_UNREADABLE: Final = 4  # statuses in a row; a newer cloud may have words that we do not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """Seconds between two status requests for a job: the first pause and the longest."""

    first_s: float
    longest_s: float


POLLING_ONLY: Final = Polling(first_s=0.5, longest_s=5.0)
WITH_WEBHOOKS: Final = Polling(first_s=5.0, longest_s=30.0)
"""Webhooks report most ends; polling only catches those that are lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a job ended; `credits` is None until billing has recorded them."""

    status: str
    credits: float | None


class JobWaiting:
    """The waits of one process."""

    def __init__(self, polling: Polling, *, clock: Clock, sleep: Sleep) -> None:
        self._polling = polling
        self._clock = clock
        self._sleep = sleep
        self._waiters = JobWaiters()

    def notify(self, job_id: str) -> None:
        """A webhook reported the end of the job: request its status now."""
        self._waiters.notify(job_id)

    async def until_ended(
        self, job_id: str, status: Callable[[], Awaitable[Finished | None]], deadline: Deadline
    ) -> Finished:
        """How the job ended. A failed status request is repeated until the deadline.

        Statuses that cannot be read are given up sooner: they will not become readable.

        Raises CloudFailure.
        """
        pause_s, unreadable = self._polling.first_s, 0
        with self._waiters.waiting(job_id) as ended:
            while True:
                retry_after_s = 0.0
                try:
                    finished = await status()
                except CloudFailure as failure:
                    if not failure.may_pass:
                        raise
                    finished, retry_after_s = None, failure.retry_after_s or 0.0
                    unreadable += failure.problem is CloudProblem.GARBAGE
                    if unreadable == _MOST_UNREADABLE:
                        raise CloudFailure(
                            failure.problem, f"the status of job {job_id} is unknown", lasting=True
                        ) from failure
                if finished is not None:
                    return finished
                if retry_after_s >= self._remaining_s(deadline):
                    raise _too_long(job_id)
                await self._pause(ended, job_id, max(pause_s, retry_after_s), deadline)
                pause_s = min(self._polling.longest_s, pause_s * _POLL_GROWTH)

    async def _pause(
        self, ended: asyncio.Event, job_id: str, pause_s: float, deadline: Deadline
    ) -> None:
        """Sleep until the next status request, a webhook, or shortly before the deadline."""
        left_s = self._remaining_s(deadline) - POLLING_ONLY.first_s
        if left_s <= 0:
            raise _too_long(job_id)
        sleeping = asyncio.ensure_future(self._sleep(min(pause_s, left_s)))
        webhook = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({sleeping, webhook}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            webhook.cancel()
            ended.clear()

    def _remaining_s(self, deadline: Deadline) -> float:
        return deadline.remaining_s(self._clock.monotonic_s())


def _too_long(job_id: str) -> CloudFailure:
    return CloudFailure(CloudProblem.DEADLINE, f"job {job_id} did not end in time")
