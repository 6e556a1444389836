"""Sentences that only say which period is meant: "FY2023 is the 12 months ended ...". Pure."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.figures import numbers

_CONVENTION: Final = re.compile(
    r"\b(?:assum\w+|refers? to|corresponds? to|denotes?|means|is taken as)\b", re.IGNORECASE
)
_WORDS_WORDS: Final = (
    "the answer here this assumes assume assuming assumption refers refer referred to corresponds "
    "correspond denotes means mean is as taken period periods fiscal fy cy year years quarter "
    "months month weeks week ended ends ending on of in and company although though which it its "
    "calls names called named while by that for we our calendar full q1 q2 q3 q4 with a first "
    "second third fourth twelve three"
)
_WORDS: Final = frozenset(_WORDS_WORDS.split()) | frozenset(numbers.MONTHS)  # fmt: skip
_LETTERS: Final = re.compile(r"[a-z]+")
_LENGTH: Final = re.compile(r"\b(\d+)[ -](month|week)")
_LENGTHS: Final = {"month": (3.0, 6.0, 9.0, 12.0), "week": (13.0, 26.0, 39.0, 52.0, 53.0)}
_FULL: Final = re.compile(r"[A-Z][a-z]+ \d{1,2}, \d{4}")
_WEEKS: Final = (52, 53)


def is_period_convention(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the sentence only explains a period, and the passages bear it out.

    Its years are asked about or cited, and its dates are cited or fall a year from cited ones.
    """
    if not claim.has_digits or _CONVENTION.search(claim.text) is None:
        return False
    if not frozenset(_LETTERS.findall(claim.text.casefold())) <= _WORDS:
        return False
    asked = {int(q.value) for q in question.quantities if q.is_year}
    held = {int(q.value) for e in cited for q in e.facts.quantities if q.is_year}
    ends = [_date(*found) for found in numbers.full_dates(claim.text)]
    cited_ends = [_date(*found) for e in cited for found in numbers.full_dates(e.facts.text)]
    if not all(end and any(_a_year_apart(end, other) for other in cited_ends) for end in ends):
        return False
    outside = _FULL.sub(" ", claim.text)
    if asked and not any(str(year) in outside for year in asked):
        return False
    of_ends = {end.year for end in ends if end}
    if any(year - min(asked or held, default=year) not in (0, 1) for year in of_ends):
        return False
    if not claim.years - of_ends <= asked | held:
        return False
    days = {float(end.day) for end in ends if end}
    lengths = {float(n) for n, unit in _LENGTH.findall(claim.text) if float(n) in _LENGTHS[unit]}
    return all(q.is_year or q.value in days | lengths for q in claim.quantities)


def _date(month: str, day: str, year: str) -> date | None:
    try:
        return date(int(year), numbers.MONTHS.index(month.casefold()) + 1, int(day))
    except ValueError:
        return None


def _a_year_apart(one: date, other: date | None) -> bool:
    """Whether two dates are equal, or end neighbouring years of 52 or 53 weeks or 12 months."""
    if other is None:
        return False
    weeks = {timedelta(weeks=count) for count in _WEEKS}
    apart = abs(one - other)
    same_day = (one.month, one.day) == (other.month, other.day)
    return apart in weeks | {timedelta(0)} or (same_day and abs(one.year - other.year) == 1)
