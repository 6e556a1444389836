"""Whether the dates and names of a sentence stand where the rest of it does. Pure.

A date or a name that stands somewhere in the passages proves little: it must stand in the clause,
row or labelled value that shares most words with the sentence and its question.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.clauses import Terms
from foliotrace.query.answer.grounding.evidence import ClaimEvidence, words_of
from foliotrace.query.answer.grounding.figures import numbers, tables
from foliotrace.query.answer.grounding.names import names_of
from foliotrace.text_caches import text_cache

NEAR_DATE: Final = 0.7  # of the words that the best clause with a date shares with the sentence
NEAR_NAME: Final = 0.5  # the share of a sentence's words that makes a clause say the same
NEAR_ASKED: Final = 0.6  # the same of a question's words, for an answer of a name alone
LEAST_WORDS: Final = 2
ROW_CELLS: Final = 3

_PART: Final = re.compile(r"(?<![:\s])\s*\n+|;\s|[.!?]\s+(?=[A-Z\"(])|\t(?=[^\t\d]+:)")
_BROKEN: Final = re.compile(r"(?<=[^\n\t]{60}[a-z,])\n+(?=[^\t\n]*(?:\n|$))")  # inside a sentence
_MONTH_YEAR: Final = re.compile(
    rf"\b({numbers.MONTH})\.?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?((?:19|20)\d\d)\b", re.IGNORECASE
)
_NUMERIC: Final = re.compile(r"\b(\d\d?)/(\d\d?)/(\d{4})\b|\b(\d{4})-(\d\d)-\d\d\b")
_FIRST: Final = re.compile(r"\W*([A-Z]\w{2,})")
_SHORT: Final = tuple(month[:3] for month in numbers.MONTHS)


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    terms: frozenset[str]
    words: frozenset[str]


@text_cache(512)
def _parts(text: str, terms: Terms) -> tuple[_Part, ...]:
    """The clauses, rows and labelled values of a text, each with a heading right above it."""
    parts = (part for part in _PART.split(_BROKEN.sub(" ", text)) if part and part.strip())
    return tuple(_Part(part, frozenset(terms(part)), words_of(part)) for part in parts)


@text_cache(2048)
def months(text: str) -> frozenset[tuple[int, int]]:
    """The (month, year) pairs of a text; both readings of 02/03/2024."""
    found = {(_SHORT.index(m[:3].casefold()) + 1, int(y)) for m, y in _MONTH_YEAR.findall(text)}
    for one, other, year, iso_year, iso_month in _NUMERIC.findall(text):
        pairs = ((iso_month, iso_year),) if iso_year else ((one, year), (other, year))
        found |= {(int(m), int(y)) for m, y in pairs if int(m) <= len(_SHORT)}
    return frozenset(found)


_KINDS: Final[tuple[Callable[[str], AbstractSet[tuple[int, int]]], ...]] = (
    text_cache(4096)(numbers.month_days),
    months,
    text_cache(4096)(numbers.quarters),
)


def dates_bound(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether each day, month and quarter stands in a clause that the sentence is about."""
    if not claim.has_digits:
        return True
    wanted = (claim.all_terms | _asked(question)) - claim.neutral
    heads = frozenset().union(*(e.facts.heads for e in cited))
    for kind in _KINDS:
        new = kind(claim.rest) - kind(question.text) - heads
        if not new:
            continue
        dated = [
            (len(part.terms & wanted), kind(part.text)) for part in _all_parts(claim, cited)
            if kind(part.text)
        ]  # fmt: skip
        most = max((share for share, _ in dated), default=0)
        for each in new:
            best = max((share for share, held in dated if each in held), default=None)
            if best is None and kind is months and not _month_apart(each, cited):
                return False
            if best is None and kind is not months and most >= NEAR_NAME * len(claim.terms):
                return False
            if best is not None and best < NEAR_DATE * most:
                return False
    return True


def _month_apart(month: tuple[int, int], cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the month and the year both stand in a passage, as in the head of a table."""
    name = numbers.MONTHS[month[0] - 1]
    return any(
        str(month[1]) in e.facts.words and not {name, name[:3]}.isdisjoint(e.facts.words)
        and month not in months(e.facts.text) and "\t" in e.facts.text
        for e in cited
    )  # fmt: skip


def names_bound(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether its names stand with what it says: in one row, in the clause that says the same."""
    heads = frozenset().union(*(words_of(e.head) for e in cited))
    known = question.words | heads
    read = frozenset().union(*(e.facts.words for e in cited))
    new = [
        word for name in claim.names for word in name.words
        if word not in known and not (name.text.isupper() and word not in read)
    ]  # fmt: skip
    first = _FIRST.match(claim.rest)
    if first and first[1].casefold() not in known and _is_name(first[1], cited):
        new.append(first[1].casefold())
    if not new:
        return True
    parts = list(_all_parts(claim, cited))
    if not _in_one_row(new, parts):
        return False
    of_names = {term for word in new for term in claim.vocabulary.terms(word)}
    about = claim.terms - of_names - claim.neutral
    least = NEAR_NAME
    if len(about) < LEAST_WORDS:
        if claim.has_digits:
            return True
        about |= _asked(question)
        least = NEAR_ASKED
    shares = [len(part.terms & about) for part in parts]
    most = max(shares, default=0)
    if most < max(LEAST_WORDS, least * len(about)):
        return True
    whole = _whole_names(claim, new)
    best = [part for part, share in zip(parts, shares, strict=True) if share == most]
    if any(_has_figure(part, claim) and part.words.issuperset(new) for part in parts):
        return True
    return any(_named(part, whole, known) for part in best)


def _has_figure(part: _Part, claim: Claim) -> bool:
    """Whether a clause or row has a figure of the sentence."""
    held = numbers.quantities(part.text) if any(map(str.isdigit, part.text)) else ()
    return any(
        numbers.same(figure, q, ())
        for figure in claim.quantities
        if not figure.is_year
        for q in held
    )


def _is_name(word: str, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the first word of a sentence is written large inside the passages' sentences."""
    inside = re.compile(rf"[a-z,] {re.escape(word)}\b")
    return any(inside.search(e.facts.body) for e in cited)


def _whole_names(claim: Claim, new: Sequence[str]) -> list[list[str]]:
    """The words of each name, those of its parts side by side together."""
    whole: list[list[str]] = []
    for name in claim.names:
        words = [word for word in name.words if word in new]
        if name.before and whole:
            whole[-1] += words
        else:
            whole.append(words)
    alone = set(new).difference(*whole)
    return [each for each in (*whole, list(alone)) if each]


def _named(part: _Part, new: Sequence[Sequence[str]], known: AbstractSet[str]) -> bool:
    """Whether a clause has one of the names, or none at all but for those known."""
    if any(part.words.issuperset(name) for name in new):
        return True
    others = {word for name in names_of(f"- {part.text}") for word in name.words}
    return not others - known


def _in_one_row(new: Sequence[str], parts: Sequence[_Part]) -> bool:
    """Whether names that stand in rows of tables only have a row in common."""
    holding = [[p for p in parts if word in p.words] for word in dict.fromkeys(new)]
    rows = [each for each in holding if each and all(map(_is_row, each))]
    return len(rows) < 2 or any(all(p in each for each in rows) for p in rows[0])


def _is_row(part: _Part) -> bool:
    return part.text.count("\t") >= ROW_CELLS and any(map(str.isdigit, part.text))


def _asked(question: Question) -> frozenset[str]:
    return frozenset(question.vocabulary.terms(tables.expanded(question.text)))


def _all_parts(claim: Claim, cited: Sequence[ClaimEvidence]) -> Iterator[_Part]:
    for e in cited:
        yield from _parts(e.facts.body, claim.vocabulary.terms)
