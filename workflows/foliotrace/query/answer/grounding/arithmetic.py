"""Redoes the arithmetic behind a number that no passage states: from rows of the cited text. Pure.

Only rows whose labels share words with the question or the sentence take part, and only the
operations that reports are read with (change, share, difference, sum, mean): with every number
free to meet every other, any figure would come out of a long table.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Final

from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.numbers import Quantity, close, quantities

SYNONYMS: Final = {
    "revenue": "sales", "revenues": "sales", "top line": "sales", "cogs": "cost of sales",
    "cost of goods sold": "cost of sales", "cost of products sold": "cost of sales",
    "profit": "income profit earnings", "earnings": "income", "ppne": "property plant equipment",
    "pp&e": "property plant equipment", "ebitda": "operating income depreciation amortization",
    "margin": "sales income profit revenues", "margins": "sales income profit revenues",
    "payables": "accounts payable", "receivables": "accounts receivable",
    "quick ratio": "current assets inventories liabilities",
    "current ratio": "current assets liabilities", "tax rate": "income taxes before",
}  # fmt: skip
"""Words of a question, and the words that the labels of statements use for them."""

MOST_ROWS: Final = 6
_NEUTRAL: Final = frozenset({"total", "net", "consolid", "the", "other"})
_NUMERIC_LINE: Final = re.compile(r"[\s$€£(|)\d.,%\-\u2013\u2014]*")
_DATE: Final = re.compile(
    r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?\s+\d{1,2}(?:,?\s+\d{4})?"
)
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_LETTERS: Final = re.compile(r"[A-Za-z]")
_STATED: Final = re.compile(
    r"(?P<left>\(?\$?\d[\d,.]*%?(?:\s*[-+*/\u00d7\u00f7\u2212x]\s*\(*\s*\$?\d[\d,.]*%?\)*)+)\s*(?:=|\u2248)"
    r"\s*\$?\s?(?P<right>\d[\d,]*(?:\.\d+)?)\s*(?P<percent>%)?"
)
_PART: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|[-+*/()]")
_SIGNS: Final = str.maketrans({"\u00d7": "*", "x": "*", "\u00f7": "/", "\u2212": "-", "$": " "})


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A label with the numbers behind it, in their order."""

    label: str
    values: tuple[float, ...]
    newest_first: bool | None = None  # whether the columns run from new to old, where years say so


def rows(text: str) -> list[NumberRow]:
    """The labelled numbers of a table's text: on one line, or below their label line by line."""
    found: list[tuple[str, list[float]]] = []
    for line in text.splitlines():
        line = _DATE.sub("", line)
        if not line.strip():
            continue
        if _NUMERIC_LINE.fullmatch(line):
            if found:
                found[-1][1].extend(q.value for q in quantities(line))
            continue
        last = max((m.end() for m in _LETTERS.finditer(line)), default=0)
        behind = line[last:]
        found.append((line[:last], [q.value for q in quantities(behind)]))
    order = newest_first(text)
    return [NumberRow(label, tuple(values), order) for label, values in found if values]


def newest_first(text: str) -> bool | None:
    """Whether the columns of a text's tables run from new to old; None where no years say so."""
    for one, other in pairwise(int(year) for year in _YEAR.findall(text)):
        if abs(one - other) == 1:
            return one > other
    return None


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
    table: Sequence[NumberRow], wanted: AbstractSet[str], terms: Callable[[str], Sequence[str]]
) -> list[NumberRow]:
    """The rows whose labels are most about the `wanted` terms, the best first."""
    scored = []
    for row in dict.fromkeys(table):
        named = {t for t in terms(row.label) if not t.isdigit()}
        label = named - _NEUTRAL or named
        shared = len(label & wanted)
        if shared:
            scored.append((shared / len(label), shared, row))
    scored.sort(key=lambda each: (-each[0] * each[1], -each[1]))
    return [row for _, _, row in scored[:MOST_ROWS]]


def derives(
    claimed: Quantity, table: Sequence[NumberRow], said: polarity.Direction | None = None
) -> bool:
    """Whether one operation on the rows gives the claimed number, rounded as it is written.

    A change must also go the way that is `said`, where the table tells old from new.
    """
    if claimed.is_year:
        return False
    changes = _changes(table, percent=claimed.percent)
    if any(close(claimed, value) and _goes(value, said, dated) for value, dated in changes):
        return True
    return any(close(claimed, value) for value in _results(table, percent=claimed.percent))


def _goes(change: float, said: polarity.Direction | None, dated: bool) -> bool:
    return said is None or not dated or (change > 0) == (said == "up")


def _changes(table: Sequence[NumberRow], *, percent: bool) -> Iterator[tuple[float, bool]]:
    """(change, whether it runs from old to new) of each row, and of the share of two rows."""
    for row in table:
        for before, after, dated in _in_time(row.values[:4], row.newest_first):
            if percent and before:
                yield 100.0 * (after - before) / before, dated
            yield after - before, dated
    if percent:
        for one, other in permutations(table, 2):
            shares = _shares(one, other)
            for before, after, dated in _in_time(shares, one.newest_first):
                yield 100.0 * (after - before), dated


def _in_time(
    values: Sequence[float], newest_first: bool | None
) -> Iterator[tuple[float, float, bool]]:
    """Pairs of neighbours, the older one first; both ways where the order is not known."""
    for left, right in pairwise(values):
        if newest_first is not True:
            yield left, right, newest_first is False
        if newest_first is not False:
            yield right, left, newest_first is True


def _shares(one: NumberRow, other: NumberRow) -> list[float]:
    return [a / b for a, b in zip(one.values[:3], other.values[:3], strict=False) if b]


def _results(table: Sequence[NumberRow], *, percent: bool) -> Iterator[float]:
    """Shares, sums and differences of two rows, and a row's parts of its largest number."""
    for one, other in permutations(table, 2):
        shares = _shares(one, other)
        if percent:
            yield from (100.0 * share for share in shares)
            if len(shares) > 1:
                yield 100.0 * sum(shares) / len(shares)
        else:
            yield from shares
            for a, b in zip(one.values[:3], other.values[:3], strict=False):
                yield a + b
    if percent:
        for row in (each for each in table if each.newest_first is None):
            whole = max(row.values, default=0.0)
            yield from (100.0 * part / whole for part in row.values if whole)


def stated_results(text: str) -> Iterator[tuple[int, bool]]:
    """(place of the result in `text`, whether the arithmetic shown before it is right)."""
    for found in _STATED.finditer(text):
        right = next(quantities(found["right"] + (found["percent"] or "")), None)
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
