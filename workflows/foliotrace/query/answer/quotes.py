"""Quotes: the sentences and table rows of the passages that cover most of the question.

The share of the question that passages cover also decides whether they answer it at all.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import Vocabulary
from foliotrace.query.answer.anchors import PageMap

FLOOR: Final = 0.35
"""Below this cover of the question, an answer without an LLM abstains.

Calibrated on development questions only (bench/answers.py has the figures)."""

EVENNESS: Final = 4.0
"""Added to each term's rarity, so that every word of a question counts, rare ones up to thrice."""

RANK_LOSS: Final = 0.05  # score lost per place of the passage in the ranking
MIN_RELATIVE_SCORE: Final = 0.5  # of the best quote's score; lesser quotes are left out
SHORT_TERMS: Final = 3
HEADER_SHARE: Final = 0.25  # of a header's cover that counts for its rows

MAX_QUOTE_CHARACTERS: Final = 420

_DIVIDED: Final = re.compile(r"([^\W\d_]{2,})[-\u2010\u00ad]\n[ \t]*([^\W\d_A-Z]{2,})")
_LONGEST_ABBREVIATION: Final = 6  # without its point

_NUMBER: Final = re.compile(r"\d\d*(?:[.,]\d+)*")  # `\d+` in front would be searched slowly
_PARAGRAPH_END: Final = re.compile(r"\n[ \t]*\n")
_ROW_MARKS: Final = ("\t", " | ")
_SENTENCE_END: Final = re.compile(r"[.!?][\"')\]\u201d\u2019]*(?=\s)")
_NEXT_SENTENCE: Final = re.compile(r"\s+[\"'(\[\u201c\u2018]*[A-Z0-9]")
_ABBREVIATION: Final = re.compile(
    r"\b(?:[A-Z]|No|Nos|Mr|Mrs|Ms|Dr|St|Inc|Corp|Co|Ltd|vs|e\.g|i\.e|al|Fig|Sec|approx|U\.S)\.$"
)


@dataclass(frozen=True, slots=True)
class QuoteSpan:
    """A sentence or table row: its span on the page, its terms, and the header of its table."""

    start: int
    end: int
    terms: frozenset[str]
    header: str = ""
    header_terms: frozenset[str] = frozenset()
    announces: bool = False  # "... was as follows:" says nothing itself


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """A passage as spans to quote. Terms and numbers include those of its context and header."""

    spans: tuple[QuoteSpan, ...]
    terms: frozenset[str]
    numbers: frozenset[str]


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


def quotable_spans(passage: Passage, page: PageMap) -> Iterator[tuple[int, int, str]]:
    """(start, end, header) of the passage's table rows and sentences, in order, on the page.

    Page headers, footers and navigation are left out. Of a passage that is not placed on the page
    exactly, they are its own text's, from its start.
    """
    if not passage.exact:
        yield from _prose_of(passage, passage.start, passage.start + len(passage.text))
        return
    position = passage.start
    for row in page.rows:
        if row.end <= position or row.start >= passage.end or row.start < passage.start:
            continue
        yield from _sentences(passage, page, position, row.start)
        end = min(row.end, passage.end)
        if not row.is_header and row.has_values:
            yield row.start, end, _header(passage, row.headers)
        position = end
    yield from _sentences(passage, page, position, passage.end)


def _sentences(
    passage: Passage, page: PageMap, start: int, end: int
) -> Iterator[tuple[int, int, str]]:
    for first, last in page.running:
        if start < last and first < end:
            yield from _prose_of(passage, start, max(start, first))
            start = min(end, last)
    yield from _prose_of(passage, start, end)


def _prose_of(passage: Passage, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    text = passage.text[start - passage.start : end - passage.start]
    for first, last in _prose_spans(text):
        yield start + first, start + last, ""


def _prose_spans(text: str) -> Iterator[tuple[int, int]]:
    """Sentences and row-like lines of `text`, in order, without the white space around them."""
    start = 0
    for gap in _PARAGRAPH_END.finditer(text):
        yield from _paragraph(text, start, gap.start())
        start = gap.end()
    yield from _paragraph(text, start, len(text))


def _paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Rows by themselves, the lines between them together as prose."""
    prose_start, line_start = start, start
    while line_start < end:
        newline = text.find("\n", line_start, end)
        line_end = end if newline < 0 else newline
        if any(text.find(mark, line_start, line_end) >= 0 for mark in _ROW_MARKS):
            yield from _prose(text, prose_start, line_start)
            yield from _trimmed(text, line_start, line_end)
            prose_start = line_end
        line_start = line_end + 1
    yield from _prose(text, prose_start, end)


def _prose(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    sentence_start = start
    for stop in _SENTENCE_END.finditer(text, start, end):
        mark = stop.start()
        word = max(sentence_start, mark - _LONGEST_ABBREVIATION)
        if text[mark] == "." and _ABBREVIATION.search(text, word, mark + 1):
            continue
        if _NEXT_SENTENCE.match(text, stop.end(), end):
            yield from _bounded(text, sentence_start, stop.end())
            sentence_start = stop.end()
    yield from _bounded(text, sentence_start, end)


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
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


def whole_sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of `text`, grown to the sentence that it was cut from; rows are left as they are.

    A passage ends where its chunk does, which may be inside a sentence.
    """
    piece = text[start:end]
    if not piece or any(mark in piece for mark in _ROW_MARKS):
        return start, end
    limit = end + MAX_QUOTE_CHARACTERS
    if not _SENTENCE_END.search(f"{piece[-3:]} "):
        stop = _SENTENCE_END.search(text, end, limit)
        gap = _PARAGRAPH_END.search(text, end, limit)
        ends_at = min(m for m in (stop.end() if stop else limit, gap.start() if gap else limit))
        if ends_at < limit and not any(mark in text[end:ends_at] for mark in _ROW_MARKS):
            end = ends_at
    if piece[0].islower():
        above = text[max(0, start - MAX_QUOTE_CHARACTERS) : start]
        ends = [m.end() for m in (*_SENTENCE_END.finditer(above), *_PARAGRAPH_END.finditer(above))]
        begins = max(ends, default=len(above) if start > len(above) else 0)
        if not any(mark in above[begins:] for mark in _ROW_MARKS):
            start -= len(above[begins:].lstrip())
    return start, end


def joined_lines(text: str) -> str:
    """A quote on one line; words that were divided at line ends are whole again."""
    return " ".join(_DIVIDED.sub(r"\1\2", text).split())


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    part = text[start:end].rstrip()
    stripped = part.lstrip()
    if stripped:
        yield start + len(part) - len(stripped), start + len(part)


def _header(passage: Passage, headers: Sequence[tuple[int, int]]) -> str:
    """The text of the header rows: from the passage where it holds them, else its context."""
    inside = [
        " ".join(passage.text[s - passage.start : e - passage.start].split())
        for s, e in headers
        if passage.start <= s and e <= passage.end
    ]
    return " / ".join(inside) or passage.context


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


def choose(
    weights: Mapping[str, float],
    sources: Sequence[tuple[Passage, PassageTerms]],
    *,
    at_most: int,
) -> list[Quote]:
    """The best quotes of the ranked passages, best first, no text twice."""
    total = sum(weights.values())
    if not total:
        return []
    ranked = sorted(
        (
            Quote(passage, span, _score(weights, total, span) * (1 - RANK_LOSS) ** rank)
            for rank, (passage, terms) in enumerate(sources)
            for span in terms.spans
        ),
        key=lambda quote: -quote.score,
    )
    chosen: dict[str, Quote] = {}
    for quote in ranked:
        too_low = quote.score < MIN_RELATIVE_SCORE * ranked[0].score or not quote.score
        if len(chosen) == at_most or too_low:
            break
        chosen.setdefault(" ".join(quote.text.split()).casefold(), quote)
    return list(chosen.values())


def nearest_span(wanted: AbstractSet[str], terms: PassageTerms) -> QuoteSpan | None:
    """The span that holds most of the wanted terms, the shortest of equals; None without spans."""
    nearest, most, size = None, -1, 0
    for span in terms.spans:
        held = len(span.terms & wanted)
        if held > most or (held == most and len(span.terms) < size):
            nearest, most, size = span, held, len(span.terms)
    return nearest


def numbers_in(text: str) -> frozenset[str]:
    """The numbers of a text without thousands separators and trailing zeros after a point."""
    return frozenset(_plain(number) for number in _NUMBER.findall(text))


def _plain(number: str) -> str:
    bare = number.replace(",", "")
    if bare.count(".") == 1:
        bare = bare.rstrip("0").rstrip(".")
    return bare.lstrip("0") or "0"


def _score(weights: Mapping[str, float], total: float, span: QuoteSpan) -> float:
    score = _held(weights, span.terms) / total
    if not score:
        return 0.0
    if span.header_terms:
        score += HEADER_SHARE * (_held(weights, span.header_terms - span.terms) / total)
    return score * (0.5 if len(span.terms) < SHORT_TERMS or span.announces else 1.0)


_MAX_PASSAGES: Final = 4096
_MAX_HEADERS: Final = 256  # text that a document or a table repeats in all its passages


class PassageTermsCache:
    """The spans and terms of the passages used lately, at one library version."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._passages: OrderedDict[tuple[str, str, int, str], PassageTerms] = OrderedDict()
        self._header_terms = lru_cache(maxsize=_MAX_HEADERS)(self._terms)
        self._version = -1

    def keep_for(self, version: int) -> None:
        """Forget what another library version held, so that nothing deleted stays in memory."""
        if version != self._version:
            self._passages.clear()
            self._header_terms.cache_clear()
            self._version = version

    def of(self, tenant: str, passage: Passage, page: PageMap) -> PassageTerms:
        """The passage's spans and terms."""
        # The text too: a managed index may word a chunk anew at the same library version.
        key = (tenant, passage.chunk_id, passage.start, passage.text)
        terms = self._passages.get(key)
        if terms is None:
            terms = self._passages[key] = self._analysed(passage, page)
            if len(self._passages) > _MAX_PASSAGES:
                self._passages.popitem(last=False)
        return terms

    def _analysed(self, passage: Passage, page: PageMap) -> PassageTerms:
        spans = tuple(
            self._span(passage, start, end, header)
            for start, end, header in quotable_spans(passage, page)
        )
        header = f"{passage.header} {passage.document_name} {passage.context}"
        terms = self._header_terms(header).union(
            *(span.terms for span in spans), *(span.header_terms for span in spans if span.header)
        )
        return PassageTerms(spans, terms, numbers_in(f"{header} {passage.text}"))

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self._vocabulary.terms(text))

    def _span(self, passage: Passage, start: int, end: int, header: str) -> QuoteSpan:
        text = passage.text[start - passage.start : end - passage.start]
        return QuoteSpan(
            start=start,
            end=end,
            terms=self._terms(text),
            header=header,
            header_terms=self._header_terms(header) if header else frozenset(),
            announces=text.rstrip().endswith(":"),
        )
