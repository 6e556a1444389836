"""Retrievers, and the indexes behind them that follow the library."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from foliotrace.model import Answer, Deadline, Passage, Query


class IndexWriter(Protocol):
    """An index derived from the library."""

    async def catch_up(self) -> int:
        """Apply every pending change; returns the version reached. Raises IndexUnavailable."""
        ...

    async def rebuild(self) -> int:
        """Rebuild the index from the library; returns the version reached."""
        ...

    async def compact(self) -> None:
        """Remove every word of deleted documents from the files. Raises IndexUnavailable."""
        ...


class Retriever(Protocol):
    """A retrieval path."""

    @property
    def ready(self) -> bool:
        """Whether the path can answer now, judged without calling another service."""
        ...

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Passages, best first. Raises IndexUnavailable; an outage is never an empty list."""
        ...


class Reranker(Protocol):
    """Puts the passages of a retrieval path into a better order."""

    @property
    def ready(self) -> bool:
        """Whether it can be asked now, judged without calling another service."""
        ...

    async def rerank(
        self, query: Query, passages: Sequence[Passage], *, deadline: Deadline
    ) -> Sequence[Passage]:
        """Some or all of the passages, best first. Raises IndexUnavailable."""
        ...


class Vocabulary(Protocol):
    """How the keyword index splits text into terms, and how much each term discriminates."""

    def terms(self, text: str) -> Sequence[str]:
        """Stemmed, lower-case words in order, without stop words."""
        ...

    def terms_of_each(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        """The `terms` of each of the texts."""
        ...

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        """The inverse document frequency of each term over the collection's chunks, above 0.

        An unknown term weighs most. Other tenants and collections have no influence.
        Raises IndexUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """What a question asks for: its `terms` without those that say how to answer it.

    `instead` are phrases of it, each with what documents write for them: one of those answers for
    the phrase ("COGS": "cost of sales"). `generic` are the terms that many questions have.
    """

    terms: tuple[str, ...]
    instead: tuple[tuple[frozenset[str], tuple[frozenset[str], ...]], ...] = ()
    generic: frozenset[str] = frozenset()

    def answered(self, held: frozenset[str]) -> frozenset[str]:
        """The terms that a text with the terms `held` answers for, its own included."""
        more = [phrase for phrase, items in self.instead if any(item <= held for item in items)]
        return held.union(*more) if more else held


class QuestionVocabulary(Vocabulary, Protocol):
    """A vocabulary that reads questions by the lexicon."""

    def question(self, text: str) -> QuestionTerms:
        """What a question asks for; never without terms if it has a word."""
        ...


class NameStatistics(QuestionVocabulary, Protocol):
    """How a collection writes its words. Every method may raise IndexUnavailable."""

    def word_counts(self, words: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        """How many passages hold each word, in any case and with any ending."""
        ...

    def name_counts(self, names: Sequence[str], *, tenant: str, collection: str) -> Sequence[int]:
        """How many passages write each name with capital letters only.

        A name is a word or a pair of neighbouring words, in lower case (`model.name_words`).
        """
        ...

    def naming(self, name: str, *, tenant: str, collection: str, limit: int) -> Sequence[str]:
        """The ids of up to `limit` of those passages, in no order."""
        ...


AskLibrary: TypeAlias = Callable[[str], Awaitable[Answer]]
"""Answers a question through the whole journey, for a fixed caller and collection."""
