"""From the score that a quote was chosen by to how often such quotes are right. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

CURVE: Final[Sequence[tuple[float, float]]] = (
    (0.000, 0.000),
    (0.271, 0.200),
    (0.381, 0.250),
    (0.466, 0.348),
    (0.658, 0.579),
    (0.931, 0.714),
    (1.171, 0.952),
)
"""Scores, and the share of development questions whose first quote of that score was right.

Written by `python -m bench.confidence --fit`; docs/benchmarks.md has its reliability."""


def confidence_of(score: float) -> float:
    """How often a first quote of this score was right, between the points of the curve."""
    if score <= CURVE[0][0]:
        return CURVE[0][1]
    for (low, before), (high, after) in pairwise(CURVE):
        if score <= high:
            return before + (after - before) * (score - low) / (high - low)
    return CURVE[-1][1]
