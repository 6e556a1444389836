"""The four shapes of the loop: run, dataset row, experiment and its results, as LangSmith has them.

Attribute names are LangSmith's, so that an evaluator written for it works on these objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

Inputs: TypeAlias = Mapping[str, Any]
"""What the target is asked: `query`, and any of collection, top_k, filters, path."""
Split: TypeAlias = Literal["smoke", "full"]

PASSED: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What produced an answer, as far as it is known."""

    code: str | None = None
    prompt: str | None = None
    model: str | None = None
    index: int | None = None
    settings: str | None = None  # fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a target did with the inputs of a row: a run, as evaluators see it.

    `outputs` holds `answer`, `answer_mode`, `citations` (each with `quote` and `content_hash`),
    `degradation` and, where the target has them, `record` and `tool_calls`. `error` is the code of
    a refusal or failure of the target itself.
    """

    id: str
    inputs: Inputs
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    elapsed_ms: float = 0.0
    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    trace_id: str | None = None
    configuration: Configuration = Configuration()

    @property
    def run_id(self) -> str:
        """The id, under the other name that evaluators use."""
        return self.id


class RecordedContent(StrEnum):
    """What a recorded run holds of its texts."""

    NONE = "none"
    WHOLE = "whole"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run of production, with as much of its content as was kept."""

    outcome: Outcome
    content: RecordedContent
    feedback: tuple[Mapping[str, Any], ...] = ()
    at: datetime | None = None  # when it was asked
    lost_citations: int = 0  # whose documents are gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case of a dataset.

    `reference_outputs` may hold `answer` (a text or several that are right), `documents` (content
    hashes), `refused`, `record`, `schema`, `tool_calls`, `latency_ms`, `cost_usd` and
    `degradation_level`. `evaluators` are names; none means every one that finds its reference.
    """

    id: str
    inputs: Inputs
    reference_outputs: Mapping[str, Any]
    evaluators: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    split: Split = "full"
    source_hash: str = ""
    created: str = ""  # a date
    retired_at: str | None = None  # a date; retired rows stay in the file and are not evaluated

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The reference, under the name that LangSmith's examples use."""
        return self.reference_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What an evaluator says: 0 to 1, or None where it does not apply or is disabled."""

    key: str
    score: float | None
    comment: str = ""
    threshold: float = PASSED
    deterministic: bool = True
    cost_usd: Decimal = Decimal(0)

    @property
    def passed(self) -> bool | None:
        """Whether the score reaches the threshold; None without a score."""
        return None if self.score is None else self.score >= self.threshold


class CaseVerdict(StrEnum):
    """How a case ended over all its attempts."""

    PASS = "pass"  # noqa: S105 - the name of a verdict
    FAIL = "fail"
    FLAKY = "flaky"  # some attempts passed
    UNKNOWN = "unknown"  # could not be evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One answer to a row and its scores."""

    run_id: str
    scores: tuple[Score, ...] = ()
    error: str | None = None
    unavailable: str | None = None  # why the target or an evaluator could not be used
    elapsed_ms: float = 0.0
    cost_usd: Decimal = Decimal(0)
    answer: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether every applicable score passed; None if nothing could be said."""
        verdicts = [s.passed for s in self.scores if s.passed is not None]
        if self.unavailable is not None or not verdicts:
            return None
        return all(verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """All attempts at one row."""

    row_id: str
    name: str
    attempts: tuple[Attempt, ...]

    @property
    def verdict(self) -> CaseVerdict:
        """The verdict over the attempts; one that could not be evaluated makes it unknown."""
        passed = [attempt.passed for attempt in self.attempts]
        if not passed or None in passed:
            return CaseVerdict.UNKNOWN
        if all(passed):
            return CaseVerdict.PASS
        return CaseVerdict.FLAKY if any(passed) else CaseVerdict.FAIL

    def deterministic(self) -> "CaseResult":
        """The same without the scores of judges, if it has any others."""
        attempts = tuple(_without_judges(attempt) for attempt in self.attempts)
        return CaseResult(row_id=self.row_id, name=self.name, attempts=attempts)


def _without_judges(attempt: Attempt) -> Attempt:
    kept = tuple(s for s in attempt.scores if s.deterministic)
    if not any(s.passed is not None for s in kept):
        return attempt
    return Attempt(
        run_id=attempt.run_id,
        scores=kept,
        error=attempt.error,
        unavailable=attempt.unavailable,
        elapsed_ms=attempt.elapsed_ms,
        cost_usd=attempt.cost_usd,
        answer=attempt.answer,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One evaluation of a suite with one configuration."""

    id: str
    suite: str  # "smoke" or "full", with the dataset: "complaints/smoke"
    name: str
    created_at: str
    results: tuple[CaseResult, ...]
    git_sha: str | None = None
    git_dirty: bool = False
    configuration: Configuration = Configuration()
    elapsed_s: float = 0.0
    cost_usd: Decimal = Decimal(0)  # answers and judges

    def result(self, row_id: str) -> CaseResult | None:
        """The result of a row."""
        return next((each for each in self.results if each.row_id == row_id), None)
