"""Whether a figure of a sentence stands with the words of another figure of the passage. Pure.

"It bought back shares for 21.7 billion and paid dividends of 3.8 billion": a sentence that gives
the dividends as 21.7 billion has all its words and figures there. So each sentence of the passages
is divided among its figures of one kind, and a figure must not fit the words of another one better.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.grounding.figures.numbers import (
    Quantity,
    month_days,
    quantities,
    same,
    without_dates,
)
from foliotrace.text_caches import text_cache

LONGEST: Final = 1000  # characters of a sentence; a longer one is no prose
LEAST_SHARED: Final = 2  # words of the other figure that the claim has
BETTER: Final = 0.6  # how much more of the other figure's words than of its own
LEAST_PROSE: Final = 5  # words in small letters that a sentence has

_SENTENCE: Final = re.compile(
    r"\n\s*\n|[.;\u2022]\s+(?=[A-Z\"(\u201c-])|(?<![a-z,])\n|\n(?=[A-Z])|\t"
)
_CUT: Final = re.compile(
    r"[,;:](?=\s)|\b(?:and|but|while|whereas|compared (?:to|with)|versus|vs|"
    r"against|offset by)\b"
)
_DIGIT: Final = re.compile(r"\d")
_ASIDE: Final = re.compile(r"\([^()]*\)")
_NUMBER: Final = re.compile(r"[\d.,]+")
_SMALL: Final = re.compile(r"\b[a-z]{2,}\b")
_PART: Final = re.compile(r"\b(?:including|of which|comprising|consisting of|made up of)\b")
_ALONE: Final = re.compile(r"\b(?:alone|itself|by itself|only|solely)\b", re.IGNORECASE)
_EARLIER: Final = re.compile(
    r"\b(?:from|to|with|than|against|versus|after)\s+(?:about |roughly )?[$\u20ac\u00a3]?$",
    re.IGNORECASE,
)
"""Before the other end of a change: what is said stands with the first figure."""
_COMPARED: Final = re.compile(r"\b(?:compared|versus|against|from|vs|than)\b")
LEAST_WORDS: Final = 3  # the same of a sentence with one figure
_PLAIN_WORDS: Final = (
    "first second third fourth quarter quarters year years month months ended fiscal total "
    "compared approximately about million billion thousand relate related include including"
)

Terms = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Attributed:
    """A figure and the words that a sentence says of it, and no word of its like."""

    figure: Quantity
    words: frozenset[str]
    part: bool  # behind "including" or the like: a part of the figure before


def misattributed(
    claim: str, figures: Sequence[Quantity], held: Sequence[str], terms: Terms
) -> bool:
    """Whether a figure fits the words of another figure of its sentence, wherever it stands."""
    amounts = [q for q in figures if not q.is_year]
    if not amounts:
        return False
    own_words = {each.figure.start: each.words for each in _attributed(claim, terms)}
    return any(
        _fits_another(
            figure,
            own_words.get(figure.start) or _words(claim, terms),
            held,
            terms,
            alone=_ALONE.search(claim) is not None or len(amounts) == 1,
        )
        for figure in amounts
        if _words(claim[: figure.start], terms) and not _EARLIER.search(claim[: figure.start])
    )


def of_another_year(figures: Sequence[Quantity], held: Sequence[str]) -> bool:
    """Whether a figure of the one year of a claim stands in sentences of other years only."""
    years = {q.value for q in figures if q.is_year}
    if len(years) != 1:
        return False
    for figure in figures:
        if figure.is_year:
            continue
        found = [
            _years(sentence)
            for text in held
            for sentence, amounts in _with_amounts(text)
            if any(same(figure, q, ()) for q in amounts)
        ]
        if found and all(each and not years & each for each in found):
            return True
    return False


@text_cache(4096)
def _years(text: str) -> frozenset[float]:
    """The years of a sentence of prose that names no day; none for another one."""
    if month_days(text) or len(_SMALL.findall(text)) < LEAST_WORDS:
        return frozenset()
    now = _COMPARED.split(text, maxsplit=1)[0]
    return frozenset(q.value for q in quantities(now) if q.is_year)


def _fits_another(
    figure: Quantity, said: frozenset[str], held: Sequence[str], terms: Terms, *, alone: bool
) -> bool:
    found = False
    for text in held:
        for sentence in _sentences(text):
            if not any(same(figure, q, ()) for q in _amounts(sentence)):
                continue
            found = True
            if not _another_fits_better(figure, said, _attributed(sentence, terms), alone=alone):
                return False
    return found


def _another_fits_better(
    figure: Quantity, said: frozenset[str], attributed: Sequence[_Attributed], *, alone: bool
) -> bool:
    for own in attributed:
        if not same(figure, own.figure, ()):
            continue
        for other in attributed:
            if _kind(other.figure) != _kind(own.figure) or same(figure, other.figure, ()):
                continue
            of_own, of_other = own.words - other.words, other.words - own.words
            shared = len(of_other & said)
            if alone and other.part and not own.part and of_other and of_other <= said:
                return True  # the whole is given to one of its parts
            if not of_own or shared < LEAST_SHARED or shared <= len(of_own & said):
                continue
            if shared / len(of_other) - len(of_own & said) / len(of_own) >= BETTER:
                return True
    return False


@text_cache(512)
def _with_amounts(text: str) -> tuple[tuple[str, tuple[Quantity, ...]], ...]:
    """The sentences and rows of a text that hold figures, with these."""
    parts = (part for part in _SENTENCE.split(text) if part and _DIGIT.search(part))
    return tuple((part, amounts) for part in parts if (amounts := _amounts(part)))


@text_cache(512)
def _sentences(text: str) -> tuple[str, ...]:
    """The sentences of prose that hold two figures."""
    return tuple(
        part
        for part, amounts in _with_amounts(text)
        if len(amounts) > 1 and len(part) <= LONGEST and len(_SMALL.findall(part)) >= LEAST_PROSE
    )


@text_cache(4096)
def _amounts(text: str) -> tuple[Quantity, ...]:
    return tuple(q for q in quantities(without_dates(text)) if not q.is_year)


def _kind(figure: Quantity) -> tuple[bool, bool]:
    return figure.percent, figure.money or figure.scale > 1


@text_cache(8)
def _plain(terms: Terms) -> frozenset[str]:
    return frozenset(terms(_PLAIN_WORDS))


@text_cache(4096)
def _words(text: str, terms: Terms) -> frozenset[str]:
    return frozenset(terms(text)) - _plain(terms)


@text_cache(2048)
def _attributed(sentence: str, terms: Terms) -> tuple[_Attributed, ...]:
    """Each figure that has others of its kind beside it, with its words."""
    figures = _amounts(sentence)
    kinds = {_kind(figure) for figure in figures}
    return tuple(
        each
        for kind in kinds
        if len(alike := [q for q in figures if _kind(q) == kind]) > 1
        for each in _divided(sentence, alike, terms)
    )


def _divided(sentence: str, figures: Sequence[Quantity], terms: Terms) -> Iterator[_Attributed]:
    """The words of a sentence divided among its figures: those of a clause, else the next one's."""
    words: dict[int, set[str]] = {figure.start: set() for figure in figures}
    waiting: set[str] = set()
    last: Quantity | None = None
    for figure in figures:
        written = _NUMBER.match(sentence, figure.start)
        end = written.end() if written else figure.start
        sentence = f"{sentence[: figure.start]}{'#' * (end - figure.start)}{sentence[end:]}"
    asides = [found.span() for found in _ASIDE.finditer(sentence)]
    ends = (found.start() for found in _CUT.finditer(sentence))
    cuts = [0, *(e for e in ends if not any(a < e < b for a, b in asides)), len(sentence)]
    for start, end in itertools.pairwise(cuts):
        inside = [figure for figure in figures if start <= figure.start < end]
        if not inside:
            waiting |= _words(sentence[start:end], terms)
            continue
        edges = [start, *(figure.start for figure in inside[1:]), end]
        for figure, a, b in zip(inside, edges, edges[1:], strict=False):
            words[figure.start] |= _words(sentence[a:b], terms)
        words[inside[0].start] |= waiting
        waiting, last = set(), inside[-1]
    if last is not None:
        words[last.start] |= waiting
    parts = _PART.search(sentence)
    for figure in figures:
        part = parts is not None and figure.start > parts.start()
        yield _Attributed(figure, frozenset(words[figure.start]), part)
