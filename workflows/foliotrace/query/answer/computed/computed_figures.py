"""Answers with several cells: computed figures, comparisons of periods, and one cell per report."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.lexicon import Lexicon
from foliotrace.model import Deadline, Passage, Query
from foliotrace.query.answer.asked_documents import of_asked_documents
from foliotrace.query.answer.cells.choose import ChosenCell, SourceTable
from foliotrace.query.answer.cells.page_tables import PageTables
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.computed.amounts import Rounding, is_percentage
from foliotrace.query.answer.computed.asked_parts import (
    AskedRank,
    asked_rank,
    asked_share,
    options_in,
)
from foliotrace.query.answer.computed.conclusions import (
    PeriodOf,
    conclusion,
    development,
    highest_of,
)
from foliotrace.query.answer.computed.evaluate import (
    Evaluated,
    Evaluation,
    Report,
    before_in_row,
    of_cell,
)
from foliotrace.query.answer.computed.fiscal import Calendar, Moment
from foliotrace.query.answer.computed.lookup import MOST_DOCUMENTS, PageLookup
from foliotrace.query.answer.computed.metrics import MetricBook, Terms
from foliotrace.query.answer.computed.parts_of_wholes import PartsOfWholes, moment_of
from foliotrace.query.answer.computed.plans import (
    AskedFigure,
    How,
    Plan,
    asks_for_change,
    comparison_of,
    plan_of,
)
from foliotrace.query.subjects.asked_names import asked_names

_EARLIER: Final = re.compile(
    r"\b(?:to|with|than|from)\s+(?:the\s+)?(?:previous|prior|earlier)\s+(?:ones|quarters|periods|reports|years)\b",
    re.I,
)
_TRIED: Final = 3  # documents for one answer
_MOST_CELLS: Final = 8


@dataclass(frozen=True, slots=True)
class ComputedAnswer:
    """A sentence about the cells; None where they are the answer by themselves."""

    conclusion: str | None
    cells: tuple[ChosenCell, ...]


class ComputedFigures:
    """Plans what a question asks to be computed, and computes it from cells."""

    def __init__(
        self, lexicon: Lexicon, terms: Terms, pages: PageTables, lookup: PageLookup
    ) -> None:
        self._book = MetricBook(lexicon, terms)
        self._terms = terms
        self._pages = pages
        self._lookup = lookup
        cells = lexicon.cells
        self._neutral = frozenset(t for phrase in cells.neutral for t in terms(phrase))
        known = (*cells.asking, *cells.fillers, *cells.series, *cells.percent, *cells.deriving)
        self._known = frozenset(t for phrase in known for t in terms(phrase))
        self._parts = PartsOfWholes(self._book, pages, lookup, self._known, self._neutral)

    def subject(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The terms that say of what something is to be computed."""
        return {term: weight for term, weight in weights.items() if term not in self._known}

    async def find(
        self,
        query: Query,
        part: str,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
        *,
        series: bool,
    ) -> ComputedAnswer | None:
        """The answer to one part of a question; None where it is not one that can be computed.

        Raises LibraryUnavailable.
        """
        identity = frozenset(
            t for header in {p.header for p in passages} for t in self._terms(header)
        )
        plan = plan_of(part, query.text, self._book, self._known | identity, weights)
        if plan is None or asked_rank(part):
            return await self._of_parts(query, part, identity, passages, deadline, period_of)
        if (
            (series or _EARLIER.search(part))
            and len(plan.figures) == 1
            and not periods_in(part).named
        ):
            return await self._by_report(query, plan, passages, deadline, period_of)
        return await self._in_one(query, plan, passages, deadline, period_of)

    async def _of_parts(
        self,
        query: Query,
        part: str,
        identity: frozenset[str],
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
    ) -> ComputedAnswer | None:
        """Shares of a whole, and its largest or smallest part."""
        rank = asked_rank(part)
        if asked_share(part) is None and rank is None:
            return None
        if rank is not None and not rank.change and (options := options_in(part)):
            return await self._of_options(query, part, rank, options, passages, deadline, period_of)
        reports = await self._reports(query, query.text, part, passages, deadline)
        found = await self._parts.find(query, part, identity, reports, deadline, period_of)
        return ComputedAnswer(found.conclusion, found.cells) if found else None

    async def _of_options(
        self,
        query: Query,
        part: str,
        rank: AskedRank,
        options: Sequence[str],
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
    ) -> ComputedAnswer | None:
        """Which of the figures that a question offers is the highest, or the lowest."""
        kind = options[-1].split()[-1]  # "operations, investing and financing activities"
        named = [self._book.metric(each) or self._book.metric(f"{each} {kind}") for each in options]
        figures = tuple(AskedFigure(m.name, m.expression, m.unit) for m in named if m is not None)
        if len(figures) < len(options):
            return None
        moment = moment_of(part if periods_in(part).named else query.text)
        plan = Plan(figures, (moment,), How.VALUES)
        reports = await self._reports(query, query.text, self._kind(plan), passages, deadline)
        for report in sorted(reports, key=lambda each: each.rank(plan.moments))[:_TRIED]:
            found = await self._evaluated(query, plan, report, deadline)
            if all(each.value is not None for each in found):
                cells = tuple(cell for each in found for cell in each.cells)
                said = highest_of(found, period_of, least=rank.least)
                return ComputedAnswer(said, cells[:_MOST_CELLS])
        return None

    # --- one report ------------------------------------------------------------------------

    async def _in_one(
        self,
        query: Query,
        plan: Plan,
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
    ) -> ComputedAnswer | None:
        reports = await self._reports(query, query.text, self._kind(plan), passages, deadline)
        reports.sort(key=lambda report: report.rank(plan.moments))
        best: list[Evaluated] = []
        for report in reports[:_TRIED]:
            found = await self._evaluated(query, plan, report, deadline)
            if not any(each.missing for each in found):
                return _answer(plan, found, period_of)
            if not best or _count(found) > _count(best):
                best = found
        computes = any(not each.plain for each in best) and len(best) > 0
        if computes and _count(best) and any(m.figure.unit != "money" for m in best):
            return _answer(plan, best, period_of)
        return None

    async def _evaluated(
        self, query: Query, plan: Plan, report: Report, deadline: Deadline
    ) -> list[Evaluated]:
        evaluation = self._evaluation(query, plan, report, deadline)
        moments = plan.moments
        if len(plan.figures) > 1 and plan.side_by_side:
            moments = moments[-1:]
        return [await evaluation.of(each, moment) for each in plan.figures for moment in moments]

    def _evaluation(
        self, query: Query, plan: Plan, report: Report, deadline: Deadline, *, series: bool = False
    ) -> Evaluation:
        own_name = frozenset(self._terms(report.header))
        neutral = self._neutral | own_name
        compares = series or plan.percent or plan.how is not How.VALUES
        return Evaluation(
            query, report, self._book, self._lookup, self._pages, neutral, deadline, compares
        )

    # --- several reports -------------------------------------------------------------------

    async def _by_report(
        self,
        query: Query,
        plan: Plan,
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
    ) -> ComputedAnswer | None:
        reports = await self._reports(query, _names(query), self._kind(plan), passages, deadline)
        found = []
        reports = reports[:MOST_DOCUMENTS]
        for report in reports:
            evaluation = self._evaluation(query, plan, report, deadline, series=True)
            found.append((report, await evaluation.of(plan.figures[0], Moment())))
        return _development(reports, found, period_of, plan.rounding)

    async def chosen_by_report(
        self,
        query: Query,
        part: str,
        passages: Sequence[Passage],
        deadline: Deadline,
        period_of: PeriodOf,
        choose: Callable[[Sequence[SourceTable]], Sequence[ChosenCell]],
    ) -> ComputedAnswer | None:
        """One cell of each report for a figure that no entry of the lexicon knows.

        `choose` finds it among the tables of one report. Raises LibraryUnavailable.
        """
        found = []
        reports = await self._reports(query, _names(query), part, passages, deadline)
        reports = reports[:MOST_DOCUMENTS]
        for report in reports:
            pages = await self._lookup.pages(query, report.document_id, part, deadline)
            await report.add(pages, self._pages, query.principal.tenant)
            cells = choose(report.sources)
            value = of_cell(cells[0]) if cells else None
            if value is not None:
                found.append((report, value))
        common = Counter(each.cells[0].row.terms for _, each in found).most_common(1)
        same = [(r, each) for r, each in found if each.cells[0].row.terms == common[0][0]]
        return _development(reports, same, period_of, Rounding())

    def compared(
        self, part: str, cells: Sequence[ChosenCell], period_of: PeriodOf
    ) -> ComputedAnswer | None:
        """How the row of a chosen cell changed, where the question asks that.

        To another chosen cell of such a row, else from the year before in the same row.
        """
        rows = {cell.row.terms for cell in cells}
        if not cells or len(cells) > 2 or len(rows) > 1 or not asks_for_change(part):
            return None
        last = max(cells, key=lambda each: each.when.order)
        first = (
            min(cells, key=lambda each: each.when.order) if len(cells) > 1 else before_in_row(last)
        )
        if first is None or first.column.periods.months != last.column.periods.months:
            return None
        values = [of_cell(first), of_cell(last)]
        pair = [each for each in values if each is not None]
        if len(pair) < 2 or is_percentage(last.cell.text, last.column.sign):
            return None
        plan = comparison_of(part, pair[1].figure)
        return ComputedAnswer(conclusion(plan, pair, period_of), (first, last))

    def _kind(self, plan: Plan) -> str:
        return self._book.statement_of(plan.figures[0].expression, self._neutral)

    async def _reports(
        self,
        query: Query,
        text: str,
        pages: str,
        passages: Sequence[Passage],
        deadline: Deadline,
    ) -> list[Report]:
        """The reports that the question may mean, with the tables of the passages found.

        `text` names further ones, in which `pages` is searched for.
        """
        by_document: dict[str, list[Passage]] = {}
        for passage in passages:
            by_document.setdefault(passage.document_id, []).append(passage)
        for document_id in self._lookup.named(query, text)[: 2 * MOST_DOCUMENTS]:
            if document_id not in by_document and pages:
                found = await self._lookup.pages(query, document_id, pages, deadline)
                if found:
                    by_document[document_id] = list(found)
        firsts = [found[0] for found in by_document.values()]
        kept = of_asked_documents(query.text, firsts, self._terms, series=True)
        reports = []
        for first, is_kept in zip(firsts, kept, strict=True):
            if is_kept:
                report = Report(first.document_id, first.header, first.document_name)
                mine = by_document[first.document_id]
                await report.add(mine, self._pages, query.principal.tenant)
                reports.append(report)
        return reports


def _names(query: Query) -> str:
    """What the question names, without its periods: all its reports."""
    return " ".join(" ".join(name.words) for name in asked_names(query.text))


def _development(
    reports: Sequence[Report],
    found: Sequence[tuple[Report, Evaluated]],
    period_of: PeriodOf,
    rounding: Rounding,
) -> ComputedAnswer | None:
    """The values of several reports in order of time; None for fewer than two.

    The conclusion names the reports that were searched and state no such value.
    """
    known = [
        (Calendar.of(report.periods).end or 0, e) for report, e in found if e.value is not None
    ]
    values = [each for _, each in sorted(known, key=lambda pair: pair[0])]
    if len(values) < 2:
        return None
    while sum(len(each.cells) for each in values) > _MOST_CELLS:
        values.pop(0)
    if len(values) < 2:
        return None
    cells = tuple(cell for each in values for cell in each.cells)
    stated = {report.document_id for report, each in found if each.value is not None}
    without = [report.name for report in reports if report.document_id not in stated]
    return ComputedAnswer(development(values, period_of, rounding, without), cells)


def _count(found: Sequence[Evaluated]) -> int:
    return sum(len(each.cells) for each in found)


def _answer(plan: Plan, found: Sequence[Evaluated], period_of: PeriodOf) -> ComputedAnswer | None:
    cells = {(id(c.row), c.cell.start): c for each in found for c in each.cells}
    if not cells or len(cells) > _MOST_CELLS:
        return None
    return ComputedAnswer(conclusion(plan, found, period_of), tuple(cells.values()))
