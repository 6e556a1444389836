"""Figures of runs in windows of time: exact, also for none and for a few."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Final, TypeVar

from foliotrace_loop.statistics import Interval, wilson

N = TypeVar("N", int, float)
MAX_WINDOWS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What counts of one run."""

    at: datetime
    elapsed_ms: float
    failed: bool
    degraded: bool
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStats:
    """Figures of one window; those that need a run are null if there is none."""

    since: datetime
    until: datetime
    runs: int
    errors: int
    degraded: int
    error_rate: float | None = field(
        metadata={"description": "Share of failed runs; null without runs."}
    )
    error_rate_interval: Interval | None = field(
        metadata={"description": "95 % Wilson interval of the share."}
    )
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    tokens: int
    cost_usd: Decimal
    cost_per_run_usd: Decimal | None


def percentile(ascending: Sequence[N], share: float) -> N | None:
    """The smallest value that at least `share` of the values do not exceed; None for no values.

    Nearest rank: of 100 values p99 is the 99th, not the greatest.
    """
    if not ascending:
        return None
    # Rounded: 0.07 * 100 is 7.000000000000001, whose ceiling is a rank too high.
    return ascending[max(1, ceil(round(share * len(ascending), 9))) - 1]


def stats(runs: Iterable[Measured], since: datetime, until: datetime) -> WindowStats:
    """The figures of `runs` as one window."""
    measured = list(runs)
    elapsed = sorted(each.elapsed_ms for each in measured)
    count, errors = len(measured), sum(each.failed for each in measured)
    cost = sum((each.cost_usd for each in measured), Decimal(0))
    return WindowStats(
        since=since,
        until=until,
        runs=count,
        errors=errors,
        degraded=sum(each.degraded for each in measured),
        error_rate=errors / count if count else None,
        error_rate_interval=wilson(errors, count),
        p50_ms=percentile(elapsed, 0.50),
        p95_ms=percentile(elapsed, 0.95),
        p99_ms=percentile(elapsed, 0.99),
        tokens=sum(each.tokens for each in measured),
        cost_usd=cost,
        cost_per_run_usd=cost / count if count else None,
    )


def windows(
    runs: Iterable[Measured], since: datetime, until: datetime, width: timedelta
) -> list[WindowStats]:
    """The figures of each window, oldest first, empty ones included.

    Windows begin at multiples of `width` since 1970, so that the same run always falls into the
    same one. Raises ValueError for more than MAX_WINDOWS windows or a width that is not positive.
    """
    if width <= timedelta(0):
        raise ValueError("a window is longer than nothing")
    epoch = datetime.fromtimestamp(0, UTC)
    first = (since - epoch) // width
    last = -(-(until - epoch) // width)  # rounded up
    if last - first > MAX_WINDOWS:
        raise ValueError(f"{last - first} windows; {MAX_WINDOWS} are allowed")
    by_window: dict[int, list[Measured]] = {}
    for each in runs:
        by_window.setdefault((each.at - epoch) // width, []).append(each)
    return [
        stats(by_window.get(number, ()), epoch + number * width, epoch + (number + 1) * width)
        for number in range(first, last)
    ]
