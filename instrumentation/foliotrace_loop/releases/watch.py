"""Whether a release may replace its baseline, from what both did in production. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import comb
from typing import Final

SIGNIFICANT: Final = 0.05


class Decision(StrEnum):
    """What to do with a release."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFigures:
    """What one release did while it was watched. `rated` counts ratings, `bad` those below 0.5."""

    release: str
    runs: int
    errors: int
    degraded: int
    rated: int
    bad: int
    p95_ms: float | None
    cost_per_run_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """What a release must have shown before it is promoted, and how much worse it may be."""

    least_runs: int = 100
    least_time: timedelta = timedelta(hours=24)
    slower: float = 1.25  # p95, as a factor of the baseline's
    dearer: float = 1.25  # cost of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureCheck:
    """One comparison. `p_value` of shares: Fisher's exact test, one-sided, that it is worse."""

    name: str
    baseline: float | None
    candidate: float | None
    worse: bool
    p_value: float | None = None


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

    Latency and cost are compared once there are enough runs, since single runs decide them before.
    """
    checks = [
        _share("errors", baseline.errors, baseline.runs, candidate.errors, candidate.runs),
        _share("degraded", baseline.degraded, baseline.runs, candidate.degraded, candidate.runs),
        _share("bad ratings", baseline.bad, baseline.rated, candidate.bad, candidate.rated),
    ]
    enough = candidate.runs >= limits.least_runs
    if enough and baseline.runs >= limits.least_runs:
        cost = (_number(baseline.cost_per_run_usd), _number(candidate.cost_per_run_usd))
        checks.append(_factor("p95", baseline.p95_ms, candidate.p95_ms, limits.slower))
        checks.append(_factor("cost per run", *cost, limits.dearer))
    worse = [check for check in checks if check.worse]
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


def _share(name: str, bad: int, of: int, bad_then: int, of_then: int) -> FigureCheck:
    p_value = more_often(bad, of, bad_then, of_then)
    return FigureCheck(
        name=name,
        baseline=bad / of if of else None,
        candidate=bad_then / of_then if of_then else None,
        worse=p_value < SIGNIFICANT,
        p_value=p_value,
    )


def _factor(name: str, before: float | None, after: float | None, most: float) -> FigureCheck:
    worse = before is not None and after is not None and before > 0 and after > most * before
    return FigureCheck(name=name, baseline=before, candidate=after, worse=worse)


def _reason(check: FigureCheck) -> str:
    said = f"{check.name}: {check.baseline:.3g} before, {check.candidate:.3g} now"
    return said if check.p_value is None else f"{said}, p = {check.p_value:.3f}"


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def more_often(bad: int, of: int, bad_then: int, of_then: int) -> float:
    """The probability of `bad_then` or more of `of_then`, were both shares the same.

    Source: Fisher's exact test, one-sided (Fisher, JRSS 98, 1935). 1.0 where either has no cases.
    """
    if not of or not of_then:
        return 1.0
    all_bad, everything = bad + bad_then, of + of_then
    ways = comb(everything, of_then)
    most = min(all_bad, of_then)
    tail = sum(
        comb(all_bad, k) * comb(everything - all_bad, of_then - k)
        for k in range(bad_then, most + 1)
        if of_then - k <= everything - all_bad
    )
    return float(Fraction(tail, ways))


def bad_ratings(scores: Sequence[float | None]) -> tuple[int, int]:
    """(ratings, those below one half)."""
    known = [score for score in scores if score is not None]
    return len(known), sum(score < 0.5 for score in known)
