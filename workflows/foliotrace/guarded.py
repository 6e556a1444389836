"""Ports that fail well: each wrapper puts one `Dependency` between a journey and an adapter.

A `Dependency` is shared by every wrapper of the same service in the process. It is the one layer
that retries: SDKs and clients below it make a single request per call. Order of its concerns, from
the outside: breaker, bulkhead, retry (with its budget), time-out.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from foliotrace import resilience as rules
from foliotrace.errors import (
    BreakerOpen,
    DeadlineExceeded,
    GeneratorRefused,
    Unavailable,
)
from foliotrace.events import tell
from foliotrace.model import Deadline, Extraction, ParsedPage, Passage, Query
from foliotrace.ports import (
    Clock,
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

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The limits of one dependency. `limit_s` caps each call; `slots` bounds calls under way."""

    retry: rules.RetryPolicy = field(default_factory=rules.RetryPolicy)
    breaker: rules.BreakerPolicy = field(default_factory=rules.BreakerPolicy)
    limit_s: float = 30.0
    slots: int = 32
    has_lower_rung: bool = True


class Dependency:
    """One service outside: its breaker, bulkhead and retry budget, shared by the process."""

    def __init__(
        self,
        name: str,
        policy: GuardPolicy,
        *,
        clock: Clock,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.policy = policy
        self._clock = clock
        self._draw = draw
        self._sleep = sleep
        self._slots = asyncio.Semaphore(policy.slots)
        self._budget = rules.RetryBudget()
        self.breaker = rules.Breaker()

    async def call(self, work: Callable[[Deadline], Awaitable[T]], deadline: Deadline) -> T:
        """Do `work`, asking again where that may help.

        Raises BreakerOpen without a request, DeadlineExceeded, or the last Unavailable of `work`.
        """
        attempt = 0
        self._budget = self._budget.earned()
        while True:
            attempt += 1
            try:
                async with self.admitted(deadline) as capped:
                    return await self.within(work(capped), capped)
            except (BreakerOpen, GeneratorRefused):
                raise
            except Unavailable as error:
                await self._wait_or_give_up(attempt, deadline, error)

    @asynccontextmanager
    async def admitted(self, deadline: Deadline) -> AsyncIterator[Deadline]:
        """A slot behind the breaker; what happens inside counts for or against the dependency."""
        await self._pass_breaker()
        now_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(deadline.remaining_s(now_s)):
                await self._slots.acquire()
        except TimeoutError:
            self._abandoned()
            raise DeadlineExceeded(
                f"{self.name}: no free slot", reason=f"{self.name}_busy"
            ) from None
        try:
            yield deadline.capped(self._clock.monotonic_s(), self.policy.limit_s)
        except GeneratorRefused:
            self.breaker = rules.after_success(self.breaker)  # it answered
            raise
        except Unavailable:
            self._failed()
            raise
        except BaseException:
            self._abandoned()
            raise
        else:
            self._succeeded()
        finally:
            self._slots.release()

    async def within(self, work: Awaitable[T], deadline: Deadline) -> T:
        """Wait for `work` until the deadline. Raises DeadlineExceeded."""
        try:
            async with asyncio.timeout(deadline.remaining_s(self._clock.monotonic_s())):
                return await work
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self.name} did not answer in time", reason=f"{self.name}_timeout"
            ) from None

    async def _wait_or_give_up(self, attempt: int, deadline: Deadline, error: Unavailable) -> None:
        if attempt >= self.policy.retry.attempts:
            raise error
        wait_s = rules.backoff_s(
            attempt, self.policy.retry, draw=self._draw(), retry_after_s=error.retry_after_s
        )
        remaining_s = deadline.remaining_s(self._clock.monotonic_s())
        if not rules.worth_waiting(
            wait_s, remaining_s=remaining_s, has_lower_rung=self.policy.has_lower_rung
        ):
            raise error
        budget = self._budget.spent()
        if budget is None:
            raise error
        self._budget = budget
        tell(
            "foliotrace.retry",
            foliotrace__retry__dependency=self.name,
            foliotrace__retry__attempt=attempt,
            foliotrace__retry__wait_s=round(wait_s, 3),
            error__type=error.error_code,
        )
        await self._sleep(wait_s)

    async def _pass_breaker(self) -> None:
        now_s = self._clock.monotonic_s()
        self.breaker, admitted = rules.admit(self.breaker, now_s)
        if not admitted:
            raise BreakerOpen(
                f"{self.name} failed often and is left alone for a while",
                reason=f"{self.name}_breaker_open",
                retry_after_s=rules.retry_after_s(self.breaker, now_s),
            )

    def _succeeded(self) -> None:
        if self.breaker.status is not rules.BreakerStatus.CLOSED:
            self._tell("closed")
        self.breaker = rules.after_success(self.breaker)

    def _failed(self) -> None:
        before = self.breaker.status
        self.breaker = rules.after_failure(
            self.breaker, self.policy.breaker, self._clock.monotonic_s()
        )
        if self.breaker.status is not before:
            self._tell(self.breaker.status.value)

    def _abandoned(self) -> None:
        self.breaker = rules.after_abandoned(self.breaker, self._clock.monotonic_s())

    def _tell(self, status: str) -> None:
        tell(
            "foliotrace.breaker",
            foliotrace__breaker__dependency=self.name,
            foliotrace__breaker__status=status,
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
