"""Line items: the row of a document's tables that states a figure of the lexicon. Pure.

The statement that prints the item comes before other tables, the label that says just this before
longer ones. What does not fit well enough is not taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.cells.choose import ChosenCell, SourceTable
from foliotrace.query.answer.cells.tables import LabelledRow
from foliotrace.query.answer.computed.amounts import is_percentage
from foliotrace.query.answer.computed.fiscal import Calendar, Moment

MIN_FIT: Final = 0.6  # of a row's label that the item's label covers
EQUAL_BUT_FILLERS: Final = 0.97
LATER_LABEL: Final = 0.004  # lost for each place in the lexicon's list of labels
ON_STATEMENT: Final = 0.3
EXTRA_WORD: Final = 0.03
MOST_EXTRA_WORDS: Final = 6
BELOW_HEADING: Final = 0.1  # a table without such a caption below such a heading
MIXED_COLUMN: Final = 0.2  # lost where a column is of a part: "2022 International"
MIN_STATEMENT_ROWS: Final = 6
_EQUAL: Final = 1e-9
_PER_SHARE: Final = frozenset({"per", "share"})


@dataclass(frozen=True, slots=True)
class LineItem:
    """A figure: its name, the labels of its rows, and the titles of the pages that print it.

    `magnitude`: printed with or without a minus, it means the same (costs, payments).
    `reversed_by`: where its label has one of these, a minus stands for a plus.
    `families`: of each, a label has no other word than the item: "total debt" is no "net debt".
    """

    name: str
    labels: tuple[frozenset[str], ...]
    pages: tuple[str, ...] = ()
    titles: tuple[frozenset[str], ...] = ()
    magnitude: bool = False
    percent: bool = False
    reversed_by: tuple[str, ...] = ()
    families: tuple[frozenset[str], ...] = ()

    @property
    def per_share(self) -> bool:
        """Whether it is an amount for each share."""
        return any(label >= _PER_SHARE for label in self.labels)

    def is_reversed(self, label: str) -> bool:
        """Whether a row with this label prints it with the other sign."""
        lower = label.casefold()
        return any(mark in lower for mark in self.reversed_by)


def cell_of(
    item: LineItem,
    moment: Moment,
    sources: Sequence[SourceTable],
    fillers: frozenset[str],
) -> ChosenCell | None:
    """The cell that states the item for a period; None where no row does, or none for sure."""
    found = sorted(_candidates(item, moment, sources, fillers), key=lambda each: -each.score)
    for best in found:
        rivals = {
            _digits(each)
            for each in found
            if each.source.table is best.source.table and each.score > best.score - _EQUAL
        }
        if len(rivals) == 1:
            return best
    return None


def _digits(chosen: ChosenCell) -> str:
    return "".join(sign for sign in chosen.cell.text if sign.isdigit())


def _candidates(
    item: LineItem, moment: Moment, sources: Sequence[SourceTable], fillers: frozenset[str]
) -> Iterator[ChosenCell]:
    for source in sources:
        table = source.table
        calendar = Calendar.of(source.document)
        extra = _on_statement(item, source, fillers)
        for row in table.rows:
            if row.terms | row.group >= _PER_SHARE and not item.per_share:
                continue
            fit = _fit(item, row, fillers)
            if fit < MIN_FIT:
                continue
            cells = {c.column: c for c in row.cells if c.numeric}
            place = calendar.column(table, moment, sorted(cells))
            if place is None:
                continue
            cell = cells[place]
            if is_percentage(cell.text, table.columns[place].sign) is not item.percent:
                continue
            early = 0.0001 * source.passage.page  # a statement comes before its notes
            mixed = MIXED_COLUMN if table.columns[place].terms else 0.0
            yield ChosenCell(source, row, cell, fit + extra - mixed - early)


def is_statement(item: LineItem, source: SourceTable, fillers: frozenset[str]) -> bool:
    """Whether the caption of the table is the title of a statement that prints the item."""
    return _on_statement(item, source, fillers) > BELOW_HEADING


def _on_statement(item: LineItem, source: SourceTable, fillers: frozenset[str]) -> float:
    """What a table gains that is of a kind which prints the item, by its caption or headings.

    Other words of the caption take from it: "Consolidated Balance Sheets of the parent".
    """
    table = source.table
    if len(table.rows) < MIN_STATEMENT_ROWS:
        return 0.0
    extra = [len(table.title - title - fillers) for title in item.titles if title <= table.title]
    if extra and min(extra) <= MOST_EXTRA_WORDS:
        return ON_STATEMENT - EXTRA_WORD * min(extra)
    return BELOW_HEADING if any(title <= table.context for title in item.titles) else 0.0


def _fit(item: LineItem, row: LabelledRow, fillers: frozenset[str]) -> float:
    """How well a row's label says just what the item's labels say, 0..1."""
    label = frozenset(t for t in row.terms if len(t) > 1 and not t[:1].isdigit())
    core = label - fillers or label
    best = 0.0
    for place, wanted in enumerate(item.labels):
        if any(f & wanted and f & label and not f & wanted & label for f in item.families):
            continue
        if wanted == label:
            fit = 1.0
        elif (wanted - fillers or wanted) == core:
            fit = EQUAL_BUT_FILLERS
        elif wanted <= label:
            fit = EQUAL_BUT_FILLERS * len(wanted) / len(label)
        else:
            continue
        best = max(best, fit - LATER_LABEL * place)
    return best
