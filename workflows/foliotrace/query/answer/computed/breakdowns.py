"""Breakdowns: the rows of a table that add up to its total, recognised by their sum. Pure.

No label is needed to know that segments, regions or products are parts of one whole, and a row that
belongs to no such sum is never ranked or given a share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from foliotrace.query.answer.cells.choose import ChosenCell, SourceTable
from foliotrace.query.answer.cells.tables import Cell, LabelledRow
from foliotrace.query.answer.computed.amounts import amount, is_percentage

MOST_PARTS: Final = 24
LEAST_PARTS: Final = 2
_ROUNDING: Final = Decimal(2)  # units that the printed parts may differ from their printed sum


@dataclass(frozen=True, slots=True)
class PartOfWhole:
    """A row with its value in one column."""

    row: LabelledRow
    cell: Cell
    value: Decimal


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Rows of one column of a table that add up to the row `total`, in their order."""

    source: SourceTable
    column: int
    parts: tuple[PartOfWhole, ...]
    total: PartOfWhole

    def chosen(self, part: PartOfWhole) -> ChosenCell:
        """One of its cells as a figure of an answer."""
        return ChosenCell(self.source, part.row, part.cell, 1.0)


def breakdowns_in(source: SourceTable, column: int) -> Iterator[Breakdown]:
    """The breakdowns of one column of a table, the shortest sum that fits above each total."""
    parts = _values(source, column)
    for place, total in enumerate(parts):
        summed = Decimal(0)
        for first in range(place - 1, max(-1, place - 1 - MOST_PARTS), -1):
            summed += parts[first].value
            count = place - first
            if count > 1 and total.value and abs(summed - total.value) <= _ROUNDING * _step(total):
                yield Breakdown(source, column, tuple(parts[first:place]), total)
                break


def only_one(found: Sequence[Breakdown]) -> Breakdown | None:
    """The breakdown of a figure that is broken down in one way only: nothing need say which."""
    whole = [each for each in found if len(each.parts) > LEAST_PARTS]
    labels = {frozenset(part.row.label for part in each.parts) for each in whole}
    return whole[0] if len(labels) == 1 else None


def is_called(part: PartOfWhole, labels: Sequence[frozenset[str]]) -> bool:
    """Whether the label of a part holds one of `labels`."""
    return any(label <= part.row.terms for label in labels if label)


def are_called(breakdown: Breakdown, labels: Sequence[frozenset[str]]) -> bool:
    """Whether most of its parts have labels that hold one of `labels`: they are of that kind."""
    return 2 * sum(is_called(p, labels) for p in breakdown.parts) > len(breakdown.parts)


def parts_in(breakdown: Breakdown, column: int) -> Iterator[PartOfWhole]:
    """The same rows in another column."""
    for part in breakdown.parts:
        for cell in part.row.cells:
            number = amount(cell.text, None) if cell.column == column and cell.numeric else None
            if number is not None:
                yield PartOfWhole(part.row, cell, number.number)


def _step(total: PartOfWhole) -> Decimal:
    """The size of the last printed digit of a total: 1 of "81,797", 0.1 of "18.1"."""
    _, dot, decimals = total.cell.text.rstrip(")% ").partition(".")
    return Decimal(1).scaleb(-len(decimals)) if dot and decimals.isdigit() else Decimal(1)


def _values(source: SourceTable, column: int) -> Sequence[PartOfWhole]:
    found = []
    for row in source.table.rows:
        cell = next((c for c in row.cells if c.column == column and c.numeric), None)
        if cell is None or is_percentage(cell.text, source.table.column(cell).sign):
            continue
        number = amount(cell.text, None)
        if number is not None:
            found.append(PartOfWhole(row, cell, number.number))
    return found
