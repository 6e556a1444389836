"""What a question asks of the passages that were found: worked out once for all steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from foliotrace.model import Passage
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.quoting.asked import Asked
from foliotrace.query.answer.quoting.passage_terms import PassageTerms
from foliotrace.query.answer.quoting.stated import Relation

Sources: TypeAlias = Sequence[tuple[Passage, PassageTerms]]
"""Passages with their terms, in the order of their markers: [1] is the first."""


MOST_SEARCHED: Final = 2  # documents that are searched once more


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


def searchable(text: str, sources: Sources) -> list[str]:
    """The best documents, those first whose identity has a year that the question names."""
    years = set(periods_in(text).years)
    of_year: dict[str, bool] = {}
    for passage, _ in sources:
        if passage.document_id not in of_year:
            named = periods_in(f"{passage.header} {passage.document_name.replace('_', ' ')}")
            ends = {date.year for date in named.dates} | set(named.years)
            of_year[passage.document_id] = bool(years & ends)
    return sorted(of_year, key=lambda document: not of_year[document])[:MOST_SEARCHED]
