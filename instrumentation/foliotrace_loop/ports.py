"""What the loop needs from its surroundings; `foliotrace_server.loop` provides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from foliotrace_loop.shapes import Inputs, Outcome, RecordedRun, Row, Score


class LoopError(Exception):
    """What the loop refuses or cannot do; the message says what to do next."""


class TargetUnavailable(LoopError):
    """The target, a judge or the run source cannot be used now: no verdict follows from it."""


class Target(Protocol):
    """What is evaluated. A second configuration of a service is a second target."""

    async def answer(self, inputs: Inputs) -> Outcome:
        """Answer once, without caches. Raises TargetUnavailable; a refusal is an outcome."""
        ...


class RunSource(Protocol):
    """Where recorded runs are. `filter` is in LangSmith's grammar."""

    async def run(self, run_id: str) -> RecordedRun:
        """One run by its id or trace id. Raises LoopError if there is none, TargetUnavailable."""
        ...

    async def find(self, filter_: str | None, *, limit: int) -> Sequence[RecordedRun]:
        """Runs, newest first, without their texts. Raises LoopError, TargetUnavailable."""
        ...


class Evaluator(Protocol):
    """Rates an outcome."""

    @property
    def key(self) -> str:
        """Its name in rows and results."""
        ...

    async def evaluate(self, run: Outcome, row: Row) -> Score:
        """Rate; a score of None: the row holds nothing to compare. Raises TargetUnavailable."""
        ...


class Grounding(Protocol):
    """Checks an answer against the passages it cites."""

    async def unsupported(self, question: str, answer: str, quotes: Sequence[str]) -> Sequence[str]:
        """The sentences of the answer that no quote supports."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One opinion of a judge."""

    passed: bool
    reason: str = ""
    cost_usd: Decimal = Decimal(0)


class Judge(Protocol):
    """A language model that rates answers."""

    @property
    def model(self) -> str:
        """The pinned name of the model."""
        ...

    async def vote(
        self, rubric: str, inputs: Inputs, outputs: Mapping[str, Any], reference: Mapping[str, Any]
    ) -> Vote:
        """One opinion; asked again, it may differ. Raises TargetUnavailable."""
        ...
