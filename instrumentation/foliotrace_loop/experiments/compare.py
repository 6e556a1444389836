"""Compares two experiments case by case, and decides whether the later one may pass the gate."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum

from foliotrace_loop.runs.windows import percentile
from foliotrace_loop.shapes import Attempt, CaseResult, CaseVerdict, Experiment, Score
from foliotrace_loop.statistics import Interval, mcnemar, paired_difference, wilson

SIGNIFICANT = 0.05


class ChangeKind(StrEnum):
    """What became of a case."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    FLAKY = "flaky"
    PASSES = "passes"
    FAILS = "fails"
    NEW_PASSES = "new, passes"
    NEW_FAILS = "new, fails"
    UNKNOWN = "not evaluated"


class GateExit(IntEnum):
    """Exit codes of the gate; an outage is never taken for a regression."""

    PASS = 0
    REGRESSION = 1
    NOT_EVALUATED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """One case in both experiments."""

    row_id: str
    name: str
    change: ChangeKind
    before: CaseVerdict | None
    after: CaseVerdict
    why: str = ""
    is_target: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One evaluator over the cases that both experiments rate."""

    key: str
    deterministic: bool
    cases: int
    before: float | None
    after: float | None
    gained: int
    lost: int
    p_value: float
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Target fixed? Any case regressed? Aggregate up? In this order."""

    baseline: str | None
    candidate: str
    suite: str
    cases: tuple[CaseChange, ...]
    keys: tuple[KeyChange, ...]
    passed: int
    evaluated: int
    passed_before: int | None
    shared: int
    pass_rate: Interval | None
    p_value: float
    p95_ms: float | None
    p95_ms_before: float | None
    cost_usd: Decimal
    cost_usd_before: Decimal | None
    elapsed_s: float
    exit: GateExit
    reasons: tuple[str, ...]

    def with_change(self, *changes: ChangeKind) -> Sequence[CaseChange]:
        """The cases of these changes."""
        return [case for case in self.cases if case.change in changes]


def compare(
    baseline: Experiment | None,
    candidate: Experiment,
    *,
    targets: Collection[str] = (),
    least_pass_rate: float | None = None,
) -> Comparison:
    """Compare, and decide.

    A case that passed in every attempt must still do so by its deterministic scores; what judges
    say counts only where McNemar's exact test finds more losses than chance. Cases that the
    baseline does not know, and `targets`, must pass. Without a baseline all cases must, unless
    `least_pass_rate` says how many.
    """
    changes = tuple(_change(baseline, case, targets) for case in candidate.results)
    keys = tuple(_keys(baseline, candidate)) if baseline is not None else ()
    pairs = [
        (before, after.deterministic().verdict)
        for after in candidate.results
        if (before := _before(baseline, after.row_id)) is not None
    ]
    known = [(b, a) for b, a in pairs if CaseVerdict.UNKNOWN not in (b, a)]
    gained = sum(b is not CaseVerdict.PASS and a is CaseVerdict.PASS for b, a in known)
    lost = sum(b is CaseVerdict.PASS and a is not CaseVerdict.PASS for b, a in known)
    verdicts = [case.verdict for case in candidate.results]
    passed, evaluated = _count(verdicts)
    # What another suite took and cost says nothing about this one.
    measured = baseline if baseline is not None and baseline.suite == candidate.suite else None
    exit_code, reasons = _decision(
        baseline, candidate, changes, keys, targets, passed, evaluated, least_pass_rate
    )
    return Comparison(
        baseline=baseline.id if baseline is not None else None,
        candidate=candidate.id,
        suite=candidate.suite,
        cases=changes,
        keys=keys,
        passed=passed,
        evaluated=evaluated,
        passed_before=sum(b is CaseVerdict.PASS for b, _ in known)
        if baseline is not None
        else None,
        shared=len(known),
        pass_rate=wilson(passed, evaluated),
        p_value=mcnemar(gained, lost),
        p95_ms=_p95_ms(candidate),
        p95_ms_before=_p95_ms(measured) if measured is not None else None,
        cost_usd=candidate.cost_usd,
        cost_usd_before=measured.cost_usd if measured is not None else None,
        elapsed_s=candidate.elapsed_s,
        exit=exit_code,
        reasons=reasons,
    )


def _decision(
    baseline: Experiment | None,
    candidate: Experiment,
    changes: Sequence[CaseChange],
    keys: Sequence[KeyChange],
    targets: Collection[str],
    passed: int,
    evaluated: int,
    least_pass_rate: float | None,
) -> tuple[GateExit, tuple[str, ...]]:
    missing = sorted(set(targets) - {case.row_id for case in candidate.results})
    unknown = [case for case in changes if case.change is ChangeKind.UNKNOWN]
    if not candidate.results:
        return GateExit.NOT_EVALUATED, ("the suite holds no rows",)
    if missing:
        return GateExit.NOT_EVALUATED, (f"target {missing[0]} is not in the suite",)
    if unknown:
        first = f"{len(unknown)} cases could not be evaluated: {unknown[0].why}"
        return GateExit.NOT_EVALUATED, (first,)
    reasons = [
        f"target {case.row_id} does not pass: {case.why}"
        for case in changes
        if case.is_target and case.after is not CaseVerdict.PASS
    ]
    regressed = [case for case in changes if case.change is ChangeKind.REGRESSED]
    reasons += [f"{case.row_id} regressed: {case.why}" for case in regressed]
    if baseline is not None:
        new = [c for c in changes if c.change is ChangeKind.NEW_FAILS and not c.is_target]
        reasons += [f"new case {case.row_id} does not pass: {case.why}" for case in new]
    elif least_pass_rate is None:
        least_pass_rate = 1.0
    reasons += [
        f"{key.key} is worse than chance explains: {key.gained} gained, {key.lost} lost, "
        f"p = {key.p_value:.3f}"
        for key in keys
        if not key.deterministic and key.lost > key.gained and key.p_value < SIGNIFICANT
    ]
    if least_pass_rate is not None and passed < least_pass_rate * evaluated:
        reasons.append(f"{passed} of {evaluated} cases pass, {least_pass_rate:.0%} needed")
    return (GateExit.REGRESSION if reasons else GateExit.PASS), tuple(reasons)


def _before(baseline: Experiment | None, row_id: str) -> CaseVerdict | None:
    found = baseline.result(row_id) if baseline is not None else None
    return found.deterministic().verdict if found is not None else None


def _change(baseline: Experiment | None, case: CaseResult, targets: Collection[str]) -> CaseChange:
    before = _before(baseline, case.row_id)
    after = case.deterministic().verdict if before is not None else case.verdict
    if after is CaseVerdict.UNKNOWN:
        change = ChangeKind.UNKNOWN
    elif before is None or before is CaseVerdict.UNKNOWN:
        change = ChangeKind.NEW_PASSES if after is CaseVerdict.PASS else ChangeKind.NEW_FAILS
    elif before is CaseVerdict.PASS:
        change = ChangeKind.PASSES if after is CaseVerdict.PASS else ChangeKind.REGRESSED
    elif after is CaseVerdict.PASS:
        change = ChangeKind.FIXED
    else:
        change = ChangeKind.FLAKY if CaseVerdict.FLAKY in (before, after) else ChangeKind.FAILS
    return CaseChange(
        row_id=case.row_id,
        name=case.name,
        change=change,
        before=before,
        after=after,
        why=_why(case),
        is_target=case.row_id in targets,
    )


def _why(case: CaseResult) -> str:
    """What failed, and in how many of the attempts."""
    for attempt in case.attempts:
        if attempt.unavailable is not None:
            return attempt.unavailable
    if case.verdict is CaseVerdict.UNKNOWN:
        return "no evaluator applies to it"
    failed = [attempt for attempt in case.attempts if attempt.passed is False]
    if not failed:
        return ""
    said = [f"{s.key} ({s.comment})" if s.comment else s.key for s in _failing(failed[0])]
    share = f", {len(failed)} of {len(case.attempts)} attempts" if len(case.attempts) > 1 else ""
    return "; ".join(said) + share


def _failing(attempt: Attempt) -> list[Score]:
    return [score for score in attempt.scores if score.passed is False]


def _keys(baseline: Experiment, candidate: Experiment) -> Sequence[KeyChange]:
    """Each evaluator over the cases that both experiments rate with it."""
    found = []
    names = sorted({s.key for c in candidate.results for a in c.attempts for s in a.scores})
    for key in names:
        pairs, deterministic = [], True
        for case in candidate.results:
            other = baseline.result(case.row_id)
            after, before = _mean(case, key), _mean(other, key) if other is not None else None
            if before is not None and after is not None:
                pairs.append((before, after))
            deterministic &= all(
                s.deterministic for a in case.attempts for s in a.scores if s.key == key
            )
        befores = [(score, ok) for (score, ok), _ in pairs]
        afters = [(score, ok) for _, (score, ok) in pairs]
        gained = sum(not b[1] and a[1] for b, a in pairs)
        lost = sum(b[1] and not a[1] for b, a in pairs)
        scores = [score for score, _ in befores], [score for score, _ in afters]
        found.append(
            KeyChange(
                key=key,
                deterministic=deterministic,
                cases=len(pairs),
                before=sum(scores[0]) / len(pairs) if pairs else None,
                after=sum(scores[1]) / len(pairs) if pairs else None,
                gained=gained,
                lost=lost,
                p_value=mcnemar(gained, lost),
                difference=paired_difference(*scores),
            )
        )
    return found


def _mean(case: CaseResult, key: str) -> tuple[float, bool] | None:
    """(mean score, passed in every attempt) of one evaluator; None where it gave no score."""
    rated = [s for a in case.attempts for s in a.scores if s.key == key and s.score is not None]
    if not rated:
        return None
    mean = sum(s.score for s in rated if s.score is not None) / len(rated)
    return mean, all(s.passed for s in rated)


def _count(verdicts: Sequence[CaseVerdict]) -> tuple[int, int]:
    """(passed, evaluated)."""
    known = [verdict for verdict in verdicts if verdict is not CaseVerdict.UNKNOWN]
    return sum(verdict is CaseVerdict.PASS for verdict in known), len(known)


def _p95_ms(experiment: Experiment) -> float | None:
    elapsed = sorted(
        a.elapsed_ms for c in experiment.results for a in c.attempts if a.unavailable is None
    )
    return percentile(elapsed, 0.95)
