"""A passage as evidence: its words, numbers, dates and rows, worked out when first asked for."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.grounding.figures import cells, numbers, tables
from foliotrace.query.answer.grounding.language import foreign
from foliotrace.query.answer.quoting.passage_terms import PassageTerms
from foliotrace.text_caches import text_cache

_WORD: Final = re.compile(r"\w+")
_ACRONYM: Final = re.compile(r"\b(?:[A-Z]\.){2,}")
_NONE: Final = re.compile(r"\s*(?:None|Not applicable|N/A)\.?(?=\s*(?:\n|$))")
_PASSAGES: Final = 2048  # whose reading is remembered: the same ones answer many questions


def words_of(text: str) -> frozenset[str]:
    """Its words without regard to case; U.S. is also "us"."""
    short = (found.replace(".", "") for found in _ACRONYM.findall(text))
    return frozenset(_WORD.findall(" ".join((text, *short)).casefold()))


def in_order(text: str) -> str:
    """Its words without regard to case, each between two spaces."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


class PassageFacts:
    """What a text holds. One object for each text, whatever the question."""

    def __init__(self, head: str, text: str) -> None:
        self.language = foreign.language_of(text)
        self.body = foreign.in_english(text)
        self.text = f"{head}\n{self.body}"

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words without regard to case."""
        return words_of(self.text)

    @cached_property
    def in_order(self) -> str:
        """Its words without regard to case, each between two spaces."""
        return in_order(self.text)

    @cached_property
    def quantities(self) -> tuple[numbers.Quantity, ...]:
        """Its numbers."""
        return tuple(numbers.quantities(self.text))

    @cached_property
    def amounts(self) -> frozenset[float]:
        """Its numbers written out, also in the scales that it states."""
        scales = (1.0, *self.scales)
        return frozenset(
            q.value * scale
            for q in self.quantities
            for scale in (scales if q.scale == 1 and not q.percent else (q.scale,))
        )

    @cached_property
    def codes(self) -> frozenset[str]:
        """Its words of letters and digits."""
        return numbers.codes(self.text)

    @cached_property
    def dates(self) -> frozenset[tuple[int, int]]:
        """The (month, day) pairs that it names."""
        return numbers.month_days(self.text)

    @cached_property
    def quarters(self) -> frozenset[tuple[int, int]]:
        """The (quarter, year) pairs that it names."""
        return numbers.quarters(self.text)

    @cached_property
    def scales(self) -> frozenset[float]:
        """The scales that it states for its tables."""
        return numbers.stated_scales(self.text)

    @cached_property
    def rows(self) -> list[tables.NumberRow]:
        """Its labelled rows of numbers."""
        return tables.rows(self.body)

    @cached_property
    def heads(self) -> frozenset[tuple[int, int]]:
        """(month, day) and (month, year) of the dates that head columns of its tables."""
        periods = {period for row in self.rows for period in row.periods if period[1]}
        return frozenset(
            pair for year, month, day in periods for pair in ((month, day), (month, year))
        )

    @cached_property
    def table(self) -> cells.NumberTable:
        """Its rows as cells, with the numbers that stand outside of them."""
        inside = Counter(value for row in self.rows for value in row.values)
        outside = Counter(quantity.value for quantity in numbers.quantities(self.body))
        counts = numbers.scales_counts(self.text)
        return cells.NumberTable(self.rows, self.scales, frozenset(outside - inside), counts)


_facts_of = text_cache(_PASSAGES)(PassageFacts)


@dataclass(frozen=True)
class ClaimEvidence:
    """A passage that sentences are checked against, with the terms of its spans."""

    passage: Passage
    terms: PassageTerms

    @cached_property
    def facts(self) -> PassageFacts:
        """What the language model read of the passage holds."""
        return _facts_of(self.head, self.passage.text)

    @cached_property
    def head(self) -> str:
        """What stands above the passage: its document, headings and context."""
        return "\n".join((self.passage.document_name, self.passage.header, self.passage.context))

    def nearest_texts(self, wanted: frozenset[str], *, least: float) -> Iterator[tuple[float, str]]:
        """(share of the wanted terms, text) of its spans that hold `least` of them."""
        enough = least * len(wanted)
        start = self.passage.start
        for span in self.terms.spans:
            shared = len(span.terms & wanted)
            if shared and shared >= enough:
                end = span.end - start
                none = _NONE.match(self.passage.text, end)  # "Defaults ...\n\nNone."
                text = self.passage.text[span.start - start : none.end() if none else end]
                english = self.facts.language is None
                yield shared / len(wanted), text if english else foreign.in_english(text)

    def before(self, text: str) -> str:
        """The line or sentence before a span's text: its heading, where it has one."""
        head = self.passage.text.partition(text)[0].rstrip()
        return head[max(head.rfind("\n"), head.rfind(". ")) + 1 :]
