"""Judges: pinned models that vote three times, and are used only while people agree with them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from foliotrace_loop.agreement import cohen_kappa
from foliotrace_loop.ports import Judge, LoopError, Vote
from foliotrace_loop.shapes import Inputs, Outcome, Row, Score

VOTES: Final = 3
LEAST_AGREEMENT: Final = 0.80
LEAST_LABELS: Final = 10
TONE: Final = (
    "The answer is polite, factual and free of sarcasm, blame and marketing. Its content does not "
    "matter."
)
_PINNED: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}|(?<!\d)20\d{6}(?!\d)|-\d{4}(?![\d-])|-\d{4}-preview$|-\d{3}(?!\d)|@\S|sha256:|:v\d"
)


def is_floating(model: str | None) -> bool:
    """Whether a model's name may mean another model tomorrow: it has no date, build or digest."""
    if model is None:
        return False
    return model.endswith("latest") or _PINNED.search(model) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCase:
    """An answer that a person has rated."""

    inputs: Inputs
    outputs: Mapping[str, Any]
    reference: Mapping[str, Any]
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far a judge agreed with people. It holds for this model and this rubric alone."""

    model: str
    rubric_hash: str
    labels: int
    agreement: float
    kappa: float | None
    at: str  # a date

    @property
    def weakness(self) -> str | None:
        """Why a judge that agreed with people so far is not used; None if it is."""
        if self.labels < LEAST_LABELS:
            return f"it was calibrated with {self.labels} labels only"
        if self.agreement < LEAST_AGREEMENT:
            return f"people agree with it in {self.agreement:.0%}, {LEAST_AGREEMENT:.0%} needed"
        # One that passes everything agrees in 80 % where people pass 80 %.
        if self.kappa is None or self.kappa <= 0:
            return "it agrees with people no more than chance does (kappa 0 or less)"
        return None

    def save(self, path: Path) -> None:
        """Write the file, which belongs into git."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Calibration | None":
        """The calibration; None if there is none. Raises LoopError for an unreadable one."""
        if not path.exists():
            return None
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise LoopError(f"{path} is no calibration: {error}") from None


def rubric_hash(rubric: str) -> str:
    """Names a rubric: another wording is another judge."""
    return sha256(rubric.encode()).hexdigest()[:16]


async def majority(
    judge: Judge,
    rubric: str,
    inputs: Inputs,
    outputs: Mapping[str, Any],
    reference: Mapping[str, Any],
) -> Vote:
    """The opinion of most of three votes."""
    votes = [await judge.vote(rubric, inputs, outputs, reference) for _ in range(VOTES)]
    passed = sum(v.passed for v in votes) > len(votes) / 2
    return Vote(
        passed=passed,
        reason=next(v.reason for v in votes if v.passed is passed),
        cost_usd=sum((v.cost_usd for v in votes), Decimal(0)),
    )


async def calibrate(
    judge: Judge, rubric: str, cases: Sequence[LabelledCase], *, at: str
) -> Calibration:
    """Compare the judge with people.

    Raises LoopError for a floating model, too few labels, and labels of one kind only.
    """
    if is_floating(judge.model):
        raise LoopError(f"judge {judge.model} is not pinned: name a dated model")
    if len(cases) < LEAST_LABELS:
        raise LoopError(f"{len(cases)} labels; a calibration needs {LEAST_LABELS}")
    labels = [case.passed for case in cases]
    if len(set(labels)) == 1:
        raise LoopError(
            f"all {len(labels)} labels are {'good' if labels[0] else 'bad'} answers: a judge that "
            "always says the same would agree; label answers of both kinds"
        )
    votes = [
        (await majority(judge, rubric, c.inputs, c.outputs, c.reference)).passed for c in cases
    ]
    agreed = sum(a is b for a, b in zip(votes, labels, strict=True))
    return Calibration(
        model=judge.model,
        rubric_hash=rubric_hash(rubric),
        labels=len(cases),
        agreement=agreed / len(cases),
        kappa=cohen_kappa(votes, labels),
        at=at,
    )


@dataclass(frozen=True, slots=True)
class JudgeEvaluator:
    """A judge as an evaluator. It gives no score while it is disabled."""

    key: str
    judge: Judge | None
    rubric: str
    calibration: Calibration | None

    @property
    def disabled(self) -> str | None:
        """Why the judge is not used; None if it is."""
        if self.judge is None:
            return "no judge is configured"
        if is_floating(self.judge.model):
            return f"{self.judge.model} is not pinned"
        card = self.calibration
        if card is None:
            return "it was never calibrated"
        if (card.model, card.rubric_hash) != (self.judge.model, rubric_hash(self.rubric)):
            return f"it was calibrated as {card.model} with another rubric or model"
        return card.weakness

    async def evaluate(self, run: Outcome, row: Row) -> Score:
        """The majority of its votes; None with the reason while it is disabled."""
        reason = self.disabled
        if reason is not None or self.judge is None or not run.outputs.get("answer"):
            comment = f"disabled: {reason}" if reason else ""
            return Score(key=self.key, score=None, comment=comment, deterministic=False)
        vote = await majority(
            self.judge, self.rubric, run.inputs, run.outputs, row.reference_outputs
        )
        return Score(
            key=self.key,
            score=float(vote.passed),
            comment=vote.reason,
            deterministic=False,
            cost_usd=vote.cost_usd,
        )
