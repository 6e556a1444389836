"""Whether a number of a sentence has the unit that it has in the passages. Pure.

"10 kilometres" is not "10 miles", "120 per second" is not "120 per minute", EUR are not USD. Only
units of one kind are compared; a passage that gives the number no unit says nothing against one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from foliotrace.text_caches import text_cache

KINDS: Final = (
    (
        "seconds?|secs?|s",
        "minutes?|mins?",
        "hours?|hrs?|h",
        "days?",
        "weeks?",
        "months?",
        "quarters?",
        "years?|yrs?",
    ),
    (
        "millimet(?:er|re)s?|mm",
        "centimet(?:er|re)s?|cm",
        "met(?:er|re)s?|m",
        "kilomet(?:er|re)s?|km",
        "inch(?:es)?",
        "feet|foot|ft",
        "yards?",
        "(?:statute )?miles?|mi",
    ),
    (
        "micrograms?|mcg",
        "milligrams?|mg",
        "grams?|g",
        "kilograms?|kg|kilos?",
        "tons?|tonnes?|t",
        "pounds?|lbs?",
        "ounces?|oz",
    ),
    ("millilit(?:er|re)s?|ml", "lit(?:er|re)s?|l", "gallons?|gal", "barrels?|bbl"),
    ("°C|celsius", "°F|fahrenheit"),
    ("watts?|w", "kilowatts?|kw", "megawatts?|mw", "gigawatts?|gw"),
    ("wh", "kwh", "mwh", "gwh", "twh"),
    ("bytes?", "kb|kilobytes?", "mb|megabytes?", "gb|gigabytes?", "tb|terabytes?"),
    (
        r"usd|\$|us\$|dollars?",
        "eur|€|euros?",
        "gbp|£",
        "jpy|¥|yen",
        "chf|francs?",
        "rm|myr|ringgit",
        "inr|rs|rupees?",
        "sek|nok|dkk|kron(?:a|or|e|er)",
        "cny|rmb|yuan",
    ),
    ("percent|per cent|%|pct", "percentage points?|pp", "basis points?|bps"),
)
"""Units of one kind, each with its spellings."""

_SPELLED: Final = tuple(
    (re.compile(spellings, re.IGNORECASE), (kind, place))
    for kind, units in enumerate(KINDS)
    for place, spellings in enumerate(units)
)
_WORDS: Final = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "fifteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "ninety",
]
_VALUES: Final = dict(
    zip(_WORDS, (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 40, 50, 60, 90), strict=True)
)
_NUMBER: Final = (
    rf"(?P<number>\d[\d,]*(?:\.\d+)?|(?<![-\w])(?:{'|'.join(_WORDS)})(?![-\w]\w*\w{{9}}))"
)
_UNIT: Final = (
    r"percentage points?|basis points?|per cent|statute miles?|[A-Za-z]+|%|°[CF]|°dH|[€£¥]"
)
_BEHIND: Final = re.compile(
    rf"{_NUMBER}(?:\s?(?:thousand|million|billion|trillion)s?)?[\s-]{{0,2}}(?P<unit>{_UNIT})"
    rf"(?:\s(?:per|a|each|every)\s(?P<per>[a-z]+))?",
    re.IGNORECASE,
)
_BEFORE: Final = re.compile(
    r"(?P<unit>USD|EUR|GBP|CHF|JPY|RM|MYR|INR|Rs|SEK|NOK|DKK|CNY|RMB|US\$|[$€£¥])\s?(?P<number>\d[\d,]*(?:\.\d+)?)"
    r"(?:\s(?:thousand|million|billion))?(?:\s(?:per|a|each|every)\s(?P<per>[a-z]+))?"
)
_PERIOD: Final = re.compile(r"(?P<number>\d[\d,]*(?:\.\d+)?)\s\w+\s(?:per|a|each)\s(?P<per>[a-z]+)")

_SPELLED_NUMBER: Final = re.compile(
    rf"(?<![-\w])({'|'.join(_WORDS)})\b(?! (?:days|weeks|months|years))"
)
_DIGITS: Final = re.compile(r"\d+")

Measure: TypeAlias = tuple[float, int, int]
"""(number, kind, unit): the kind and the unit by their places in `KINDS`, negative behind "per"."""


@text_cache(4096)
def _unit(word: str) -> tuple[int, int] | None:
    return next((unit for spelled, unit in _SPELLED if spelled.fullmatch(word)), None)


def _measures(text: str) -> Iterator[Measure]:
    for pattern in (_BEHIND, _BEFORE, _PERIOD):
        for found in pattern.finditer(text):
            groups = found.groupdict()
            written = groups["number"].casefold()
            number = _VALUES.get(written) or float(written.replace(",", "") or 0)
            for name, sign in (("unit", 1), ("per", -1)):
                unit = _unit(groups[name]) if groups.get(name) else None
                if unit is not None:
                    yield number, sign * (unit[0] + 1), unit[1]


@text_cache(1024)
def measured(text: str) -> frozenset[Measure]:
    """The numbers of a text with their units."""
    return frozenset(_measures(text))


def wrong_unit(claim: str, texts: Sequence[str]) -> bool:
    """Whether a number has a unit that the passages give it nowhere, but another of its kind."""
    held = frozenset().union(*map(measured, texts))
    for number, kind, unit in measured(claim) - held:
        others = {other for n, k, other in held if n == number and k == kind}
        if others and unit not in others:
            return True
    return False


def spelled_out(claim: str, texts: Sequence[str]) -> bool:
    """Whether each "three years" of a claim stands in the passages, where they name such times."""
    spelled = {each for each in measured(_DIGITS.sub(" ", claim)) if each[1] == 1}
    if not spelled:
        return True
    times = {each for each in frozenset().union(*map(measured, texts)) if each[1] == 1}
    bare = {_VALUES[word] for text in texts for word in _SPELLED_NUMBER.findall(text.casefold())}
    return not times or all(each in times or each[0] in bare for each in spelled)
