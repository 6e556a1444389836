"""The total of a bill, by its label, by arithmetic and by size. Pure.

Amounts are never computed into the answer: sums only say which printed amount is the total.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.business_words import (
    CHANGE,
    FINAL_TOTAL,
    NOT_THE_TOTAL,
    PAID,
    ROUNDING,
    TAX,
    TOTAL_LINE,
)
from foliotrace.adapters.local.rules.visual_lines import VisualLine

_AMOUNT = re.compile(
    r"(?<![\d.,/:-])(?P<minus>-)?\s?(?P<whole>\d{1,3}(?:[,.' ]\d{3})+|\d+)[.,](?P<cents>\d{2})"
    r"(?![\d%]|[.,/:-]\d|\s?%)"
)
_CENT = 0.005
_LABELLED = 0.68


def _any(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])", re.I)


_TOTAL, _OTHER, _FINAL = _any(TOTAL_LINE), _any(NOT_THE_TOTAL), _any(FINAL_TOTAL)
_PAID, _CHANGE, _TAX, _ROUNDING = _any(PAID), _any(CHANGE), _any(TAX), _any(ROUNDING)


@dataclass(frozen=True, slots=True)
class PrintedAmount:
    """A printed amount, its span, the words of its line and the line's number."""

    value: float
    start: int
    end: int
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class Total:
    """The amount that is the total, and how sure that is."""

    amount: PrintedAmount
    confidence: float


def amounts(lines: Sequence[VisualLine]) -> list[PrintedAmount]:
    """Every amount with two decimals, with the words on its line."""
    found: list[PrintedAmount] = []
    for number, line in enumerate(lines):
        label = _AMOUNT.sub(" ", line.text)
        for segment in line.segments:
            for match in _AMOUNT.finditer(segment.text):
                whole = re.sub(r"\D", "", match["whole"])
                value = float(f"{match['minus'] or ''}{whole}.{match['cents']}")
                start = segment.start + match.start() + len(match[0]) - len(match[0].lstrip())
                found.append(
                    PrintedAmount(value, start, segment.start + match.end(), label, number)
                )
    return found


def total(lines: Sequence[VisualLine]) -> Total | None:
    """The most credible total among the lines; None where nothing speaks for one."""
    found = amounts(lines)
    if not found:
        return None
    reached = _by_arithmetic(found)
    often = Counter(amount.value for amount in found)
    rated = [(_rating(amount, reached, often, found), amount) for amount in found]
    best, amount = max(rated, key=lambda pair: (pair[0], pair[1].line))
    if best < 0.45:
        return None
    return Total(amount, round(min(best, 0.97), 3))


def _rating(
    amount: PrintedAmount,
    reached: Counter[float],
    often: Counter[float],
    found: Sequence[PrintedAmount],
) -> float:
    label, value = amount.label, amount.value
    on_line = {a.value for a in found if a.line == amount.line}
    if value <= 0:
        return 0.0
    rating = 0.0
    if _TOTAL.search(label):
        rating = _LABELLED + 0.08 * bool(_FINAL.search(label)) - 0.3 * bool(_OTHER.search(label))
        rating -= 0.3 * (len(on_line) > 1)  # the foot of a table of taxes
    elif _CHANGE.search(label) or _ROUNDING.search(label):
        return 0.0
    elif _PAID.search(label):
        rating = 0.3
    elif _TAX.search(label):
        return 0.0
    support = reached[value]
    rating -= 0.15 * (support < 0)
    return rating + 0.45 * (support > 0) + 0.1 * (support > 1) + 0.02 * min(3, often[value] - 1)


def _by_arithmetic(found: Sequence[PrintedAmount]) -> Counter[float]:
    """How many sums on the page lead to each printed amount, less those that lead on from it."""
    paid = {a.value for a in found if _PAID.search(a.label) and not _CHANGE.search(a.label)}
    back = {a.value for a in found if _CHANGE.search(a.label) and a.value >= 0}
    taxes = {a.value for a in found if _TAX.search(a.label) and not _TOTAL.search(a.label)}
    rounding = {a.value for a in found if _ROUNDING.search(a.label) and abs(a.value) < 0.1}
    before = {a.value for a in found if _TOTAL.search(a.label) and a.value > 0}
    printed = {a.value for a in found}
    reached: Counter[float] = Counter()

    def lead(start: float | None, made: float) -> None:
        for value in printed:
            if abs(value - made) < _CENT and value > 0 and value != start:
                reached[value] += 1
                if start is not None:
                    reached[start] -= 1

    for one in paid:
        for other in back:
            lead(None, one - other)
    for one in before:
        for other in taxes:
            lead(one, one + other)
        for other in rounding - {0.0}:
            lead(one, one + other)
            lead(one, one - abs(other))
    return reached
