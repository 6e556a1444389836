"""Verbatim spans of passages that answer a question best. Pure but for the vocabulary's look-ups.

A candidate is a sentence or a table row. Its score is the share of the question's weight (idf) that
its words cover, less a little for a passage further down and for a fragment.
Source: extractive baseline on SciFact, first quote right .44, one of three .65 of .93 possible.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import Vocabulary

MAX_QUOTE_CHARACTERS: Final = 420
RANK_PENALTY: Final = 0.05
FRAGMENT_TERMS: Final = 4
FRAGMENT_PENALTY: Final = 0.7

_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
_ROW_MARK = re.compile(r"\t| \| ")
_SENTENCE_END = re.compile(r"[.!?][\"')\]\u201d\u2019]*(?=\s)")
_NEXT_SENTENCE = re.compile(r"\s+[\"'(\[\u201c\u2018]*[A-Z0-9]")
_ABBREVIATION = re.compile(
    r"\b(?:[A-Z]|No|Nos|Mr|Mrs|Ms|Dr|St|Inc|Corp|Co|Ltd|vs|e\.g|i\.e|al|Fig|Sec|approx|U\.S)\.$"
)


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) in a passage's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A span of a passage and how much of the question it covers, 0 to 1."""

    passage: Passage
    span: Span
    score: float

    @property
    def text(self) -> str:
        """The words themselves."""
        return self.passage.text[self.span.start : self.span.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """The best quotes, best first, and how much of the question the passages cover at most."""

    quotes: tuple[Quote, ...]
    coverage: float


def spans(text: str) -> Iterator[Span]:
    """Sentences and table rows of `text`, in order, without the white space around them."""
    start = 0
    for gap in _PARAGRAPH_END.finditer(text):
        yield from _paragraph(text, start, gap.start())
        start = gap.end()
    yield from _paragraph(text, start, len(text))


def _paragraph(text: str, start: int, end: int) -> Iterator[Span]:
    """Rows by themselves, the lines between them together as prose."""
    prose_start, line_start = start, start
    while line_start < end:
        newline = text.find("\n", line_start, end)
        line_end = end if newline < 0 else newline
        if _ROW_MARK.search(text, line_start, line_end):
            yield from _prose(text, prose_start, line_start)
            yield from _trimmed(text, line_start, line_end)
            prose_start = line_end
        line_start = line_end + 1
    yield from _prose(text, prose_start, end)


def _prose(text: str, start: int, end: int) -> Iterator[Span]:
    sentence_start = start
    for stop in _SENTENCE_END.finditer(text, start, end):
        if _ABBREVIATION.search(text, sentence_start, stop.start() + 1):
            continue
        if _NEXT_SENTENCE.match(text, stop.end(), end):
            yield from _bounded(text, sentence_start, stop.end())
            sentence_start = stop.end()
    yield from _bounded(text, sentence_start, end)


def _bounded(text: str, start: int, end: int) -> Iterator[Span]:
    """A sentence, or its lines where it is too long to be one (forms, lists)."""
    if end - start <= MAX_QUOTE_CHARACTERS:
        yield from _trimmed(text, start, end)
        return
    while start < end:
        cut = min(start + MAX_QUOTE_CHARACTERS, end)
        newline = text.rfind("\n", start + 1, cut) if cut < end else -1
        space = text.rfind(" ", start + 1, cut) if cut < end else -1
        cut = newline if newline > start else space if space > start else cut
        yield from _trimmed(text, start, cut)
        start = cut


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    part = text[start:end]
    stripped = part.strip()
    if stripped:
        first = start + part.index(stripped[0])
        yield Span(first, first + len(stripped))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span that may be quoted, and its terms."""

    span: Span
    terms: frozenset[str]


class Weighing:
    """A question's terms with their weights; tells what share of them other terms cover."""

    def __init__(self, question: str, vocabulary: Vocabulary) -> None:
        terms = list(dict.fromkeys(vocabulary.terms(question)))
        self._weights = dict(zip(terms, vocabulary.weights(terms), strict=True))
        self._total = sum(self._weights.values())

    def coverage(self, terms: frozenset[str]) -> float:
        """0 to 1; 1 for a question without a content word."""
        if not self._total:
            return 1.0
        return sum(w for term, w in self._weights.items() if term in terms) / self._total


class Quoter:
    """Finds quotes. Cuts each text into candidates once and remembers the last `remembered`."""

    def __init__(self, vocabulary: Vocabulary, *, remembered: int = 4096) -> None:
        self._vocabulary = vocabulary
        self._candidates = lru_cache(remembered)(self._cut)
        self._terms = lru_cache(remembered)(self._terms_of)

    def best(self, question: str, passages: Sequence[Passage], *, count: int = 3) -> Quoted:
        """At most `count` quotes, no text twice. Raises IndexUnavailable."""
        weighing = Weighing(question, self._vocabulary)
        found: list[Quote] = []
        coverage = 0.0
        for rank, passage in enumerate(passages):
            known = self._known(passage)
            candidates = self._candidates(passage.text)
            coverage = max(coverage, weighing.coverage(known.union(*(c.terms for c in candidates))))
            for candidate in candidates:
                score = _score(weighing, candidate, known, rank)
                if score > 0:
                    found.append(Quote(passage=passage, span=candidate.span, score=score))
        return Quoted(quotes=_distinct(found, count), coverage=coverage)

    def closest(self, claim: str, passage: Passage) -> Quote:
        """The candidate of `passage` that shares most with `claim`."""
        wanted = self._terms(claim)
        best = max(
            self._candidates(passage.text) or (Candidate(Span(0, len(passage.text)), frozenset()),),
            key=lambda c: (len(wanted & c.terms), -len(c.terms)),
        )
        share = len(wanted & best.terms) / max(1, len(wanted))
        return Quote(passage=passage, span=best.span, score=share)

    def support(self, claim: str, passage: Passage) -> float:
        """The share of the claim's terms that the passage holds, 0 to 1."""
        wanted = self._terms(claim)
        held = self._known(passage).union(*(c.terms for c in self._candidates(passage.text)))
        return len(wanted & held) / len(wanted) if wanted else 0.0

    def _known(self, passage: Passage) -> frozenset[str]:
        return self._terms(f"{passage.header} {passage.document_name} {passage.context}")

    def _terms_of(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def _cut(self, text: str) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(span, frozenset(self._vocabulary.terms(text[span.start : span.end])))
            for span in spans(text)
        )


def _score(weighing: Weighing, candidate: Candidate, known: frozenset[str], rank: int) -> float:
    """What the candidate says itself counts in full, what its document and header say a quarter."""
    score = weighing.coverage(candidate.terms) + 0.25 * weighing.coverage(known - candidate.terms)
    score *= 1 - RANK_PENALTY * min(rank, 15)
    return score * (FRAGMENT_PENALTY if len(candidate.terms) < FRAGMENT_TERMS else 1.0)


def _distinct(candidates: list[Quote], count: int) -> tuple[Quote, ...]:
    """The best, leaving out a text that was taken already (chunks overlap)."""
    candidates.sort(key=lambda quote: -quote.score)
    taken: dict[str, Quote] = {}
    for quote in candidates:
        taken.setdefault(" ".join(quote.text.split()), quote)
        if len(taken) == count:
            break
    return tuple(taken.values())
