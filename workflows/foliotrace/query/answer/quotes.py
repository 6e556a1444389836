"""Quotes: the sentences and table rows of the passages that cover most of the question.

The share of the question that passages cover also decides whether they answer it at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from heapq import nlargest
from operator import itemgetter
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import QuestionTerms
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.quoting.asked import Asked
from foliotrace.query.answer.quoting.noise import FACTORS
from foliotrace.query.answer.quoting.passage_terms import PassageTerms, QuoteSpan
from foliotrace.settings import MAX_QUOTES

FLOOR: Final = 0.35
"""Below this cover of the question, an answer without an LLM abstains.

Calibrated on development questions only (bench/answers.py has the figures)."""

LOWEST_SCORE: Final = 0.2
"""Below this score of the best quote, an answer without an LLM abstains: one in seven is right."""

EVENNESS: Final = 4.0
"""Added to each term's rarity, so that every word of a question counts, rare ones up to thrice."""

RANK_LOSS: Final = 0.1  # score lost per place of the passage in the ranking
SCORE_POWER: Final = 1.0  # of a passage's score beside the best one's
SAME_DOCUMENT: Final = 0.7  # per sentence of it before, where the question names no document
REPEATED: Final = 0.6  # factor on a sentence that several documents write alike
MIN_RELATIVE_SCORE: Final = 0.5  # of the best quote's score; lesser quotes are left out
SHORT_TERMS: Final = 3
CONTEXT_SHARE: Final = 0.35  # of the cover by a table's header or a heading
SYNONYM_SHARE: Final = 0.5  # of the cover by what documents write instead
IDENTITY_SHARE: Final = 0.5  # of the cover by the document's identity
_UNDER_HEADING: Final = 0.5  # cover by a heading whose sentences need not repeat its words
_JOINED_CHARACTERS: Final = 700  # of sentences that are quoted together
_CANDIDATES: Final = 12  # whose text is looked at once more


@dataclass(frozen=True, slots=True)
class Quote:
    """A span of a passage, and the score that it was chosen by.

    `outside` is the text of a row of the page that the passage itself does not hold.
    """

    passage: Passage
    span: QuoteSpan
    score: float
    outside: str | None = None

    @property
    def text(self) -> str:
        """The quote, as the page has it."""
        if self.outside is not None:
            return self.outside
        return self.passage.text[
            self.span.start - self.passage.start : self.span.end - self.passage.start
        ]


def weigh(terms: Sequence[str], rarity: Mapping[str, float]) -> dict[str, float]:
    """Each term of a question with its weight; a term of unknown rarity weighs the least."""
    distinct = [t for t in dict.fromkeys(terms) if len(t) > 1] or list(dict.fromkeys(terms))
    return {term: EVENNESS + rarity.get(term, 0.0) for term in distinct}


def cover(weights: Mapping[str, float], terms: frozenset[str]) -> float:
    """The share of the question's weight that `terms` hold, 0..1.

    0 where they hold none of its words but only a number: "drawer 26" is not about runway 26.
    """
    words = [term for term in weights if not term[:1].isdigit()]
    if words and terms.isdisjoint(words):
        return 0.0
    total = sum(weights.values())
    return _held(weights, terms) / total if total else 0.0


def _held(weights: Mapping[str, float], terms: frozenset[str]) -> float:
    held = 0.0
    for term, weight in weights.items():  # a plain loop: this is the hottest line of a question
        if term in terms:
            held += weight
    return held


def _sum(weights: Mapping[str, float], terms: AbstractSet[str]) -> float:
    return sum([weights[term] for term in terms]) if terms else 0.0


def choose(
    asked: Asked,
    question: QuestionTerms,
    sources: Sequence[tuple[Passage, PassageTerms]],
    *,
    at_most: int,
    further: Sequence[tuple[Passage, PassageTerms]] = (),
) -> list[Quote]:
    """The best quotes of the ranked passages, best first, no text twice."""
    return best_of(candidates(asked, question, sources, further=further), at_most=at_most)


def candidates(
    asked: Asked,
    question: QuestionTerms,
    sources: Sequence[tuple[Passage, PassageTerms]],
    *,
    further: Sequence[tuple[Passage, PassageTerms]] = (),
) -> list[Quote]:
    """The spans of the ranked passages that may be quoted, best first.

    `further` passages come from another search: their scores are comparable to each other only.
    """
    if not asked.total:
        return []
    standings = _standings(sources) + _standings(further)
    scored = [
        (score * standing, passage, span)
        for standing, (passage, terms) in zip(standings, [*sources, *further], strict=True)
        for span, score in _scored(asked, question, passage, terms)
    ]
    best = []
    for score, passage, span in nlargest(_CANDIDATES, scored, key=itemgetter(0)):
        text = Quote(passage, span, score).text
        factor = asked.form_factor(text, is_row=bool(span.header))
        best.append(Quote(passage, span, score * factor))
    best.sort(key=lambda quote: -quote.score)
    return best if asked.names_document else _spread(best)


def best_of(ranked: Sequence[Quote], *, at_most: int) -> list[Quote]:
    """The best of the candidates, best first, no text twice; neighbouring sentences are joined."""
    chosen: dict[str, Quote] = {}
    for quote in ranked:
        if quote.score < MIN_RELATIVE_SCORE * ranked[0].score:
            break
        if len(chosen) == at_most and not any(_adjacent(quote, one) for one in chosen.values()):
            continue
        chosen.setdefault(" ".join(quote.text.split()).casefold(), quote)
    return _joined(list(chosen.values()))


def _spread(ranked: list[Quote]) -> list[Quote]:
    """Again best first, where a document's further sentences count for less than its first."""
    seen = Counter[str]()
    spread: list[Quote] = []
    for quote in ranked:
        factor = SAME_DOCUMENT ** seen[quote.passage.document_id]
        seen[quote.passage.document_id] += 1
        spread.append(replace(quote, score=quote.score * factor))
    return sorted(spread, key=lambda quote: -quote.score)


def _standings(sources: Sequence[tuple[Passage, PassageTerms]]) -> list[float]:
    """What the sentences of each passage count for: by its place, and its score beside the best."""
    best = max((passage.score for passage, _ in sources), default=0.0)
    return [
        (1 - RANK_LOSS) ** rank
        * (max(passage.score, 0.0) / best if best > 0 else 1.0) ** SCORE_POWER
        for rank, (passage, _) in enumerate(sources)
    ]


def of_each_document(
    asked: Asked, question: QuestionTerms, sources: Sequence[tuple[Passage, PassageTerms]]
) -> list[Quote]:
    """The best quote of each document, in the order of their periods; poor ones are left out."""
    documents: dict[str, list[tuple[Passage, PassageTerms]]] = {}
    for passage, terms in sources:
        documents.setdefault(passage.document_id, []).append((passage, terms))
    ranked = [choose(asked, question, each, at_most=MAX_QUOTES) for each in documents.values()]
    written = Counter(frozenset(q.span.terms) for quotes in ranked for q in quotes)
    best = [
        max(quotes, key=lambda q: q.score * (1.0 if written[q.span.terms] == 1 else REPEATED))
        for quotes in ranked
        if quotes
    ]
    bar = MIN_RELATIVE_SCORE * max((quote.score for quote in best), default=0.0)
    kept = [quote for quote in best if quote.score >= bar]
    return sorted(kept, key=lambda quote: _period_end(quote.passage.header))


def _period_end(header: str) -> tuple[int, int, int]:
    return max((date.order for date in periods_in(header).dates), default=(0, 0, 0))


def _adjacent(one: Quote, other: Quote) -> bool:
    """Whether two sentences follow each other on a page and are short enough for one quote."""
    if one.passage is not other.passage or one.span.header or other.span.header:
        return False
    first, second = sorted((one.span, other.span), key=lambda span: span.start)
    between = one.passage.text[first.end - one.passage.start : second.start - one.passage.start]
    return (
        first.end <= second.start
        and not between.strip()
        and second.end - first.start <= _JOINED_CHARACTERS
    )


def _joined(quotes: list[Quote]) -> list[Quote]:
    """Sentences that follow each other as one quote, in the place of the better one."""
    joined: list[Quote] = []
    for quote in quotes:
        for place, other in enumerate(joined):
            if _adjacent(quote, other):
                start = min(quote.span.start, other.span.start)
                end = max(quote.span.end, other.span.end)
                terms = quote.span.terms | other.span.terms
                span = replace(other.span, start=start, end=end, terms=terms)
                joined[place] = replace(other, span=span)
                break
        else:
            joined.append(quote)
    return joined


def _scored(
    asked: Asked, question: QuestionTerms, passage: Passage, terms: PassageTerms
) -> Iterator[tuple[QuoteSpan, float]]:
    """Each span that holds a word of the question, with its score."""
    weights, words, total = asked.weights, asked.words, asked.total
    identity = IDENTITY_SHARE * _sum(weights, terms.identity & words) / total
    for span in terms.spans:
        held = question.answered(span.terms) if question.instead else span.terms
        own = _sum(weights, span.terms & words) / total
        if held is not span.terms:
            own += SYNONYM_SHARE * (_sum(weights, (held - span.terms) & words) / total)
        around = span.header_terms | span.heading_terms
        context = _sum(weights, (around & words) - held) / total if around else 0.0
        if not own and (context < _UNDER_HEADING or span.header):
            continue
        score = own + identity + CONTEXT_SHARE * context
        if len(span.terms) < SHORT_TERMS and not any(t[:1].isdigit() for t in span.terms):
            score *= 0.5
        noise = terms.noise_of(passage, span)
        if noise and noise not in asked.allowed_noise:
            score *= FACTORS[noise]
        yield span, score


def nearest_span(wanted: AbstractSet[str], terms: PassageTerms) -> QuoteSpan | None:
    """The span that holds most of the wanted terms, the shortest of equals; None without spans."""
    nearest, most, size = None, -1, 0
    for span in terms.spans:
        held = len(span.terms & wanted)
        if held > most or (held == most and len(span.terms) < size):
            nearest, most, size = span, held, len(span.terms)
    return nearest
