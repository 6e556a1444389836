"""The verdict on one sentence of an answer, over the passages that it cites. Pure.

Supported: its words, names, numbers and dates stand in the passages, and it says yes where they do.
Derived: a number is the result of arithmetic on cited rows, or a yes or no follows from what is
cited. Unverified: anything else.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.grounding import arithmetic, numbers, polarity
from foliotrace.query.answer.grounding.evidence import ClaimEvidence, words_of

SUPPORT: Final = 0.5  # the share of a sentence's terms that the passages and the question hold
NEW_SUPPORT: Final = 0.34  # the same of the terms that the question does not have
NEAR: Final = 0.5  # the share of a sentence's terms that makes a span the one it is about
SAME_CLAIM: Final = 0.75  # the share from which a span says the same thing, but for a "not"

_NAME: Final = re.compile(r"\b[A-Z][\w&\u2019'-]*\w|\b[A-Z]\b")
_WORD: Final = re.compile(r"\w+")
_CLAUSE_END: Final = re.compile(r"[,;:](?=\s)|[.](?=\s)")
_RATIO: Final = re.compile(r"\b(?:margins?|ratio|rate|share|percent|proportion)\b|%", re.IGNORECASE)
_COMMON_WORDS: Final = (
    "a an the i it its this that these those in on at for from to of and or as by with both each "
    "he she they we you yes no not there here all if when while fy cy ltd llc inc corp co plc "
    "jan feb mar apr jun jul aug sep oct nov dec"
)
"""Capitalised words that name nothing; short months are checked as dates."""
_COMMON: Final = frozenset(_COMMON_WORDS.split())

FRAME: Final = (
    "fy cy mn bn times year years over between about approximately roughly slight slightly minor "
    "strong strongly significant significantly change changed positive negative generated she he "
    "they there increase increased increasing decrease decreased decreasing decline declined "
    "declining improve improved improving growth grew rose fell drop dropped jump higher lower "
    "compared million billion thousand percent flat stable unchanged consistent"
)
"""Words of comparing and counting: what they claim is checked as numbers and directions."""


class ClaimVerdict(StrEnum):
    """What the passages make of a sentence."""

    SUPPORTED = "supported"
    DERIVED = "derived"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Question:
    """The question, as far as a sentence may rely on it: its words and its numbers."""

    text: str
    vocabulary: Vocabulary

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms."""
        return frozenset(self.vocabulary.terms(self.text))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words without regard to case."""
        return words_of(self.text)

    @cached_property
    def quantities(self) -> tuple[numbers.Quantity, ...]:
        """Its numbers."""
        return tuple(numbers.quantities(self.text))

    @cached_property
    def codes(self) -> frozenset[str]:
        """Its words of letters and digits."""
        return numbers.codes(self.text)

    @cached_property
    def scales(self) -> frozenset[float]:
        """The scales in which it asks for a number: "in USD millions"."""
        return numbers.stated_scales(self.text)


@lru_cache(8)
def _frame_terms(vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(vocabulary.terms(FRAME))


@dataclass(frozen=True)
class Sentence:
    """A sentence without its markers."""

    text: str
    vocabulary: Vocabulary

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms; numbers are compared as numbers."""
        return frozenset(
            term for term in self.vocabulary.terms(self.text) if not any(map(str.isdigit, term))
        ) - _frame_terms(self.vocabulary)  # type: ignore[arg-type] # hashed by identity, as any object

    @cached_property
    def quantities(self) -> tuple[numbers.Quantity, ...]:
        """Its numbers."""
        return tuple(numbers.quantities(self.text))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its capitalised words, the first word only where a name goes on behind it."""
        found = list(_NAME.finditer(self.text))
        first = len(self.text) - len(self.text.lstrip("\"'(\u201c*-0123456789.) "))
        return tuple(
            name.group()
            for place, name in enumerate(found)
            if name.start() > first
            or name.group().endswith(("'s", "\u2019s"))
            or (place + 1 < len(found) and found[place + 1].start() == name.end() + 1)
        )


def judge(sentence: str, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    """The verdict on `sentence` over the passages `cited`, all of them together."""
    yes, rest = polarity.yes_or_no(sentence)
    if yes is not None and not rest.strip(" .!,"):
        return _bare_yes_or_no(yes, question, cited)
    if yes is not None and not polarity.agrees(yes, question.text, rest):
        return ClaimVerdict.UNVERIFIED
    claim = Sentence(rest, question.vocabulary)
    verdict = _claim(claim, question, cited)
    if verdict is ClaimVerdict.SUPPORTED and yes is not None:
        return ClaimVerdict.DERIVED
    return verdict


def _claim(claim: Sentence, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    verdict = ClaimVerdict.SUPPORTED
    if not _codes_and_dates_hold(claim, question, cited):
        return ClaimVerdict.UNVERIFIED
    if not (_names_hold(claim, question, cited) and _years_hold(claim, question, cited)):
        return ClaimVerdict.UNVERIFIED
    missing = [
        each
        for each in claim.quantities
        if not any(numbers.same(each, held, ()) for held in question.quantities)
        and not any(
            numbers.same(each, held, e.scales, question.scales)
            for e in cited
            for held in e.quantities
        )
    ]
    if missing:
        if not _derived(missing, claim, question, cited):
            return ClaimVerdict.UNVERIFIED
        verdict = ClaimVerdict.DERIVED
    held = sum(not each.is_year for each in claim.quantities)
    if not _words_hold(claim, question, cited, held):
        return ClaimVerdict.UNVERIFIED
    if any(not right for _, right in arithmetic.stated_results(claim.text)):
        return ClaimVerdict.UNVERIFIED
    redone = verdict is ClaimVerdict.DERIVED
    return verdict if _polarity_holds(claim, cited, redone=redone) else ClaimVerdict.UNVERIFIED


def _words_hold(
    claim: Sentence, question: Question, cited: Sequence[ClaimEvidence], numbers_held: int = 0
) -> bool:
    """Whether enough of the words hold; a number that holds counts as much as a word."""
    held = frozenset().union(*(e.terms.terms for e in cited))
    new = claim.terms - question.terms
    known = len(claim.terms) - len(new - held) + numbers_held
    new_known = len(new & held) + numbers_held
    return known >= SUPPORT * (len(claim.terms) + numbers_held) and new_known >= NEW_SUPPORT * (
        len(new) + numbers_held
    )


def _names_hold(claim: Sentence, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    for name in claim.names:
        for word in _WORD.findall(name.casefold().replace("\u2019s", "").replace("'s", "")):
            if word in _COMMON or word in question.words or any(c.isdigit() for c in word):
                continue
            if any(spelled in e.words for e in cited for spelled in arithmetic.spellings(word)):
                continue
            if f"{name}." in claim.text and _abbreviates(word, question, cited):
                continue
            stems = frozenset(question.vocabulary.terms(word))
            if stems and any(stems <= e.terms.terms | question.terms for e in cited):
                continue
            return False
    return True


def _abbreviates(word: str, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether "adj" is the beginning of a word that was read."""
    words = question.words.union(*(e.words for e in cited))
    return len(word) > 2 and any(each.startswith(word) for each in words)


def _codes_and_dates_hold(
    claim: Sentence, question: Question, cited: Sequence[ClaimEvidence]
) -> bool:
    held = question.codes.union(*(e.codes for e in cited))
    dates = numbers.month_days(question.text).union(*(e.dates for e in cited))
    return numbers.codes(claim.text) <= held and numbers.month_days(claim.text) <= dates


def _years_hold(claim: Sentence, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a sentence that names none of the years asked about takes its years from a span."""
    asked = {q.value for q in question.quantities if q.is_year}
    named = {q.value for q in claim.quantities if q.is_year}
    if not asked or not named or asked & named:
        return True
    near = _nearest(claim.terms, cited, least=NEAR / 2)
    return any(f"{year:.0f}" in text for year in named for _, text in near)


def _derived(
    missing: Sequence[numbers.Quantity],
    claim: Sentence,
    question: Question,
    cited: Sequence[ClaimEvidence],
) -> bool:
    """Whether each missing number follows by arithmetic, shown in the sentence or redone here."""
    confirmed = {place for place, right in arithmetic.stated_results(claim.text) if right}
    terms = question.vocabulary.terms
    wanted = frozenset(terms(arithmetic.expanded(f"{question.text} {claim.text}")))
    table = arithmetic.relevant([row for e in cited for row in e.rows], wanted, terms)
    stated = tuple(q.value for q in claim.quantities if q not in missing and not q.is_year)
    table.append(arithmetic.NumberRow("", stated))
    said = None if polarity.negated(claim.text) else polarity.direction(claim.text)
    return all(each.start in confirmed or arithmetic.derives(each, table, said) for each in missing)


def _bare_yes_or_no(yes: bool, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    """A Yes or No alone claims what the question asks, or the contrary."""
    asked = Sentence(question.text, question.vocabulary)
    empty_question = Question("", question.vocabulary)
    if not _words_hold(asked, empty_question, cited):
        return ClaimVerdict.UNVERIFIED
    wanted = polarity.direction(polarity.asked_first(question.text))
    found = _direction_found(asked, cited)
    if wanted and found:
        return ClaimVerdict.DERIVED if yes == (wanted == found) else ClaimVerdict.UNVERIFIED
    near = _nearest(asked.terms, cited, least=NEAR)
    denied = bool(near) and polarity.negated(near[0][1]) != polarity.negated(question.text)
    return ClaimVerdict.DERIVED if yes != denied and (yes or near) else ClaimVerdict.UNVERIFIED


def _polarity_holds(claim: Sentence, cited: Sequence[ClaimEvidence], *, redone: bool) -> bool:
    """Whether the sentence goes the way that its numbers and its nearest spans go.

    `redone`: arithmetic has confirmed its direction already.
    """
    denies = polarity.negated(claim.text)
    said = polarity.direction(claim.text)
    change = polarity.stated_change(claim.text)
    if said and change:
        return (said == change) != denies
    found = _direction_found(claim, cited) if said and not redone else None
    if found:
        return (said == found) != denies
    if said and not (denies or redone) and not _RATIO.search(claim.text):
        texts = [text for _, text in _nearest(claim.terms, cited, least=NEAR / 2)]
        return any(polarity.has_direction(text, said) for text in texts)
    near = _nearest(claim.terms, cited, least=NEAR)
    if denies:
        return any(polarity.negated(text) for _, text in near)
    same = [text for share, text in near if share >= SAME_CLAIM]
    return not same or not all(polarity.negated(text) for text in same)


def _nearest(
    wanted: frozenset[str], cited: Sequence[ClaimEvidence], *, least: float
) -> list[tuple[float, str]]:
    """(share, text) of the spans of all passages that hold `least` of the terms, the most first."""
    near = [each for e in cited for each in e.nearest_texts(wanted, least=least)]
    return sorted(near, key=lambda each: -each[0])


def _beside_numbers(claim: Sentence, text: str) -> Iterator[polarity.Direction]:
    """The directions in the clauses of `text` that hold a number of the claim."""
    for clause in _CLAUSE_END.split(text):
        held = tuple(numbers.quantities(clause))
        if any(
            numbers.same(each, other, ())
            for each in claim.quantities
            for other in held
            if not each.is_year
        ):
            found = polarity.direction(clause)
            if found:
                yield found


def _direction_found(claim: Sentence, cited: Sequence[ClaimEvidence]) -> polarity.Direction | None:
    """The direction that the nearest spans give, else the first relevant row of a table."""
    near = _nearest(claim.terms, cited, least=NEAR / 2)
    beside = {d for _, text in near for d in _beside_numbers(claim, text)}
    if len(beside) == 1:
        return beside.pop()
    said = {polarity.direction(text) for share, text in near if share >= 0.8 * near[0][0]}
    said.discard(None)
    if len(said) == 1:
        return said.pop()
    if said or _RATIO.search(claim.text):
        return None
    terms = claim.vocabulary.terms
    wanted = frozenset(terms(arithmetic.expanded(claim.text)))
    for e in cited:
        for row in arithmetic.relevant(e.rows, wanted, terms)[:1]:
            dated = row.newest_first is not None and len(row.values) > 1
            if dated and row.values[0] != row.values[1]:
                rises = (row.values[0] > row.values[1]) == row.newest_first
                return "up" if rises else "down"
    return None
