"""One service outside: its breaker, bulkhead, retries and time-outs, shared by the process.

This is the one layer that retries: SDKs and clients below it make a single request per call.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from foliotrace import resilience as rules
from foliotrace.errors import (
    BreakerOpen,
    DeadlineExceeded,
    GeneratorRefused,
    Unavailable,
)
from foliotrace.events import tell
from foliotrace.model import Deadline
from foliotrace.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The limits of one dependency. `limit_s` caps each call; `slots` bounds calls under way."""

    retry: rules.RetryPolicy = field(default_factory=rules.RetryPolicy)
    breaker: rules.BreakerPolicy = field(default_factory=rules.BreakerPolicy)
    limit_s: float = 30.0
    slots: int = 32
    has_lower_rung: bool = True


class Dependency:
    """One service outside: its breaker, bulkhead and retry budget, shared by the process."""

    def __init__(
        self,
        name: str,
        policy: GuardPolicy,
        *,
        clock: Clock,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.policy = policy
        self._clock = clock
        self._draw = draw
        self._sleep = sleep
        self._slots = asyncio.Semaphore(policy.slots)
        self._budget = rules.RetryBudget()
        self.breaker = rules.Breaker()

    async def call(self, work: Callable[[Deadline], Awaitable[T]], deadline: Deadline) -> T:
        """Do `work`, asking again where that may help.

        Raises BreakerOpen without a request, DeadlineExceeded, or the last Unavailable of `work`.
        """
        attempt = 0
        self._budget = self._budget.earned()
        while True:
            attempt += 1
            try:
                async with self.admitted(deadline) as capped:
                    return await self.within(work(capped), capped)
            except (BreakerOpen, GeneratorRefused):
                raise
            except Unavailable as error:
                await self._wait_or_give_up(attempt, deadline, error)

    @asynccontextmanager
    async def admitted(self, deadline: Deadline) -> AsyncIterator[Deadline]:
        """A slot behind the breaker; what happens inside counts for or against the dependency."""
        await self._pass_breaker()
        now_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(deadline.remaining_s(now_s)):
                await self._slots.acquire()
        except TimeoutError:
            self._abandoned()
            raise DeadlineExceeded(
                f"{self.name}: no free slot", reason=f"{self.name}_busy"
            ) from None
        try:
            yield deadline.capped(self._clock.monotonic_s(), self.policy.limit_s)
        except GeneratorRefused:
            self.breaker = rules.after_success(self.breaker)  # it answered
            raise
        except Unavailable:
            self._failed()
            raise
        except BaseException:
            self._abandoned()
            raise
        else:
            self._succeeded()
        finally:
            self._slots.release()

    async def within(self, work: Awaitable[T], deadline: Deadline) -> T:
        """Wait for `work` until the deadline. Raises DeadlineExceeded."""
        try:
            async with asyncio.timeout(deadline.remaining_s(self._clock.monotonic_s())):
                return await work
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self.name} did not answer in time", reason=f"{self.name}_timeout"
            ) from None

    async def _wait_or_give_up(self, attempt: int, deadline: Deadline, error: Unavailable) -> None:
        if attempt >= self.policy.retry.attempts:
            raise error
        wait_s = rules.backoff_s(
            attempt, self.policy.retry, draw=self._draw(), retry_after_s=error.retry_after_s
        )
        remaining_s = deadline.remaining_s(self._clock.monotonic_s())
        if not rules.worth_waiting(
            wait_s, remaining_s=remaining_s, has_lower_rung=self.policy.has_lower_rung
        ):
            raise error
        budget = self._budget.spent()
        if budget is None:
            raise error
        self._budget = budget
        tell(
            "foliotrace.retry",
            foliotrace__retry__dependency=self.name,
            foliotrace__retry__attempt=attempt,
            foliotrace__retry__wait_s=round(wait_s, 3),
            error__type=error.error_code,
        )
        await self._sleep(wait_s)

    async def _pass_breaker(self) -> None:
        now_s = self._clock.monotonic_s()
        self.breaker, admitted = rules.admit(self.breaker, now_s)
        if not admitted:
            raise BreakerOpen(
                f"{self.name} failed often and is left alone for a while",
                reason=f"{self.name}_breaker_open",
                retry_after_s=rules.retry_after_s(self.breaker, now_s),
            )

    def _succeeded(self) -> None:
        if self.breaker.status is not rules.BreakerStatus.CLOSED:
            self._tell("closed")
        self.breaker = rules.after_success(self.breaker)

    def _failed(self) -> None:
        before = self.breaker.status
        self.breaker = rules.after_failure(
            self.breaker, self.policy.breaker, self._clock.monotonic_s()
        )
        if self.breaker.status is not before:
            self._tell(self.breaker.status.value)

    def _abandoned(self) -> None:
        self.breaker = rules.after_abandoned(self.breaker, self._clock.monotonic_s())

    def _tell(self, status: str) -> None:
        tell(
            "foliotrace.breaker",
            foliotrace__breaker__dependency=self.name,
            foliotrace__breaker__status=status,
        )
