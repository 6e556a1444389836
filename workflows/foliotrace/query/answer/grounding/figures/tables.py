"""The labelled rows of numbers in a text, with the period of each column. Pure.

A statement is read as PDF readers leave it: rows on one line, or a label and its numbers line by
line; periods as years, as full dates, or as months and days above their years.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Final, TypeAlias

from foliotrace.query.answer.grounding.figures.numbers import (
    MONTH,
    MONTHS,
    Quantity,
    quantities,
)

Period: TypeAlias = tuple[int, int, int]
"""(year, month, day); month and day are 0 where only the year is known."""

SYNONYMS: Final = {
    "revenue": "sales", "revenues": "sales", "sales": "revenue", "top line": "sales revenue",
    "cogs": "cost of sales revenue goods sold", "cost of goods sold": "cost of sales revenue",
    "cost of products sold": "cost of sales", "profit": "income profit earnings",
    "earnings": "income", "ppne": "property plant equipment", "r&d": "research development",
    "pp&e": "property plant equipment", "ebitda": "operating income depreciation amortization",
    "margin": "sales income profit revenues", "margins": "sales income profit revenues",
    "payables": "accounts payable", "receivables": "accounts receivable",
    "quick ratio": "current assets inventories liabilities",
    "current ratio": "current assets liabilities", "tax rate": "income taxes before",
    "working capital": "current assets liabilities", "capex": "purchases property equipment",
    "capital expenditure": "payments purchases acquisition property plant equipment",
    "cash flow": "cash activities", "sg&a": "selling general administrative",
}  # fmt: skip
"""Words of a question, and the words that the labels of statements use for them."""

NAMED: Final = 0.6  # the share of a label of several words that names its row
MOST_ROWS: Final = 6
_GLUED: Final = 14  # letters without a space: a label whose words the reader ran together
_NEUTRAL: Final = frozenset({"total", "net", "consolid", "the"})
_NUMERIC_LINE: Final = re.compile(r"[\s$€£(|)\d.,%\-\u2013\u2014]*")
_SHORT_MONTHS: Final = tuple(month[:3] for month in MONTHS)
_MONTH_DAY: Final = re.compile(
    rf"\b({MONTH})\.?\s+(\d{{1,2}})\b(?:,?\s+((?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(r"\b(?:(?:FY|CY)\s?)?((?:19|20)\d\d)\b")
_FOOTNOTE: Final = re.compile(r"\(\d\)(?!\s?%)")
_LETTERS: Final = re.compile(r"[A-Za-z]")
_WORDS: Final = re.compile(r"[a-z]+")
_HEADING: Final = (
    "three six nine twelve months month year years quarter weeks ended ending fiscal as of at for "
    "the in on and fy cy usd millions thousands unaudited change"
)
_HEAD_WORDS: Final = frozenset(_HEADING.split())  # beside the one period of a column
_LONGEST_HEAD: Final = 14  # words of a line that heads columns


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A label with the numbers behind it in their order, and the period of each, where known."""

    label: str
    values: tuple[float, ...]
    periods: tuple[Period, ...] = ()
    percent: bool = False

    def holds(self, figure: Quantity, scales: Collection[float]) -> bool:
        """Whether one of its numbers is the figure, unrounded, in a text of these scales."""
        written = {figure.value, figure.value * figure.scale}
        written |= {figure.value * figure.scale / scale for scale in scales}
        return not written.isdisjoint(self.values)

    @property
    def newest_first(self) -> bool | None:
        """Whether the first two columns run from new to old; None where no periods say so."""
        known = len(self.periods) > 1 and self.periods[0] != self.periods[1]
        return self.periods[0] > self.periods[1] if known else None


@dataclass(slots=True)
class _Head:
    """The periods above the columns, collected line by line until a row of numbers comes."""

    periods: list[Period] = field(default_factory=list)
    days: list[tuple[int, int]] = field(default_factory=list)
    open: bool = True

    def add(self, dates: Sequence[tuple[str, str, str]], years: Sequence[str]) -> None:
        """Take the dates (month, day, year or nothing) and the years of a line."""
        for name, day, year in dates:
            month = _SHORT_MONTHS.index(name[:3].casefold()) + 1
            if year:
                self.periods.append((int(year), month, int(day)))
            else:
                self.days.append((month, int(day)))
        self.periods += ((int(year), 0, 0) for year in years)

    def of(self, count: int) -> tuple[Period, ...]:
        """The periods of a row of `count` numbers; none where the counts do not agree."""
        if len(self.periods) != count:
            return ()
        if len(self.days) == count:
            pairs = zip(self.periods, self.days, strict=True)
            return tuple((year, month, day) for (year, _, _), (month, day) in pairs)
        return tuple(self.periods)


def _head_of(line: str) -> tuple[list[tuple[str, str, str]], list[str]] | None:
    """The dates and years of a line that heads columns; None for another line."""
    dates = _MONTH_DAY.findall(line)
    bare = _MONTH_DAY.sub(" ", line)
    years = _YEAR.findall(bare)
    if not (dates or years) or len(line.split()) > _LONGEST_HEAD or line.rstrip().endswith("."):
        return None
    rest = _YEAR.sub(" ", bare)
    words = frozenset(_WORDS.findall(rest.casefold())) - _HEAD_WORDS
    labelled = bool(words) and len(years) + len(dates) < 2
    return None if labelled or any(map(str.isdigit, rest)) else (dates, years)


def rows(text: str) -> list[NumberRow]:
    """The labelled numbers of a table's text: on one line, or below their label line by line."""
    head = _Head()
    found: list[tuple[str, list[Quantity], _Head]] = []
    for line in text.splitlines():
        periods = _head_of(line)
        if periods is not None:
            head = head if head.open else _Head()
            head.add(*periods)
            continue
        line = _FOOTNOTE.sub(" ", _MONTH_DAY.sub(" ", line))
        numeric = _NUMERIC_LINE.fullmatch(line) is not None
        last = 0 if numeric else max((m.end() for m in _LETTERS.finditer(line)), default=0)
        values = list(quantities(line[last:]))
        full = bool(found) and len(found[-1][1]) >= len(head.periods) > 1
        if not numeric or (values and full):
            found.append((line[:last], values, head))
        elif found:
            found[-1][1].extend(values)
        head.open = head.open and not values
    return [row for label, values, above in found for row in _split(label, values, above)]


def _split(label: str, numbers: Sequence[Quantity], head: _Head) -> Iterator[NumberRow]:
    """A row of amounts and one of percentages, each with its periods."""
    for percent, group in groupby(sorted(numbers, key=_percent), _percent):
        values = tuple(quantity.value for quantity in group)
        yield NumberRow(label, values, head.of(len(values)), percent)


def _percent(quantity: Quantity) -> bool:
    return quantity.percent


@lru_cache(256)
def expanded(words: str) -> str:
    """`words` with what the labels of statements call the same things."""
    lower = words.casefold()
    words = " ".join(spelled for word in words.split() for spelled in spellings(word))
    return " ".join([words, *(other for word, other in SYNONYMS.items() if word in lower)])


def spellings(word: str) -> tuple[str, ...]:
    """The word as it is and as it is spelled across the Atlantic."""
    swaps = (("ence", "ense"), ("ense", "ence"), ("our", "or"), ("or", "our"), ("is", "iz"))
    return (word, *(word.replace(a, b) for a, b in swaps if a in word))


def relevant(
    table: Sequence[NumberRow],
    wanted: AbstractSet[str],
    terms: Callable[[str], Sequence[str]],
    at_most: int = MOST_ROWS,
) -> list[NumberRow]:
    """The rows whose labels are most about the `wanted` terms, the best first."""
    scored = []
    for row in dict.fromkeys(table):
        share, shared = _match(row.label, wanted, terms)
        if shared:
            scored.append((share, shared, row))
    scored.sort(key=lambda each: (-each[0] * each[1], -each[1]))
    return [row for _, _, row in scored[:at_most]]


def _match(
    text: str, wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> tuple[float, float]:
    """(share of the label that is wanted, how many terms of it)."""
    if any(len(word) >= _GLUED for word in text.split()):
        squeezed = "".join(text.casefold().split())
        inside = [term for term in wanted if len(term) > 2 and term in squeezed]
        return sum(map(len, inside)) / len(squeezed), len(inside)
    named = {t for t in terms(text) if not t.isdigit()}
    label = named - _NEUTRAL or named
    shared = len(label & wanted)
    return (shared / len(label) if label else 0.0), shared


def named_by(
    table: Sequence[NumberRow], wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> bool:
    """Whether the wanted terms hold the label of a row, or most of a long one."""
    matches = (_match(row.label, wanted, terms) for row in table)
    return any(share >= 1 or (share >= NAMED and shared > 1) for share, shared in matches)


def shares_word(
    row: NumberRow, wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> bool:
    """Whether the row's label has any of the wanted terms, or no words at all."""
    return not row.label.strip() or _match(row.label, wanted, terms)[1] > 0


def totals(table: Sequence[NumberRow]) -> list[NumberRow]:
    """The rows that are labelled as a total and no more."""
    return [row for row in table if row.label.strip(" \t:$|").casefold() in ("total", "totals")]


def aligned(one: NumberRow, other: NumberRow) -> Iterator[tuple[int, int]]:
    """The columns (of one, of the other) that stand for the same period."""
    if not one.periods or not other.periods or one.periods == other.periods:
        yield from ((i, i) for i in range(min(len(one.values), len(other.values))))
        return
    for i, period in enumerate(one.periods):
        for j, twin in enumerate(other.periods):
            known = period[1] and twin[1]  # both with month and day
            if period == twin if known else period[0] == twin[0]:
                yield i, j
