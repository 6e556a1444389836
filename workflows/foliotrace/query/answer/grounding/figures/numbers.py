"""The numbers of a text in every form they are written in, and when two of them agree. Pure."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.text_caches import text_cache

SCALES: Final = {
    "thousand": 1e3, "thousands": 1e3, "k": 1e3,
    "million": 1e6, "millions": 1e6, "mn": 1e6, "mm": 1e6, "mio": 1e6, "m": 1e6,
    "billion": 1e9, "billions": 1e9, "bn": 1e9, "b": 1e9,
    "trillion": 1e12, "trillions": 1e12, "tn": 1e12,
}  # fmt: skip
"""Words and letters behind a number, and what they multiply it by."""

PERCENT: Final = ("%", "percent", "per cent", "pct", "percentage point", "percentage points")
HEDGES: Final = (
    "about", "approximately", "approx.", "around", "roughly", "nearly", "almost", "circa", "some",
    "more than", "over", "less than", "under", "~", "≈",
)  # fmt: skip
"""Words before a number that say it is rounded."""

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip

LEAST_ROUND: Final = 100  # "about 1,200" stands for 1,150 to 1,250; "about 20" only for 20
MOST_ROUNDED: Final = 0.05  # of a whole number such as 9% or 2 billion

_CURRENCIES: Final = tuple("$\u20ac\u00a3\u00a5")
_UNITS: Final = "|".join(re.escape(u) for u in sorted((*SCALES, *PERCENT), key=len, reverse=True))
_HEDGES: Final = "|".join(re.escape(h) for h in sorted(HEDGES, key=len, reverse=True))
_NUMBER: Final = re.compile(
    r"(?P<number>(?<![\w.,])\d{1,3}(?:\.\d{3})+,\d+|(?<![\w.])\d[\d,]*(?:\.\d+)?)"
    rf"(?:(?:\s?|\)\s?(?=%))(?P<unit>{_UNITS})(?!\w))?",
    re.IGNORECASE,
)
# Looked for before each number that was found: an optional prefix is tried at every character.
_HEDGE_BEFORE: Final = re.compile(rf"(?<!\w)(?:{_HEDGES})\s*[$€£¥]?\s?$", re.IGNORECASE)
_LONGEST_HEDGE: Final = max(map(len, HEDGES)) + 4
_YEAR_CODE: Final = re.compile(r"\b(?:FY|CY|Q[1-4])\s?['\u2019]?(\d{4}|\d\d)\b", re.IGNORECASE)
# "2." counts items at the start of a line or clause only: elsewhere it ends a sentence.
_LIST_NUMBER: Final = re.compile(
    r"(?:^|(?<=[\s:,;]))(?:\(\d\)|\d\))(?=\s)|(?:^|(?<=[.:;]\s))\d\.(?=\s)", re.MULTILINE
)
_CODE: Final = re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w+\b")
_ORDINAL_OR_UNIT: Final = re.compile(
    rf"\d[\d,.]*(?:st|nd|rd|th|{_UNITS})(?!\w)|\d{{1,2}}(?:\.\d+)?x(?!\w)|(?:FY|CY|Q[1-4])\d+"
    r"|(?:RM|USD|EUR|GBP|AUD|AU|SGD|MYR|CHF|CAD|INR|Rs|HKD)\d+",
    re.IGNORECASE,
)
_STATED_SCALE: Final = re.compile(
    r"\bin\s+(?:[A-Z]{3}\s+|U\.?S\.?\s+)?(?:dollars?\s+in\s+)?(thousands|millions|billions)\b"
    r"|\b(?:\$|USD|EUR|GBP)\s*(?:in\s+)?(thousands?|millions?|billions?)\b",
    re.IGNORECASE,
)
_COUNT_SCALE: Final = re.compile(
    r"(?<!dollars )(?<!\$ )(?<![A-Z]{3} )\bin (?:thousands|millions)\b(?! of)", re.IGNORECASE
)
MONTH: Final = "|".join(f"{m[:3]}(?:{m[3:]}|t)?" if m[3:] else m for m in MONTHS)
"""A month's name, whole or by its first three letters (Sept has four)."""
_MONTH_DAY: Final = re.compile(
    rf"\b({MONTH})\.?\s+(\d{{1,2}})\b"
    rf"|\b(\d{{1,2}})(?:st|nd|rd|th)?\s+({MONTH})\b"
    r"|\b\d{4}-(\d\d)-(\d\d)\b|\b(\d\d?)/(\d\d?)/\d{4}\b",
    re.IGNORECASE,
)
_ISO_DATE: Final = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_ORDINALS: Final = ("first", "second", "third", "fourth")
_QUARTER: Final = re.compile(
    rf"\b(?:Q([1-4])|({'|'.join(_ORDINALS)}) quarter)\s?(?:of |in )?(?:the )?"
    r"(?:fiscal |calendar )?(?:year )?(?:FY|CY)?\s?['\u2019]?(\d{4}|\d\d)\b",
    re.IGNORECASE,
)
_FULL_DATE: Final = re.compile(
    rf"\b({'|'.join(MONTHS)})\s+(\d{{1,2}}),?\s+((?:19|20)\d\d)\b", re.IGNORECASE
)
_SPACED: Final = re.compile(r"(?<![\d.,])(\d{1,3}) (?=000\b(?![.,]\d))")  # 208 000
_CURRENCY_CODES: Final = "RM|USD|US|EUR|GBP|AUD|AU|SGD|MYR|CHF|CAD|INR|Rs|HKD|NT"
_PREFIX: Final = re.compile(rf"(?:\$|\b)(?:{_CURRENCY_CODES})\$?(?=\d)|\b[ACS]\$(?=\d)")
_TIME: Final = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written. `scale` is 1 where none is written beside it."""

    value: float
    decimals: int = 0
    scale: float = 1.0
    percent: bool = False
    hedged: bool = False
    start: int = 0
    grouped: bool = False  # with a thousands separator, which no year has
    money: bool = False  # behind the sign of a currency
    points: bool = False  # percentage points

    @property
    def tolerance(self) -> float:
        """Half of the last digit that the writer claims, in units of `value`."""
        if self.hedged and not self.decimals and self.value >= LEAST_ROUND:
            zeros = len(digits := f"{self.value:.0f}") - len(digits.rstrip("0"))
            return max(0.5, 0.5 * 10.0**zeros)
        half = 0.5 * 10.0**-self.decimals
        return half if self.decimals or self.hedged else min(half, MOST_ROUNDED * self.value)

    @property
    def rounds(self) -> bool:
        """Whether it may be the rounding of a longer number; a plain whole number is exact."""
        return self.hedged or self.percent or self.decimals > 0 or self.scale > 1

    @property
    def is_year(self) -> bool:
        """Whether it reads as a year."""
        plain = not (self.decimals or self.percent or self.grouped or self.scale > 1)
        return plain and 1900 <= self.value <= 2100


def _is_hedged(text: str, start: int) -> bool:
    """Whether "about", "roughly" or the like stands before the number."""
    return _HEDGE_BEFORE.search(text[max(0, start - _LONGEST_HEDGE) : start]) is not None


def quantities(text: str) -> Sequence[Quantity]:
    """The numbers of `text` in order, those inside codes as `SEA08CA049` left out."""
    return _of_clause(text) if len(text) <= _CLAUSE else tuple(_quantities(text))


def _quantities(text: str) -> Iterator[Quantity]:
    text = _LIST_NUMBER.sub(lambda m: " " * len(m.group()), text)
    text = _SPACED.sub(r"\1,", text)
    text = _PREFIX.sub(lambda m: "$".rjust(len(m.group())), text)
    if ":" in text:  # 10:45 is 1045, as reports write it
        text = _TIME.sub(lambda m: f"{m[1]}{m[2]} ", text)
    for found in _NUMBER.finditer(text):
        written = found["number"].rstrip(",")
        if "," in written and "." in written and written.rindex(",") > written.rindex("."):
            written = written.replace(".", "").replace(",", ".")  # 1.234,56
        written = written.replace(",", "")
        fraction = written.partition(".")[2]
        end = found.end("number")
        in_word = not found["unit"] and text[end : end + 1].replace("_", "a").isalnum()
        if in_word and not _ORDINAL_OR_UNIT.match(text, found.start("number")):
            continue  # a code
        unit = (found["unit"] or "").casefold()
        yield Quantity(
            value=float(written),
            decimals=0 if fraction == "00" else len(fraction),
            scale=SCALES.get(unit, 1.0),
            percent=unit in PERCENT,
            points=unit.startswith("percentage"),
            hedged=_is_hedged(text, found.start("number")),
            start=found.start("number"),
            grouped="," in found["number"].rstrip(","),
            money=text[max(0, found.start() - 2) : found.start()].rstrip()[-1:] in _CURRENCIES,
        )
    for year in _YEAR_CODE.finditer(text):
        digits = year[1]
        yield Quantity(float(digits if len(digits) == 4 else f"20{digits}"), start=year.start(1))


_CLAUSE: Final = 600  # characters: each sentence of an answer is compared with the same clauses


@text_cache(4096)
def _of_clause(text: str) -> tuple[Quantity, ...]:
    return tuple(_quantities(text))


def codes(text: str) -> frozenset[str]:
    """Words of letters and digits (777X, SEA08CA049, Q2), without numbers that carry a unit."""
    return frozenset(
        word.casefold() for word in _CODE.findall(text) if not _ORDINAL_OR_UNIT.fullmatch(word)
    )


def stated_scales(text: str) -> frozenset[float]:
    """The scales that a text states for its tables: "in millions"."""
    return frozenset(SCALES[(a or b).casefold()] for a, b in _STATED_SCALE.findall(text))


def scales_counts(text: str) -> bool:
    """Whether a text states a scale for whatever its tables count, not for money alone."""
    return _COUNT_SCALE.search(text) is not None


def month_days(text: str) -> frozenset[tuple[int, int]]:
    """(month, day) of each date that names both."""
    short = [month[:3] for month in MONTHS]
    dates = set()
    for name, day, day_first, name_last, month, day_iso, one, other in _MONTH_DAY.findall(text):
        if one:  # 11/01/2007 may be read either way
            both = ((int(one), int(other)), (int(other), int(one)))
            dates |= {(month_no, day_no) for month_no, day_no in both if month_no <= 12}
        elif month:
            dates.add((int(month), int(day_iso)))
        else:
            dates.add((short.index((name or name_last)[:3].casefold()) + 1, int(day or day_first)))
    return frozenset(dates)


def without_dates(text: str) -> str:
    """The text with a space for each character of its days and months."""
    return _MONTH_DAY.sub(lambda m: " " * len(m.group()), text)


def has_iso_date(text: str) -> bool:
    """Whether the text names a day as 2024-06-30."""
    return _ISO_DATE.search(text) is not None


def full_dates(text: str) -> list[tuple[str, str, str]]:
    """(month, day, year) of each date that is written out: "January 28, 2023"."""
    return _FULL_DATE.findall(text)


def quarters(text: str) -> frozenset[tuple[int, int]]:
    """(quarter, year) of each quarter that is named with its year: "Q2 of FY 2024"."""
    found = set()
    for digit, ordinal, year in _QUARTER.findall(text):
        quarter = int(digit) if digit else _ORDINALS.index(ordinal.casefold()) + 1
        found.add((quarter, int(year) if len(year) == 4 else 2000 + int(year)))
    return frozenset(found)


def same(
    claimed: Quantity, held: Quantity, scales: Collection[float], asked: Collection[float] = ()
) -> bool:
    """Whether `held`, in a text whose tables state `scales`, is what `claimed` says.

    `asked` are the scales in which the question wants its number.
    """
    if held.scale > 1 or held.percent:
        return close(claimed, held.value * held.scale / claimed.scale)
    if claimed.scale == 1:  # in the units of the table, or written out
        return (
            any(close(claimed, held.value * scale) for scale in (1.0, *scales))
            or any(
                close(claimed, held.value * scale / unit, exact=False)
                for scale in scales
                for unit in asked
                if unit != scale
            )
            or (claimed.percent and held.value < 1 and close(claimed, held.value * 100))
        )
    if scales:
        return any(close(claimed, held.value * scale / claimed.scale) for scale in scales)
    return close(claimed, held.value) or close(claimed, held.value / claimed.scale)


def close(claimed: Quantity, value: float, *, exact: bool = True) -> bool:
    """Whether `value` (in the units of `claimed.value`) rounds to what is claimed.

    A plain whole number must be equal where `exact`.
    """
    margin = claimed.tolerance if claimed.rounds or not exact else 0.0
    return abs(claimed.value - abs(value)) <= margin + 1e-9 * max(1.0, abs(value))
