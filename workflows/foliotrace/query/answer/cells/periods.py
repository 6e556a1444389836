"""Which period a column, a document or a question is about. Pure.

A period is a date, a quarter or a year, with the months it covers where they are written.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from foliotrace.text_caches import text_cache

_NAMES: Final = (
    ("jan",), ("feb",), ("mar", "m\u00e4r"), ("apr", "avr"), ("may", "mai"), ("jun", "juin"),
    ("jul", "juil"), ("aug", "ao\u00fb"), ("sep",), ("oct", "okt"), ("nov",),
    ("dec", "dez", "d\u00e9c"),
)  # fmt: skip
_MONTHS: Final = {name: number for number, names in enumerate(_NAMES, 1) for name in names}
_MONTH: Final = rf"(?P<month>(?:{'|'.join(sorted(_MONTHS, key=len, reverse=True))})[a-z\u00e9]*)\.?"
_DATE: Final = re.compile(
    rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})\b", re.I
)
_DAY_FIRST: Final = re.compile(rf"\b(?P<day>\d{{1,2}})\.?\s+{_MONTH}\s+(?P<year>\d{{4}})\b", re.I)
_ISO: Final = re.compile(r"\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)\b")
_FULL: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|januar|februar|m\u00e4rz|mai|juni|juli|oktober|dezember|janvier|f\u00e9vrier|mars|avril|juin"
    "|juillet|ao\u00fbt|septembre|octobre|novembre|d\u00e9cembre"
)
_MONTH_OF_YEAR: Final = re.compile(
    rf"\b(?P<month>{_FULL}|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?)"
    r",?\s+(?:of\s+)?(?P<year>(?:19|20)\d\d)\b(?!\s*(?:%|percent))",
    re.I,
)  # whole words only: "gross margin 2023" names no month
_ORDINALS: Final = ("first", "second", "third", "fourth")
_QUARTER: Final = re.compile(
    rf"\b(?:q(?P<number>[1-4])|(?P<word>{'|'.join(_ORDINALS)})\s+quarter)"
    r"(?:\s*(?:of|in|,|-|/)?\s*(?:the\s+)?(?:fiscal\s+)?(?:year\s+)?(?:fy)?['\u2019]?\s*(?P<year>(?:20|19)?\d\d))?\b",
    re.I,
)
_FISCAL: Final = re.compile(r"\bfy\s*['\u2019]?(?P<year>(?:(?:19|20)\d\d|\d\d))\b", re.I)
_YEAR: Final = re.compile(r"(?<![\d$\u20ac\u00a3.,])(?P<year>(?:19|20)\d\d)(?![\d%]|[.,]\d)")
_COUNTS: Final = {
    3: "3 three 13 thirteen", 6: "6 six 26 twenty-six", 9: "9 nine 39 thirty-nine",
    12: "12 twelve 52 fifty-two 53 fifty-three",
}  # fmt: skip
_COUNT: Final = {word: months for months, words in _COUNTS.items() for word in words.split()}
_SPAN: Final = re.compile(
    r"\b(?P<count>twenty-six|thirty-nine|fifty-two|fifty-three|thirteen|three|six|nine|twelve"
    r"|13|26|39|52|53|3|6|9|12)[\s-]+(?:months?|weeks?)\b",
    re.I,
)
_PARTS_OF_YEARS: Final = frozenset({6, 9})  # which are written on purpose only
_QUARTERLY: Final = re.compile(r"\bquarter(?:ly|s)?\b|\bq[1-4]\b", re.I)
_YEARLY: Final = re.compile(
    r"\b(?:fiscal\s+)?years?\s+end(?:ed|ing|s)?\b|\bfy\s*\d|\bannual\b|\bfull[\s-]year\b|\bfiscal\s+\d{4}\b",
    re.I,
)
_LATEST: Final = re.compile(
    r"\b(?:latest|most\s+recent|newest|current\s+(?:period|quarter|year|report))\b", re.I
)
_WORDS: Final = re.compile(
    r"\b(?:fiscal|quarter(?:ly|s)?|years?|year-end|months?|weeks?|ended|ending|ends?|as\s+of|for|the|in|on|at|of|and|q[1-4]"
    r"|latest|most\s+recent|newest|annual|close|report(?:ed|s|ing)?|periods?|reporting)\b",
    re.I,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Period:
    """A point or stretch of time as it is written; parts that are not written are 0."""

    year: int
    month: int = 0
    day: int = 0
    quarter: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        """For sorting by time: a bare year stands behind its dates."""
        return (self.year, self.month or 3 * self.quarter or 13, self.day)


@dataclass(frozen=True, slots=True)
class Periods:
    """The dates, quarters and years that a text names, and the lengths in months.

    `latest`: it asks for the newest. `rest` is the text without them.
    """

    dates: tuple[Period, ...] = ()
    quarters: tuple[Period, ...] = ()
    years: tuple[int, ...] = ()
    months: frozenset[int] = frozenset()
    latest: bool = False
    rest: str = ""

    @property
    def named(self) -> bool:
        """Whether a certain period is named."""
        return bool(self.dates or self.quarters or self.years)

    @property
    def newest(self) -> Period | None:
        """The last of them in time."""
        found = [*self.dates, *self.quarters, *map(Period, self.years)]
        return max(found, key=lambda period: period.order, default=None)


@text_cache(2048)
def periods_in(text: str) -> Periods:
    """What a text says about time."""
    dates: list[Period] = []
    rest = text
    for pattern in (_DATE, _DAY_FIRST, _ISO):
        dates += [
            Period(int(found["year"]), _month(found["month"]), int(found["day"]))
            for found in pattern.finditer(rest)
        ]
        rest = pattern.sub(" ", rest)
    dates += [
        Period(int(found["year"]), _month(found["month"]))
        for found in _MONTH_OF_YEAR.finditer(rest)
    ]
    rest = _MONTH_OF_YEAR.sub(" ", rest)
    quarters = []
    for found in _QUARTER.finditer(rest):
        if found["year"]:
            word = found["word"]
            number = int(found["number"]) if found["number"] else _ORDINALS.index(word.lower()) + 1
            quarters.append(Period(_full(found["year"]), quarter=number))
    months = {_COUNT[found["count"].lower()] for found in _SPAN.finditer(rest)}
    if _QUARTERLY.search(rest):
        months.add(3)
    if _YEARLY.search(rest):
        months.add(12)
    latest = bool(_LATEST.search(rest))
    rest = _SPAN.sub(" ", _QUARTER.sub(" ", rest))
    years = [_full(found["year"]) for found in _FISCAL.finditer(rest)]
    rest = _FISCAL.sub(" ", rest)
    years += [int(found["year"]) for found in _YEAR.finditer(rest)]
    return Periods(
        dates=tuple(dict.fromkeys(dates)),
        quarters=tuple(dict.fromkeys(quarters)),
        years=tuple(dict.fromkeys(years)),
        months=frozenset(months),
        latest=latest,
        rest=" ".join(_WORDS.sub(" ", _YEAR.sub(" ", rest)).split()),
    )


def _full(year: str) -> int:
    return int(year) if len(year) == 4 else 2000 + int(year)


def _month(name: str) -> int:
    if name.isdigit():
        return int(name)
    lower = name.lower()
    return next(number for start, number in _MONTHS.items() if lower.startswith(start))


def fits(asked: Periods, column: Periods, document: Periods) -> float:
    """How well a column stands for the asked period: 0 not at all, 1 exactly.

    `document` is what the document's identity says of its own period, which decides where the
    column or the question does not.
    """
    own = _is_own(column, document)
    if asked.dates or asked.quarters:
        if (
            share_date(column, asked)
            or any(_same_quarter(one, other) for one in asked.quarters for other in column.quarters)
            or (own and share_date(asked, document))
        ):
            found = 1.0
        elif own and (set(asked.quarters) & set(document.quarters)):
            found = 0.95
        else:
            found = 0.0
    elif asked.years:
        ends = {date.year for date in column.dates} | set(column.years)
        found = 1.0 if ends & set(asked.years) else 0.0
        if own and set(asked.years) & set(document.years) and not found:
            found = 0.95
    else:
        found = 1.0 if own else 0.0
    return found * _length(asked, column, document)


def _is_own(column: Periods, document: Periods) -> bool:
    """Whether a column stands for its document's own period."""
    if not column.named or not document.named:
        return not column.named
    if column.dates:
        return share_date(column, document) or not document.dates
    if column.quarters:
        return bool(set(column.quarters) & set(document.quarters))
    ends = {date.year for date in document.dates} | set(document.years)
    return bool(set(column.years) & ends)


def share_date(one: Periods, other: Periods) -> bool:
    """Whether both name a date; "June 2023" is each day of that month."""
    return any(
        (a.year, a.month) == (b.year, b.month) and (a.day == b.day or not a.day or not b.day)
        for a in one.dates
        for b in other.dates
    )


def _same_quarter(one: Period, other: Period) -> bool:
    return (one.quarter, one.year) == (other.quarter, other.year)


def _length(asked: Periods, column: Periods, document: Periods) -> float:
    """1 where the lengths agree or are not written, less where they differ."""
    if not column.months:
        return 1.0
    wanted: Collection[int] = asked.months
    if not wanted and (asked.quarters or (document.months and not asked.years)):
        wanted = {3} if asked.quarters else document.months
    if not wanted:
        wanted = {12} if asked.years and not asked.dates else ()
    if not wanted:
        return 1.0
    if set(wanted) & column.months:
        return 1.0
    exact = asked.months and (asked.dates or asked.months & _PARTS_OF_YEARS)
    return 0.0 if exact else 0.6  # "the quarter ended" is not six months
