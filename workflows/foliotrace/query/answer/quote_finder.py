"""Finds the quotes of an answer without figures: the sentences that state it, else the nearest.

Where no sentence of the passages states what was asked, the documents they come from are searched
once more for the question's relation in the documents' own words. A question of two parts gets a
quote for each part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliotrace.model import Deadline, Passage, Query
from foliotrace.ports import QuestionTerms, QuestionVocabulary
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.cells.figures import FigureFinder
from foliotrace.query.answer.quotes import (
    LOWEST_SCORE,
    Quote,
    best_of,
    candidates,
    choose,
    cover,
    of_each_document,
)
from foliotrace.query.answer.quoting.asked import Asked, asked_for
from foliotrace.query.answer.quoting.confidence import confidence_of
from foliotrace.query.answer.quoting.header_lines import header_lines
from foliotrace.query.answer.quoting.passage_terms import PassageTerms, PassageTermsCache
from foliotrace.query.answer.quoting.sides import parts_of, short, sides_of
from foliotrace.query.answer.quoting.sought import MOST_SEARCHED, Sought, Sources, searchable
from foliotrace.query.answer.quoting.stated import is_question, relation_of
from foliotrace.query.answer.quoting.stating_quotes import (
    NEARLY_ALL,
    UNSURE,
    of_pages,
    states,
)
from foliotrace.query.subjects.asked_names import asked_names
from foliotrace.settings import MAX_QUOTES

LACKING: Final = 0.2
"""The confidence of quotes that do not state what was asked: of 20 none was right."""
_PER_SIDE: Final = 2  # quotes
OF_A_SIDE: Final = 0.4  # of a side's weight that a sentence about both sides holds
_RELATIVE: Final = 0.85  # of the first one's confidence, where the question wants a number or such
_CANDIDATES: Final = 12  # quotes of which each is looked at

_WHETHER: Final = re.compile(r"\W*(?:did|does|do|has|have|is|are|was|were)\b.*\bany\b", re.I | re.S)
_SAYS_WHETHER: Final = re.compile(r"\b(?:no(?:t|ne)?|any|yes)\b(?! limited)", re.I)
_REFERS: Final = re.compile(r"\b(?:it|they|them|these|those|this)\b", re.I)


@dataclass(frozen=True, slots=True)
class FoundQuotes:
    """Quotes, best first. `stated`: the first one states what was asked.

    `about` names for each quote the side of the question that it belongs to, `unstated` the parts
    of the question that no sentence states. `labelled`: lines whose label was asked for;
    they need not hold words of the question.
    """

    quotes: tuple[Quote, ...] = ()
    stated: bool = False
    about: tuple[str, ...] = ()
    unstated: tuple[str, ...] = ()
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class QuoteFinder:
    """Chooses quotes among passages. Without `figures`, documents are not searched once more."""

    vocabulary: QuestionVocabulary
    pages: PageMaps
    passage_terms: PassageTermsCache | None = None
    figures: FigureFinder | None = None

    async def find(
        self,
        query: Query,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        deadline: Deadline,
        *,
        each: bool,
    ) -> FoundQuotes:
        """The quotes that answer a question, or stand nearest to it.

        With `each`, the best one of each document.
        """
        whole = self._sought(query.text, question, weights, sources)
        found = self._found(whole, question, query.top_k, each=each)
        if each:
            return found
        parts = parts_of(query.text)
        if len(parts) > 1:
            of_parts = await self._of_parts(query, parts, question, whole, found, deadline)
            if of_parts is not None:
                return of_parts
        found = await self._searched(query, question, whole, found, deadline)
        return self._of_sides(query, question, weights, sources, found)

    def nearest(
        self,
        query: Query,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        answered: frozenset[str],
    ) -> FoundQuotes:
        """The quotes for what figures leave open, among the passages alone."""
        sought = self._sought(query.text, question, weights, sources, answered=answered)
        return self._found(sought, question, query.top_k)

    async def of_documents(
        self, query: Query, documents: frozenset[str], deadline: Deadline
    ) -> Sources:
        """The best passages of the first few of these documents for a question."""
        return await self._pages(query, sorted(documents)[:MOST_SEARCHED], query.text, deadline)

    # --- one question ----------------------------------------------------------------------

    async def _searched(
        self,
        query: Query,
        question: QuestionTerms,
        sought: Sought,
        found: FoundQuotes,
        deadline: Deadline,
    ) -> FoundQuotes:
        """The quotes `found` among the passages; where none states it, also among further pages."""
        text, sources = sought.text, sought.sources
        unsaid = (
            found.stated and _WHETHER.match(text) and not _SAYS_WHETHER.search(found.quotes[0].text)
        )
        if (found.stated and not unsaid) or not sources or not is_question(query.text):
            return found
        more = await self._more(query, question, sought, deadline)
        if not more:
            return found
        wider = self._sought(text, question, sought.weights, sources, further=more)
        again = self._found(wider, question, query.top_k)
        if found.stated:
            return again if again.stated and _SAYS_WHETHER.search(again.quotes[0].text) else found
        return again if again.stated or not found.quotes else found

    async def _more(
        self,
        query: Query,
        question: QuestionTerms,
        sought: Sought,
        deadline: Deadline,
    ) -> Sources:
        """Further pages of the passages' documents, if these are few."""
        relation, sources = sought.relation, sought.sources
        instead = [
            item
            for phrase, items in question.instead
            if phrase & (relation.relation | relation.names)
            for item in items
        ]
        words = dict.fromkeys(
            [t for t in sought.weights if t in relation.relation or t in relation.names]
            + [t for item in instead for t in sorted(item)]
        )
        if not words:
            return ()
        known = {(p.revision, p.page, p.start) for p, _ in sources}
        found = await self._pages(
            query, searchable(sought.text, sources), " ".join(words), deadline
        )
        return [
            each for each in found if (each[0].revision, each[0].page, each[0].start) not in known
        ]

    async def _pages(
        self, query: Query, document_ids: Sequence[str], text: str, deadline: Deadline
    ) -> Sources:
        """The best passages of each document for `text`; none where documents are not searched."""
        if self.figures is None or self.passage_terms is None:
            return ()
        tenant = query.principal.tenant
        found: list[tuple[Passage, PassageTerms]] = []
        for document_id in document_ids:
            for passage in await self.figures.lookup.pages(query, document_id, text, deadline):
                page = await self.pages.of(tenant, passage)
                found.append((passage, self.passage_terms.of(tenant, passage, page)))
        return found

    def _found(
        self, sought: Sought, question: QuestionTerms, top_k: int, *, each: bool = False
    ) -> FoundQuotes:
        """The best quotes with their confidence; with `each`, the best of each document.

        Those that state what was asked stand first, and where one does, the others are left out.
        """
        text, asked, relation = sought.text, sought.asked, sought.relation
        sources, further = sought.sources, sought.further
        at_most = min(MAX_QUOTES, top_k)
        lines = header_lines(text, frozenset(sought.weights), sources, self.vocabulary.terms)
        if lines:
            return FoundQuotes(tuple(lines[:at_most]), stated=True, labelled=True)
        ranked: list[Quote] = []
        if each:
            quotes = _sure(of_each_document(asked, question, sources))
            if len(quotes) != 1:
                return FoundQuotes(quotes, max((q.score for q in quotes), default=0) >= UNSURE)
        else:
            ranked = candidates(asked, question, sources, further=further)
            chosen = best_of(ranked, at_most=at_most)
            if chosen and chosen[0].score < LOWEST_SCORE:
                return FoundQuotes()
            quotes = _sure(chosen)
        if not is_question(text) and not relation.forms:
            return FoundQuotes(quotes, bool(quotes) and quotes[0].score >= UNSURE)
        terms = of_pages([*sources, *further])
        stated = [q for q in quotes if states(q, relation, question, asked, terms)]
        if not stated and len(quotes) == at_most and not each:
            more = _sure(best_of(ranked, at_most=_CANDIDATES))
            stated = [q for q in more if states(q, relation, question, asked, terms)][:at_most]
        if stated:
            if _WHETHER.match(text):
                stated.sort(key=lambda q: _SAYS_WHETHER.search(q.text) is None)
            bar = _RELATIVE * stated[0].score if relation.forms else 0.0
            kept = (q for q in stated if q.score >= bar)
            quotes = tuple(replace(q, score=max(q.score, UNSURE)) for q in kept)
            return FoundQuotes(quotes, stated=True)
        return FoundQuotes(tuple(replace(q, score=min(q.score, LACKING)) for q in quotes))

    def _sought(
        self,
        text: str,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        *,
        further: Sources = (),
        answered: frozenset[str] = frozenset(),
    ) -> Sought:
        """What a text asks of passages. `answered` are terms that figures answer already."""
        asked = self._asked(text, question, weights, [*sources, *further])
        relation = relation_of(text, asked, answered)
        return Sought(text, weights, sources, asked, relation, further)

    def _asked(
        self,
        text: str,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
    ) -> Asked:
        return asked_for(
            text,
            weights,
            generic=question.generic,
            headers=frozenset().union(*(t.identity.intersection(weights) for _, t in sources)),
            written=frozenset().union(*(t.terms.intersection(weights) for _, t in sources)),
            terms=self.vocabulary.terms,
            instead=question.instead,
            figure=self.figures is not None and self.figures.names_figure(text),
        )

    # --- parts and sides -------------------------------------------------------------------

    async def _of_parts(
        self,
        query: Query,
        parts: Sequence[str],
        question: QuestionTerms,
        whole: Sought,
        found: FoundQuotes,
        deadline: Deadline,
    ) -> FoundQuotes | None:
        """A quote for each part of a question; None where no sentence states one of them.

        `found` are the quotes for the whole question: they answer it if they state nearly all.
        """
        if found.stated:
            held = question.answered(found.quotes[0].span.terms)
            if whole.relation.share(held) >= NEARLY_ALL:
                return found
        quotes: list[Quote] = []
        unstated: list[str] = []
        named = (n for n in asked_names(query.text) if n.capitalised or n.possessive)
        own = frozenset(t for n in named for t in self.vocabulary.terms(" ".join(n.words)))
        for place, part in enumerate(parts):
            if not is_question(part):
                continue  # "What is the fee? Call me on ..."
            if place and _REFERS.search(part):
                part = f"{parts[place - 1]} {part}"
            terms = frozenset(self.vocabulary.terms(part)) | own
            asked = {t: w for t, w in whole.weights.items() if t in terms}
            found = FoundQuotes()
            if asked:
                sought = self._sought(part, question, asked, whole.sources)
                found = self._found(sought, question, query.top_k)
                found = await self._searched(query, question, sought, found, deadline)
            if found.stated:
                known = [(q.passage.revision, q.passage.page, q.span.start) for q in quotes]
                best = found.quotes[0]
                if (best.passage.revision, best.passage.page, best.span.start) not in known:
                    quotes.append(best)
            else:
                unstated.append(short(parts[place].rstrip().rstrip("?.!,; ")))
        return FoundQuotes(tuple(quotes), True, unstated=tuple(unstated)) if quotes else None

    def _of_sides(
        self,
        query: Query,
        question: QuestionTerms,
        weights: Mapping[str, float],
        sources: Sources,
        found: FoundQuotes,
    ) -> FoundQuotes:
        """For a question how two things relate that no sentence relates: the best quotes of each.

        With each quote the side that it is about; none where one quote speaks of both.
        """
        sides = sides_of(query.text)
        if sides is None:
            return found
        of_sides = [
            {t: w for t, w in weights.items() if t in terms and t not in question.generic}
            for terms in (frozenset(self.vocabulary.terms(side)) for side in sides)
        ]
        if not all(of_sides):
            return found
        if any(
            all(cover(side, question.answered(quote.span.terms)) >= OF_A_SIDE for side in of_sides)
            for quote in found.quotes
        ):
            return found
        quotes: list[Quote] = []
        about: list[str] = []
        for side, terms in zip(sides, of_sides, strict=True):
            asked = self._asked(query.text, question, terms, sources)
            best = _sure(choose(asked, question, sources, at_most=MAX_QUOTES))
            known = {other.span for other in quotes}
            of_side = [q for q in best if q.span not in known and q.score >= UNSURE][:_PER_SIDE]
            quotes += of_side
            about += [short(side)] * len(of_side)
        return FoundQuotes(tuple(quotes), about=tuple(about)) if quotes else found


def _sure(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    """The quotes with their confidence as score."""
    return tuple(replace(q, score=confidence_of(q.score)) for q in quotes)
