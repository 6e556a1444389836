"""Whether the clauses of a sentence go the same way as the clauses they are nearest to. Pure.

A long sentence denies one thing and affirms another, and sets one figure against one name. So a
claim is compared clause by clause: with the clause of the passages that shares most of its words.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.figures import numbers
from foliotrace.text_caches import text_cache

NEAR_CLAUSE: Final = 0.75  # the share of a clause's terms that makes another the same claim
ASKED_CLAUSE: Final = 0.5  # the same for a question that was answered with Yes
LEAST_TERMS: Final = 2

Figures: TypeAlias = tuple[str, tuple[numbers.Quantity, ...]]
"""A row or clause in lower case, and its numbers."""
Terms: TypeAlias = Callable[[str], Sequence[str]]

_END: Final = re.compile(
    r"[;:,](?=\s)|\b(?:but|while|although|whereas|because|since|partially|until)\b"
    r"|\band(?= (?:sales|leads|is|are|was|were|will|has|have|had|the|our|it|they|a)\b)|\n"
)
_ROW_OR_CLAUSE: Final = re.compile(
    r"\n|[;.](?=\s)|,? and (?=\w+ (?:to|of|in|by|for) )|,(?=\s[a-z])"
)
_NEXT_LABEL: Final = re.compile(r"\t(?=[^\t\d]+:)")
_CONTRARY: Final = {
    word: frozenset(b if word == a else a for a, b in polarity.OPPOSITES if word in (a, b))
    for pair in polarity.OPPOSITES
    for word in pair
}
_WORD: Final = re.compile(r"[a-z]+")
_CODE_BEFORE: Final = re.compile(r"[A-Za-z]-$")


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence, with what it says."""

    text: str
    terms: frozenset[str]
    negated: bool
    direction: polarity.Direction | None
    words: frozenset[str]
    first_value_is_dash: bool = False  # of a row of a table

    def contradicts(self, evidence: "Clause") -> bool:
        """Whether it affirms what a clause of the evidence denies, or the reverse.

        A row with a dash in place of a number denies; "immaterial" for "material" is a negation.
        """
        has_number = any(map(str.isdigit, self.text))
        evidence_denies = evidence.negated or (evidence.first_value_is_dash and not has_number)
        has_negated_word = polarity.contrary_words(
            self.words - evidence.words, evidence.words - self.words
        )
        return evidence_denies != (self.negated != has_negated_word)


@text_cache(8192)
def clauses_of(text: str, terms: Terms, neutral: frozenset[str]) -> tuple[Clause, ...]:
    """The clauses of a text, without `neutral` terms and without numbers."""
    found = []
    # A row of a table is one clause, a row of labels with their values one for each label.
    parts = _NEXT_LABEL.split(text) if "\t" in text else _END.split(text)
    for part in parts:
        named = {t for t in terms(part) if not any(map(str.isdigit, t))} - neutral
        if named:
            words = frozenset(_WORD.findall(part.casefold()))
            found.append(
                Clause(
                    part,
                    frozenset(named),
                    polarity.negated(part),
                    polarity.direction(part),
                    words,
                    polarity.is_nil(part),
                )
            )
    return tuple(found)


def contradicted(claim: Sequence[Clause], evidence: Sequence[Clause]) -> bool:
    """Whether a clause of the claim denies, turns round or reverses the nearest clauses."""
    for clause in claim:
        near = nearest(clause, evidence)
        if not near:
            continue
        if all(clause.contradicts(other) for other in near):
            return True
        if clause.direction and not clause.negated:
            ways = {other.direction for other in near}
            if ways and clause.direction not in ways and None not in ways:
                return True
        if not clause.negated and all(
            _uses_antonym(clause, other) and not other.negated for other in near
        ):
            return True
    return False


def denied(asked: Sequence[Clause], evidence: Sequence[Clause]) -> bool:
    """Whether the nearest clauses deny what a Yes affirms."""
    for clause in asked:
        near = nearest(clause, evidence, least=ASKED_CLAUSE)
        if not near or clause.negated:
            continue
        if all(
            other.negated or other.first_value_is_dash or _uses_antonym(clause, other)
            for other in near
        ):
            return True
    return False


@text_cache(512)
def figures_of(text: str) -> tuple[Figures, ...]:
    """The rows and clauses of a text that hold a number, without regard to case, with them."""
    parts = (part for part in _ROW_OR_CLAUSE.split(text) if any(map(str.isdigit, part)))
    return tuple((part.casefold(), tuple(numbers.quantities(part))) for part in parts)


def nearest(
    clause: Clause, evidence: Sequence[Clause], *, least: float = NEAR_CLAUSE
) -> list[Clause]:
    """The clauses that hold most of its terms, if they hold enough of them."""
    if len(clause.terms) < LEAST_TERMS:
        return []
    shares = [len(clause.terms & other.terms) for other in evidence]
    most = max(shares, default=0)
    if most < LEAST_TERMS or (
        most < least * len(clause.terms)
        and not (most >= LEAST_TERMS and _has_contrary(clause) and most >= len(clause.terms) / 2)
    ):
        return []
    return [other for other, share in zip(evidence, shares, strict=True) if share == most]


def _has_contrary(clause: Clause) -> bool:
    return any(word in _CONTRARY for word in clause.words)


def _uses_antonym(clause: Clause, other: Clause) -> bool:
    """Whether the other one says the contrary of a word that it does not have."""
    return polarity.contrary_words(clause.words - other.words, other.words - clause.words) or any(
        _CONTRARY[word] & other.words and word not in other.words
        for word in clause.words
        if word in _CONTRARY
    )


def last_clause(text: str) -> str:
    """What stands behind the last end of a clause."""
    return _END.split(text)[-1]


def gives_figure_to_another_name(
    claim: str, texts: Sequence[Figures], names: Sequence[str], asked: str
) -> bool:
    """Whether a sentence gives a name the figure of another one.

    That is so when no clause or row of the evidence has both, the figure stands beside something
    else, and the name beside another figure of the same kind. A figure belongs to the names before
    it, a year to those behind it.
    """
    claim = numbers.without_dates(claim)
    figures = [q for q in numbers.quantities(claim) if not _CODE_BEFORE.search(claim[: q.start])]
    places = [0, *(figure.start for figure in figures), len(claim)]
    for place, figure in enumerate(figures, 1):
        if _in(figure, asked):
            continue
        behind = figure.is_year
        beside = (
            claim[places[place] : places[place + 1]]
            if behind
            else (claim[places[place - 1] : places[place]])
        )
        if any(_is_of_another(n.casefold(), figure, texts) for n in names if n in beside):
            return True
    return False


def _is_of_another(name: str, figure: numbers.Quantity, texts: Sequence[Figures]) -> bool:
    """Whether the figure stands in texts without the name, and the name beside its like only."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    beside_name = [figures for text, figures in texts if figures and word.search(text)]
    if any(_contains(figures, figure) for figures in beside_name):
        return False
    agreeing = any(_agree(figure, q) for figures in beside_name for q in figures)
    return agreeing and any(_contains(figures, figure) for _, figures in texts)


def _in(quantity: numbers.Quantity, asked: str) -> bool:
    return f"{quantity.value:g}" in asked


def _agree(one: numbers.Quantity, other: numbers.Quantity) -> bool:
    return (one.percent, one.is_year, one.scale) == (other.percent, other.is_year, other.scale)


def _contains(figures: Sequence[numbers.Quantity], figure: numbers.Quantity) -> bool:
    return any(numbers.same(figure, q, ()) for q in figures)
