"""Whether the figures of a sentence stand in the rows and columns that it speaks of. Pure.

A figure of a table is right in one cell: in the row of its label and the column of its period. What
a sentence says of a figure stands before it, else behind it, else before the figure before it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.grounding.figures import tables
from foliotrace.query.answer.grounding.figures.numbers import (
    Quantity,
    month_days,
    stated_scales,
)
from foliotrace.query.answer.grounding.figures.tables import NumberRow

EARLY_MONTH: Final = 2  # a fiscal year that ends so early is also named after the year before

_CUT: Final = re.compile(r"[,;:](?=\s)|\b(?:and|to|from|while|whereas|against|versus|vs)\b")
_EARLIER: Final = re.compile(
    r"\b(?:from|after|against|versus|vs\.?|than|with|compared (?:to|with))\b[^\d;]{0,24}$",
    re.IGNORECASE,
)
_ELSEWHEN: Final = re.compile(
    r"\b(?:(?:prior|previous|preceding|last) (?:fiscal )?(?:year|period|quarter)|year (?:before|"
    r"earlier|ago)|(?:year|quarter|period)s? (?:before|earlier|ago))\b",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(r"\b(?:FY|CY|fiscal )?\s?['\u2019]?((?:19|20)\d\d)\b", re.IGNORECASE)
_SHORT_YEAR: Final = re.compile(r"\b(?:FY|CY|fiscal(?: year)?)\s?['\u2019]?(\d\d)\b", re.IGNORECASE)
_SINCE: Final = re.compile(
    r"\b(?:since|from|versus|vs|against|than|compared|between|after|before)\b", re.IGNORECASE
)
_INTERIM: Final = re.compile(
    r"\b(?:quarter|months?|half|Q[1-4])\b.{0,24}\b(?:fiscal|FY)", re.IGNORECASE
)
_WHOLE: Final = re.compile(
    r"\b(?:out )?of (?:the |a |its )?(?:total |combined |whole )(?:of )?[$€£]?$", re.IGNORECASE
)
_TOTAL: Final = re.compile(r"\s?(?:thousand|million|billion)?\s*(?:in )?total\b", re.IGNORECASE)
_EACH: Final = re.compile(r"\b(?:per|each|average)\b|price", re.IGNORECASE)
_COUNTED: Final = re.compile(
    r"[\d.,]+ (?!(?:[oi]n|of|for|from|and|to|by|as|at)\b)(?:[a-z-]+ )?([a-z]{3,})"
)
_NEAR: Final = 40
_FISCAL: Final = re.compile(r"\bfiscal\b|\bFY", re.IGNORECASE)
_DAY_YEAR: Final = re.compile(r"(?<=\d), (?:19|20)\d\d\b")
_LENGTHS: Final = (
    (re.compile(r"\b(?:three|3)[ -]months?\b|\bquarter(?:ly)?\b|\bQ[1-4]\b", re.IGNORECASE), 3),
    (re.compile(r"\b(?:six|6|first half)[ -]months?\b|\bfirst half\b", re.IGNORECASE), 6),
    (re.compile(r"\b(?:nine|9)[ -]months?\b", re.IGNORECASE), 9),
    (re.compile(r"\b(?:twelve|12)[ -]months?\b|\bfull year\b", re.IGNORECASE), 12),
)


@dataclass(frozen=True)
class NumberTable:
    """The rows of one passage and the scales that it states."""

    rows: Sequence[NumberRow]
    scales: AbstractSet[float]
    outside: AbstractSet[float]  # numbers that also stand outside of its rows
    counts_scaled: bool = False  # whether its scales are also those of what is no money


@dataclass(frozen=True)
class Spoken:
    """What a sentence says: its text, its numbers, and the question that it answers."""

    text: str
    quantities: Sequence[Quantity]
    question: str
    terms: Callable[[str], Sequence[str]]


def misplaced(spoken: Spoken, held: Sequence[NumberTable]) -> Iterator[Quantity]:
    """The figures that stand only in cells of another row or column than is spoken of."""
    tabled = [table for table in held if table.rows]
    figures = [q for q in spoken.quantities if not q.is_year]
    if not tabled or not figures:
        return
    named = frozenset[str]().union(
        *(tables.label_terms(row.label, spoken.terms) for table in tabled for row in table.rows)
    )
    local: frozenset[str] = frozenset()
    for place, figure in enumerate(figures):
        before, after = _around(spoken.text, figures, place)
        cells = [
            (table, row, column)
            for table in tabled
            for row, column in _cells_of(figure, table)
        ]  # fmt: skip
        if _WHOLE.search(before[-_NEAR:]) or _TOTAL.match(after):
            local = frozenset()  # "14 of the 18 million total": not of the part's row
        elif cells or place + 1 < len(figures):
            local = _label_terms(before, after, spoken, named) or local
        if not cells or any(_outside(figure, table) for table in held):
            continue
        unscaled = _without_scale(figure, spoken)
        cells = [
            (table, row, column) for table, row, column in cells
            if not (unscaled and _is_scaled(figure, row, table, spoken))
            and not _of_another_row(row, table, local, spoken)
            and not _of_another_section(row, table, spoken)
        ]  # fmt: skip
        if not any(
            _in_period(row, column, before, after, spoken)
            and _in_column(row, column, before, after, spoken)
            for _, row, column in cells
        ):
            yield figure


def _around(text: str, figures: Sequence[Quantity], place: int) -> tuple[str, str]:
    """What stands between a figure and its neighbours."""
    start = figures[place - 1].start if place else 0
    end = figures[place + 1].start if place + 1 < len(figures) else len(text)
    figure = figures[place]
    return text[start : figure.start].lstrip("0123456789.,%"), text[figure.start : end].lstrip(
        "0123456789.,%"
    )


def _targets(figure: Quantity, table: NumberTable) -> Iterator[tuple[float, float]]:
    """(value, margin) of the figure in each unit that the table may be written in."""
    margin = figure.tolerance if figure.rounds else 0.0
    for scale in {1.0, *table.scales}:
        factor = figure.scale / scale
        yield figure.value * factor, margin * factor + 1e-9 * figure.value * factor
    if figure.scale > 1:
        yield figure.value, margin


def _cells_of(figure: Quantity, table: NumberTable) -> Iterator[tuple[NumberRow, int]]:
    targets = tuple(_targets(figure, table))
    for row in table.rows:
        if row.percent != figure.percent:
            continue
        for column, value in enumerate(row.values):
            if value and any(abs(value - target) <= margin for target, margin in targets):
                yield row, column


def _outside(figure: Quantity, table: NumberTable) -> bool:
    """Whether the passage also has the figure outside of its rows."""
    return any(
        abs(value - target) <= margin
        for target, margin in _targets(figure, table)
        for value in table.outside
    )


def _label_terms(before: str, after: str, spoken: Spoken, named: frozenset[str]) -> frozenset[str]:
    """The terms beside a figure that name any row."""
    cut = _CUT.search(after)
    for text in (before, after[: cut.start()] if cut else after, "" if before else spoken.question):
        found = frozenset(spoken.terms(tables.expanded(text))) & named if text else frozenset()
        if found - tables.NEUTRAL:
            return found
    return frozenset()


def _of_another_row(
    row: NumberRow, table: NumberTable, local: frozenset[str], spoken: Spoken
) -> bool:
    """Whether the words beside the figure name the whole of another row, and not of this one."""
    share, shared = tables.match(row.label, local, spoken.terms)
    if not local or share >= 1 or not row.label.strip():
        return False
    for other in table.rows:
        other_share, other_shared = tables.match(other.label, local, spoken.terms)
        if other_share >= 1 and other_shared > shared:
            return True
    return False


def _without_scale(figure: Quantity, spoken: Spoken) -> bool:
    """Whether a whole amount is given to the last unit: "$5,446", not "5,446" or "$5.4 million"."""
    if figure.scale > 1 or figure.percent or figure.decimals:
        return False
    return not (stated_scales(spoken.text) or stated_scales(spoken.question))


def _is_scaled(figure: Quantity, row: NumberRow, table: NumberTable, spoken: Spoken) -> bool:
    """Whether the row has the very digits, but counts in thousands or millions."""
    if not table.scales or figure.value not in row.values or _EACH.search(row.label):
        return False
    if figure.money:
        return True
    counted = _COUNTED.match(spoken.text[figure.start :])
    if not (table.counts_scaled and counted):
        return False
    return not tables.label_terms(f"{row.label} {row.section}", spoken.terms).isdisjoint(
        spoken.terms(counted[1])
    )


def _of_another_section(row: NumberRow, table: NumberTable, spoken: Spoken) -> bool:
    """Whether the row has its like under another heading, and the sentence names that one."""
    like = [other for other in table.rows if other.label == row.label]
    sections = {other.section for other in like if other.section and other.section != row.section}
    if not (sections and row.section):
        return False
    said = frozenset(spoken.terms(f"{spoken.text} {spoken.question}"))
    own, *others = (frozenset(spoken.terms(name)) for name in (row.section, *sections))
    return not own <= said and any(other and other <= said for other in others)


def _in_period(row: NumberRow, column: int, before: str, after: str, spoken: Spoken) -> bool:
    """Whether a column stands for the period that is said of the figure."""
    if row.months:
        lengths = _lengths(spoken.text) or _lengths(spoken.question)
        if len(lengths) == 1 and not lengths & {row.months[column]}:
            return False
    if not row.periods:
        return True
    year, month, day = row.periods[column]
    said = _period_said(before, after, spoken)
    if said is None:
        return True
    days = month_days(said)
    if month and days and any((m, d) in days for _, m, d in row.periods):
        return (month, day) in days and (not _years(said) or year in _years(said))
    own = _years(said)
    if not own or year in own:
        return True
    if month and month <= EARLY_MONTH:
        return year - 1 in own
    interim = _INTERIM.search(spoken.text) or _INTERIM.search(spoken.question)
    return bool(month and interim and not days and _FISCAL.search(said)) and year + 1 in own


def _period_said(before: str, after: str, spoken: Spoken) -> str | None:
    """The words that say when a figure was: those behind it, before it, else all there are."""
    cut = _CUT.search(after)
    behind = after[: cut.start()] if cut else after
    if cut and after[cut.start()] == "," and _DAY_YEAR.match(after, cut.start()):
        behind = after[: cut.start() + 6]  # "June 30, 2024"
    if _years(behind):
        return behind
    if _ELSEWHEN.search(behind) or _ELSEWHEN.search(before) or _EARLIER.search(before):
        return None
    if _years(before):
        return before
    if len(_years(spoken.text)) == 1:
        return spoken.text
    asked = _years(spoken.question)
    if not _years(spoken.text) and len(asked) == 1 and not _SINCE.search(spoken.question):
        return spoken.question
    return None


def years_said(spoken: Spoken, figure: Quantity) -> frozenset[int]:
    """The years that are said of a figure; none where the sentence leaves it open."""
    figures = [q for q in spoken.quantities if not q.is_year]
    place = next((i for i, each in enumerate(figures) if each.start == figure.start), None)
    if place is None:
        return frozenset()
    said = _period_said(*_around(spoken.text, figures, place), spoken)
    return _years(said) if said else frozenset()


def _in_column(row: NumberRow, column: int, before: str, after: str, spoken: Spoken) -> bool:
    """Whether the words beside the figure do not name another column than this."""
    if not row.names:
        return True
    cut = _CUT.search(after)
    beside = frozenset(spoken.terms(f"{before} {after[: cut.start()] if cut else after}"))
    shared = [len(beside.intersection(spoken.terms(name))) for name in row.names]
    return shared[column] == max(shared)


def _years(text: str) -> frozenset[int]:
    short = (2000 + int(year) for year in _SHORT_YEAR.findall(text))
    return frozenset((*map(int, _YEAR.findall(text)), *short))


def _lengths(text: str) -> frozenset[int]:
    return frozenset(months for words, months in _LENGTHS if words.search(text))
