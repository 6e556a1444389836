"""Whether a question for a figure gets it: the gold value in the first line of the answer.

A question asks for a figure when it says so ("how much", "what was") and its gold answer begins
with, or holds, an amount. Amounts are equal within rounding, in any scale.
"""

import re
from collections.abc import Mapping, Sequence

from foliotrace.model import Answer

_ASKS = re.compile(
    r"\b(?:how much|how many|what (?:is|was|were|percent\w*)|what \w+ tax rate)\b", re.I
)
_REASONS = re.compile(r"\b(?:why|impact|drove|driver|factors|relate\w*|correlat\w*|focus)\b", re.I)
_AMOUNT = re.compile(
    r"(?P<money>[$€£]\s?)?(?P<minus>[(\-]\s?[$€£]?)?(?P<number>\d[\d,]*(?:\.\d+)?)\s?"
    r"(?P<scale>%|thousand|million|billion|mn\b|bn\b)?",
    re.I,
)
_SCALES = {"thousand": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9}
_ROUNDING = 0.006


def asks_for_a_figure(row: Mapping[str, object]) -> bool:
    """Whether a row of a development set asks for a figure."""
    question, gold = str(row["question"]), str(row["answer"])
    return bool(_ASKS.search(question)) and not _REASONS.search(question) and bool(amounts(gold))


def amounts(text: str) -> list[float]:
    """The amounts of money, percentages and scaled numbers; a text of one number is an amount."""
    bare = re.fullmatch(r"\s*[$€£]?\s*[\d,.]+%?\s*", text) is not None
    found = []
    for match in _AMOUNT.finditer(text):
        scale = (match["scale"] or "").lower()
        if bare or match["money"] or scale:
            number = float(match["number"].replace(",", "").rstrip(".") or 0)
            found.append(number * _SCALES.get(scale, 1.0))
    return found


def holds(line: str, gold: Sequence[float]) -> bool:
    """Whether a line has one of the gold amounts, unscaled ones in any scale."""
    return any(_equal(a, b) for a in amounts(line) for b in gold)


def _equal(one: float, other: float) -> bool:
    return any(
        abs(one - other * scale) <= _ROUNDING * abs(one) for scale in (1.0, 1e3, 1e6, 1e9) if one
    )


def figures(
    rows: Sequence[Mapping[str, object]], answers: Sequence[Answer]
) -> Mapping[str, object]:
    """How many questions for a figure have the gold value in the first line of their answer."""
    asked = [(r, a) for r, a in zip(rows, answers, strict=True) if asks_for_a_figure(r)]
    right = [_first_lines_hold(row, answer) for row, answer in asked]
    given = [any(c.figure for c in answer.citations) for _, answer in asked]
    return {
        "questions": len(asked),
        "gold_in_first_line": round(sum(right) / max(1, len(asked)), 3),
        "cell_given": sum(given),
        "cell_given_and_gold": sum(r and g for r, g in zip(right, given, strict=True)),
        "without": [str(r["id"]) for (r, _), ok in zip(asked, right, strict=True) if not ok],
    }


def _first_lines_hold(row: Mapping[str, object], answer: Answer) -> bool:
    """The first line, or the first lines where the answer names several figures."""
    first = answer.text.split("\n\n")[0] if any(c.figure for c in answer.citations) else ""
    return holds(first or answer.text.split("\n")[0], amounts(str(row["answer"])))
