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
_ROUNDING: Final = Decimal(2)  # units that the printed parts may differ from their printed sum


@dataclass(frozen=True, slots=True)
class Part:
    """A row with its value in one column."""

    row: LabelledRow
    cell: Cell
    value: Decimal


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Rows of one column of a table that add up to the row `total`, in their order."""

    source: SourceTable
    column: int
    parts: tuple[Part, ...]
    total: Part

    def chosen(self, part: Part) -> ChosenCell:
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


def _step(total: Part) -> Decimal:
    """The size of the last printed digit of a total: 1 of "81,797", 0.1 of "18.1"."""
    _, dot, decimals = total.cell.text.rstrip(")% ").partition(".")
    return Decimal(1).scaleb(-len(decimals)) if dot and decimals.isdigit() else Decimal(1)


def _values(source: SourceTable, column: int) -> Sequence[Part]:
    found = []
    for row in source.table.rows:
        cell = next((c for c in row.cells if c.column == column and c.numeric), None)
        if cell is None or is_percentage(cell.text, source.table.column(cell).sign):
            continue
        number = amount(cell.text, None)
        if number is not None:
            found.append(Part(row, cell, number.number))
    return found
