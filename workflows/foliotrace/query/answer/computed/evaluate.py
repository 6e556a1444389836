"""Figures that are computed from cells, or compared between periods and reports.

Every operand is a cell that is cited; where one is missing, the answer says which and computes
nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from foliotrace.lexicon.formulas import (
    Expression,
    NoValue,
    Operand,
    OverPeriods,
    computed,
    operands_of,
)
from foliotrace.model import Deadline, Passage, Query
from foliotrace.query.answer.cells.choose import ChosenCell, SourceTable
from foliotrace.query.answer.cells.page_tables import PageTables
from foliotrace.query.answer.cells.periods import Period, Periods, periods_in
from foliotrace.query.answer.computed.amounts import Amount, amount, is_percentage
from foliotrace.query.answer.computed.fiscal import Calendar, Moment
from foliotrace.query.answer.computed.line_items import LineItem, cell_of, is_statement
from foliotrace.query.answer.computed.lookup import PageLookup
from foliotrace.query.answer.computed.metrics import MetricBook
from foliotrace.query.answer.computed.plans import AskedFigure

_DIGITS: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_YEAR: Final = 12
_DEPTH: Final = 3  # of formulas inside formulas


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A figure at one period: its value, what it was computed from, and what is missing.

    `written` is the computation with its numbers; empty where the value is a cell.
    """

    figure: AskedFigure  # with the unit of this value
    moment: Moment
    value: Decimal | None
    cells: tuple[ChosenCell, ...]
    missing: tuple[str, ...] = ()
    written: str = ""

    @property
    def plain(self) -> bool:
        """Whether the value is a cell of its own."""
        return self.value is not None and not self.written


@dataclass(slots=True)
class Report:
    """A document that is searched for figures, with the tables found in it so far."""

    document_id: str
    header: str
    name: str = ""  # of its file
    tables: dict[tuple[str, int], list[SourceTable]] = field(default_factory=dict)
    _places: int = 0

    @property
    def periods(self) -> Periods:
        """What its identity says about time."""
        return periods_in(self.header)

    async def add(
        self, passages: Sequence[Passage], pages: PageTables, tenant: str
    ) -> list[SourceTable]:
        """Read the tables of these passages' pages, and return them."""
        for passage in passages:
            at = (passage.revision, passage.page)
            if passage.exact and at not in self.tables:
                found = await pages.of(tenant, passage)
                document = self.periods
                self.tables[at] = [
                    SourceTable(self._places, passage, table, document) for table in found
                ]
                self._places += 1
        return [s for p in passages for s in self.tables.get((p.revision, p.page), ())]

    @property
    def sources(self) -> list[SourceTable]:
        """All tables."""
        return [source for found in self.tables.values() for source in found]

    def rank(self, moments: Sequence[Moment]) -> tuple[int, int]:
        """0 if these periods are its own, more the further it is from that."""
        own = Calendar.of(self.periods)
        last = moments[-1].period
        if not last.year or last.month:
            return (0 if own.end_of(moments[-1]) == own.end else 1, -(own.end or 0))
        if last.quarter:
            return (0 if (own.year, own.quarter) == (last.year, last.quarter) else 2, 0)
        wrong_kind = int(bool(own.quarter) and own.quarter < 4)
        later = own.year - last.year
        return (wrong_kind + (2 * later if later >= 0 else 9), 0)


@dataclass(slots=True)
class Evaluation:
    """Evaluates figures in one document."""

    query: Query
    report: Report
    book: MetricBook
    lookup: PageLookup
    pages: PageTables
    fillers: frozenset[str]
    deadline: Deadline
    compares: bool = False

    async def of(self, figure: AskedFigure, moment: Moment) -> Evaluated:
        """The figure's value for a period.

        Of one that a row states and a formula computes, the formula's where it is compared.
        """
        cells: list[ChosenCell] = []
        missing: list[str] = []
        expression = figure.expression
        if isinstance(expression, Operand):
            metric = self.book.named(expression.phrase, self.fillers)
            if metric.formula is not None and metric.unit != "money" and self.compares:
                expression = metric.formula
        value, written = await self._value(expression, moment, cells, missing, 0)
        unique = tuple({(id(c.row), c.cell.start): c for c in cells}.values())
        if missing or value is None:
            return Evaluated(figure, moment, None, unique, tuple(dict.fromkeys(missing)))
        if isinstance(expression, Operand) and not written.startswith("("):
            unit = "percent" if is_percentage(cells[0].cell.text, cells[0].column.sign) else "money"
            return Evaluated(replace(figure, unit=unit), moment, value, unique)
        return Evaluated(figure, moment, value, unique, (), written)

    async def _value(
        self,
        expression: Expression,
        moment: Moment,
        cells: list[ChosenCell],
        missing: list[str],
        depth: int,
    ) -> tuple[Decimal | None, str]:
        """The value of a formula and how it is computed; its cells and gaps are appended."""
        values: dict[Operand | OverPeriods, tuple[Decimal, str]] = {}
        for operand in dict.fromkeys(operands_of(expression)):
            found = await self._operand(operand, moment, cells, missing, depth)
            if found is not None:
                values[operand] = found
        if missing:
            return None, ""
        try:
            return computed(expression, lambda each: values[each][0]), _written(expression, values)
        except NoValue:
            missing.append("a divisor other than zero")
            return None, ""

    async def _operand(
        self,
        operand: Operand | OverPeriods,
        moment: Moment,
        cells: list[ChosenCell],
        missing: list[str],
        depth: int,
    ) -> tuple[Decimal, str] | None:
        phrase = operand.operand.phrase if isinstance(operand, OverPeriods) else operand.phrase
        asked = periods_in(phrase)
        own = [Moment(period) for period in (*asked.quarters, *map(Period, sorted(asked.years)))]
        if isinstance(operand, Operand):
            return await self._figure(phrase, own[0] if own else moment, cells, missing, depth)
        if not own and Calendar.of(self.report.periods).length_of(moment) < _YEAR:
            missing.append(f"{phrase} over a whole year")  # 365 days of a quarter's sales are wrong
            return None
        first, last = (own[0], own[-1]) if len(own) > 1 else (moment.before(), moment)
        before = await self._figure(phrase, first, cells, missing, depth)
        after = await self._figure(phrase, last, cells, missing, depth)
        if before is None or after is None:
            return None
        if operand.how == "average":
            return (before[0] + after[0]) / 2, f"(({before[1]} + {after[1]}) / 2)"
        return after[0] - before[0], f"({after[1]} - {before[1]})"

    async def _figure(
        self,
        phrase: str,
        moment: Moment,
        cells: list[ChosenCell],
        missing: list[str],
        depth: int,
    ) -> tuple[Decimal, str] | None:
        """The value of one figure: its cell, else its formula."""
        metric = self.book.named(phrase, self.fillers)
        chosen = None
        if metric.item is not None:
            elsewhere = metric.formula is not None
            chosen = await self._cell(metric.item, moment, elsewhere=elsewhere)
        if chosen is not None and metric.item is not None:
            number = amount(chosen.cell.text, chosen.source.table.unit)
            if number is not None:
                cells.append(chosen)
                return self._read(number, chosen, metric.item)
        if metric.formula is not None and depth < _DEPTH:
            value_of, written = await self._value(metric.formula, moment, cells, missing, depth + 1)
            return None if value_of is None else (value_of, f"({written})")
        name = metric.item.name if metric.item else metric.name
        missing.append(f"{name}{f' ({moment.name})' if moment.name else ''}")
        return None

    def _read(self, number: Amount, chosen: ChosenCell, item: LineItem) -> tuple[Decimal, str]:
        """A cell's value in single units with the sign that it means, and as it is written."""
        value = number.number / 100 if item.percent else self._scaled(number, chosen)
        if item.magnitude:
            value = abs(value)
        elif item.is_reversed(chosen.row.label):
            value = -value
        digits = _DIGITS.search(chosen.cell.text)
        written = digits.group() if digits else "0"
        return value, f"-{written}" if value < 0 else written

    def _scaled(self, number: Amount, chosen: ChosenCell) -> Decimal:
        default = number.scale
        if default is None:
            units = (amount("1", s.table.unit) for s in self.report.sources if s.table.unit)
            default = next((u.scale for u in units if u is not None and u.scale), Decimal(1))
        return number.scaled(default)

    async def _cell(self, item: LineItem, moment: Moment, *, elsewhere: bool) -> ChosenCell | None:
        """The cell of a line item: among the tables known so far, else on its statements.

        `elsewhere`: it is also computed, and may be printed on any page.
        """
        for page in item.pages:
            text = self.book.statements[page]
            found = await self.lookup.pages(
                self.query, self.report.document_id, text, self.deadline
            )
            for passage in found:
                added = await self.report.add([passage], self.pages, self.query.principal.tenant)
                on = [s for s in added if is_statement(item, s, self.fillers)]
                if on and cell_of(item, moment, on, self.fillers) is not None:
                    break
        chosen = cell_of(item, moment, self.report.sources, self.fillers)
        if (
            chosen is None and elsewhere
        ):  # a figure that a report prints elsewhere: "free cash flow"
            found = await self.lookup.pages(
                self.query, self.report.document_id, item.name, self.deadline
            )
            await self.report.add(found, self.pages, self.query.principal.tenant)
            chosen = cell_of(item, moment, self.report.sources, self.fillers)
        return chosen


def of_cell(chosen: ChosenCell) -> Evaluated | None:
    """The value of a cell that was chosen by its words."""
    number = amount(chosen.cell.text, chosen.source.table.unit)
    if number is None:
        return None
    label = chosen.row.label
    figure = AskedFigure(label, Operand(label), "money")
    return Evaluated(figure, Moment(), number.scaled(Decimal(1)), (chosen,))


def before_in_row(chosen: ChosenCell) -> ChosenCell | None:
    """The cell of the same row for the same period of the year before."""
    ends = chosen.column.periods.dates or tuple(map(Period, chosen.column.periods.years))
    cells = {cell.column: cell for cell in chosen.row.cells if cell.numeric}
    table = chosen.source.table
    for end in ends[:1]:
        wanted = Moment(end).before()
        months = chosen.column.periods.months
        same = [
            place
            for place in sorted(cells)
            if place < len(table.columns) and table.columns[place].periods.months == months
        ]
        place = Calendar.of(chosen.source.document).column(table, wanted, same)
        if place is not None and place != chosen.cell.column:
            return replace(chosen, cell=cells[place])
    return None


def _written(
    expression: Expression, values: dict[Operand | OverPeriods, tuple[Decimal, str]]
) -> str:
    """A formula with numbers instead of names."""
    if isinstance(expression, Decimal):
        return str(expression)
    if isinstance(expression, Operand | OverPeriods):
        return values[expression][1]
    left, right = (_written(side, values) for side in (expression.left, expression.right))
    low = expression.sign in "*/"
    left = f"({left})" if low and _is_sum(expression.left) else left
    right = (
        f"({right})"
        if low and not isinstance(expression.right, Decimal | Operand | OverPeriods)
        else right
    )
    return f"{left} {expression.sign} {right}"


def _is_sum(expression: Expression) -> bool:
    return getattr(expression, "sign", "") in ("+", "-")
