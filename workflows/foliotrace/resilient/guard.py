"""The guard of one external service: circuit breaker, bulkhead, retries and time-outs.

This is the only layer that retries: SDKs and clients below it make a single request per call.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from foliotrace import resilience as rules
from foliotrace.catalog import ReasonFamily
from foliotrace.errors import (
    BreakerOpen,
    DeadlineExceeded,
    GeneratorRefused,
    Unavailable,
)
from foliotrace.events import BreakerChanged, CallRetried, attempt, emit
from foliotrace.model import Deadline
from foliotrace.ports import Clock
from foliotrace.settings import ResilienceSettings

T = TypeVar("T")
_NO_DEADLINE: Final = Deadline(float("inf"))
_LATE_S: Final = 0.05  # a cancellation this close to the deadline is a time-out


def _is_worth_retrying(error: BaseException) -> bool:
    return (
        isinstance(error, Unavailable)
        and not error.lasting
        and not isinstance(error, BreakerOpen | GeneratorRefused)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The limits of one service.

    `limit_s` caps a call with its retries and waits; `slots` caps the calls in flight.
    """

    retry: rules.RetryPolicy
    breaker: rules.BreakerPolicy
    limit_s: float
    slots: int
    has_lower_rung: bool = True

    @classmethod
    def of(
        cls,
        settings: ResilienceSettings,
        *,
        limit_s: float,
        has_lower_rung: bool = True,
        attempts: int | None = None,
    ) -> "GuardPolicy":
        """The configured policy; `attempts` overrides the number of requests of one call."""
        return cls(
            retry=settings.retry(attempts=attempts),
            breaker=settings.breaker,
            limit_s=limit_s,
            slots=settings.calls_at_once,
            has_lower_rung=has_lower_rung,
        )


@dataclass(slots=True)
class _Passage:
    """Whether the breaker has admitted a call, as its one probe or not, and until when."""

    admitted: bool = False
    is_probe: bool = False
    deadline: Deadline = _NO_DEADLINE


class CircuitGuard:
    """Guards the calls to one service; all callers of the process share it."""

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
        self._calls = count(1)
        self.breaker = rules.Breaker()
        self.failing = False  # whether the last call failed

    @property
    def available(self) -> bool:
        """Whether the breaker would admit a call now."""
        return rules.admit(self.breaker, self._clock.monotonic_s())[1]

    async def call(self, work: Callable[[Deadline], Awaitable[T]], deadline: Deadline) -> T:
        """Run `work`, and retry where that may help.

        Raises BreakerOpen without a request, DeadlineExceeded, or the last Unavailable of `work`.
        """
        self._budget = self._budget.earned()
        deadline = deadline.capped(self._clock.monotonic_s(), self.policy.limit_s)
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_worth_retrying),
            wait=self._wait_s,
            stop=lambda state: self._gives_up(state, deadline),
            before_sleep=self._emit_retry,
            sleep=self._sleep,
            reraise=True,
        )
        call, numbers = f"{self.name}-{next(self._calls)}", count(1)

        async def once() -> T:
            with attempt(call, next(numbers)):
                async with self._slot(deadline, passage) as capped:
                    return await self.within(work(capped), capped)

        async with self._counted() as passage:
            return await retrying(once)

    @asynccontextmanager
    async def admitted(self, deadline: Deadline) -> AsyncIterator[Deadline]:
        """Hold a slot behind the breaker; the outcome of the block counts for the breaker."""
        async with self._counted() as passage, self._slot(deadline, passage) as capped:
            yield capped

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator["_Passage"]:
        """Count the outcome of a call once, however many attempts it takes.

        A call that the breaker never admitted says nothing about the service.
        """
        passage = _Passage()
        try:
            yield passage
        except Unavailable as error:
            if passage.admitted:
                self._count(error, passage.is_probe)
            raise
        except asyncio.CancelledError:
            if passage.admitted:
                late_s = passage.deadline.remaining_s(self._clock.monotonic_s())
                # close to the deadline it is a time-out, noticed by the caller first
                (self._failed if late_s <= _LATE_S else self._abandoned)(passage.is_probe)
            raise
        except BaseException:
            self._abandoned(passage.is_probe)
            raise
        else:
            self._succeeded(passage.is_probe)

    def _count(self, error: Unavailable, is_probe: bool) -> None:
        if error.answered or isinstance(error, GeneratorRefused):
            self._succeeded(is_probe)
        else:
            self._failed(is_probe)
        if error.retry_after_s:
            self._change(
                rules.after_cool_down(self.breaker, error.retry_after_s, self._clock.monotonic_s())
            )

    @asynccontextmanager
    async def _slot(self, deadline: Deadline, passage: "_Passage") -> AsyncIterator[Deadline]:
        """Hold a slot for one attempt that the breaker admits."""
        self._admit()  # no caller queues for a service whose breaker is open
        await self._take_slot(deadline)
        try:
            self.breaker = self._admit()  # it may have opened while this call queued
            passage.admitted = True
            passage.is_probe = self.breaker.status is rules.BreakerStatus.HALF_OPEN
            passage.deadline = deadline.capped(self._clock.monotonic_s(), self.policy.limit_s)
            yield passage.deadline
        finally:
            self._slots.release()

    async def _take_slot(self, deadline: Deadline) -> None:
        """Raises DeadlineExceeded if none becomes free in time."""
        left_s = deadline.remaining_s(self._clock.monotonic_s())
        if left_s <= 0:  # nothing is sent, and nothing charged
            raise DeadlineExceeded(
                f"No time is left to call {self.name}.",
                reason=ReasonFamily.SERVICE_TIMEOUT.of(self.name),
            )
        try:
            async with asyncio.timeout(left_s):
                await self._slots.acquire()
        except TimeoutError:
            raise DeadlineExceeded(
                f"All call slots of {self.name} are in use.",
                reason=ReasonFamily.SERVICE_BUSY.of(self.name),
            ) from None

    async def within(self, work: Awaitable[T], deadline: Deadline) -> T:
        """Wait for `work` until the deadline. Raises DeadlineExceeded."""
        try:
            async with asyncio.timeout(deadline.remaining_s(self._clock.monotonic_s())):
                return await work
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self.name} did not answer in time.",
                reason=ReasonFamily.SERVICE_TIMEOUT.of(self.name),
            ) from None

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome and state.outcome.exception()
        asked_s = error.retry_after_s if isinstance(error, Unavailable) else None
        return rules.backoff_s(
            state.attempt_number, self.policy.retry, draw=self._draw(), retry_after_s=asked_s
        )

    def _gives_up(self, state: RetryCallState, deadline: Deadline) -> bool:
        """Whether to stop; a retry spends one of the retry budget."""
        now_s = self._clock.monotonic_s()
        if state.attempt_number >= self.policy.retry.attempts or not rules.worth_waiting(
            state.upcoming_sleep,
            remaining_s=deadline.remaining_s(now_s),
            has_lower_rung=self.policy.has_lower_rung,
        ):
            return True
        if not rules.admit(self.breaker, now_s + state.upcoming_sleep)[1]:
            return True  # the breaker would reject the retry: report the failure now
        budget = self._budget.spent()
        if budget is not None:
            self._budget = budget
        return budget is None

    def _emit_retry(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        emit(
            CallRetried(
                dependency=self.name,
                attempt=state.attempt_number,
                wait_s=round(state.upcoming_sleep, 3),
                reason=error.error_code if isinstance(error, Unavailable) else None,
            )
        )

    def _admit(self) -> rules.Breaker:
        """The state of the breaker after admitting a call. Raises BreakerOpen."""
        now_s = self._clock.monotonic_s()
        passed, admitted = rules.admit(self.breaker, now_s)
        if not admitted:
            wait_s = rules.retry_after_s(self.breaker, now_s)
            raise BreakerOpen(
                f"Circuit breaker open for {self.name}; retry in {ceil(wait_s)} s.",
                reason=ReasonFamily.BREAKER_OPEN.of(self.name),
                retry_after_s=wait_s,
            )
        return passed

    def _decides(self, is_probe: bool) -> bool:
        """Whether a call's outcome moves the breaker: once it is open, only the probe's does."""
        return is_probe or self.breaker.status is rules.BreakerStatus.CLOSED

    def _succeeded(self, is_probe: bool) -> None:
        self.failing = False
        if self._decides(is_probe):
            self._change(rules.after_success(self.breaker))

    def _failed(self, is_probe: bool) -> None:
        self.failing = True
        if self._decides(is_probe):
            now_s = self._clock.monotonic_s()
            self._change(rules.after_failure(self.breaker, self.policy.breaker, now_s))

    def _abandoned(self, is_probe: bool) -> None:
        if self._decides(is_probe):
            self.breaker = rules.after_abandoned(self.breaker, self._clock.monotonic_s())

    def _change(self, after: rules.Breaker) -> None:
        before, self.breaker = self.breaker, after
        if after.status is not before.status:
            self._emit_change(after.status.value)

    def _emit_change(self, status: str) -> None:
        emit(BreakerChanged(dependency=self.name, status=status))


class GuardFactory:
    """Makes the guards of a process, one for each external service."""

    def __init__(self, settings: ResilienceSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.guards: dict[str, CircuitGuard] = {}

    def make(
        self,
        name: str,
        *,
        limit_s: float,
        has_lower_rung: bool = True,
        attempts: int | None = None,
    ) -> CircuitGuard:
        """The guard of service `name`. `limit_s` caps one request, `attempts` those of one call."""
        policy = GuardPolicy.of(
            self._settings, limit_s=limit_s, has_lower_rung=has_lower_rung, attempts=attempts
        )
        guard = CircuitGuard(name, policy, clock=self._clock)
        self.guards[name] = guard
        return guard
