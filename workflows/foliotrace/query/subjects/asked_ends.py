"""Periods that a question states by their end ("the quarter ended June 30, 2023"). Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.cells.periods import Periods, periods_in, share_date

_END: Final = re.compile(
    r"\b(?:(?:(?!the\b|a\b)[\w-]+[\s-]+)?(?:months?|weeks?)|(?:(?:fiscal|financial)\s+)?(?:quarter|year|half|period)s?)"
    r"(?:[\s-]+periods?)?\s+(?:that\s+)?(?:ended|ending|ends)\s+(?:on\s+|in\s+)?"
    r"(?P<date>[^\W\d_]{3,9}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}"
    r"|\d{1,2}\.?\s+[^\W\d_]{3,9}\.?\s+\d{4}|\d{4}-\d\d-\d\d|[^\W\d_]{3,9}\.?,?\s+\d{4})",
    re.I,
)
_YEAR: Final = re.compile(r"\byear\b|\b(?:twelve|12)\s", re.I)
_FIRST_DAYS: Final = 7  # a month that ends on a week's end may do so in the next one


@dataclass(frozen=True, slots=True)
class AskedEnd:
    """A period as a question writes it, the date it ends on, and whether it is a whole year."""

    text: str
    date: Periods
    is_year: bool = False

    def held(self, periods: Periods) -> bool:
        """Whether a text with these periods speaks of it."""
        if share_date(self.date, periods):
            return True
        (end,) = self.date.dates
        month = 12 * end.year + end.month
        closes = not end.day and any(
            12 * each.year + each.month == month + 1 and each.day <= _FIRST_DAYS
            for each in periods.dates
        )
        return closes or (self.is_year and end.year in periods.years)


def asked_ends(question: str) -> list[AskedEnd]:
    """The periods whose ends a question states, each once."""
    found = []
    for each in _END.finditer(question):
        date = periods_in(each["date"])
        if len(date.dates) == 1:
            text = " ".join(each.group().split())
            found.append(AskedEnd(text, date, _YEAR.search(text) is not None))
    return list(dict.fromkeys(found))


def absent_ends(question: str, headers: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Those of them that no document found holds, as the question writes them.

    `headers` say whose passage each of `texts` is. A document of that year which does not say when
    its period ended may hold any.
    """
    asked = asked_ends(question)
    if not asked:
        return []
    own = [periods_in(header) for header in set(headers)]
    said = [*own, *(periods_in(text) for text in texts)]
    return [
        each.text
        for each in asked
        if not any(each.held(periods) for periods in said)
        and not any(
            not periods.dates and {end.year for end in each.date.dates} & _years(periods)
            for periods in own
        )
    ]


def _years(periods: Periods) -> set[int]:
    return set(periods.years) | {quarter.year for quarter in periods.quarters}
