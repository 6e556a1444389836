"""Codes in a question that stand for one thing: numbers of cases, reports, invoices. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from foliotrace.text_caches import text_cache

_TOKEN: Final = re.compile(r"(?<![\w&.'/-])[A-Za-z0-9]+(?:[-/][A-Za-z0-9]+)*(?![\w'])")
_NUMBERED: Final = re.compile(
    r"\b(?:case|claim|invoice|report|policy|accident|incident|file|ticket|docket|patient|reference"
    r"|customer|serial|estimate|order|account|contract)s?\s*"
    r"(?:(?:no\.?|number|nr\.?|id|#)\s*[:#]?\s*|[#:]\s*)(?P<code>\d[\d/-]{2,}\d|\d{3,})\b",
    re.I,
)
_PERIOD: Final = re.compile(r"(?:fy|cy|q|h|qtr|year)\d+(?:fy\d+)?", re.I)
_LETTERS_AND_DIGITS: Final = re.compile(r"[a-z]+|\d+", re.I)
_LEAST_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class AskedCode:
    """A code as the question writes it, and the words that documents may divide it into."""

    text: str
    divided: tuple[str, ...] = ()  # "RTX4090" as "RTX 4090"

    @property
    def parts(self) -> list[str]:
        """Its words: without hyphens and strokes."""
        return re.split(r"[-/]", self.text)

    def stands_in(self, text: str) -> bool:
        """Whether a text writes the code, in any case."""
        return re.search(rf"(?<!\w){re.escape(self.text)}(?!\w)", text, re.I) is not None

    def without(self, text: str) -> str:
        """A text without the code."""
        return re.sub(rf"(?<!\w){re.escape(self.text)}(?!\w)", " ", text, flags=re.I)

    @property
    def shape(self) -> re.Pattern[str]:
        """Codes of the same length and kinds of characters."""
        kinds = (
            r"\d" if c.isdigit() else "[a-z]" if c.isalpha() else re.escape(c) for c in self.text
        )
        return re.compile(rf"(?<!\w){''.join(kinds)}(?!\w)", re.I)


@text_cache(64)
def asked_codes(text: str) -> tuple[AskedCode, ...]:
    """The codes in a question, each once: "SEA08CA049", "SF-1008", "case no. 4711-22"."""
    codes = [AskedCode(t, _divided(t)) for t in _TOKEN.findall(text) if _is_code(t)]
    codes += [AskedCode(found["code"]) for found in _NUMBERED.finditer(text)]
    return tuple(dict.fromkeys(codes))


def _is_code(token: str) -> bool:
    parts = re.split(r"[-/]", token)
    if sum(map(str.isdigit, token)) < _LEAST_DIGITS or any(map(_PERIOD.fullmatch, parts)):
        return False
    if any(_is_mixed(part) for part in parts):
        return True
    numbers = [part for part in parts if part.isdigit()]
    letters = [part for part in parts if part.isalpha()]
    if not letters or not numbers or not all(part.isupper() for part in letters):
        return False  # "mid-2022"
    return not all(_is_year(number) for number in numbers) and len(max(numbers, key=len)) > 2


def _is_mixed(part: str) -> bool:
    """Whether letters and digits alternate, or letters stand in front: "100km" is an amount."""
    runs = _LETTERS_AND_DIGITS.findall(part)
    digits = sum(map(str.isdigit, part))
    return digits >= _LEAST_DIGITS and (len(runs) > 2 or (len(runs) == 2 and part[0].isalpha()))


def _is_year(number: str) -> bool:
    return len(number) == 4 and number[:2] in ("19", "20")


def _divided(token: str) -> tuple[str, ...]:
    runs = _LETTERS_AND_DIGITS.findall(token)
    return tuple(runs) if len(runs) == 2 else ()
