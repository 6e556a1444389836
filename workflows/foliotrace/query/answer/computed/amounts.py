"""Amounts: what a cell says as a number in its unit, and how computed ones are written. Pure."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

_PLAIN: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_NEGATIVE: Final = re.compile(r"^\s*(?:US\$|[$\u20ac\u00a3\u00a5])?\s*[(\-\u2212\u2013]")
_SCALE: Final = re.compile(r"\b(thousand|million|billion)s?\b", re.I)
_SCALES: Final = {
    "thousand": Decimal(1_000), "million": Decimal(1_000_000), "billion": Decimal(1_000_000_000),
}  # fmt: skip
_ASKED_SCALE: Final = re.compile(
    r"\bin\s+(?:(?:US)?[D$\u20ac\u00a3]*\s*)?(?:dollars?\s+)?(thousand|million|billion)s?\b", re.I
)
_PLACES: Final = re.compile(
    r"\b(?P<count>one|two|three|four|\d)\s+(?:decimals?|decimal\s+(?:places?|points?))\b", re.I
)
_WHOLE: Final = re.compile(
    r"\bnearest\s+(?:whole\s+)?(?:number|integer|percent|million|dollar)\b", re.I
)
_COUNTS: Final = {"one": 1, "two": 2, "three": 3, "four": 4}
_MOST_PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as printed, and what its unit multiplies it with (None: the unit is not stated)."""

    number: Decimal
    scale: Decimal | None

    def scaled(self, default: Decimal) -> Decimal:
        """In single units; `default` where the scale is not stated."""
        return self.number * (default if self.scale is None else self.scale)


def is_percentage(text: str, sign: str = "") -> bool:
    """Whether a cell, in a column with this sign, is a percentage."""
    return text.rstrip(" )").endswith("%") or sign == "%"


def amount(text: str, unit: str | None) -> Amount | None:
    """The number of a cell of a table in this unit; None if it is not one."""
    found = _PLAIN.search(text)
    if found is None:
        return None
    try:
        number = Decimal(found.group().replace(",", ""))
    except InvalidOperation:
        return None
    scale = _SCALE.search(text[found.end() :]) or (_SCALE.search(unit) if unit else None)
    known = _SCALES[scale.group(1).lower()] if scale else Decimal(1) if unit else None
    return Amount(-number if _NEGATIVE.match(text) else number, known)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a question wants its number: decimal places, and the scale by name; None: as usual."""

    places: int | None = None
    scale: str | None = None

    @classmethod
    def of(cls, question: str) -> "Rounding":
        """What the question says about it."""
        scale = _ASKED_SCALE.search(question)
        places = _PLACES.search(question)
        count = None
        if places:
            word = places["count"].lower()
            count = min(
                _MOST_PLACES, _COUNTS.get(word) or int(word) if word.isdigit() else _COUNTS[word]
            )
        elif _WHOLE.search(question):
            count = 0
        return cls(count, scale.group(1).lower() if scale else None)

    def number(self, value: Decimal, usual: int) -> str:
        """A number with thousands separators."""
        places = usual if self.places is None else self.places
        rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
        return f"{rounded + 0:,}".replace("-0.0%", "0.0%")

    def percent(self, share: Decimal) -> str:
        """A share as a percentage."""
        return f"{self.number(share * 100, 1)}%"

    def money(self, value: Decimal, symbol: str) -> str:
        """An amount in single units, in the asked scale, else in the one that suits it."""
        scale = self.scale or _suiting(abs(value))
        if not scale:
            return f"{'-' if value < 0 else ''}{symbol}{self.number(abs(value), 0)}"
        number = abs(value) / _SCALES[scale]
        usual = 0 if number == number.to_integral_value() else 3 if number < 10 else 1
        sign = "-" if value < 0 else ""
        return f"{sign}{symbol}{self.number(number, usual)} {scale}"


def _suiting(value: Decimal) -> str | None:
    if value >= _SCALES["million"]:
        return "million"
    return "thousand" if value >= 10 * _SCALES["thousand"] else None
