"""A passage as evidence: its words, numbers, dates and rows, worked out when first asked for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.grounding import arithmetic, numbers
from foliotrace.query.answer.quotes import PassageTerms

_WORD: Final = re.compile(r"\w+")
_ACRONYM: Final = re.compile(r"\b(?:[A-Z]\.){2,}")


_PASSAGES: Final = 512  # whose reading is remembered: the same ones answer many questions


@lru_cache(_PASSAGES)
def words_of(text: str) -> frozenset[str]:
    """Its words without regard to case; U.S. is also "us"."""
    short = (found.replace(".", "") for found in _ACRONYM.findall(text))
    return frozenset(_WORD.findall(" ".join((text, *short)).casefold()))


@lru_cache(_PASSAGES)
def _quantities(text: str) -> tuple[numbers.Quantity, ...]:
    return tuple(numbers.quantities(text))


_codes = lru_cache(_PASSAGES)(numbers.codes)
_month_days = lru_cache(_PASSAGES)(numbers.month_days)
_scales = lru_cache(_PASSAGES)(numbers.stated_scales)
_rows = lru_cache(_PASSAGES)(arithmetic.rows)


@dataclass(frozen=True)
class ClaimEvidence:
    """A passage that sentences are checked against, with the terms of its spans."""

    passage: Passage
    terms: PassageTerms

    @cached_property
    def text(self) -> str:
        """What the language model read of the passage."""
        of = self.passage
        return "\n".join((of.document_name, of.header, of.context, of.text))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words without regard to case."""
        return words_of(self.text)

    @cached_property
    def quantities(self) -> tuple[numbers.Quantity, ...]:
        """Its numbers."""
        return _quantities(self.text)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Its words of letters and digits."""
        return _codes(self.text)

    @cached_property
    def dates(self) -> frozenset[tuple[int, int]]:
        """The (month, day) pairs that it names."""
        return _month_days(self.text)

    @cached_property
    def scales(self) -> frozenset[float]:
        """The scales that it states for its tables."""
        return _scales(self.text)

    @cached_property
    def rows(self) -> list[arithmetic.NumberRow]:
        """Its labelled rows of numbers."""
        return _rows(self.passage.text)

    def nearest_texts(self, wanted: frozenset[str], *, least: float) -> Iterator[tuple[float, str]]:
        """(share of the wanted terms, text) of its spans that hold `least` of them."""
        for span in self.terms.spans:
            share = len(span.terms & wanted) / len(wanted) if wanted else 0.0
            if share >= least:
                start = self.passage.start
                yield share, self.passage.text[span.start - start : span.end - start]
