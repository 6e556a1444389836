"""Evaluates the rows of a suite against a target."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from foliotrace_loop.evaluators.judge import is_floating
from foliotrace_loop.evaluators.registry import Evaluators
from foliotrace_loop.ports import LoopError, Target, TargetUnavailable
from foliotrace_loop.shapes import (
    Attempt,
    CaseResult,
    Configuration,
    Experiment,
    Outcome,
    Row,
    Score,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """How a suite is evaluated, and what is recorded of the occasion."""

    suite: str
    name: str
    repeat: int = 1
    max_concurrency: int = 8
    git_sha: str | None = None
    git_dirty: bool = False
    allow_floating: bool = False


async def evaluate(
    rows: Sequence[Row],
    target: Target,
    evaluators: Evaluators,
    how: SuiteRun,
    *,
    on_case: Callable[[CaseResult], None] = lambda case: None,
) -> Experiment:
    """Answer and rate each row `repeat` times.

    What could not be evaluated is in the results, it never looks like a failed case. Raises
    LoopError for an unknown evaluator, and for a floating model name unless that is allowed.
    """
    plan = [(row, evaluators.of(row)) for row in rows]
    slots = asyncio.Semaphore(how.max_concurrency)
    seen: list[Configuration] = []
    began_s = time.monotonic()

    async def attempt(row: Row) -> Attempt:
        async with slots:
            try:
                outcome = await target.answer(row.inputs)
            except TargetUnavailable as error:
                return Attempt(run_id="", unavailable=str(error))
            seen.append(outcome.configuration)
            if not how.allow_floating:
                refuse_floating(outcome.configuration.model)
            return await _rated(outcome, row, evaluators)

    async def case(row: Row) -> CaseResult:
        attempts = tuple([await attempt(row) for _ in range(how.repeat)])
        result = CaseResult(
            row_id=row.id,
            name=str(row.inputs.get("query") or row.inputs.get("document") or "")[:120],
            attempts=attempts,
        )
        on_case(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_unwrapped(case(row))) for row, _ in plan]
    results = [task.result() for task in tasks]
    for result in results:
        if isinstance(result, LoopError):
            raise result
    cases = tuple(result for result in results if isinstance(result, CaseResult))
    return Experiment(
        id=f"exp_{uuid4().hex[:16]}",
        suite=how.suite,
        name=how.name,
        created_at=datetime.now(UTC).isoformat(),
        results=cases,
        git_sha=how.git_sha,
        git_dirty=how.git_dirty,
        configuration=_common(seen),
        elapsed_s=round(time.monotonic() - began_s, 3),
        cost_usd=sum((a.cost_usd for c in cases for a in c.attempts), Decimal(0)),
    )


def refuse_floating(model: str | None) -> None:
    """Raise LoopError if a model's name may mean another model tomorrow."""
    if is_floating(model):
        raise LoopError(
            f"{model} is a floating model name: what it answers today proves nothing tomorrow. "
            "Configure a dated name, or pass --allow-floating"
        )


async def _unwrapped(case: Awaitable[CaseResult]) -> CaseResult | LoopError:
    """The case, or the error that refuses the whole suite, without an exception group."""
    try:
        return await case
    except LoopError as error:
        return error


async def _rated(outcome: Outcome, row: Row, evaluators: Evaluators) -> Attempt:
    scores: list[Score] = []
    unavailable = None
    for evaluator in evaluators.of(row):
        try:
            scores.append(await evaluator.evaluate(outcome, row))
        except Exception as error:  # noqa: BLE001 - an evaluator of the user's may raise anything
            unavailable = f"{evaluator.key}: {type(error).__name__}: {error}"
    if unavailable is None and any(score.passed is False for score in scores):
        unavailable = _degraded(outcome, row)
    judged = sum((score.cost_usd for score in scores), Decimal(0))
    return Attempt(
        run_id=outcome.id,
        scores=tuple(scores),
        error=outcome.error,
        unavailable=unavailable,
        elapsed_ms=outcome.elapsed_ms,
        cost_usd=outcome.cost_usd + judged,
        answer=str(outcome.outputs.get("answer") or ""),
    )


def _degraded(outcome: Outcome, row: Row) -> str | None:
    """Why a wrong answer says nothing of the release: it is not what the service is configured for.

    A row that names a `degradation_level` is about degraded answers. None for any other answer.
    """
    mark = outcome.outputs.get("degradation")
    level = int(mark.get("level", 0)) if isinstance(mark, Mapping) else 0
    if not level or "degradation_level" in row.reference_outputs:
        return None
    causes = ", ".join(map(str, mark.get("reasons") or ())) if mark else ""
    return f"the answer is degraded (level {level}: {causes}) and does not pass"


def _common(seen: Sequence[Configuration]) -> Configuration:
    """What all outcomes have in common; the model is the first that was named."""
    if not seen:
        return Configuration()
    first = seen[0]
    same = {
        name: getattr(first, name)
        for name in ("code", "prompt", "index", "settings")
        if all(getattr(each, name) == getattr(first, name) for each in seen)
    }
    model = next((each.model for each in seen if each.model is not None), None)
    return replace(Configuration(model=model), **same)
