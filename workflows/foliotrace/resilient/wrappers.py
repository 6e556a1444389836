"""The ports behind a `CircuitGuard`: one thin class each."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from foliotrace.errors import BreakerOpen, DeadlineExceeded, ParserUnavailable, Unavailable
from foliotrace.events import IndexBehind, emit
from foliotrace.model import (
    Deadline,
    Extraction,
    Inspection,
    ParsedPage,
    Passage,
    Query,
    SourceFile,
)
from foliotrace.ports import (
    Clock,
    Delta,
    Embedder,
    ExtractionTask,
    Extractor,
    Generation,
    IndexWriter,
    Parser,
    Prompt,
    Retriever,
    TextGenerator,
    Vector,
)
from foliotrace.resilient.guard import CircuitGuard


class ResilientRetriever:
    """A `Retriever` behind a `CircuitGuard`."""

    def __init__(self, inner: Retriever, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    @property
    def ready(self) -> bool:
        """Whether the path can be asked now."""
        return self.guard.available and self._inner.ready

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """As the port says."""
        return await self.guard.call(
            lambda capped: self._inner.retrieve(query, top_k=top_k, deadline=capped), deadline
        )


class ResilientParser:
    """A `Parser` behind a `CircuitGuard`: the pages of a call come together, or none of them."""

    def __init__(self, inner: Parser, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    @property
    def engine(self) -> str:
        """Name and version of the engine."""
        return self._inner.engine

    def accepts(self, media_type: str) -> bool:
        """As the port says."""
        return self._inner.accepts(media_type)

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """As the port says; counting pages is local work and stays outside the guard."""
        return await self._inner.inspect(source, deadline=deadline)

    async def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """As the port says. Raises ParserUnavailable also for an open breaker and a time-out."""

        async def whole(capped: Deadline) -> list[ParsedPage]:
            found = self._inner.parse(source, pages=pages, deadline=capped)
            return [page async for page in found]

        try:
            parsed = await self.guard.call(whole, deadline)
        except (BreakerOpen, DeadlineExceeded) as error:
            raise ParserUnavailable(
                error.message, reason=error.reason, retry_after_s=error.retry_after_s
            ) from error
        for page in parsed:
            yield page


class FollowingIndex:
    """An `IndexWriter` whose work is done behind: `catch_up` wakes it and returns at once.

    Nobody who ingests or deletes waits for a slow or dead index. `run` is its endless work.
    """

    def __init__(
        self, inner: IndexWriter, guard: CircuitGuard, *, clock: Clock, limit_s: float
    ) -> None:
        self._inner = inner
        self.guard = guard
        self._clock = clock
        self._limit_s = limit_s
        self._woken = asyncio.Event()
        self.reached = 0
        self.failure: Unavailable | None = None

    async def catch_up(self) -> int:
        """Start catching up; the version reached so far."""
        self._woken.set()
        return self.reached

    async def rebuild(self) -> int:
        """As the port says, now. Raises IndexUnavailable."""
        self.reached = await self._inner.rebuild()
        return self.reached

    async def compact(self) -> None:
        """As the port says."""
        await self._inner.compact()

    async def run(self) -> None:
        """Catch up whenever woken; an outage is told, kept in `failure` and tried again."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            deadline = Deadline(self._clock.monotonic_s() + self._limit_s)
            try:
                self.reached = await self.guard.call(
                    lambda capped: self._inner.catch_up(), deadline
                )
                self.failure = None
            except Unavailable as error:
                self.failure = error
                emit(IndexBehind(dependency=self.guard.name, reason=error.reason))


class ResilientGenerator:
    """A `TextGenerator` behind a `CircuitGuard`. A stream is one attempt: pieces may be shown."""

    def __init__(self, inner: TextGenerator, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now."""
        return self.guard.available and self._inner.ready

    @property
    def model(self) -> str:
        """The pinned model name."""
        return self._inner.model

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """As the port says."""
        return await self.guard.call(
            lambda capped: self._inner.generate(prompt, max_tokens=max_tokens, deadline=capped),
            deadline,
        )

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As the port says; every piece must come before the deadline."""
        async with (
            self.guard.admitted(deadline) as capped,
            aclosing(self._inner.stream(prompt, max_tokens=max_tokens, deadline=capped)) as pieces,
        ):
            while (
                piece := await self.guard.within(anext(pieces, None), capped)
            ) is not None and piece.done is None:
                yield piece
        if piece is not None:  # its reader leaves with it: the call has ended well before
            yield piece


class ResilientEmbedder:
    """An `Embedder` behind a `CircuitGuard`."""

    def __init__(self, inner: Embedder, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now."""
        return self.guard.available and self._inner.ready

    @property
    def model(self) -> str:
        """Name and version of the embedding model."""
        return self._inner.model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """As the port says."""
        return await self.guard.call(
            lambda capped: self._inner.embed(texts, deadline=capped), deadline
        )

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """As the port says."""
        return await self.guard.call(
            lambda capped: self._inner.embed_query(text, deadline=capped), deadline
        )


class ResilientExtractor:
    """An `Extractor` behind a `CircuitGuard`."""

    def __init__(self, inner: Extractor, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """As the port says."""
        return await self.guard.call(
            lambda capped: self._inner.extract(task, pages, deadline=capped), deadline
        )
