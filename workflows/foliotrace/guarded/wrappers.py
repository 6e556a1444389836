"""The ports behind a `Dependency`: one thin class each."""

from collections.abc import AsyncIterator, Sequence

from foliotrace.guarded.dependency import Dependency
from foliotrace.model import Deadline, Extraction, ParsedPage, Passage, Query
from foliotrace.ports import (
    Delta,
    Embedder,
    ExtractionTask,
    Extractor,
    Generation,
    Prompt,
    Retriever,
    TextGenerator,
    Vector,
)


class GuardedRetriever:
    """A `Retriever` behind a `Dependency`."""

    def __init__(self, inner: Retriever, dependency: Dependency) -> None:
        self._inner = inner
        self.dependency = dependency

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """As the port says."""
        return await self.dependency.call(
            lambda capped: self._inner.retrieve(query, top_k=top_k, deadline=capped), deadline
        )


class GuardedGenerator:
    """A `TextGenerator` behind a `Dependency`. A stream is one attempt: pieces may be shown."""

    def __init__(self, inner: TextGenerator, dependency: Dependency) -> None:
        self._inner = inner
        self.dependency = dependency

    @property
    def model(self) -> str:
        """The pinned model name."""
        return self._inner.model

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """As the port says."""
        return await self.dependency.call(
            lambda capped: self._inner.generate(prompt, max_tokens=max_tokens, deadline=capped),
            deadline,
        )

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncIterator[Delta]:
        """As the port says; every piece must come before the deadline."""
        async with self.dependency.admitted(deadline) as capped:
            pieces = self._inner.stream(prompt, max_tokens=max_tokens, deadline=capped)
            while (piece := await self.dependency.within(anext(pieces, None), capped)) is not None:
                yield piece


class GuardedEmbedder:
    """An `Embedder` behind a `Dependency`."""

    def __init__(self, inner: Embedder, dependency: Dependency) -> None:
        self._inner = inner
        self.dependency = dependency

    @property
    def model(self) -> str:
        """Name and version of the embedding model."""
        return self._inner.model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """As the port says."""
        return await self.dependency.call(
            lambda capped: self._inner.embed(texts, deadline=capped), deadline
        )

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """As the port says."""
        return await self.dependency.call(
            lambda capped: self._inner.embed_query(text, deadline=capped), deadline
        )


class GuardedExtractor:
    """An `Extractor` behind a `Dependency`."""

    def __init__(self, inner: Extractor, dependency: Dependency) -> None:
        self._inner = inner
        self.dependency = dependency

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """As the port says."""
        return await self.dependency.call(
            lambda capped: self._inner.extract(task, pages, deadline=capped), deadline
        )
