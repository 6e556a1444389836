"""What a question asks of the passages that were found: worked out once for all steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from foliotrace.model import Passage
from foliotrace.query.answer.quoting.asked import Asked
from foliotrace.query.answer.quoting.passage_terms import PassageTerms
from foliotrace.query.answer.quoting.stated import Relation

Sources: TypeAlias = Sequence[tuple[Passage, PassageTerms]]
"""Passages with their terms, in the order of their markers: [1] is the first."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A question, or a part of one, with the weights of its terms and the passages for it.

    `further` passages were found by the second search.
    """

    text: str
    weights: Mapping[str, float]
    sources: Sources
    asked: Asked
    relation: Relation
    further: Sources = ()
