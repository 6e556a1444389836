"""Whether a release may replace its baseline, from what both did in production. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from math import exp, lgamma
from typing import Final

SIGNIFICANT: Final = 0.05
SIGNIFICANT_WATCHED_ALL_DAY: Final = 0.001
"""For whoever looks again and again: at 0.05, every second release that is no worse would be rolled
back within a day of looks each half minute; at 0.001 about one of a hundred."""
_NEGLIGIBLE: Final = 1e-12  # a term of a sum, as a share of it


class Decision(StrEnum):
    """What to do with a release."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFigures:
    """What one release did while it was watched. `rated` counts ratings, `bad` those below 0.5.

    `slow` and `dear` count the runs above `factor_limits` of the baseline, of `measured` runs.
    """

    release: str
    runs: int
    errors: int
    degraded: int
    rated: int
    bad: int
    p95_ms: float | None
    cost_per_run_usd: Decimal | None
    slow: int = 0
    dear: int = 0
    measured: int | None = None  # None: all runs


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """What a release must have shown before it is promoted, and how much worse it may be."""

    least_runs: int = 100
    least_time: timedelta = timedelta(hours=24)
    slower: float = 1.25  # p95, as a factor of the baseline's
    dearer: float = 1.25  # cost of a run
    significance: float = SIGNIFICANT  # of all comparisons together

    def factor_limits(
        self, p95_ms: float | None, cost_per_run_usd: Decimal | None
    ) -> tuple[float | None, Decimal | None]:
        """(ms, USD) above which a run is slow or dear, by the baseline's figures."""
        slow_ms = None if p95_ms is None else self.slower * p95_ms
        factor = Decimal(str(self.dearer))
        return slow_ms, None if cost_per_run_usd is None else factor * cost_per_run_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureCheck:
    """One comparison. `p_value`: Fisher's exact test, one-sided, that the candidate is worse.

    `factor`: how much larger the figure may be; `p_value` is then of the runs above that.
    """

    name: str
    baseline: float | None
    candidate: float | None
    p_value: float
    factor: float | None = None

    def worse(self, significance: float) -> bool:
        """Whether the candidate is worse, and chance does not explain it."""
        if self.factor is not None and (
            self.baseline is None
            or self.candidate is None
            or self.candidate <= self.factor * self.baseline
        ):
            return False
        return self.p_value < significance


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The decision, its reasons, and the figures it rests on."""

    decision: Decision
    reasons: tuple[str, ...]
    checks: tuple[FigureCheck, ...]
    baseline: ReleaseFigures
    candidate: ReleaseFigures


def watch(
    baseline: ReleaseFigures, candidate: ReleaseFigures, watched: timedelta, limits: WatchLimits
) -> Watched:
    """Roll back as soon as chance does not explain what is worse; promote after enough time.

    Latency and cost are worse where the figure is larger by the factor and, beyond chance, more
    runs are above it. They are compared once there are enough runs.
    """
    of, of_then = baseline.runs, candidate.runs
    checks = [
        _check("errors", baseline.errors, of, candidate.errors, of_then),
        _check("degraded", baseline.degraded, of, candidate.degraded, of_then),
        _check("bad ratings", baseline.bad, baseline.rated, candidate.bad, candidate.rated),
    ]
    enough = candidate.runs >= limits.least_runs
    if enough and baseline.runs >= limits.least_runs:
        of = baseline.runs if baseline.measured is None else baseline.measured
        of_then = candidate.runs if candidate.measured is None else candidate.measured
        slow = _check("p95", baseline.slow, of, candidate.slow, of_then)
        dear = _check("cost per run", baseline.dear, of, candidate.dear, of_then)
        cost = (_number(baseline.cost_per_run_usd), _number(candidate.cost_per_run_usd))
        checks.append(_factor(slow, baseline.p95_ms, candidate.p95_ms, limits.slower))
        checks.append(_factor(dear, *cost, limits.dearer))
    worse = [check for check in checks if check.worse(limits.significance / len(checks))]
    missing = []
    if not enough:
        missing.append(f"{candidate.runs} of {limits.least_runs} runs")
    if watched < limits.least_time:
        missing.append(f"{watched} of {limits.least_time}")
    if worse:
        decision, reasons = Decision.ROLL_BACK, [_reason(check) for check in worse]
    elif missing:
        decision, reasons = Decision.HOLD, missing
    else:
        decision, reasons = Decision.PROMOTE, ["nothing is worse"]
    return Watched(
        decision=decision,
        reasons=tuple(reasons),
        checks=tuple(checks),
        baseline=baseline,
        candidate=candidate,
    )


def _check(name: str, bad: int, of: int, bad_then: int, of_then: int) -> FigureCheck:
    return FigureCheck(
        name=name,
        baseline=bad / of if of else None,
        candidate=bad_then / of_then if of_then else None,
        p_value=more_often(bad, of, bad_then, of_then),
    )


def _factor(
    check: FigureCheck, before: float | None, after: float | None, most: float
) -> FigureCheck:
    return replace(check, baseline=before, candidate=after, factor=most)


def _reason(check: FigureCheck) -> str:
    figures = f"{check.baseline:.3g} before, {check.candidate:.3g} now"
    return f"{check.name}: {figures}, p = {check.p_value:.2g}"


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def more_often(bad: int, of: int, bad_then: int, of_then: int) -> float:
    """The probability of `bad_then` or more of `of_then`, were both shares the same.

    Source: Fisher's exact test, one-sided (Fisher, JRSS 98, 1935). 1.0 where either has no cases.
    The terms follow from each other, so that a million runs take no longer than a thousand.
    """
    if not of or not of_then:
        return 1.0
    all_bad, everything = bad + bad_then, of + of_then
    first, last = max(bad_then, all_bad - of), min(all_bad, of_then)
    if first <= max(0, all_bad - of):
        return 1.0  # no outcome has fewer
    term = exp(
        _log_ways(all_bad, first)
        + _log_ways(everything - all_bad, of_then - first)
        - _log_ways(everything, of_then)
    )
    tail = 0.0
    for k in range(first, last + 1):
        tail += term
        ratio = (all_bad - k) * (of_then - k) / ((k + 1) * (of - all_bad + k + 1))
        if ratio < 1 and term < _NEGLIGIBLE * tail:
            break
        term *= ratio
    return min(1.0, tail)


def _log_ways(of: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)


def bad_ratings(scores: Sequence[float | None]) -> tuple[int, int]:
    """(ratings, those below one half)."""
    known = [score for score in scores if score is not None]
    return len(known), sum(score < 0.5 for score in known)
