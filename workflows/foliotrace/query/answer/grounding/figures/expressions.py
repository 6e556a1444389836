"""Arithmetic that a sentence shows: "8,400 - 8,000 = 400". Pure."""

import re
from collections.abc import Iterator
from typing import Final

from foliotrace.query.answer.grounding.figures.numbers import close, quantities

_STATED: Final = re.compile(
    r"(?P<left>\(?\$?\d[\d,.]*%?(?:\s*[-+*/\u00d7\u00f7\u2212x]\s*\(*\s*\$?\d[\d,.]*%?\)*)+)\s*(?:=|\u2248)"
    r"\s*\$?\s?(?P<right>\d[\d,]*(?:\.\d+)?)\s*(?P<percent>%)?"
)
_PART: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|[-+*/()]")
_SIGNS: Final = str.maketrans({"\u00d7": "*", "x": "*", "\u00f7": "/", "\u2212": "-", "$": " "})


def has_result(text: str) -> bool:
    """Whether the text shows any arithmetic with its result."""
    return "=" in text or "\u2248" in text


def stated_results(text: str) -> Iterator[tuple[int, bool]]:
    """(place of the result in `text`, whether the arithmetic shown before it is right)."""
    for found in _STATED.finditer(text):
        right = next(iter(quantities(found["right"] + (found["percent"] or ""))), None)
        value = _evaluated(found["left"])
        if right is not None and value is not None:
            yield found.start("right"), close(right, value) or close(right, 100 * value)


def _evaluated(expression: str) -> float | None:
    """The value of an expression of numbers, four operations and brackets; None if it has none."""
    parts = _PART.findall(expression.translate(_SIGNS).replace("%", ""))
    parts = parts[1:] if parts.count("(") > parts.count(")") and parts[0] == "(" else parts
    try:
        value, rest = _sum(parts)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return None if rest else value


def _sum(parts: list[str]) -> tuple[float, list[str]]:
    value, parts = _product(parts)
    while parts and parts[0] in "+-":
        sign, (other, parts) = parts[0], _product(parts[1:])
        value = value + other if sign == "+" else value - other
    return value, parts


def _product(parts: list[str]) -> tuple[float, list[str]]:
    value, parts = _factor(parts)
    while parts and parts[0] in "*/":
        sign, (other, parts) = parts[0], _factor(parts[1:])
        value = value * other if sign == "*" else value / other
    return value, parts


def _factor(parts: list[str]) -> tuple[float, list[str]]:
    if parts[0] != "(":
        return float(parts[0].replace(",", "")), parts[1:]
    value, parts = _sum(parts[1:])
    return value, parts[1:]
