"""Indexes that follow the library, and the ways to find passages."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from foliotrace.model import Answer, Deadline, Passage, Query


class IndexWriter(Protocol):
    """An index derived from the library."""

    async def catch_up(self) -> int:
        """Apply every change not yet applied; the version reached. Raises IndexUnavailable."""
        ...

    async def rebuild(self) -> int:
        """Throw away and derive again; the version reached."""
        ...

    async def compact(self) -> None:
        """Leave no word of a deleted document in the files. Raises IndexUnavailable."""
        ...


class Retriever(Protocol):
    """One path to passages."""

    @property
    def ready(self) -> bool:
        """Whether the path can answer now, judged without asking anybody outside the process."""
        ...

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first. Raises IndexUnavailable; never returns an empty list for an outage."""
        ...


class Vocabulary(Protocol):
    """The words of the index: how text is cut into terms, and how telling each term is."""

    def terms(self, text: str) -> Sequence[str]:
        """Stemmed, lower-cased content words in order; no stop words."""
        ...

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        """The idf of each term over the collection's chunks, above 0; one of no chunk weighs most.

        What other tenants and collections hold changes nothing. Raises IndexUnavailable.
        """
        ...


Vector: TypeAlias = Sequence[float]


class Embedder(Protocol):
    """An embedding model."""

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now, judged without asking it."""
        ...

    @property
    def model(self) -> str:
        """Name and version; vectors of another model are never compared with it."""
        ...

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """Order kept. Raises EmbedderUnavailable."""
        ...

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """One question. Raises EmbedderUnavailable."""
        ...


AskLibrary: TypeAlias = Callable[[str], Awaitable[Answer]]
"""A question to its answer, through the whole journey; who asks and where is settled already."""
