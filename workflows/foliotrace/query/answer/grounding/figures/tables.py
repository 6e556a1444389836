"""The labelled rows of numbers in a text, with the period of each column. Pure.

A statement is read as PDF readers leave it: rows on one line, or a label and its numbers line by
line; periods as years, as full dates, or as months and days above their years.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, TypeAlias

from foliotrace.query.answer.grounding.figures.numbers import (
    MONTH,
    MONTHS,
    Quantity,
    quantities,
)
from foliotrace.text_caches import text_cache

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
NEUTRAL: Final = frozenset({"total", "net", "consolid", "the"})
_NUMERIC_LINE: Final = re.compile(r"[\s$€£(|)\d.,%\-\u2013\u2014]*")
_SHORT_MONTHS: Final = tuple(month[:3] for month in MONTHS)
_MONTH_DAY: Final = re.compile(
    rf"\b({MONTH})\.?\s+(\d{{1,2}})\b(?:,?\s+((?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(r"\b(?:(?:FY|CY)\s?)?((?:19|20)\d\d)\b")
_FOOTNOTE: Final = re.compile(r"(?<=[A-Za-z])\s?\(\d\)(?!\s?%)")
_HEAD_FOOTNOTE: Final = re.compile(r"(?<=\d)\s?(?:\(\d\))+")  # "2018 (2)(3)"
_NIL: Final = re.compile(
    r"(?:(?<=\t)|^)\s*[$€£]?\s*[-\u2013\u2014]\s*(?=\t|$)"
    r"|(?<=[A-Za-z)\u2014] )[$€£]?\s?\u2014(?= (?:\u2014|[$€£(]?\s?\d))|(?<=\d )\u2014(?= |$)"
)
_MONTHS: Final = re.compile(r"\b(three|six|nine|twelve) months ended\b", re.IGNORECASE)
_LENGTHS: Final = {"three": 3, "six": 6, "nine": 9, "twelve": 12}
_CELL: Final = re.compile(r"\t|\s\|\s")
_LETTERS: Final = re.compile(r"[A-Za-z]")
_WORDS: Final = re.compile(r"[a-z]+")
_HEADING: Final = (
    "three six nine twelve months month year years quarter weeks ended ending fiscal as of at for "
    "the in on and fy cy usd millions thousands unaudited change"
)
_HEAD_WORDS: Final = frozenset(_HEADING.split())  # beside the one period of a column
_LONGEST_HEAD: Final = 14  # words of a line that heads columns
_LONGEST_SECTION: Final = 6  # words of a label that heads rows


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A label with the numbers behind it in their order, and the period of each, where known."""

    label: str
    values: tuple[float, ...]
    periods: tuple[Period, ...] = ()
    percent: bool = False
    months: tuple[int, ...] = ()  # how long the period of each column is, where the head says so
    names: tuple[str, ...] = ()  # the headings of the columns, where they are no periods
    section: str = ""  # the heading above it: "Japan:" above "Net sales"

    def holds(self, figure: Quantity, scales: Collection[float]) -> bool:
        """Whether one of its numbers is the figure, unrounded, in a text of these scales."""
        written = {figure.value, figure.value * figure.scale}
        written |= {figure.value * figure.scale / scale for scale in scales}
        return not written.isdisjoint(self.values)

    def holds_at(self, column: int, figure: Quantity, scales: Collection[float]) -> bool:
        """Whether the number of a column is the figure, perhaps rounded."""
        if figure.is_year or figure.percent != self.percent:
            return False
        value, wide = self.values[column], figure.tolerance if figure.rounds else 0.0
        return any(
            abs(value * scale / figure.scale - figure.value) <= wide
            for scale in (*scales, 1.0, figure.scale)
        )

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
    months: list[int] = field(default_factory=list)
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

    def lengths_of(self, count: int) -> tuple[int, ...]:
        """The months of each of `count` columns, which the lengths divide evenly."""
        if not self.months or count % len(self.months):
            return ()
        return tuple(each for each in self.months for _ in range(count // len(self.months)))

    def of(self, count: int) -> tuple[Period, ...]:
        """The periods of a row of `count` numbers; none where the counts do not agree."""
        if len(self.periods) != count:
            return ()
        if len(self.days) in (1, count) and not any(month for _, month, _ in self.periods):
            days = self.days if len(self.days) == count else self.days * count
            pairs = zip(self.periods, days, strict=True)
            return tuple((year, month, day) for (year, _, _), (month, day) in pairs)
        return tuple(self.periods)


def _head_of(line: str) -> tuple[list[tuple[str, str, str]], list[str]] | None:
    """The dates and years of a line that heads columns; None for another line."""
    line = _HEAD_FOOTNOTE.sub(" ", line)
    dates = _MONTH_DAY.findall(line)
    bare = _MONTH_DAY.sub(" ", line)
    years = _YEAR.findall(bare)
    if len(line.split()) > _LONGEST_HEAD or line.rstrip().endswith("."):
        return None
    if not (dates or years):
        return ([], []) if _MONTHS.search(line) and not any(map(str.isdigit, line)) else None
    rest = _YEAR.sub(" ", bare)
    words = frozenset(_WORDS.findall(rest.casefold())) - _HEAD_WORDS
    labelled = bool(words) and len(years) + len(dates) < 2
    return None if labelled or any(map(str.isdigit, rest)) else (dates, years)


@dataclass(slots=True)
class _Line:
    """A label with the numbers of its own line and those of the lines below it."""

    label: str
    inline: list[Quantity]
    head: _Head
    below: list[Quantity] = field(default_factory=list)
    behind: str = ""  # what stands on the line from the first number on
    names: tuple[str, ...] = ()
    section: str = ""

    def close(self) -> None:
        """A number on the label's line is part of the label where others stand below it."""
        if self.inline and self.below:
            self.label, self.inline = f"{self.label}{self.behind}", []

    @property
    def values(self) -> list[Quantity]:
        return [*self.inline, *self.below]


def rows(text: str) -> list[NumberRow]:
    """The labelled numbers of a table's text: on one line, or below their label line by line."""
    head = _Head()
    found: list[_Line] = []
    for line in text.splitlines():
        periods = _head_of(line)
        if periods is not None:
            head = head if head.open else _Head()
            head.add(*periods)
            head.months += (_LENGTHS[m.casefold()] for m in _MONTHS.findall(line))
            continue
        if any(mark in line for mark in "-\u2013\u2014"):
            line = _NIL.sub(" 0 ", line)
        line = _FOOTNOTE.sub(" ", _MONTH_DAY.sub(" ", line))
        numeric = _NUMERIC_LINE.fullmatch(line) is not None
        last = 0 if numeric else max((m.end() for m in _LETTERS.finditer(line)), default=0)
        values = list(quantities(line[last:]))
        full = bool(found) and len(found[-1].values) >= len(head.periods) > 1
        if not numeric or (values and full):
            found.append(_Line(line[:last], values, head, behind=line[last:].rstrip()))
        elif found:
            found[-1].below.extend(values)
        head.open = head.open and not values
    for each in found:
        each.close()
    _name_columns(found)
    _name_sections(found)
    return [row for each in found for row in _split(each)]


def _name_columns(found: Sequence[_Line]) -> None:
    """Give rows the headings of their columns: cells of one line, or the lines before the first."""
    heads: list[str] = []
    names: tuple[str, ...] = ()
    for each in found:
        count = len(each.values)
        if not count:
            cells = [cell.strip() for cell in _CELL.split(each.label.strip(" |"))]
            heads, names = (cells if len(cells) > 2 else [*heads, cells[0]]), ()
            continue
        if not names and len(heads) > count > 1 and not each.head.periods:
            names = tuple(heads[-count:])
        each.names = names if len(names) == count else ()
        heads = []


def _name_sections(found: Sequence[_Line]) -> None:
    """Give rows the nearest short label without numbers above them."""
    section = ""
    for each in found:
        if each.values:
            each.section = section
        elif len(each.label.split()) <= _LONGEST_SECTION:
            section = each.label


def _split(line: _Line) -> Iterator[NumberRow]:
    """A row of amounts and one of percentages, each with its periods."""
    label, head = line.label, line.head
    for percent, group in groupby(sorted(line.values, key=_percent), _percent):
        values = tuple(quantity.value for quantity in group)
        count = len(values)
        names = line.names if len(line.names) == count else ()
        yield NumberRow(
            label, values, head.of(count), percent, head.lengths_of(count), names, line.section
        )


def _percent(quantity: Quantity) -> bool:
    return quantity.percent


@text_cache(256)
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
        share, shared = match(row.label, wanted, terms)
        if shared:
            scored.append((share, shared, row))
    scored.sort(key=lambda each: (-each[0] * each[1], -each[1]))
    return [row for _, _, row in scored[:at_most]]


@text_cache(8192)
def label_terms(text: str, terms: Callable[[str], Sequence[str]]) -> frozenset[str]:
    """The terms of a label, without numbers and without those of every second label."""
    named = frozenset(t for t in terms(text) if not t.isdigit())
    return named - NEUTRAL or named


def match(
    text: str, wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> tuple[float, float]:
    """(share of the label that is wanted, how many terms of it)."""
    if any(len(word) >= _GLUED for word in text.split()):
        squeezed = "".join(text.casefold().split())
        inside = [term for term in wanted if len(term) > 2 and term in squeezed]
        return sum(map(len, inside)) / len(squeezed), len(inside)
    label = label_terms(text, terms)
    shared = len(label & wanted)
    return (shared / len(label) if label else 0.0), shared


def named_by(
    table: Sequence[NumberRow], wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> bool:
    """Whether the wanted terms hold the label of a row, or most of a long one."""
    matches = (match(row.label, wanted, terms) for row in table)
    return any(share >= 1 or (share >= NAMED and shared > 1) for share, shared in matches)


def shares_word(
    row: NumberRow, wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> bool:
    """Whether the row's label has any of the wanted terms, or no words at all."""
    return not row.label.strip() or match(row.label, wanted, terms)[1] > 0


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
