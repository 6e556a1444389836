"""Chooses the cells that a question asks for: the row by its words, the column by its period.

What stands for what ("revenue": "total net sales") is the lexicon's business. Where the words of
the question are not covered by a row, its column and what stands above, no cell is chosen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.cells.periods import Period, Periods, fits
from foliotrace.query.answer.cells.qualifiers import Qualifier, holds_qualifiers
from foliotrace.query.answer.cells.tables import (
    PREFIX,
    Cell,
    CellTable,
    Column,
    LabelledRow,
    money_in,
    starts_of,
)

MIN_COVER: Final = 0.72  # of the question's weight
FORM_COVER: Final = 0.7  # the same in a form, where a label has one value only
MIN_SHARE: Final = 0.5  # of a label's words that the question asks for
ADDED_SHARE: Final = 0.75  # the same of a second row
ADDED_COVER: Final = 0.15  # of the question's weight that a second row must add
CONTEXT: Final = 0.8  # of a word that stands above the table only
OTHER_WORDS: Final = 0.8  # of a word that the label writes differently
OTHER_COLUMN: Final = 0.6  # a column about something else than the question
NOT_PERCENT: Final = 0.8  # a percentage, where none was asked for
RANK_LOSS: Final = 0.01  # for each place of the passage in the ranking
EQUAL: Final = 0.985  # of the best score: fits as well
MOST: Final = 6
MOST_EQUAL: Final = 2
_FORWARD: Final = re.compile(
    r"\b(?:outlook|guidance|forecasts?|plans? to|expects? (?:to|the|that)|anticipates?)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question asks for, as weighted terms, and its periods.

    `rows` are phrases of the question with the labels that state the same. `fillers` are words of
    labels that do not count. `plain` are words without weight, as the documents' identity
    has them, or all questions: alone they choose nothing, but a label of several may consist of
    them. `series`: it asks for a development; `count`: how many there are; `forward`: what is
    expected; `amount`: it names a figure, which no text in words is.
    """

    weights: Mapping[str, float]
    periods: Periods
    rows: tuple[tuple[frozenset[str], tuple[frozenset[str], ...]], ...] = ()
    fillers: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    series: bool = False
    numeric: bool = False
    percent: bool = False
    count: bool = False
    forward: bool = False
    amount: bool = False
    qualifiers: tuple[Qualifier, ...] = ()

    @property
    def total(self) -> float:
        """The weight of all terms."""
        return sum(self.weights.values())

    def weight(self, terms: frozenset[str]) -> float:
        """The weight of those of its terms."""
        return sum(weight for term, weight in self.weights.items() if term in terms)


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table with its passage, whose number in the ranking is `place`, and its document."""

    place: int
    passage: Passage
    table: CellTable
    document: Periods


@dataclass(frozen=True, slots=True)
class ChosenCell:
    """A cell with where it stands, and how well it fits."""

    source: SourceTable
    row: LabelledRow
    cell: Cell
    score: float
    covered: frozenset[str] = field(default=frozenset())
    above: frozenset[str] = field(default=frozenset())
    share: float = 1.0

    @property
    def column(self) -> Column:
        """Its column."""
        return self.source.table.column(self.cell)

    @property
    def when(self) -> Period:
        """What it is about in time, for sorting."""
        periods = self.column.periods if self.column.periods.named else self.source.table.periods
        return periods.newest or self.source.document.newest or Period(0)

    @property
    def said(self) -> tuple[str, str, frozenset[int]]:
        """Two cells that say the same are equal in this."""
        plain = "".join(c for c in self.cell.text if c.isalnum() or c in ".()")
        return plain, str(self.when), self.column.periods.months


def choose_cells(wanted: Wanted, sources: Sequence[SourceTable]) -> list[ChosenCell]:
    """The cells that answer the question, best first; none where that is not certain."""
    if not wanted.weights:
        return []
    candidates = [each for source in sources for each in _candidates(wanted, source)]
    if not candidates:
        return []
    best = _best(wanted, candidates)
    picked = _with_others(wanted, best, candidates)
    covered = frozenset().union(*(each.covered for each in picked))
    above = frozenset().union(*(each.above for each in picked))
    cover = wanted.weight(covered) + CONTEXT * wanted.weight(above - covered)
    is_form = not any(column.text for column in best.source.table.columns)
    if cover < (FORM_COVER if is_form else MIN_COVER) * wanted.total:
        return []
    chosen: list[ChosenCell] = []
    for one in picked:
        several = _equally_good(wanted, one, candidates)
        if not several:
            return []  # too many values fit as well
        chosen += several
    return _distinct(chosen)[:MOST]


def rate_of(chosen: ChosenCell, changes: frozenset[str]) -> ChosenCell | None:
    """The percentage of a cell's figure in the same column, where just one row of the table is it.

    Rows with one of `changes` in the label say how it changed.
    """
    found = [
        replace(chosen, row=row, cell=cell)
        for row in chosen.source.table.rows
        for cell in row.cells
        if cell.column == chosen.cell.column
        and row.terms > chosen.row.terms
        and not (row.terms - chosen.row.terms) & changes
        and cell.numeric
        and ("%" in row.label or cell.text.endswith("%"))
    ]
    return found[0] if len(found) == 1 else None


def _candidates(wanted: Wanted, source: SourceTable) -> Iterator[ChosenCell]:
    table = source.table
    if not wanted.forward and _FORWARD.search(f"{table.caption} {table.header}"):
        return
    dated = any(column.periods.named for column in table.columns)
    above = _held(wanted, table.context)
    known: dict[int, frozenset[str]] = {}  # what each column is about
    for row in table.rows:
        named, share = _named(wanted, row)
        if share < MIN_SHARE:
            continue
        written = _held(wanted, row.terms)
        columns = [table.column(cell) for cell in row.cells]
        for cell, column in zip(row.cells, columns, strict=True):
            about = known.get(cell.column)
            if about is None:
                about = known[cell.column] = _about(wanted, column)
            if not cell.measured and (wanted.numeric or wanted.amount or column.periods.named):
                continue
            if not row.terms and not about:
                continue
            around = row.group | column.terms | table.context
            if not holds_qualifiers(wanted.qualifiers, row.terms, around, wanted.rows):
                continue
            if wanted.count and (money_in(cell.text) or money_in(column.sign)):
                continue
            fit = _column_fit(wanted, source, row, column, about, dated=dated)
            if not fit:
                continue
            covered = named | about
            context_terms = (above | _held(wanted, row.group)) - covered
            cover = wanted.weight(covered) + CONTEXT * wanted.weight(context_terms)
            cover -= (1 - OTHER_WORDS) * wanted.weight(covered - written - about)
            score = cover / wanted.total * (0.4 + 0.6 * share) * fit
            score *= (1 - RANK_LOSS) ** source.place
            if not wanted.percent and (cell.text.endswith("%") or column.sign == "%"):
                if wanted.numeric:
                    continue
                score *= NOT_PERCENT
            yield ChosenCell(source, row, cell, score, covered, context_terms, share)


def _named(wanted: Wanted, row: LabelledRow) -> tuple[frozenset[str], float]:
    """The terms of the question that the row's label stands for, and the share of it that does."""
    if not row.terms:
        return frozenset(), 1.0  # its columns name the values
    if len(row.terms) > 1 and row.terms <= wanted.plain:
        return frozenset(), 1.0
    held = _held(wanted, row.terms)
    stated: frozenset[str] = frozenset()
    for phrase, labels in wanted.rows:
        for label in labels:
            if label <= row.terms:
                held |= phrase & wanted.weights.keys()
                stated |= label
    if not held:
        return held, 0.0  # as most rows
    core = row.terms - wanted.fillers or row.terms
    stated = stated | (row.terms & wanted.weights.keys()) | _similar_terms(wanted, row.terms)
    return held, len(core & stated) / len(core)


def _about(wanted: Wanted, column: Column) -> frozenset[str]:
    """The terms of the question that a column's header stands for."""
    held = _held(wanted, column.terms)
    core = column.terms - wanted.fillers
    for phrase, labels in wanted.rows:
        if core and any(label - wanted.fillers == core for label in labels):
            held |= phrase & wanted.weights.keys()
    return held


def _held(wanted: Wanted, terms: frozenset[str]) -> frozenset[str]:
    """The terms of the question among `terms`, other endings of a word included."""
    found = wanted.weights.keys() & terms
    if len(found) < len(wanted.weights):
        starts = starts_of(terms)
        found = found | {t for t in wanted.weights if t[:PREFIX] in starts and _kin(t, terms)}
    return frozenset(found)


def _kin(term: str, terms: frozenset[str]) -> bool:
    """Whether one of `terms` is the same word with an ending of up to two letters."""
    return any(
        (other.startswith(term) or term.startswith(other)) and abs(len(other) - len(term)) <= 2
        for other in terms
        if len(other) >= PREFIX
    )


def _similar_terms(wanted: Wanted, terms: frozenset[str]) -> set[str]:
    asked = frozenset(wanted.weights)
    return {term for term in terms if len(term) >= PREFIX and _kin(term, asked)}


def _column_fit(
    wanted: Wanted,
    source: SourceTable,
    row: LabelledRow,
    column: Column,
    about: frozenset[str],
    *,
    dated: bool,
) -> float:
    """How well a column stands for the question: its period, and its other words."""
    table = source.table
    other = 1.0 if about or not column.terms else OTHER_COLUMN
    if column.periods.named:
        if wanted.series and not wanted.periods.named:
            return other * fits(
                Periods(months=wanted.periods.months), column.periods, source.document
            )
        return other * fits(wanted.periods, column.periods, source.document)
    if dated:
        return 0.9 if about else 0.0  # the column of changes beside those of periods
    if len(row.cells) > 1 and not about:
        return 0.0  # nothing says which of the values is meant
    if table.periods.named or wanted.periods.named:
        return fits(wanted.periods, table.periods, source.document)
    return 1.0


def _best(wanted: Wanted, candidates: Sequence[ChosenCell]) -> ChosenCell:
    """The best one; where no period is asked for, of those that fit as well the newest."""
    best = max(candidates, key=lambda each: each.score)
    if wanted.periods.named:
        return best
    near = [c for c in candidates if c.score >= 0.9 * best.score and c.row.terms == best.row.terms]
    return max(near, key=lambda each: (each.when.order, each.score))


def _with_others(
    wanted: Wanted, best: ChosenCell, candidates: Sequence[ChosenCell]
) -> list[ChosenCell]:
    """The best one, and other rows of its document for what it leaves open."""
    picked = [best]
    least = ADDED_COVER * wanted.total
    while len(picked) < 3:
        held = frozenset().union(*(each.covered | each.above for each in picked))
        more = [
            each
            for each in candidates
            if each.share >= ADDED_SHARE
            and each.source.passage.document_id == best.source.passage.document_id
            and wanted.weight(each.covered - held) >= least
        ]
        if not more:
            break
        picked.append(max(more, key=lambda each: (wanted.weight(each.covered - held), each.score)))
    return picked


def _equally_good(
    wanted: Wanted, one: ChosenCell, candidates: Sequence[ChosenCell]
) -> list[ChosenCell]:
    """The cell with those that fit as well; for a development, those of all its periods."""
    several = len(wanted.periods.dates) + len(wanted.periods.quarters) + len(wanted.periods.years)
    if wanted.series or several > 1:
        same = [
            c for c in candidates if c.row.terms == one.row.terms and c.score >= 0.85 * one.score
        ]
        return sorted(_distinct(same), key=lambda each: each.when.order)[-MOST:]
    equal = [
        c
        for c in candidates
        if c.score >= EQUAL * one.score
        and (c.row.terms == one.row.terms or c.column is one.column)
        and c.source.passage.document_id == one.source.passage.document_id
        and c.source.passage.page == one.source.passage.page
    ]
    found = _distinct([one, *sorted(equal, key=lambda each: -each.score)])
    columns = {(id(each.row), each.column.text) for each in found if each.column.text}
    if columns and len(columns) < len(found):
        return []  # nothing tells the columns of one row apart
    return found if len(found) <= MOST_EQUAL else []


def _distinct(cells: Sequence[ChosenCell]) -> list[ChosenCell]:
    return list({each.said: each for each in reversed(cells)}.values())[::-1]
