"""Answers without a language model: the cells that were asked for, or sentences word for word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import IndexUnavailable
from foliotrace.events import QuestionCoverMeasured, emit
from foliotrace.model import AnswerMode, Citation, Deadline, Figure, Level, Passage, Query
from foliotrace.ports import QuestionTerms, QuestionVocabulary
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.asked_documents import (
    in_closing_years,
    in_document_periods,
    of_asked_documents,
    of_coded,
    of_named,
)
from foliotrace.query.answer.cells.figures import FigureAnswer, FigureFinder
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.cells.wording import FoundFigure
from foliotrace.query.answer.quote_finder import FoundQuotes, QuoteFinder
from foliotrace.query.answer.quotes import (
    FLOOR,
    Quote,
    cover,
    weigh,
)
from foliotrace.query.answer.quoting.passage_terms import QuoteSpan
from foliotrace.query.answer.quoting.pieces import whole_sentence
from foliotrace.query.answer.quoting.sought import Sources
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
from foliotrace.query.subjects.asked_ends import asked_ends
from foliotrace.query.subjects.asked_names import asks_for_each
from foliotrace.query.subjects.subject_check import Subjects
from foliotrace.settings import MAX_QUOTES

ANSWERED_SHARE: Final = 0.4  # of the weight of a word that the figures answer
NOT_STATED: Final = "No sentence that was found states the answer. Nearest to the question:"
REST_NOT_STATED: Final = "No sentence that was found states the rest of the answer."
PART_NOT_STATED: Final = "No sentence that was found states this part: {part}."
UNRELATED: Final = "No sentence that was found relates the two. What was found on each:"


@dataclass(frozen=True, slots=True)
class QuotedAnswers:
    """Answers from passages without an LLM. `figures` is None where no tables are searched."""

    vocabulary: QuestionVocabulary
    pages: PageMaps
    finder: QuoteFinder
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
        question = _whole_phrases(self.vocabulary.question(query.text))
        weights = {
            term: weight
            for term, weight in self._weights(query, question, degradations).items()
            if term not in subjects.unwritten
        }
        best = max(cover(weights, question.answered(terms.terms)) for _, terms in sources)
        emit(QuestionCoverMeasured(cover=round(best, 3)))
        text, sources = of_coded(query.text, sources, subjects.documents)
        if subjects.documents and not sources:
            sources = await self.finder.of_documents(query, subjects.documents, deadline)
        if not sources:
            return Synthesis(
                text=ABSTAINED, mode=AnswerMode.ABSTAINED, reasons=tuple(degradations.reasons)
            )
        if text != query.text:
            query = replace(query, text=text)
            question = _whole_phrases(self.vocabulary.question(text))
            weights = {t: w for t, w in weights.items() if t in question.terms} or weights
        query = replace(query, text=in_document_periods(query.text, [p for p, _ in sources]))
        every = asks_for_each(query.text)
        sources, names = self._meant(query, sources, every=every)
        found = FigureAnswer()
        if self.figures is not None:
            passages = [passage for passage, _ in sources]
            closing = replace(query, text=in_closing_years(query.text, passages))
            found = await self.figures.answer(closing, weights, passages, deadline)
            unnamed = {term: weight for term, weight in weights.items() if term not in names}
            if not found.figures and 0 < len(unnamed) < len(weights):
                found = await self.figures.answer(closing, unnamed, passages, deadline)
        each = every and len({p.document_id for p, _ in sources}) > 1
        quoted = FoundQuotes(stated=True)
        if found.figures and not found.whole:
            rest = _of_the_rest(weights, found.answered, question.generic)
            quoted = self.finder.nearest(query, question, rest, sources, found.answered)
        elif not found.whole:
            quoted = await self.finder.find(query, question, weights, sources, deadline, each=each)
        quoted = _of_asked_ends(query.text, quoted)
        reasons = tuple(degradations.reasons)
        if not found.figures and ((best < FLOOR and not quoted.labelled) or not quoted.quotes):
            return Synthesis(text=ABSTAINED, mode=AnswerMode.ABSTAINED, reasons=reasons)
        texts, cited = await self._written(query, found, quoted, labelled=each)
        answer = Synthesis(
            text="\n\n".join(texts),
            mode=AnswerMode.EXTRACTIVE,
            citations=tuple(cited),
            derived_claims=int(found.conclusion is not None),
            reasons=reasons,
        )
        return with_notice(answer, self._why_quoted(degradations.reasons))

    def _meant(
        self, query: Query, sources: Sources, *, every: bool
    ) -> tuple[Sources, frozenset[str]]:
        """The sources of documents that the question may mean, and the names that tell which."""
        series = every or (self.figures is not None and self.figures.is_series(query.text))
        passages = [passage for passage, _ in sources]
        meant = of_asked_documents(query.text, passages, self.vocabulary.terms, series=series)
        kept = [source for source, is_meant in zip(sources, meant, strict=True) if is_meant]
        return (kept, frozenset()) if series else of_named(query.text, kept, self.vocabulary.terms)

    async def _written(
        self, query: Query, found: FigureAnswer, quoted: FoundQuotes, *, labelled: bool
    ) -> tuple[list[str], list[Citation]]:
        """The paragraphs of an answer, and what they cite: figures first, then quotes."""
        figures, sides = found.figures, quoted.about
        cited = [await self._cell(query, marker, each) for marker, each in enumerate(figures, 1)]
        lines = [f"{each.text} [{marker}]" for marker, each in enumerate(figures, 1)]
        if found.conclusion:
            markers = "".join(f"[{marker}]" for marker in range(1, len(figures) + 1))
            lines.insert(0, f"{found.conclusion} {markers}")
        texts = ["\n".join(lines)] if lines else []
        texts += _rows(figures)
        quotes = quoted.quotes
        if sides:
            texts.append(UNRELATED)
        elif not quoted.stated and figures:
            texts.append(REST_NOT_STATED)
            quotes = ()
        elif not quoted.stated:
            texts.append(NOT_STATED)
        if figures:
            quotes = quotes[: max(1, MAX_QUOTES - len(figures))]
        whole = [await self._whole(query, quote) for quote in quotes]
        shown = whole if labelled or sides else _distinct(whole)
        for marker, quote in enumerate(shown, len(figures) + 1):
            cited.append(await self.citation(query, marker, quote))
            about = f"On \u201c{sides[marker - 1]}\u201d: " if sides else ""
            texts.append(about + rendered(quote, marker, labelled=labelled))
        texts += [PART_NOT_STATED.format(part=part) for part in quoted.unstated]
        return texts, cited

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
        self, query: Query, question: QuestionTerms, degradations: Degradations
    ) -> dict[str, float]:
        tenant, collection, terms = query.principal.tenant, query.collection, question.terms
        try:
            weights = self.vocabulary.weights(terms, tenant=tenant, collection=collection)
            rarity = dict(zip(terms, weights, strict=True))
        except IndexUnavailable as error:
            rarity = {}  # every term then weighs the same
            degradations.add(error.reason, Level.LOWER_PATH)
        weighed = weigh(terms, rarity)
        mean = sum(weighed.values()) / max(1, len(weighed))
        for phrase, _ in question.instead:
            if all(len(term) == 1 for term in phrase):
                weighed |= dict.fromkeys(phrase, mean / len(phrase))  # "R&D" is letters only
        return weighed

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


def _whole_phrases(question: QuestionTerms) -> QuestionTerms:
    """Without items that are a part of their phrase: "customers" are no "primary customers"."""
    kept = (
        (phrase, tuple(i for i in items if not i < phrase)) for phrase, items in question.instead
    )
    return replace(question, instead=tuple((phrase, items) for phrase, items in kept if items))


def _of_the_rest(
    weights: Mapping[str, float], answered: frozenset[str], generic: frozenset[str]
) -> Mapping[str, float]:
    """The weights for what figures leave open; they name its subject, so none is 0."""
    if not weights.keys() - answered - generic:
        return weights
    return {t: w * (ANSWERED_SHARE if t in answered else 1.0) for t, w in weights.items()}


def _of_asked_ends(question: str, found: FoundQuotes) -> FoundQuotes:
    """The quotes; of a period whose end is asked for, those that hold it, or their documents do."""
    ends = asked_ends(question)
    if not ends or found.about:
        return found
    kept = tuple(
        quote
        for quote in found.quotes
        if any(
            end.held(periods_in(text))
            for end in ends
            for text in (quote.text, quote.span.header, quote.passage.header)
        )
    )
    return found if len(kept) == len(found.quotes) else replace(found, quotes=kept)


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
