"""The ports of services outside the process, each behind a `CircuitGuard`.

A wrapper adds retries, time-outs, the breaker and the bulkhead; what a method does and raises is
said in its port. An open breaker is a BreakerOpen, a time-out a DeadlineExceeded, unless noted.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from decimal import Decimal
from functools import partial
from typing import Generic, TypeVar

from foliotrace.errors import (
    BreakerOpen,
    CacheUnavailable,
    DeadlineExceeded,
    LedgerUnavailable,
    ParserUnavailable,
    Unavailable,
)
from foliotrace.events import IndexBehind, emit, stage
from foliotrace.model import (
    Answer,
    Deadline,
    Extraction,
    Inspection,
    PageNumbers,
    ParsedPage,
    Passage,
    Query,
    SourceFile,
)
from foliotrace.ports import (
    AnswerCache,
    BudgetLedger,
    Clock,
    Delta,
    Embedder,
    ExtractionTask,
    Extractor,
    Generation,
    IndexWriter,
    Parser,
    Prompt,
    Reranker,
    Reservation,
    Retriever,
    SemanticKey,
    TextGenerator,
    Vector,
)
from foliotrace.resilient.guard import CircuitGuard

_NO_DEADLINE = Deadline(float("inf"))  # of the caller: the guard's own limit still holds


P = TypeVar("P")
R = TypeVar("R", bound=Retriever | Reranker | TextGenerator | Embedder)
M = TypeVar("M", bound=TextGenerator | Embedder)
T = TypeVar("T")


class _Guarded(Generic[P]):
    """A port behind a guard."""

    def __init__(self, inner: P, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    async def _call(self, method: Callable[..., Awaitable[T]], deadline: Deadline) -> T:
        """Call a method that takes a `deadline`."""
        return await self.guard.call(lambda capped: method(deadline=capped), deadline)

    async def _call_store(
        self, method: Callable[[], Awaitable[T]], kind: type[CacheUnavailable | LedgerUnavailable]
    ) -> T:
        """Call a method of a store, which knows no deadlines. Raises `kind`."""
        with _raised_as(kind):
            return await self.guard.call(lambda capped: method(), _NO_DEADLINE)


class _GuardedPath(_Guarded[R]):
    @property
    def ready(self) -> bool:
        """Whether it can be asked now, and its last call did not fail."""
        return self.guard.available and not self.guard.failing and self._inner.ready


class _GuardedModel(_GuardedPath[M]):
    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._inner.model


class ResilientRetriever(_GuardedPath[Retriever]):
    """A `Retriever` behind a guard."""

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first."""
        return await self._call(partial(self._inner.retrieve, query, top_k=top_k), deadline)


class ResilientReranker(_GuardedPath[Reranker]):
    """A `Reranker` behind a guard."""

    async def rerank(
        self, query: Query, passages: Sequence[Passage], *, deadline: Deadline
    ) -> Sequence[Passage]:
        """Best first."""
        return await self._call(partial(self._inner.rerank, query, passages), deadline)


class ResilientEmbedder(_GuardedModel[Embedder]):
    """An `Embedder` behind a guard."""

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """One vector per text, in order."""
        return await self._call(partial(self._inner.embed, texts), deadline)

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """The vector of a question."""
        return await self._call(partial(self._inner.embed_query, text), deadline)


class ResilientGenerator(_GuardedModel[TextGenerator]):
    """A `TextGenerator` behind a guard."""

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """A finished completion."""
        return await self._call(
            partial(self._inner.generate, prompt, max_tokens=max_tokens), deadline
        )

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """A streamed completion; every piece must come before the deadline.

        It is attempted once, since its pieces may be shown to the user already.
        """
        async with (
            self.guard.admitted(deadline) as capped,
            aclosing(self._inner.stream(prompt, max_tokens=max_tokens, deadline=capped)) as pieces,
        ):
            while (
                piece := await self.guard.within(anext(pieces, None), capped)
            ) is not None and piece.done is None:
                yield piece
        if piece is not None:  # after the guard: a reader that stops here has had a good call
            yield piece


class ResilientExtractor(_Guarded[Extractor]):
    """An `Extractor` behind a guard."""

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A value or null for every field."""
        return await self._call(partial(self._inner.extract, task, pages), deadline)


class ResilientParser(_Guarded[Parser]):
    """A `Parser` behind a guard: the pages of a call come together, or none of them."""

    @property
    def engine(self) -> str:
        """Name and version of the engine."""
        return self._inner.engine

    def accepts(self, media_type: str) -> bool:
        """Whether the engine can parse the type at all."""
        return self._inner.accepts(media_type)

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """How many pages there are; counted locally, so outside the guard."""
        return await self._inner.inspect(source, deadline=deadline)

    async def parse(
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The pages in order. Raises ParserUnavailable also for an open breaker and a time-out."""

        async def whole(capped: Deadline) -> list[ParsedPage]:
            parsed = self._inner.parse(source, pages=pages, deadline=capped)
            return [page async for page in parsed]

        with _raised_as(ParserUnavailable):
            parsed = await self.guard.call(whole, deadline)
        for page in parsed:
            yield page


class ResilientCache(_Guarded[AnswerCache]):
    """An `AnswerCache` behind a guard. Raises CacheUnavailable for whatever the guard refuses."""

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """The cached answer, or None."""
        return await self._call_store(partial(self._inner.lookup, tenant, key), CacheUnavailable)

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        """Store an answer; in a stage of its own, since the response waits for it."""
        write = partial(
            self._inner.store, tenant, key, answer, ttl_s=ttl_s, semantic_key=semantic_key
        )
        with stage("keep", answer=answer.text) as call:
            await self._call_store(write, CacheUnavailable)
            call.result = "kept"

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """(key, vector) of the group's newest questions."""
        return await self._call_store(partial(self._inner.similar, tenant, group), CacheUnavailable)

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """Drop its answers. Bypasses an open breaker: nothing of a deleted document may stay."""
        await self._inner.forget_document(tenant, document_id)


class ResilientLedger(_Guarded[BudgetLedger]):
    """A `BudgetLedger` behind a guard. Raises LedgerUnavailable for whatever the guard refuses."""

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """Set money aside."""
        reserve = partial(self._inner.reserve, tenant, amount_usd)
        return await self._call_store(reserve, LedgerUnavailable)

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Record what was spent. Bypasses an open breaker: the money is gone either way."""
        await self._inner.settle(reservation, actual_usd)

    async def spent_usd(self, tenant: str) -> Decimal:
        """Settled and reserved today."""
        return await self._call_store(partial(self._inner.spent_usd, tenant), LedgerUnavailable)


class BackgroundIndexWriter(_Guarded[IndexWriter]):
    """An `IndexWriter` that catches up in the background.

    Ingestion and deletion never block on a slow or dead index: `catch_up` wakes the endless `run`
    and returns. `reached` is the version the index has, `failure` why it is behind.
    """

    def __init__(
        self, inner: IndexWriter, guard: CircuitGuard, *, clock: Clock, limit_s: float
    ) -> None:
        super().__init__(inner, guard)
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
        """Derive the index again, now, and give the version reached."""
        self.reached = await self._inner.rebuild()
        return self.reached

    async def compact(self) -> None:
        """Leave no word of a deleted document in the index."""
        await self._inner.compact()

    async def run(self) -> None:
        """Catch up whenever woken; an outage is reported, kept in `failure` and tried again."""
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


@contextmanager
def _raised_as(
    kind: type[CacheUnavailable | LedgerUnavailable | ParserUnavailable],
) -> Iterator[None]:
    """Raise the port's own error for an open breaker and a time-out."""
    try:
        yield
    except (BreakerOpen, DeadlineExceeded) as error:
        raise kind(error.message, reason=error.reason, retry_after_s=error.retry_after_s) from error
