"""Words that make a measure another one: "net debt" is not "total debt". Pure.

A question's qualifier stands right before the word it qualifies. A row that states this word must
hold the qualifier too, and no other one of its family instead.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Terms: TypeAlias = Callable[[str], Sequence[str]]
Rows: TypeAlias = Sequence[tuple[frozenset[str], tuple[frozenset[str], ...]]]

_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A qualifying word of a question, the word it stands before, and its family, as terms.

    `optional`: a row without any word of the family states the same ("total revenue").
    """

    word: str
    head: str
    family: frozenset[str]
    optional: bool = False


class Qualifiers:
    """The families of qualifying words of the lexicon."""

    def __init__(self, families: Sequence[str], optional: Sequence[str], terms: Terms) -> None:
        self.families = tuple(frozenset(terms(words)) for words in families)
        self._written = frozenset(word for family in families for word in family.split())
        self._optional = frozenset(t for word in optional for t in terms(word))
        self._terms = terms

    @property
    def required(self) -> frozenset[str]:
        """Those that a row cannot do without."""
        return frozenset().union(*self.families) - self._optional

    def of(self, question: str) -> tuple[Qualifier, ...]:
        """The qualifiers of a question, in upper or lower case."""
        words = [word.casefold() for word in _WORD.findall(question)]
        stems = [(self._terms(word) or ("",))[0] for word in words]
        family_of = {term: family for family in self.families for term in family}
        found = []
        for place, (word, stem) in enumerate(zip(words, stems, strict=True)):
            if word not in self._written or stem not in family_of:
                continue  # "compare" is not "comparable", although both have one stem
            after = (
                stem
                for word, stem in zip(words[place + 1 :], stems[place + 1 :], strict=True)
                if word not in self._written
            )
            if head := next(after, ""):
                found.append(Qualifier(stem, head, family_of[stem], stem in self._optional))
        return tuple(found)


def holds_qualifiers(
    asked: Sequence[Qualifier], label: frozenset[str], around: frozenset[str], rows: Rows
) -> bool:
    """Whether a row states the measure with each of its qualifiers.

    `label` are the row's terms, `around` those of its group, column and headings. `rows` are the
    phrases of the question with the labels that state the same.
    """
    return all(_holds(each, label, around, rows) for each in asked)


def _holds(each: Qualifier, label: frozenset[str], around: frozenset[str], rows: Rows) -> bool:
    if each.word in label:
        return True
    named = [phrase for phrase, labels in rows if any(own <= label for own in labels)]
    if any(each.word in phrase for phrase in named):
        return True  # the lexicon knows this label for the whole measure
    if each.head not in label and not any(each.head in phrase for phrase in named):
        return True  # the row is of something else
    if label & each.family:
        return False
    return each.optional or each.word in around
