"""Asks a recorded question again, several times: is it still wrong, sometimes wrong, or fixed?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from foliotrace_loop.datasets.placeholders import has_placeholder, redacted
from foliotrace_loop.evaluators.rules import factual_match
from foliotrace_loop.experiments.suite import refuse_floating
from foliotrace_loop.ports import LoopError, Target
from foliotrace_loop.shapes import Configuration, Inputs, Outcome, RecordedContent, RecordedRun, Row


class ReplayVerdict(StrEnum):
    """What the attempts say, against the reference if there is one, else the recorded answer."""

    REPRODUCED = "reproduced"  # every attempt is as wrong, or the same, as the recorded run
    FLAKY = "flaky"  # attempts differ
    FIXED = "fixed"  # every attempt matches the reference
    CHANGED = "changed"  # every attempt differs from the recorded answer; no reference says more
    NOT_COMPARED = "not_compared"  # neither a reference nor the recorded answer is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One attempt. `right` is null without a reference, `same` without a recorded answer."""

    run_id: str
    answer: str
    error: str | None
    right: bool | None
    same: bool | None
    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found. `not_rebuilt` names what differs from the recorded run."""

    run_id: str
    trace_id: str | None
    verdict: ReplayVerdict
    attempts: tuple[Replayed, ...]
    recorded: Configuration
    rebuilt: tuple[str, ...]
    not_rebuilt: tuple[str, ...]


async def replay(
    run: RecordedRun,
    target: Target,
    *,
    times: int = 3,
    reference: str | None = None,
    inputs: Inputs | None = None,
    allow_floating: bool = False,
    rebuilt_index: str | None = None,
    missing: Sequence[str] = (),
) -> Replay:
    """Ask the question of `run` again, as it was asked, `times` times.

    `inputs` replace those of a run that kept none. `rebuilt_index` says how the documents of then
    are asked, `missing` what of them is gone. Raises LoopError for a run without content and
    for a floating model name, Unavailable.
    """
    recorded = run.outcome
    asked = inputs if inputs is not None else recorded.inputs
    if not asked.get("query"):
        raise LoopError(
            f"run {recorded.id} holds no content and cannot be replayed: set runs.keep_content to "
            "redacted or encrypted for later runs, or give the question with --question"
        )
    if not allow_floating:
        refuse_floating(recorded.configuration.model)
    attempts = []
    for _ in range(times):
        outcome = await target.answer(asked)
        if not allow_floating:
            refuse_floating(outcome.configuration.model)
        attempts.append(_replayed(outcome, recorded, reference))
    rebuilt, not_rebuilt = _differences(
        run, [a.configuration for a in attempts], inputs is not None, rebuilt_index
    )
    return Replay(
        run_id=recorded.id,
        trace_id=recorded.trace_id,
        verdict=_verdict(attempts),
        attempts=tuple(attempts),
        recorded=recorded.configuration,
        rebuilt=rebuilt,
        not_rebuilt=(*not_rebuilt, *missing),
    )


def _replayed(outcome: Outcome, recorded: Outcome, reference: str | None) -> Replayed:
    answer = str(outcome.outputs.get("answer") or "")
    before = recorded.outputs.get("answer")
    right = None
    if reference is not None:
        row = Row(id="", inputs=outcome.inputs, reference_outputs={"answer": reference})
        rated = factual_match(outcome, row)
        right = rated is not None and rated[0] == 1.0
    same: bool | None = None
    if recorded.error is not None or before is not None:
        text = str(before or "")
        now = redacted(answer) if has_placeholder(text) else answer  # as the run keeps its texts
        same = outcome.error == recorded.error and _words(now) == _words(text)
    return Replayed(
        run_id=outcome.id,
        answer=answer,
        error=outcome.error,
        right=right,
        same=same,
        configuration=outcome.configuration,
    )


def _words(text: str) -> list[str]:
    return text.split()


def _verdict(attempts: Sequence[Replayed]) -> ReplayVerdict:
    right = [each.right for each in attempts]
    if None not in right:
        if all(right):
            return ReplayVerdict.FIXED
        return ReplayVerdict.FLAKY if any(right) else ReplayVerdict.REPRODUCED
    same = [each.same for each in attempts]
    if None in same:
        differ = len({tuple(_words(each.answer)) for each in attempts}) > 1
        return ReplayVerdict.FLAKY if differ else ReplayVerdict.NOT_COMPARED
    if all(same):
        return ReplayVerdict.REPRODUCED
    return ReplayVerdict.FLAKY if any(same) else ReplayVerdict.CHANGED


def _differences(
    run: RecordedRun,
    now: Sequence[Configuration],
    supplied: bool,
    rebuilt_index: str | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what is as it was recorded, what is not)."""
    rebuilt, missing = [], []
    before = run.outcome.configuration
    current = now[0] if now else Configuration()
    if len({replace(each, model=None) for each in now}) > 1:
        missing.append("configuration: it changed between the attempts")
    for name in ("model", "prompt", "index", "settings", "code"):
        was, is_now = getattr(before, name), getattr(current, name)
        if was == is_now:
            rebuilt.append(name)
        elif name == "index" and rebuilt_index is not None:
            rebuilt.append(rebuilt_index)
        else:
            missing.append(
                f"{name}: {was if was is not None else 'none'} was recorded, "
                f"{is_now if is_now is not None else 'none'} answers now"
            )
    if supplied:
        unknown = ", its filters are not known" if run.content is RecordedContent.NONE else ""
        missing.append(f"inputs_supplied: the question was given by hand{unknown}")
    elif run.content is RecordedContent.REDACTED:
        missing.append(
            "inputs_redacted: personal data in the question was replaced; it was asked with "
            "values of the same kind"
        )
    else:
        rebuilt.append("inputs")
    return tuple(rebuilt), tuple(missing)
