"""Evaluators of the user's own, by import path, in both of LangSmith's signatures."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from foliotrace_loop.ports import Evaluator, LoopError
from foliotrace_loop.shapes import PASSED, Outcome, Row, Score

_NAMED: Final = ("run", "example", "inputs", "outputs", "reference_outputs")


@dataclass(frozen=True, slots=True)
class OwnEvaluator:
    """A function of the user's: `(run, example)` or `(inputs, outputs, reference_outputs)`."""

    key: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]  # empty: (run, example) by position

    async def evaluate(self, run: Outcome, row: Row) -> Score:
        """Call the function and read what it returned.

        An exception of the function propagates: the suite reports that it could not evaluate.
        """
        values = {
            "run": run,
            "example": row,
            "inputs": dict(row.inputs),
            "outputs": dict(run.outputs),
            "reference_outputs": dict(row.reference_outputs),
        }
        if self.parameters:
            result = self.function(**{name: values[name] for name in self.parameters})
        else:
            result = self.function(run, row)
        if inspect.isawaitable(result):
            result = await result
        return _score(self.key, result)


def load_evaluator(reference: str) -> Evaluator:
    """The evaluator at `pkg.mod:name`; the working folder is searched too. Raises LoopError."""
    module, colon, name = reference.partition(":")
    if not colon:
        raise LoopError(f"{reference!r} is no evaluator: write pkg.mod:function")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        loaded = getattr(import_module(module), name)
    except Exception as error:
        raise LoopError(
            f"{reference} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if hasattr(loaded, "evaluate") and hasattr(loaded, "key"):
        return loaded  # type: ignore[no-any-return] # has the shape of an Evaluator
    if not callable(loaded):
        raise LoopError(f"{reference} is no function")
    return own_evaluator(loaded)


def own_evaluator(function: Callable[..., Any]) -> OwnEvaluator:
    """The function as an evaluator, named after it. Raises LoopError for another signature."""
    key = getattr(function, "__name__", type(function).__name__)
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and (each.default is each.empty or each.name in _NAMED)
    ]
    names = tuple(each.name for each in required)
    if names and set(names) <= set(_NAMED) and all(p.kind != p.POSITIONAL_ONLY for p in required):
        return OwnEvaluator(key, function, names)
    if len(names) == 2:
        return OwnEvaluator(key, function, ())
    raise LoopError(
        f"evaluator {key} takes ({', '.join(names)}); write (run, example) or any of "
        "(inputs, outputs, reference_outputs)"
    )


def _score(key: str, result: object) -> Score:
    """Reads a number, a boolean, a mapping or an object with `score`. Raises LoopError."""
    comment = ""
    if isinstance(result, Mapping):
        key, comment = str(result.get("key") or key), str(result.get("comment") or "")
        result = result.get("score", result.get("value"))
    elif hasattr(result, "score"):  # langsmith.evaluation.EvaluationResult
        key, comment = (
            str(getattr(result, "key", None) or key),
            str(getattr(result, "comment", None) or ""),
        )
        result = result.score
    if result is None:
        return Score(key=key, score=None, comment=comment)
    if not isinstance(result, bool | int | float):
        raise LoopError(f"evaluator {key} returned {type(result).__name__}, no score")
    if not 0 <= result <= 1:
        raise LoopError(f"evaluator {key} returned {result}; a score is from 0 to 1")
    return Score(key=key, score=float(result), comment=comment, threshold=PASSED)
