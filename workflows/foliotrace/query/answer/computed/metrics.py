"""The figures that the lexicon knows: rows of tables and formulas, found in a question. Pure.

A phrase of a question stands for a row ("net sales"), a formula ("days payable outstanding"), or
both, where the formula is computed if no row states the figure.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from foliotrace.lexicon import Lexicon
from foliotrace.lexicon.formulas import Expression, Operand, parsed, phrases_of
from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.cells.qualifiers import Qualifiers
from foliotrace.query.answer.computed.line_items import LineItem

Terms: TypeAlias = Callable[[str], Sequence[str]]

_WORD: Final = re.compile(r"[^\W\d_]+(?:&[^\W\d_]+)*|\d[\d.,]*")
_BETWEEN: Final = re.compile(r"\s*\b(?:between\b.*|from(?:\s+(?:and|to))*\s*$)", re.I | re.S)
_MOST_WORDS: Final = 12  # of a phrase that is looked for


@dataclass(frozen=True, slots=True)
class AskedMetric:
    """A figure that can be asked for. `unit` is that of the formula's value."""

    name: str
    item: LineItem | None = None
    formula: Expression | None = None
    unit: str = "money"

    @property
    def expression(self) -> Expression:
        """The figure itself, as an operand."""
        return Operand(self.name)


@dataclass(frozen=True, slots=True)
class Mention:
    """Words [start, end) of a text that name a metric; None names a kind of page."""

    start: int
    end: int
    metric: AskedMetric | None


class MetricBook:
    """The lexicon's rows and formulas by their phrases.

    `groups` are the words that call parts of a kind ("region"), with those above such tables;
    `part_labels` the same words with the labels of such parts ("Europe").
    """

    def __init__(self, lexicon: Lexicon, terms: Terms) -> None:
        self._terms = terms
        self._stems: dict[str, str] = {}
        titles = {
            page.name: tuple(frozenset(terms(title)) for title in page.titles)
            for page in lexicon.page
        }
        self.statements = {
            page.name: " ".join((*page.ask, *page.titles[:3])) for page in lexicon.page
        }
        self._titles = titles
        cells = lexicon.cells
        of_lexicon = Qualifiers(cells.qualifiers, cells.optional_qualifiers, terms)
        derived = frozenset(t for phrase in (*cells.deriving, *cells.asking) for t in terms(phrase))
        self.qualifiers = of_lexicon.required - derived
        self._metrics: dict[tuple[str, ...], AskedMetric | None] = {}
        for page in lexicon.page:
            for ask in (*page.ask, *page.titles):
                self._metrics[self.words(ask)] = None
        for row in lexicon.row:
            labels = tuple(frozenset(terms(label)) for label in row.labels)
            of_pages = tuple(title for page in row.pages for title in titles.get(page, ()))
            item = LineItem(
                row.ask[0],
                labels,
                row.pages,
                of_pages,
                row.magnitude,
                row.percent,
                tuple(mark.casefold() for mark in row.reversed_by),
                of_lexicon.families,
            )
            for ask in row.ask:
                self._metrics.setdefault(self.words(ask), AskedMetric(ask, item))
        for entry in lexicon.formula:
            formula = parsed(entry.formula)
            for ask in entry.ask:
                known = self._metrics.get(self.words(ask))
                name, item_of = (known.name, known.item) if known else (ask, None)
                self._metrics[self.words(ask)] = AskedMetric(name, item_of, formula, entry.unit)
        self.groups = tuple(
            (
                frozenset(t for phrase in entry.ask for t in terms(phrase)),
                frozenset(t for phrase in entry.titles for t in terms(phrase)),
            )
            for entry in lexicon.parts
        )
        self.part_labels = tuple(
            (
                frozenset(t for phrase in entry.ask for t in terms(phrase)),
                tuple(frozenset(terms(label)) for label in entry.labels),
            )
            for entry in lexicon.parts
        )
        self._longest = min(_MOST_WORDS, max(map(len, self._metrics), default=0))

    def words(self, text: str) -> tuple[str, ...]:
        """A text as stems, stop words left out; "R&D" is one word."""
        return tuple(stem for word in _WORD.findall(text) if (stem := self._stem(word)))

    def _stem(self, word: str) -> str:
        known = self._stems.get(word)
        if known is None:
            if len(self._stems) > 4096:
                self._stems.clear()
            terms = (word.lower(),) if "&" in word else self._terms(word)
            known = self._stems[word] = terms[0] if terms else ""
        return known

    def mentions(self, words: Sequence[str]) -> list[Mention]:
        """The metrics and kinds of page that a text names, in order, the longest phrases."""
        found: list[Mention] = []
        at = 0
        while at < len(words):
            for size in range(min(self._longest, len(words) - at), 0, -1):
                phrase = tuple(words[at : at + size])
                if phrase in self._metrics:
                    found.append(Mention(at, at + size, self._metrics[phrase]))
                    at += size
                    break
            else:
                at += 1
        return found

    def statement_of(self, expression: Expression, fillers: frozenset[str]) -> str:
        """What to search for to see the first statement that prints an operand; "" for none."""
        for phrase in phrases_of(expression):
            item = self.named(phrase, fillers).item
            if item is not None and item.pages:
                return self.statements[item.pages[0]]
        return ""

    def metric(self, phrase: str) -> AskedMetric | None:
        """The metric that a phrase names by itself, else None."""
        return self._metrics.get(self.words(periods_in(phrase).rest))

    def named(self, phrase: str, fillers: frozenset[str]) -> AskedMetric:
        """The metric that a formula's operand names, else a row with just these words."""
        text = _BETWEEN.sub("", periods_in(phrase).rest)
        words = self.words(text)
        known = self._metrics.get(words)
        if known is None:
            core = tuple(word for word in words if word not in fillers)
            mentions = [m for m in self.mentions(words) if m.metric is not None]
            left = set(core)
            for mention in mentions:
                left -= set(words[mention.start : mention.end])
            known = mentions[0].metric if len(mentions) == 1 and not left else None
        if known is not None:
            return known
        label = frozenset(words)
        pages = tuple(name for name in self.statements if name != "statement of equity")
        of_pages = tuple(title for page in pages for title in self._titles[page])
        return AskedMetric(text, LineItem(text, (label,) if label else (), pages, of_pages))
