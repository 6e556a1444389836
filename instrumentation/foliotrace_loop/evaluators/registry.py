"""The evaluators of a suite: those built in, judges, and the user's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from foliotrace_loop.evaluators.custom import load_evaluator
from foliotrace_loop.evaluators.judge import TONE, Calibration, JudgeEvaluator
from foliotrace_loop.evaluators.rules import RULES, NoHallucination
from foliotrace_loop.ports import Evaluator, Grounding, Judge, LoopError
from foliotrace_loop.shapes import Row

TONE_KEY: Final = "tone_appropriate"
_ONLY_WHEN_NAMED: Final = frozenset({"latency_ok", "retrieval_recall"})
"""Not among the defaults: latency depends on the machine, recall on which documents are loaded."""


class Evaluators:
    """Finds evaluators by name: built in, or `pkg.mod:function`."""

    def __init__(
        self,
        *,
        grounding: Grounding | None = None,
        judge: Judge | None = None,
        calibrations: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        tone = JudgeEvaluator(
            TONE_KEY,
            judge,
            TONE,
            Calibration.read(calibrations / f"{TONE_KEY}.json")
            if calibrations is not None
            else None,
        )
        built_in: Sequence[Evaluator] = (
            *RULES,
            NoHallucination(grounding),
            tone,
        )
        self._known: dict[str, Evaluator] = {each.key: each for each in built_in}
        self._extra = tuple(self._find(name) for name in extra)
        self._default = tuple(
            each
            for each in built_in
            if each.key not in _ONLY_WHEN_NAMED and (each is not tone or tone.disabled is None)
        )

    @property
    def disabled(self) -> Mapping[str, str]:
        """Why each judge that is not used is not, by its name."""
        judges = (each for each in self._known.values() if isinstance(each, JudgeEvaluator))
        return {each.key: each.disabled for each in judges if each.disabled is not None}

    @property
    def known(self) -> Mapping[str, Evaluator]:
        """By name."""
        return self._known

    def of(self, row: Row) -> Sequence[Evaluator]:
        """What rates a row: those it names, else the defaults, and those of the command line.

        A default without a reference in the row gives no score. Raises LoopError.
        """
        named = [self._find(name) for name in row.evaluators] or list(self._default)
        return [*named, *(each for each in self._extra if each not in named)]

    def _find(self, name: str) -> Evaluator:
        if name not in self._known:
            if ":" not in name:
                known = ", ".join(sorted(self._known))
                raise LoopError(
                    f"there is no evaluator {name}; known: {known}, or pkg.mod:function"
                )
            self._known[name] = load_evaluator(name)
        return self._known[name]
