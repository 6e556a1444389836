"""Answers without a language model: the cells that were asked for, or sentences word for word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import IndexUnavailable
from foliotrace.events import QuestionCoverMeasured, emit
from foliotrace.model import AnswerMode, Citation, Deadline, Figure, Level, Passage, Query
from foliotrace.ports import QuestionTerms, QuestionVocabulary
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.asked_documents import in_document_periods, of_asked_documents
from foliotrace.query.answer.cells.figures import FigureAnswer, FigureFinder
from foliotrace.query.answer.cells.wording import FoundFigure
from foliotrace.query.answer.quotes import (
    FLOOR,
    LOWEST_SCORE,
    PassageTerms,
    Quote,
    QuoteSpan,
    choose,
    cover,
    of_each_document,
    weigh,
)
from foliotrace.query.answer.quoting.asked import Asked, asked_for
from foliotrace.query.answer.quoting.confidence import confidence_of
from foliotrace.query.answer.quoting.pieces import whole_sentence
from foliotrace.query.answer.quoting.sides import short, sides_of
from foliotrace.query.answer.synthesis import (
    ABSTAINED,
    NOTICE_BUDGET,
    NOTICE_FALLBACK,
    NOTICE_QUOTES,
    NOTICE_UNVERIFIED,
    Degradations,
    Synthesis,
    rendered,
    with_notice,
)
from foliotrace.query.subjects.asked_names import asks_for_each
from foliotrace.query.subjects.subject_check import Subjects
from foliotrace.settings import MAX_QUOTES

UNSURE: Final = 0.25
"""Below this confidence of the best quote, an answer says that no sentence states what was asked.

Calibrated on development questions: of 28 such first quotes one was right."""
LACKING: Final = 0.2
"""The confidence of quotes without most of the question's key words: of 20 none was right."""
KEY_SHARE: Final = 0.45
SURE: Final = 0.75  # a score from which on no key word is looked for
ANSWERED_SHARE: Final = 0.4  # of the weight of a word that the figures answer
_PER_SIDE: Final = 2  # quotes
OF_A_SIDE: Final = 0.4  # of a side's weight that a sentence about both sides holds
NOT_STATED: Final = "No sentence that was found states the answer. Nearest to the question:"
REST_NOT_STATED: Final = "No sentence that was found states the rest of the answer."
UNRELATED: Final = "No sentence that was found relates the two. What was found on each:"

Sources: TypeAlias = Sequence[tuple[Passage, PassageTerms]]
"""Passages with their terms, in the order of their markers: [1] is the first."""


@dataclass(frozen=True, slots=True)
class QuotedAnswers:
    """Answers from passages without an LLM. `figures` is None where no tables are searched."""

    vocabulary: QuestionVocabulary
    pages: PageMaps
    figures: FigureFinder | None = None
    has_generators: bool = False

    def keep_for(self, version: int) -> None:
        """Forget the tables of another library version."""
        if self.figures is not None:
            self.figures.keep_for(version)

    async def tables_in(self, query: Query, passage: Passage) -> list[str]:
        """Caption, unit and columns of the tables that a passage holds rows of."""
        if self.figures is None or not passage.exact or "\t" not in passage.text:
            return []
        tables = await self.figures.tables.of(query.principal.tenant, passage)
        held = (t for t in tables if t.start < passage.end and passage.start < t.end)
        return [table.description for table in held if table.description]

    async def answer(
        self,
        query: Query,
        sources: Sources,
        degradations: Degradations,
        subjects: Subjects,
        deadline: Deadline,
    ) -> Synthesis:
        """Cells, sentences and rows word for word; abstains where they cover too little."""
        question = self.vocabulary.question(query.text)
        weights = {
            term: weight
            for term, weight in self._weights(query, question.terms, degradations).items()
            if term not in subjects.unwritten
        }
        best = max(cover(weights, question.answered(terms.terms)) for _, terms in sources)
        emit(QuestionCoverMeasured(cover=round(best, 3)))
        query = replace(query, text=in_document_periods(query.text, [p for p, _ in sources]))
        every = asks_for_each(query.text)
        series = every or (self.figures is not None and self.figures.is_series(query.text))
        meant = of_asked_documents(
            query.text, [p for p, _ in sources], self.vocabulary.terms, series=series
        )
        sources = [source for source, kept in zip(sources, meant, strict=True) if kept]
        found = FigureAnswer()
        if self.figures is not None:
            passages = [passage for passage, _ in sources]
            found = await self.figures.answer(query, weights, passages, deadline)
        figures = found.figures
        quotes: list[Quote] = []
        each = every and len({p.document_id for p, _ in sources}) > 1
        sides: list[str] = []
        if not found.whole:
            rest = _of_the_rest(weights, found.answered, question.generic)
            quotes = self._quotes(query, question, rest, sources, each=each)
            if not figures and not each:
                quotes, sides = self._of_sides(query, question, weights, sources, quotes)
        if not figures and (best < FLOOR or not quotes):
            return Synthesis(
                text=ABSTAINED, mode=AnswerMode.ABSTAINED, reasons=tuple(degradations.reasons)
            )
        cited = [await self._cell(query, marker, each) for marker, each in enumerate(figures, 1)]
        lines = [f"{each.text} [{marker}]" for marker, each in enumerate(figures, 1)]
        if found.conclusion:
            markers = "".join(f"[{marker}]" for marker in range(1, len(figures) + 1))
            lines.insert(0, f"{found.conclusion} {markers}")
        texts = ["\n".join(lines)] if lines else []
        texts += _rows(figures)
        unsure = not found.whole and max((q.score for q in quotes), default=0.0) < UNSURE
        if sides:
            texts.append(UNRELATED)
        elif unsure and figures:
            texts.append(REST_NOT_STATED)
            quotes = []
        elif unsure:
            texts.append(NOT_STATED)
        at_most = (
            len(quotes) if each or sides else max(int(not found.whole), MAX_QUOTES - len(figures))
        )
        quotes = [await self._whole(query, quote) for quote in quotes[:at_most]]
        for marker, quote in enumerate(
            quotes if each or sides else _distinct(quotes), len(figures) + 1
        ):
            cited.append(await self.citation(query, marker, quote))
            about = f"On \u201c{sides[marker - 1]}\u201d: " if sides else ""
            texts.append(about + rendered(quote, marker, labelled=each))
        quoted = Synthesis(
            text="\n\n".join(texts),
            mode=AnswerMode.EXTRACTIVE,
            citations=tuple(cited),
            derived_claims=int(found.conclusion is not None),
            reasons=tuple(degradations.reasons),
        )
        return with_notice(quoted, self._why_quoted(degradations.reasons))

    def _quotes(
        self,
        query: Query,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        *,
        each: bool,
    ) -> list[Quote]:
        """The best quotes with their confidence; with `each`, the best of each document."""
        asked = asked_for(
            query.text,
            weights,
            generic=question.generic,
            headers=frozenset().union(*(terms.identity for _, terms in sources)),
            written=frozenset().union(*(terms.terms for _, terms in sources)),
            terms=self.vocabulary.terms,
            instead=question.instead,
        )
        if each:
            chosen = of_each_document(asked, question, sources)
        else:
            chosen = choose(asked, question, sources, at_most=min(MAX_QUOTES, query.top_k))
        if chosen and chosen[0].score < LOWEST_SCORE and not each:
            return []
        single = not each or len(chosen) == 1
        lacks = bool(chosen) and single and _lacks_key_words(asked, question, chosen[0])
        highest = LACKING if lacks else 1.0
        return [replace(q, score=min(confidence_of(q.score), highest)) for q in chosen]

    def _of_sides(
        self,
        query: Query,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        quotes: list[Quote],
    ) -> tuple[list[Quote], list[str]]:
        """For a question how two things relate that no sentence relates: the best quotes of each.

        With each quote the side that it is about; none where one quote speaks of both.
        """
        sides = sides_of(query.text)
        if sides is None:
            return quotes, []
        of_sides = [
            {t: w for t, w in weights.items() if t in terms and t not in question.generic}
            for terms in (frozenset(self.vocabulary.terms(side)) for side in sides)
        ]
        if not all(of_sides):
            return quotes, []
        both = any(
            all(cover(side, question.answered(quote.span.terms)) >= OF_A_SIDE for side in of_sides)
            for quote in quotes
        )
        if both:
            return quotes, []
        found: list[Quote] = []
        about: list[str] = []
        for side, terms in zip(sides, of_sides, strict=True):
            best = self._quotes(query, question, terms, sources, each=False)
            known = {other.span for other in found}
            best = [q for q in best if q.span not in known and q.score >= UNSURE][:_PER_SIDE]
            found += best
            about += [short(side)] * len(best)
        return (found, about) if found else (quotes, [])

    async def _whole(self, query: Query, quote: Quote) -> Quote:
        """The quote, grown to a whole sentence where its passage cut it."""
        passage, span = quote.passage, quote.span
        inside = passage.start < span.start and span.end < passage.start + len(
            passage.text.rstrip()
        )
        if self.figures is None or not passage.exact or inside:
            return quote
        text = await self.figures.tables.text_of(query.principal.tenant, passage)
        start, end = whole_sentence(text, span.start, span.end)
        if (start, end) == (span.start, span.end):
            return quote
        return replace(quote, span=replace(span, start=start, end=end), outside=text[start:end])

    async def _cell(self, query: Query, marker: int, figure: FoundFigure) -> Citation:
        """The row of a figure as a citation; the cells of its label and its value are located."""
        chosen = figure.chosen
        citation = await self.citation(query, marker, _row(figure))
        page = await self.pages.of(query.principal.tenant, chosen.source.passage)
        number = chosen.source.passage.page
        cells = (
            page.anchor(number, chosen.row.start, chosen.row.label_end),
            page.anchor(number, chosen.cell.start, chosen.cell.end),
        )
        return Citation(
            marker=marker,
            document_id=citation.document_id,
            document_name=citation.document_name,
            chunk_id=citation.chunk_id,
            quote=citation.quote,
            anchor=citation.anchor,
            score=citation.score,
            figure=Figure(
                row=chosen.row.label,
                value=chosen.cell.text,
                unit=figure.unit,
                period=figure.period,
                cells=cells,
            ),
        )

    def _why_quoted(self, reasons: Sequence[str]) -> str:
        if Reason.GENERATED_ANSWER_UNSUPPORTED in reasons:
            return NOTICE_UNVERIFIED
        if ErrorCode.BUDGET_EXCEEDED in reasons:
            return NOTICE_BUDGET
        return NOTICE_FALLBACK if self.has_generators else NOTICE_QUOTES

    def _weights(
        self, query: Query, terms: Sequence[str], degradations: Degradations
    ) -> dict[str, float]:
        tenant, collection = query.principal.tenant, query.collection
        try:
            weights = self.vocabulary.weights(terms, tenant=tenant, collection=collection)
            rarity = dict(zip(terms, weights, strict=True))
        except IndexUnavailable as error:
            rarity = {}  # every term then weighs the same
            degradations.add(error.reason, Level.LOWER_PATH)
        return weigh(terms, rarity)

    async def citation(self, query: Query, marker: int, quote: Quote) -> Citation:
        """A quote with its place on its page."""
        passage = quote.passage
        page = await self.pages.of(query.principal.tenant, passage)
        if passage.exact:
            anchor = page.anchor(passage.page, quote.span.start, quote.span.end)
        else:
            anchor = page.whole(passage.page)
        return Citation(
            marker=marker,
            document_id=passage.document_id,
            document_name=passage.document_name,
            chunk_id=passage.chunk_id,
            quote=quote.text,
            anchor=anchor,
            score=round(quote.score, 4),
        )


def _lacks_key_words(asked: Asked, question: QuestionTerms, quote: Quote) -> bool:
    """Whether a quote of no high score holds less than `KEY_SHARE` of the words that matter."""
    held = len(asked.key & question.answered(quote.span.terms))
    return quote.score < SURE and held < KEY_SHARE * len(asked.key)


def _of_the_rest(
    weights: Mapping[str, float], answered: frozenset[str], generic: frozenset[str]
) -> Mapping[str, float]:
    """The weights for what figures leave open; they name its subject, so none is 0."""
    if not weights.keys() - answered - generic:
        return weights
    return {t: w * (ANSWERED_SHARE if t in answered else 1.0) for t, w in weights.items()}


def _distinct(quotes: Sequence[Quote]) -> list[Quote]:
    """The quotes whose text does not stand in another one before them."""
    kept: list[Quote] = []
    for quote in quotes:
        text = " ".join(quote.text.split()).casefold()
        if not any(text in " ".join(other.text.split()).casefold() for other in kept):
            kept.append(quote)
    return kept


def _rows(figures: Sequence[FoundFigure]) -> list[str]:
    """The rows that figures stand in, each once with the markers of all its cells."""
    texts: dict[tuple[str, int, int], str] = {}
    for marker, each in enumerate(figures, 1):
        passage, row = each.chosen.source.passage, each.chosen.row
        place = (passage.revision, passage.page, row.start)
        known = texts.get(place)
        texts[place] = f"{known}[{marker}]" if known else rendered(_row(each), marker)
    return list(texts.values())


def _row(figure: FoundFigure) -> Quote:
    """The row that a figure stands in, below its header."""
    row, source = figure.chosen.row, figure.chosen.source
    span = QuoteSpan(row.start, row.end, row.terms, source.table.header)
    return Quote(source.passage, span, figure.chosen.score, row.text)
