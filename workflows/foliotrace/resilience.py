"""Resilience rules: backoff, retry budget and circuit breaker. Pure: time and chance come in.

A state is a frozen value; a rule takes one and returns the next. `resilient` holds the states.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a call is attempted and how long it waits between. `attempts` counts the first."""

    attempts: int
    base_s: float
    cap_s: float


def backoff_s(
    attempt: int, policy: RetryPolicy, *, draw: float, retry_after_s: float | None = None
) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1).

    Doubles from `base_s` to `cap_s`; half of that is fixed and half is drawn, with `draw` in [0, 1)
    (equal jitter). The server's Retry-After is a floor and is not capped.
    Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    Raises ValueError if `attempt` < 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt must be 1 or more, got {attempt}")
    full = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 62))
    return max(retry_after_s or 0.0, full * (0.5 + 0.5 * draw))


def worth_waiting(wait_s: float, *, remaining_s: float, has_lower_rung: bool) -> bool:
    """Whether to wait and retry rather than give up on this dependency.

    Where a lower rung exists, the wait may take a quarter of the remaining time; else all of it.
    """
    return wait_s <= remaining_s * (0.25 if has_lower_rung else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Requests earn retries: `ratio` per request, of which at most `most` are saved.

    It prevents retry storms: if everything fails, retries are a fraction of the requests, not a
    multiple.
    """

    ratio: float = 0.1
    most: float = 10.0
    saved: float = 10.0

    def earned(self) -> "RetryBudget":
        """The budget after a first attempt."""
        return replace(self, saved=min(self.most, self.saved + self.ratio))

    def spent(self) -> "RetryBudget | None":
        """The budget after a retry; None if there is none left."""
        return replace(self, saved=self.saved - 1.0) if self.saved >= 1.0 else None


LONGEST_COOL_DOWN_S: Final = 3600.0


class BreakerStatus(StrEnum):
    """CLOSED admits calls, OPEN rejects them, HALF_OPEN admits one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """Open after `failures` in a row, for `rest_s`, doubled up to `cap_s` while probes fail."""

    failures: int
    rest_s: float
    cap_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The state of one circuit breaker. `opened` counts openings without a success in between."""

    status: BreakerStatus = BreakerStatus.CLOSED
    failures: int = 0
    opened: int = 0
    open_until_s: float = 0.0


def admit(breaker: Breaker, now_s: float) -> tuple[Breaker, bool]:
    """Whether a call may pass now. A call that an open breaker admits is its one probe."""
    if breaker.status is BreakerStatus.CLOSED:
        return breaker, True
    if breaker.status is BreakerStatus.OPEN and now_s >= breaker.open_until_s:
        return replace(breaker, status=BreakerStatus.HALF_OPEN), True
    return breaker, False


def after_success(breaker: Breaker) -> Breaker:
    """Closed again, with a clean record."""
    return Breaker()


def after_failure(breaker: Breaker, policy: BreakerPolicy, now_s: float) -> Breaker:
    """Count a failure; opens the breaker at the threshold, or if the probe failed."""
    failures = breaker.failures + 1
    if breaker.status is BreakerStatus.CLOSED and failures < policy.failures:
        return replace(breaker, failures=failures)
    if breaker.status is BreakerStatus.OPEN:
        return breaker  # a late call that was admitted before the breaker opened
    rest_s = min(policy.cap_s, policy.rest_s * 2.0 ** min(breaker.opened, 62))
    return Breaker(
        status=BreakerStatus.OPEN,
        failures=failures,
        opened=breaker.opened + 1,
        open_until_s=now_s + rest_s,
    )


def after_cool_down(breaker: Breaker, wait_s: float, now_s: float) -> Breaker:
    """The service asked to be left alone for `wait_s` (its Retry-After): open until then.

    It counts as no failure, and is kept for an hour at most: nobody can shut a service out for
    good with one header.
    """
    until_s = now_s + min(wait_s, LONGEST_COOL_DOWN_S)
    return replace(
        breaker,
        status=BreakerStatus.OPEN,
        open_until_s=max(until_s, breaker.open_until_s),
    )


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or an HTTP date; None if it is neither."""
    try:
        seconds = float(value or "")
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value or "") - now).total_seconds()
        except (ValueError, TypeError):  # no date, or one without a time zone
            return None
    return max(0.0, seconds) if isfinite(seconds) else None


def after_abandoned(breaker: Breaker, now_s: float) -> Breaker:
    """The probe was cancelled, which proves nothing: the next call may probe."""
    if breaker.status is not BreakerStatus.HALF_OPEN:
        return breaker
    return replace(breaker, status=BreakerStatus.OPEN, open_until_s=now_s)


def retry_after_s(breaker: Breaker, now_s: float) -> float:
    """Seconds until the next probe may pass; 0 when closed."""
    return max(0.0, breaker.open_until_s - now_s) if breaker.status is BreakerStatus.OPEN else 0.0
