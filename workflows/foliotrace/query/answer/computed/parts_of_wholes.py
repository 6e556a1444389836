"""Answers about the parts of a whole: shares, parts above a share, the largest and smallest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from foliotrace.model import Deadline, Query
from foliotrace.query.answer.cells.choose import ChosenCell
from foliotrace.query.answer.cells.page_tables import PageTables
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.computed.amounts import Rounding
from foliotrace.query.answer.computed.asked_parts import (
    AskedRank,
    AskedShare,
    asked_rank,
    asked_share,
)
from foliotrace.query.answer.computed.breakdowns import (
    LEAST_PARTS,
    Breakdown,
    PartOfWhole,
    are_called,
    breakdowns_in,
    is_called,
    only_one,
    parts_in,
)
from foliotrace.query.answer.computed.conclusions import DERIVED, PeriodOf
from foliotrace.query.answer.computed.evaluate import Report
from foliotrace.query.answer.computed.fiscal import Calendar, Moment
from foliotrace.query.answer.computed.line_items import LineItem
from foliotrace.query.answer.computed.lookup import PageLookup
from foliotrace.query.answer.computed.metrics import MetricBook

_MOST_CELLS: Final = 8
_LEAST_NAMED: Final = 2  # words of a figure's labels: "revenue" is broken down in many ways
_KINDS: Final = frozenset({"segment", "categori", "region", "divis", "line", "busi", "countri"})
_REST: Final = frozenset({"other", "rest", "elimin", "unalloc", "reconcil", "correct"})
_FOREIGN: Final = re.compile(r"\bforeign\b|\boutside\b|\babroad\b|\boverseas\b", re.I)
_HOME: Final = re.compile(r"\W*(?:the )?(?:united states|u\.?s\.?(?:a\.?)?|domestic)\b", re.I)


@dataclass(frozen=True, slots=True)
class PartsAnswer:
    """A sentence about parts of a whole, and the cells that it follows from."""

    conclusion: str
    cells: tuple[ChosenCell, ...]


@dataclass(frozen=True, slots=True)
class PartsOfWholes:
    """Finds the breakdown that a question is about, and what follows from it.

    `known` words are no names of parts; `fillers` are those that labels may have besides.
    """

    book: MetricBook
    pages: PageTables
    lookup: PageLookup
    known: frozenset[str]
    fillers: frozenset[str]

    async def find(
        self,
        query: Query,
        part: str,
        identity: frozenset[str],
        reports: Sequence[Report],
        deadline: Deadline,
        period_of: PeriodOf,
    ) -> PartsAnswer | None:
        """The answer from the first report that has one; None where the question is another.

        Raises LibraryUnavailable.
        """
        share, rank = asked_share(part), asked_rank(part)
        if share is None and rank is None:
            return None
        moment = moment_of(part if periods_in(part).named else query.text)
        for report in sorted(reports, key=lambda each: each.rank((moment,)))[:LEAST_PARTS]:
            found = await self._breakdowns(query, part, report, moment, deadline)
            answer = None
            if share is not None:
                answer = self._share(query, share, found, identity, period_of)
            elif rank is not None:
                answer = self._rank(part, rank, found, moment, report, period_of)
            if answer is not None:
                return answer
        return None

    async def _breakdowns(
        self, query: Query, part: str, report: Report, moment: Moment, deadline: Deadline
    ) -> list[Breakdown]:
        """The breakdowns of the asked period, on the pages found and on those of such tables."""
        item = self._item(part)
        kinds = " ".join(sorted(t for each in self._groups(part) for t in each[0] | each[1]))
        for text in (part, f"{item.name if item else 'revenue'} by {kinds}"):
            pages = await self.lookup.pages(query, report.document_id, text, deadline)
            await report.add(pages, self.pages, query.principal.tenant)
        calendar = Calendar.of(report.periods)
        found: list[Breakdown] = []
        for source in report.sources:
            table = source.table
            column = calendar.column(table, moment, range(1, len(table.columns)))
            if column is not None:
                found += breakdowns_in(source, column)
        return found

    # --- shares ----------------------------------------------------------------------------

    def _share(
        self,
        query: Query,
        asked: AskedShare,
        found: Sequence[Breakdown],
        identity: frozenset[str],
        period_of: PeriodOf,
    ) -> PartsAnswer | None:
        item = self._item(asked.whole)
        if item is None:
            return None
        of_whole = [b for b in found if self._is_total(item, b, self._terms(query.text))]
        timeless = periods_in(asked.part).rest
        wanted = self._terms(timeless) - self.known - identity - self._terms(asked.whole)
        groups = self._groups(asked.part)
        for_group = frozenset().union(*(ask for ask, _ in groups)) if groups else frozenset()
        # "the Services segment" is called "Services", and is no service.
        for words in (wanted, wanted - _KINDS, wanted - for_group):
            named = [(fit, b, p) for b in of_whole for p in b.parts if (fit := _named(p, words))]
            if named:
                _, breakdown, chosen = max(named, key=lambda each: each[0])
                return self._shares(asked, breakdown, [chosen], query.text, period_of)
        if wanted - for_group:
            return None
        if asked.than is None or not groups:
            return None
        breakdown_of = self._of_group(groups, of_whole)
        if breakdown_of is None:
            return None
        parts = [p for p in breakdown_of.parts if _above(asked, p.value, breakdown_of)]
        return self._shares(asked, breakdown_of, parts, query.text, period_of)

    def _shares(
        self,
        asked: AskedShare,
        breakdown: Breakdown,
        parts: Sequence[PartOfWhole],
        question: str,
        period_of: PeriodOf,
    ) -> PartsAnswer | None:
        """The shares of these parts; of several, those that are above what is asked."""
        total = breakdown.chosen(breakdown.total)
        whole = breakdown.total.row.label
        when = period_of(total)
        rounding = Rounding.of(question)
        each = [
            f"{p.row.label} {rounding.percent(p.value / breakdown.total.value)}"
            f" ({DERIVED}: {_digits(p)} / {_digits(breakdown.total)})"
            for p in parts
        ]
        text = f"{', '.join(each)} of {whole}{f', {when}' if when else ''}"
        if asked.than is not None:
            meets = [p for p in parts if _above(asked, p.value, breakdown)]
            text = f"{'Yes' if meets else 'No'}: {text}" if each else ""
            if not each:
                listed = ", ".join(part.row.label for part in breakdown.parts)
                text = f"No: none of {listed} is that share of {whole} ({DERIVED})"
        cells = [breakdown.chosen(p) for p in parts[: _MOST_CELLS - 1]]
        return PartsAnswer(text, (*cells, total))

    # --- ranks -----------------------------------------------------------------------------

    def _rank(
        self,
        part: str,
        asked: AskedRank,
        found: Sequence[Breakdown],
        moment: Moment,
        report: Report,
        period_of: PeriodOf,
    ) -> PartsAnswer | None:
        item = self._item(part) or self._item("revenue")
        groups = self._groups(part)
        if item is None or not groups:
            return None
        of_whole = [b for b in found if self._is_total(item, b, self._terms(part))]
        breakdown = self._of_group(groups, of_whole)
        if breakdown is None and min(map(len, item.labels)) >= _LEAST_NAMED:
            breakdown = only_one(of_whole)
        if breakdown is None:
            return None
        labels = self._labels(groups)
        parts = [p for p in breakdown.parts if not p.row.terms & _REST or is_called(p, labels)]
        if _FOREIGN.search(part):
            parts = [p for p in parts if not _HOME.match(p.row.label)]
        asked_terms = self._terms(part)
        if len(parts) < LEAST_PARTS or any(p.row.terms <= asked_terms for p in parts):
            return None  # "which category of the domestic segment": of one of these parts
        if asked.change:
            return self._ranked_change(asked, breakdown, parts, moment, report, period_of)
        ranked = sorted(parts, key=lambda p: p.value, reverse=not asked.least)
        first = breakdown.chosen(ranked[0])
        when = period_of(first)
        kind = "lowest" if asked.least else "highest"
        rest = ", ".join(f"{p.row.label} {_digits(p)}" for p in ranked[1:])
        text = (
            f"{ranked[0].row.label}: {kind} {item.name}"
            f"{f', {when}' if when else ''}, with {_digits(ranked[0])}"
            f" ({DERIVED}: the {kind} of {len(ranked)}; {rest})"
        )
        return PartsAnswer(text, tuple(breakdown.chosen(p) for p in ranked[:_MOST_CELLS]))

    def _ranked_change(
        self,
        asked: AskedRank,
        breakdown: Breakdown,
        parts: Sequence[PartOfWhole],
        moment: Moment,
        report: Report,
        period_of: PeriodOf,
    ) -> PartsAnswer | None:
        table = breakdown.source.table
        months = table.columns[breakdown.column].periods.months
        places = [
            place
            for place in range(1, len(table.columns))
            if table.columns[place].periods.months == months and place != breakdown.column
        ]
        before = Calendar.of(report.periods).column(table, moment.before(), places)
        if before is None:
            return None
        earlier = {id(p.row): p for p in parts_in(breakdown, before)}
        pairs = [(earlier[id(p.row)], p) for p in parts if id(p.row) in earlier]
        pairs = [(a, b) for a, b in pairs if a.value > 0]
        if len(pairs) < LEAST_PARTS:
            return None

        def change(pair: tuple[PartOfWhole, PartOfWhole]) -> Decimal:
            step = pair[1].value - pair[0].value
            return step / pair[0].value if asked.relative else step

        falling = (asked.change < 0) is not asked.least
        ranked = sorted(pairs, key=change, reverse=not falling)
        if (change(ranked[0]) < 0) is not (asked.change < 0) and not asked.least:
            return None  # nothing fell, or nothing grew
        rounding = Rounding()
        each = []
        for a, b in ranked:
            step = f"{'+' if b.value > a.value else ''}{rounding.percent(b.value / a.value - 1)}"
            each.append(f"{b.row.label} {_digits(a)} to {_digits(b)} ({step})")
        first = breakdown.chosen(ranked[0][1])
        when = period_of(first)
        kind = "least" if asked.least else "most"
        way = "fell" if asked.change < 0 else "grew"
        text = (
            f"{ranked[0][1].row.label} {way} {kind}{f', {when}' if when else ''} ({DERIVED}):"
            f" {'; '.join(each)}"
        )
        cells = [breakdown.chosen(p) for pair in ranked for p in pair]
        return PartsAnswer(text, tuple(cells[:_MOST_CELLS]))

    # --- which breakdown -------------------------------------------------------------------

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self.book.words(text))

    def _groups(self, text: str) -> list[tuple[frozenset[str], frozenset[str]]]:
        """The kinds of parts that a text names."""
        terms = self._terms(text)
        return [group for group in self.book.groups if group[0] & terms]

    def _item(self, text: str) -> LineItem | None:
        """The first figure that a text names and rows state."""
        words = self.book.words(periods_in(text).rest)
        kinds = frozenset().union(*(ask for ask, _ in self.book.groups))
        named = (m for m in self.book.mentions(words) if not kinds >= set(words[m.start : m.end]))
        return next((m.metric.item for m in named if m.metric and m.metric.item), None)

    def _is_total(self, item: LineItem, breakdown: Breakdown, asked: frozenset[str]) -> bool:
        """Whether a breakdown's total is this figure, of all, or of what the question names."""
        row, table = breakdown.total.row, breakdown.source.table
        label = frozenset(t for t in row.terms if not t[:1].isdigit())
        around = row.group | table.context
        for wanted in item.labels:
            core = wanted - self.fillers
            if not core:
                continue
            left = label - wanted - self.fillers - {"consolid"}
            if core <= label and left <= asked:
                return True
            if not left and core <= around:
                return True
        return False

    def _labels(
        self, groups: Sequence[tuple[frozenset[str], frozenset[str]]]
    ) -> list[frozenset[str]]:
        """The labels that parts of these kinds have in any table."""
        asked = {ask for ask, _ in groups}
        return [each for ask, labels in self.book.part_labels if ask in asked for each in labels]

    def _of_group(
        self,
        groups: Sequence[tuple[frozenset[str], frozenset[str]]],
        found: Sequence[Breakdown],
    ) -> Breakdown | None:
        """The breakdown below words for parts of this kind; None where there is none."""
        titles = frozenset().union(*(ask | title for ask, title in groups))
        labels = self._labels(groups)

        def fit(each: Breakdown) -> float:
            table = each.source.table
            own = frozenset(self.book.words(f"{table.caption} {table.header}"))
            own |= frozenset().union(*(part.row.group for part in each.parts))
            near = 2 * len(titles & own) + len(titles & table.context)
            if not near and are_called(each, labels):
                return 0.5  # "Americas", "Europe" are regions, whatever stands above them
            return near if len(each.parts) > LEAST_PARTS or titles & own else 0

        best = max(found, key=fit, default=None)
        return best if best is not None and fit(best) else None


def moment_of(text: str) -> Moment:
    """The last period that a text names; the document's own where it names none."""
    newest = periods_in(text).newest
    return Moment(newest) if newest is not None else Moment()


def _named(part: PartOfWhole, wanted: frozenset[str]) -> float:
    """How well a row's label says just these words; 0 where it lacks one of them."""
    label = frozenset(t for t in part.row.terms if not t[:1].isdigit())
    return len(wanted) / len(label) if label and wanted <= label else 0.0


def _above(asked: AskedShare, value: Decimal, breakdown: Breakdown) -> bool:
    if asked.than is None:
        return True
    share = 100 * value / breakdown.total.value
    return share < asked.than if asked.less else share > asked.than


def _digits(part: PartOfWhole) -> str:
    return part.cell.text.lstrip("$\u20ac\u00a3\u00a5 ")
