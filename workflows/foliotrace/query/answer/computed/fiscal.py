"""Which column stands for an asked period, by the fiscal calendar of its document. Pure.

A document says which quarter or year it calls its own and when that ended; from this follows when
every other fiscal period ends. Ends may be a month apart: years have 52 or 53 weeks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.cells.periods import Period, Periods
from foliotrace.query.answer.cells.tables import CellTable

_FIRST_DAYS: Final = 7  # an end so early in a month belongs to the month before
_APART: Final = 1  # month between two names of one end
_YEAR: Final = 12
_QUARTER: Final = 3


OWN: Final = Period(0)


@dataclass(frozen=True, slots=True)
class Moment:
    """A period that is asked for; Period(0) is the document's own. `back`: years before it."""

    period: Period = OWN
    back: int = 0

    def before(self, years: int = 1) -> "Moment":
        """The same period of an earlier year."""
        return Moment(self.period, self.back + years)

    @property
    def name(self) -> str:
        """As an answer writes it; empty for the document's own."""
        if not self.period.year:
            return "the year before" if self.back else ""
        year = self.period.year - self.back
        if self.period.month:
            return ""
        return f"Q{self.period.quarter} {year}" if self.period.quarter else f"FY{year}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """A document's own period: its name (year, quarter or 0) and the month of its end."""

    year: int
    quarter: int
    end: int | None

    @classmethod
    def of(cls, document: Periods) -> "Calendar":
        """From what the document's identity says of its period."""
        quarter = document.quarters[0] if document.quarters else Period(0)
        last = max(document.dates, key=lambda date: date.order, default=None)
        end = _month(last) if last else None
        named = quarter.year or (document.years[0] if document.years else 0)
        return cls(named or (last.year if last else 0), quarter.quarter, end)

    @property
    def length(self) -> int:
        """Months that its own period covers."""
        return _QUARTER if self.quarter and self.quarter < 4 else _YEAR

    def end_of(self, moment: Moment) -> int | None:
        """The month that the period ends in; None where the document does not say."""
        period = moment.period
        if period.month:
            return _month(period) - _YEAR * moment.back
        if self.end is None:
            return None
        if not period.year:
            return self.end - _YEAR * moment.back
        year_end = self.end + _QUARTER * (4 - (self.quarter or 4))
        year_end += _YEAR * (period.year - moment.back - self.year)
        return year_end - _QUARTER * (4 - period.quarter) if period.quarter else year_end

    def length_of(self, moment: Moment) -> int:
        """Months that the period covers."""
        if moment.period.quarter:
            return _QUARTER
        return _YEAR if moment.period.year and not moment.period.month else self.length

    def column(self, table: CellTable, moment: Moment, places: Sequence[int]) -> int | None:
        """Which of `places` is the column that stands for the period; None if none does.

        Of columns with the same end, the one of the asked length. Where a quarter is asked for,
        else the longest: a quarterly statement of flows has the year to date only.
        """
        ends = [p for p in places if p < len(table.columns) and self._ends(table, p, moment)]
        lengths = {place: _length(table, place) for place in ends}
        wanted = self.length_of(moment)
        exact = [place for place in ends if lengths[place] in (0, wanted)]
        if exact:
            return exact[0]
        if not ends and moment.back == 1:
            return self._balance_before(table, moment, places)
        return max(ends, key=lengths.__getitem__) if ends and wanted == _QUARTER else None

    def _balance_before(
        self, table: CellTable, moment: Moment, places: Sequence[int]
    ) -> int | None:
        """The column of the last balance before the period, where none is of the year before.

        A quarterly balance sheet stands beside that of the end of the last year.
        """
        end = self.end_of(Moment(moment.period))
        dated = {
            place: max(map(_month, table.columns[place].periods.dates))
            for place in places
            if place < len(table.columns)
            and table.columns[place].periods.dates
            and not _length(table, place)
        }
        earlier = {place: month for place, month in dated.items() if end and month < end - _APART}
        if end not in dated.values() or not earlier:
            return None
        return max(earlier, key=earlier.__getitem__)

    def _is_own(self, moment: Moment) -> bool:
        """Whether it is the period of a document that does not say when that ended."""
        own = (self.year, self.quarter if self.quarter != 4 or moment.period.quarter else 0)
        asked = (
            moment.period.year or own[0],
            moment.period.quarter or own[1] * (not moment.period.year),
        )
        return self.end is None and not moment.back and not moment.period.month and own == asked

    def _ends(self, table: CellTable, place: int, moment: Moment) -> bool:
        """Whether a column's period ends when the asked one does."""
        periods = table.columns[place].periods
        end = self.end_of(moment)
        if periods.dates and end is not None:
            return any(abs(_month(date) - end) <= _APART for date in periods.dates)
        if periods.dates and self._is_own(moment):
            return max(periods.dates, key=_order) == max(
                (date for column in table.columns for date in column.periods.dates), key=_order
            )
        if periods.quarters:
            asked = moment.period.quarter or (0 if moment.period.year else self.quarter)
            year = (moment.period.year or self.year) - moment.back
            return any((q.quarter, q.year) == (asked, year) for q in periods.quarters)
        if moment.period.month:
            return False
        year = (moment.period.year or self.year) - moment.back
        years = periods.years or tuple(date.year for date in periods.dates)
        return year in years and not moment.period.quarter


def _order(date: Period) -> tuple[int, int, int]:
    return date.order


def _month(date: Period) -> int:
    """A date as a number of months."""
    return _YEAR * date.year + date.month - (0 < date.day <= _FIRST_DAYS)


def _length(table: CellTable, place: int) -> int:
    """Months that a column covers, as it or its table says; 0 where neither does."""
    months = table.columns[place].periods.months or table.periods.months
    return next(iter(months)) if len(months) == 1 else 0
