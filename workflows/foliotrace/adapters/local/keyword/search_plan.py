"""What to search for: a question's terms with their weights, and the kinds of page it asks for.

Instructions ("round to two decimals") are not searched for. The lexicon adds the words that
documents use for what is asked, at a lower weight, and the titles of the pages that print it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Generic, TypeAlias, TypeVar

from foliotrace.adapters.local.keyword.analysis import question_terms, stems
from foliotrace.adapters.local.keyword.languages import is_function_word, question_forms
from foliotrace.lexicon import Lexicon
from foliotrace.ports import QuestionTerms

ADDED_WEIGHT: Final = 0.5  # of a term that the lexicon adds
GENERIC_WEIGHT: Final = 0.2  # of a term that many questions have

_SENTENCE_END: Final = re.compile(r"(?<=[.?!])\s+|(?<=:)\s+|\n+")
_CLAUSE_END: Final = re.compile(r"(?<=[,;])\s+")

T = TypeVar("T")
_Stems: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageTitles:
    """Pages with any of these titles, each a run of stems; `tabular` if full of figures too."""

    titles: tuple[_Stems, ...]
    tabular: bool


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Terms with weights, and the question's neighbouring terms; `pages` are preferred.

    A term that the question repeats counts as often: dropping repetitions costs long questions
    up to a quarter of their quality.
    """

    terms: Mapping[str, float]
    pairs: tuple[tuple[str, str], ...] = ()
    pages: tuple[PageTitles, ...] = ()
    forms: Mapping[str, float] = field(default_factory=dict)  # in other languages than English


@dataclass(frozen=True, slots=True)
class _Addition:
    """What a phrase of the question adds to its search: the terms of each of these items."""

    phrase: frozenset[str] = frozenset()
    items: tuple[frozenset[str], ...] = ()
    pages: tuple[PageTitles, ...] = ()


def _addition(phrase: str, items: Sequence[str], pages: tuple[PageTitles, ...] = ()) -> _Addition:
    terms = tuple(frozenset(question_terms(item)) for item in items)
    return _Addition(frozenset(question_terms(phrase)), terms, pages)


class _Phrases(Generic[T]):
    """Values by phrases of stems; every phrase that a text holds is found, the longest first."""

    def __init__(self) -> None:
        self._by_first: dict[str, list[tuple[_Stems, T]]] = defaultdict(list)

    def put(self, phrase: str, value: T) -> None:
        words = stems(phrase)
        if words:
            self._by_first[words[0]].append((words, value))

    def found_in(self, words: Sequence[str]) -> Iterator[T]:
        for place, word in enumerate(words):
            for phrase, value in self._by_first.get(word, ()):
                if tuple(words[place : place + len(phrase)]) == phrase:
                    yield value


class Planner:
    """Plans searches by one lexicon."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._instructions = _Phrases[None]()
        self._additions = _Phrases[_Addition]()
        self._generic = frozenset(t for word in lexicon.generic for t in question_terms(word))
        for cue in lexicon.instructions:
            self._instructions.put(cue, None)
        kinds: dict[str, PageTitles] = {}
        for page in lexicon.page:
            titles = PageTitles(tuple(stems(title) for title in page.titles), page.tabular)
            kinds[page.name] = titles
            for phrase in page.ask:
                self._additions.put(phrase, _Addition(pages=(titles,)))
        for metric in lexicon.metric:
            pages = tuple(kinds[name] for name in metric.pages if name in kinds)
            for phrase in metric.ask:
                self._additions.put(phrase, _addition(phrase, metric.items, pages))
        for group in lexicon.synonyms:
            for phrase in group.words:
                self._additions.put(phrase, _addition(phrase, group.words))

    def plan(self, text: str, languages: Collection[str] = ()) -> SearchPlan:
        """The search for a question in a collection of these `languages` beside English.

        It has no terms if the question has no word at all.
        """
        asked = self._asked(text)
        if languages:
            asked = [t for t in asked if not is_function_word(t, languages)] or asked
        weights: dict[str, float] = {
            term: count * (GENERIC_WEIGHT if term in self._generic else 1.0)
            for term, count in Counter(asked).items()
        }
        added = ADDED_WEIGHT * len(asked) / max(len(weights), 1)  # words that are repeated count
        pages: dict[PageTitles, None] = {}
        for addition in self._additions.found_in(stems(text)):
            pages.update(dict.fromkeys(addition.pages))
            for term in sorted({term for item in addition.items for term in item}):
                weights.setdefault(term, added)
        pairs = dict.fromkeys(
            pair
            for pair in pairwise(asked)
            if pair[0] != pair[1] and self._generic.isdisjoint(pair)
        )
        forms = Counter(question_forms(text, languages)) if languages else {}
        return SearchPlan(weights, tuple(pairs), tuple(pages), forms)

    def question(self, text: str) -> QuestionTerms:
        """What the question asks for, and what answers for it in other words."""
        found = self._additions.found_in(stems(text))
        instead = ((addition.phrase, addition.items) for addition in found if addition.items)
        asked = self._asked(text)
        generic = self._generic.intersection(asked)
        return QuestionTerms(tuple(asked), tuple(dict.fromkeys(instead)), generic)

    def _asked(self, text: str) -> list[str]:
        return question_terms(self.without_instructions(text)) or question_terms(text)

    def without_instructions(self, text: str) -> str:
        """The question without the sentences and clauses that say how to answer it."""
        sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
        asking = any("?" in sentence for sentence in sentences)
        kept = [
            self._asking_clauses(sentence) if "?" in sentence else sentence
            for sentence in sentences
            if "?" in sentence or not self._instructs(sentence)
        ]
        return " ".join(kept) if asking or kept else text

    def _asking_clauses(self, sentence: str) -> str:
        clauses = _CLAUSE_END.split(sentence)
        return " ".join(c for c in clauses if "?" in c or not self._instructs(c))

    def _instructs(self, part: str) -> bool:
        return any(True for _ in self._instructions.found_in(stems(part)))
