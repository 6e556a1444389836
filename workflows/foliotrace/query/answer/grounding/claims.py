"""A question and a sentence of its answer, read once for all passages they are held against."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.grounding import clauses, polarity
from foliotrace.query.answer.grounding.evidence import in_order, words_of
from foliotrace.query.answer.grounding.figures import numbers
from foliotrace.query.answer.grounding.language import foreign
from foliotrace.query.answer.grounding.names import Name, names_of
from foliotrace.text_caches import text_cache

FRAME: Final = (
    "fy cy mn bn times year years over between about approximately roughly slight slightly "
    "minor strong strongly significant significantly change changed positive negative generated "
    "she he they there increase increased increasing decrease decreased decreasing decline "
    "declined declining improve improved improving growth grew rose fell drop dropped jump "
    "higher lower compared because mainly primarily largely mostly due includes include "
    "included such no none not any million billion thousand percent flat stable unchanged "
    "consistent narrowed widened lost both percentage point points reach reached reaches came "
    "come comes amounted totaled totalled stood versus against"
)
"""Words of comparing and counting: what they claim is checked as numbers and directions."""


TIME: Final = (
    "first second third fourth three six nine twelve quarter quarters month months week weeks "
    "day days fiscal ended ending period periods date january february march april may june july "
    "august september october november december"
)


@text_cache(8)
def _time_terms(vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(vocabulary.terms(f"{FRAME} {TIME}"))


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
    def quarters(self) -> frozenset[tuple[int, int]]:
        """Its quarters with their years."""
        return numbers.quarters(self.text)

    @cached_property
    def dates(self) -> frozenset[tuple[int, int]]:
        """Its (month, day) pairs."""
        return numbers.month_days(self.text)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Its words of letters and digits."""
        return numbers.codes(self.text)

    @cached_property
    def scales(self) -> frozenset[float]:
        """The scales in which it asks for a number: "in USD millions"."""
        return numbers.stated_scales(self.text)


@text_cache(8)
def _frame_terms(vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(vocabulary.terms(FRAME))


def _worded(terms: frozenset[str]) -> frozenset[str]:
    """The terms without single letters, as the s of a possessive."""
    return frozenset(term for term in terms if len(term) > 1)


@dataclass(frozen=True)
class Claim:
    """A sentence without its markers, read once however many passages it is held against."""

    text: str
    vocabulary: Vocabulary
    original: str = ""  # as written, where `text` has the English of another language

    @cached_property
    def language(self) -> foreign.Language | None:
        """The language it is written in; None for English."""
        return foreign.language_of(self.original)

    @cached_property
    def answer(self) -> tuple[bool | None, str]:
        """The Yes (True) or No that it begins with, and what follows it."""
        return polarity.yes_or_no(self.text)

    @cached_property
    def rest(self) -> str:
        """What follows the Yes or No."""
        return self.answer[1]

    @cached_property
    def in_order(self) -> str:
        """Its words without regard to case, each between two spaces."""
        return in_order(self.rest)

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words without regard to case."""
        return words_of(self.rest)

    @cached_property
    def has_digits(self) -> bool:
        """Whether there is any number to look for."""
        return any(map(str.isdigit, self.text))

    @cached_property
    def all_terms(self) -> frozenset[str]:
        """Every term, numbers and frame words too."""
        found = frozenset(self.vocabulary.terms(self.text))
        if self.language is not None:
            found |= frozenset(self.vocabulary.terms(self.original))
        return found

    @cached_property
    def frame(self) -> frozenset[str]:
        """The terms of comparing and counting."""
        # hashed by identity, as any object
        return _frame_terms(self.vocabulary)

    @cached_property
    def neutral(self) -> frozenset[str]:
        """The terms that make no two clauses alike: those of comparing and of time."""
        return _time_terms(self.vocabulary)

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms; numbers are compared as numbers."""
        whole = self.answer[0] is None or self.language is not None
        found = self.all_terms if whole else frozenset(self.vocabulary.terms(self.rest))
        if self.has_digits:
            found = frozenset(term for term in found if not any(map(str.isdigit, term)))
        return _worded(found) - (self.neutral if self.dates else self.frame)

    @cached_property
    def quantities(self) -> tuple[numbers.Quantity, ...]:
        """Its numbers."""
        undated = numbers.without_dates(self.rest) if self.dates else self.rest
        return tuple(numbers.quantities(undated)) if self.has_digits else ()

    @cached_property
    def years(self) -> frozenset[int]:
        """Its numbers that read as years."""
        return frozenset(int(q.value) for q in self.quantities if q.is_year)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Its words of letters and digits."""
        return numbers.codes(self.rest) if self.has_digits else frozenset()

    @cached_property
    def dates(self) -> frozenset[tuple[int, int]]:
        """Its (month, day) pairs."""
        return numbers.month_days(self.rest) if self.has_digits else frozenset()

    @cached_property
    def quarters(self) -> frozenset[tuple[int, int]]:
        """Its quarters with their years."""
        return numbers.quarters(self.rest) if self.has_digits else frozenset()

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """Its capitalised words."""
        if self.language == "de":
            return ()  # every noun has a capital
        return tuple(names_of(self.rest))

    @cached_property
    def clauses(self) -> tuple[clauses.Clause, ...]:
        """Its clauses."""
        return clauses.clauses_of(self.rest, self.vocabulary.terms, self.neutral)

    @cached_property
    def direction(self) -> polarity.Direction | None:
        """Where it says that something went."""
        return polarity.direction(self.rest)

    @cached_property
    def denies(self) -> bool:
        """Whether it holds an odd number of negations."""
        return polarity.negated(self.rest)
