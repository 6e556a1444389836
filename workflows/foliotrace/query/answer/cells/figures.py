"""A question's figures: what it asks for, the cells that say it, and how an answer names them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliotrace.lexicon import Lexicon
from foliotrace.model import Deadline, Passage, Query
from foliotrace.ports import PageReader, QuestionVocabulary
from foliotrace.query.answer.cells.choose import (
    SourceTable,
    Wanted,
    choose_cells,
    rate_of,
)
from foliotrace.query.answer.cells.page_tables import PageTables
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.cells.qualifiers import Qualifiers
from foliotrace.query.answer.cells.wording import FoundFigure, period_of, worded
from foliotrace.query.answer.computed.computed_figures import ComputedAnswer, ComputedFigures
from foliotrace.query.answer.computed.lookup import PageLookup
from foliotrace.query.answer.computed.plans import asks_for_change, asks_for_count
from foliotrace.query.answer.quoting.sides import parts_of

_OF_THAT: Final = re.compile(
    r"\W*what\s+(?P<what>[\w\s%]{1,40}?)\s+(?:is|was|are|were)\s+(?:that|this|it|they|those)\b",
    re.I,
)
_LOWER: Final = re.compile(r"\b[^\W\d_A-Z][^\W\d_]+\b")
_EXAMPLE: Final = re.compile(r",?\s+(?:such as|for example|e\.g\.)\s+[^\W\d_][\w-]*", re.I)
_FORWARD: Final = re.compile(
    r"\b(?:outlook|guid|forecast|plan|expect|project|anticipat|target|will\b|future|next)", re.I
)
_ASKS_OTHERWISE: Final = re.compile(
    r"^\W*(?:who|whose|when|where|which|why)\b|\b(?:method|policy|basis|name|status|date|type)\b",
    re.I,
)
_SECOND: Final = re.compile(
    r"\band\s+(?:(?:its|their|the)\s+)?(?P<what>[^\W\d_][\w&%-]*"
    r"(?:\s+(?!(?:for|in|at|on|of|as|during|from|by|to|was|were|is|are|and)\b)[\w&%-]+){0,4})",
    re.I,
)


@dataclass(frozen=True, slots=True)
class FigureAnswer:
    """The figures that answer a question, and what follows from them.

    `whole`: they answer all of it, and no sentence need be quoted. `answered` are the terms of the
    question that they answer.
    """

    figures: tuple[FoundFigure, ...] = ()
    conclusion: str | None = None
    whole: bool = False
    answered: frozenset[str] = frozenset()


class FigureFinder:
    """Finds the cells that answer a question about a figure or another attribute."""

    def __init__(
        self,
        library: PageReader,
        vocabulary: QuestionVocabulary,
        lexicon: Lexicon,
        lookup: PageLookup,
    ) -> None:
        self._vocabulary = vocabulary
        self.tables = PageTables(library, vocabulary.terms)
        self.lookup = lookup
        self._computed = ComputedFigures(lexicon, vocabulary.terms, self.tables, lookup)
        terms = self._terms
        cells = lexicon.cells
        self._asking = frozenset(t for phrase in cells.asking for t in terms(phrase))
        self._fillers = frozenset(t for phrase in cells.fillers for t in terms(phrase))
        self._deriving = frozenset(t for phrase in cells.deriving for t in terms(phrase))
        self._series = tuple(phrase.casefold() for phrase in cells.series)
        self._numeric = tuple(phrase.casefold() for phrase in cells.numeric)
        self._percent = tuple(phrase.casefold() for phrase in cells.percent)
        self._qualifiers = Qualifiers(cells.qualifiers, cells.optional_qualifiers, vocabulary.terms)
        self._rows = tuple(
            (terms(ask), tuple(terms(label) for label in row.labels))
            for row in lexicon.row
            for ask in row.ask
        )

        self._amounts = tuple(
            terms(ask) for row in lexicon.row if row.pages for ask in row.ask
        )  # what statements print is an amount; a name or an address is none

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def keep_for(self, version: int) -> None:
        """Forget the pages and tables of another library version."""
        if self.tables.keep_for(version):
            self.lookup.clear()

    def names_figure(self, question: str) -> bool:
        """Whether the question names a figure that rows of tables state."""
        terms = self._terms(question)
        return any(phrase <= terms for phrase, _ in self._rows)

    def _is_amount(self, question: str, asked: frozenset[str]) -> bool:
        """Whether a question of these terms asks for an amount, which no words can state."""
        named = any(phrase <= asked for phrase in self._amounts) or asks_for_change(question)
        return named and _ASKS_OTHERWISE.search(question) is None

    def is_series(self, question: str) -> bool:
        """Whether the question asks for the values of all periods."""
        lower = question.casefold()
        return any(phrase in lower for phrase in self._series)

    async def answer(
        self,
        query: Query,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
        deadline: Deadline,
    ) -> FigureAnswer:
        """The figures that the question asks for; none where it is not certain which they are.

        `weights` are the terms it asks for. Raises LibraryUnavailable.
        """
        parts = parts_of(query.text)
        for place, part in enumerate(parts):
            computed = await self._compute(query, part, weights, passages, deadline)
            if computed is not None:
                figures = tuple(worded(chosen, self._vocabulary.terms) for chosen in computed.cells)
                asks = [p for p in parts[place + 1 :] if "?" in p]
                return FigureAnswer(
                    figures,
                    computed.conclusion,
                    whole=not place and not asks,
                    answered=self._terms(part),
                )
        tenant = query.principal.tenant
        if len(parts) == 2 and self._asks_for_its_rate(parts[1]):
            return await self._with_rates(tenant, parts[0], weights, passages)
        found = await self._chosen(tenant, query.text, weights, passages)
        if not found and len(parts) < 2:
            more = await self._with_pages(query, passages, deadline)
            found = await self._chosen(tenant, query.text, weights, more)
            if not found and (second := _SECOND.search(query.text)):
                return await self._of_two(tenant, query.text, second["what"], weights, more)
        if found or len(parts) < 2:
            answered = frozenset(t for each in found for t in each.chosen.covered)
            left = self._left(query.text, weights, answered)
            return FigureAnswer(tuple(found), whole=bool(found) and not left, answered=answered)
        for part in parts:
            terms = frozenset(self._vocabulary.terms(part))
            asked = {term: weight for term, weight in weights.items() if term in terms}
            found = await self._chosen(tenant, part, asked, passages)
            if found:
                return FigureAnswer(tuple(found), answered=terms)
        return FigureAnswer()

    async def _of_two(
        self,
        tenant: str,
        text: str,
        second: str,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
    ) -> FigureAnswer:
        """The cells of "net sales and adjusted EPS" that are known, each figure by itself."""
        terms = self._terms(second)
        figures: list[FoundFigure] = []
        answered: frozenset[str] = frozenset()
        for kept in (weights.keys() - terms, weights.keys() & terms):
            asked = {term: weight for term, weight in weights.items() if term in kept}
            cells = await self._chosen(tenant, text, asked, passages)
            figures += cells
            answered |= frozenset(kept) if cells else frozenset()
        return FigureAnswer(tuple(figures), whole=weights.keys() <= answered, answered=answered)

    async def _with_pages(
        self, query: Query, passages: Sequence[Passage], deadline: Deadline
    ) -> Sequence[Passage]:
        """The passages; where all are of one document, with what it holds besides for a period."""
        documents = {passage.document_id for passage in passages}
        if len(documents) != 1 or not periods_in(query.text).named:
            return passages
        known = {(p.revision, p.page) for p in passages}
        (document_id,) = documents
        found = await self.lookup.pages(query, document_id, query.text, deadline)
        return [*passages, *(p for p in found if (p.revision, p.page) not in known)]

    def _left(self, text: str, weights: Mapping[str, float], answered: frozenset[str]) -> bool:
        """Whether "net sales and adjusted EPS" names a second figure that no cell answers."""
        for found in _SECOND.finditer(text):
            terms = self._terms(found["what"]) & weights.keys() - self._asking - self._fillers
            if terms and terms.isdisjoint(answered):
                return True
        return False

    def _asks_for_its_rate(self, part: str) -> bool:
        """Whether a part asks what percentage the figure of the part before is: "what margin"."""
        found = _OF_THAT.match(part)
        return found is not None and any(p in found["what"].casefold() for p in self._percent)

    async def _with_rates(
        self,
        tenant: str,
        part: str,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
    ) -> FigureAnswer:
        """The figures of a part of the question, each with its percentage where one is printed."""
        terms = self._terms(part)
        asked = {term: weight for term, weight in weights.items() if term in terms}
        found = await self._chosen(tenant, part, asked, passages)
        rates = [rate_of(each.chosen, self._deriving) for each in found]
        figures = (
            *found,
            *(worded(rate, self._vocabulary.terms) for rate in rates if rate is not None),
        )
        return FigureAnswer(figures, whole=bool(found) and None not in rates)

    async def _compute(
        self,
        query: Query,
        part: str,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
        deadline: Deadline,
    ) -> ComputedAnswer | None:
        """What the part asks to be computed, or one cell for each report that it is about."""
        series = self.is_series(part)
        computed = await self._computed.find(
            query, part, weights, passages, deadline, period_of, series=series
        )
        if computed is not None or not passages:
            return computed
        if not series and not asks_for_change(part):
            return None
        terms = frozenset(self._vocabulary.terms(part))
        asked = {term: weight for term, weight in weights.items() if term in terms}
        held = frozenset().union(*(self._terms(header) for header in {p.header for p in passages}))
        wanted = self._wanted(part, self._computed.subject(asked), held)
        wanted = replace(wanted, series=False, percent=False)
        if series:
            return await self._computed.chosen_by_report(
                query,
                part,
                passages,
                deadline,
                period_of,
                lambda found: choose_cells(wanted, found),
            )
        sources = await self._sources(query.principal.tenant, passages)
        return self._computed.compared(part, choose_cells(wanted, sources), period_of)

    async def _chosen(
        self,
        tenant: str,
        question: str,
        weights: Mapping[str, float],
        passages: Sequence[Passage],
    ) -> list[FoundFigure]:
        """The figures that answer the question; none where it is not certain which do.

        `weights` are the terms it asks for. Raises LibraryUnavailable.
        """
        identities = {p.header: self._terms(p.header) for p in passages}
        held = frozenset().union(*identities.values()) if identities else frozenset()
        wanted = self._wanted(question, weights, held)
        if not wanted.weights:
            return []
        sources = await self._sources(tenant, passages)
        return [worded(chosen, self._vocabulary.terms) for chosen in choose_cells(wanted, sources)]

    async def _sources(self, tenant: str, passages: Sequence[Passage]) -> list[SourceTable]:
        """The tables of the passages' pages, each page once."""
        sources: list[SourceTable] = []
        seen: set[tuple[str, int]] = set()
        for place, passage in enumerate(passages):
            at = (passage.revision, passage.page)
            if not passage.exact or at in seen:
                continue
            seen.add(at)
            document = periods_in(passage.header)
            tables = await self.tables.of(tenant, passage)
            sources += [SourceTable(place, passage, table, document) for table in tables]
        return sources

    def _wanted(
        self, question: str, weights: Mapping[str, float], identity: frozenset[str]
    ) -> Wanted:
        periods = periods_in(question)
        lower = question.casefold()
        question = _EXAMPLE.sub("", question)
        timeless = self._terms(_EXAMPLE.sub("", periods.rest))
        rest = {
            t: w
            for t, w in weights.items()
            if len(t) > 1 and t in timeless and t not in self._asking
        }
        named = {t: w for t, w in rest.items() if t not in identity} or rest
        asked = self._terms(question)
        mean = sum(weights.values()) / max(1, len(weights))
        for phrase, _ in self._rows:
            if phrase <= asked and not any(len(term) > 1 for term in phrase):
                named |= dict.fromkeys(phrase, mean / len(phrase))  # "R&D" is letters only
        return Wanted(
            weights=named,
            periods=periods,
            rows=tuple(row for row in self._rows if row[0] <= asked),
            fillers=self._fillers,
            plain=self._terms(" ".join(_LOWER.findall(question))) - named.keys(),
            series=self.is_series(question),
            numeric=any(phrase in lower for phrase in self._numeric),
            percent=any(phrase in lower for phrase in self._percent),
            count=asks_for_count(question),
            forward=_FORWARD.search(question) is not None,
            amount=self._is_amount(question, asked),
            qualifiers=self._qualifiers.of(periods.rest),
        )
