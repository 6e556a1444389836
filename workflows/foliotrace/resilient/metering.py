"""Models whose calls are metered, and questions that are embedded once."""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Final, Generic, TypeVar

from foliotrace import budget as rules
from foliotrace.budget import NO_USAGE, current_run
from foliotrace.errors import (
    BudgetExceeded,
    EmbedderUnavailable,
    Unavailable,
)
from foliotrace.model import Deadline, Usage
from foliotrace.ports import (
    Clock,
    Delta,
    Embedder,
    Generation,
    Prompt,
    TextGenerator,
    Vector,
)
from foliotrace.resilient.meter import Meter, MeteredCall, run_or_default

M = TypeVar("M", bound=TextGenerator | Embedder)
_USEFUL_TOKENS: Final = 64  # a shorter answer is not worth its prompt
_LONGEST_TOKEN_BYTES: Final = 8  # a streamed answer is cut at this many bytes a reserved token
_LATE_S: Final = 0.05  # a cancellation this close to the deadline is a time-out


class _ModelWrapper(Generic[M]):
    """Passes on what a model says of itself."""

    def __init__(self, inner: M) -> None:
        self._inner = inner

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now."""
        return self._inner.ready

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._inner.model


class MeteredGenerator(_ModelWrapper[TextGenerator]):
    """A `TextGenerator` that charges each request. Raises BudgetExceeded before spending.

    Tokens that the model does not report are estimated from those that it did report.
    """

    def __init__(self, inner: TextGenerator, meter: Meter, *, clock: Clock) -> None:
        super().__init__(inner)
        self._meter = meter
        self._clock = clock
        self._prompts = rules.TokenEstimate()
        self._answers = rules.TokenEstimate()

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """Generate at most the tokens that the budget pays for; the usage carries the tokens."""
        prompt_bytes = len(prompt.system.encode()) + len(prompt.user.encode())
        price, worst = self._affordable(prompt_bytes, max_tokens)
        async with self._meter.charged(self.model, price, worst) as call:
            call.used = self._narrowed(worst, prompt_bytes)
            try:
                generation = await self._inner.generate(
                    prompt, max_tokens=worst.completion_tokens, deadline=deadline
                )
            except Unavailable as error:
                self._count_useless_reply(error, prompt_bytes)
                raise
            return self._answered(generation, prompt_bytes, generation.text, call)

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As `generate`; cut, with finish reason `budget`, when the reservation is used up."""
        prompt_bytes = len(prompt.system.encode()) + len(prompt.user.encode())
        price, worst = self._affordable(prompt_bytes, max_tokens)
        async with self._meter.charged(self.model, price, worst) as call:
            call.used = self._narrowed(worst, prompt_bytes)
            pieces: list[str] = []
            bytes_left = worst.completion_tokens * _LONGEST_TOKEN_BYTES
            inner = self._inner.stream(
                prompt, max_tokens=worst.completion_tokens, deadline=deadline
            )
            try:
                async with aclosing(inner) as deltas:
                    async for delta in deltas:
                        if delta.done is not None:
                            text = delta.done.text
                            yield Delta(done=self._answered(delta.done, prompt_bytes, text, call))
                            return
                        if not pieces:
                            call.so_far = lambda: self._counted(
                                NO_USAGE, prompt_bytes, "".join(pieces)
                            )
                        pieces.append(delta.text)
                        bytes_left -= len(delta.text.encode())
                        if bytes_left < 0:
                            cut = Generation(
                                text="", model=self.model, usage=NO_USAGE, finish_reason="budget"
                            )
                            yield Delta(
                                done=self._answered(cut, prompt_bytes, "".join(pieces), call)
                            )
                            return
                        yield delta
            except Unavailable as error:
                self._count_useless_reply(error, prompt_bytes)
                raise
            except CancelledError:
                if deadline.remaining_s(self._clock.monotonic_s()) <= _LATE_S:
                    call.so_far = None  # not a reader that left, but a time-out
                raise

    def _affordable(self, prompt_bytes: int, max_tokens: int) -> tuple[rules.Price, Usage]:
        """(price, worst case). Raises BudgetExceeded if the budget pays for no useful answer."""
        run, price = run_or_default(), self._meter.price(self.model)
        prompt_tokens = rules.max_tokens_of_bytes(prompt_bytes)
        left_usd = run.state.left_usd
        if left_usd != rules.UNLIMITED_USD:
            affordable = rules.affordable_tokens(
                left_usd, prompt_tokens=prompt_tokens, max_tokens=max_tokens, price=price
            )
            if affordable < min(_USEFUL_TOKENS, max_tokens):
                self._meter.refuse(run, self.model, "run")
                raise BudgetExceeded(
                    f"The {left_usd} USD left for this run do not pay for an answer of"
                    f" {self.model}.",
                    hint=rules.SET_A_PRICE
                    if price is rules.HIGHEST_LLM_PRICE
                    else rules.RAISE_THE_CAP,
                )
            max_tokens = affordable
        worst = Usage(prompt_tokens=prompt_tokens, completion_tokens=max_tokens, llm_calls=1)
        return price, worst

    def _narrowed(self, worst: Usage, prompt_bytes: int) -> Usage:
        """The worst case with the prompt as this model counts, once that is known."""
        if not self._prompts.tokens_seen:
            return worst
        counted = self._prompts.of(prompt_bytes)
        return replace(worst, prompt_tokens=min(worst.prompt_tokens, counted))

    def _answered(
        self, generation: Generation, prompt_bytes: int, text: str, call: MeteredCall
    ) -> Generation:
        usage = self._counted(generation.usage, prompt_bytes, text)
        call.answered(usage)
        return replace(generation, usage=usage)

    def _count_useless_reply(self, error: Unavailable, prompt_bytes: int) -> None:
        """Complete the usage of a reply that was of no use, which was billed all the same."""
        if error.usage is not None:
            error.usage = self._counted(error.usage, prompt_bytes, "")

    def _counted(self, usage: Usage, prompt_bytes: int, text: str) -> Usage:
        """The usage with estimates for the tokens that were not reported."""
        text_bytes = len(text.encode())
        prompt_tokens, completion_tokens = usage.prompt_tokens, usage.completion_tokens
        if prompt_tokens:
            self._prompts.learn(prompt_bytes, prompt_tokens)
        else:
            prompt_tokens = self._prompts.of(prompt_bytes)
        if completion_tokens:
            self._answers.learn(text_bytes, completion_tokens)
        else:
            completion_tokens = self._answers.of(text_bytes)
        return replace(
            usage,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            llm_calls=1,
        )


class MeteredEmbedder(_ModelWrapper[Embedder]):
    """An `Embedder` that charges each request.

    Providers report no usage here, so tokens are estimated from above (`max_tokens_of_text`). A
    refused budget is an EmbedderUnavailable `budget_exceeded`, since a path without vectors always
    exists.
    """

    def __init__(self, inner: Embedder, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """Embed texts of documents and charge them to the tenant of the run that is open."""
        async with self._charged(texts):
            return await self._inner.embed(texts, deadline=deadline)

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """Embed a question and charge it. A free model needs no ledger."""
        async with self._charged([text]):
            return await self._inner.embed_query(text, deadline=deadline)

    @asynccontextmanager
    async def _charged(self, texts: Sequence[str]) -> AsyncIterator[None]:
        worst = Usage(embedding_tokens=sum(map(rules.max_tokens_of_text, texts)))
        try:
            price = self._meter.price(self.model)
            async with self._meter.charged(self.model, price, worst) as call:
                yield
                call.answered(worst)
        except BudgetExceeded as error:
            raise EmbedderUnavailable(
                error.message, reason=error.reason, hint=error.hint, lasting=True, answered=True
            ) from error


class EmbedOncePerQuery(_ModelWrapper[Embedder]):
    """An `Embedder` that is asked once for a question, however many lookups need its vector."""

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """Embed texts of documents, which are not remembered."""
        return await self._inner.embed(texts, deadline=deadline)

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """The remembered vector, or failure, of this query; else ask for it."""
        run = current_run()
        if run is None:
            return await self._inner.embed_query(text, deadline=deadline)
        known = run.query_vectors.get((self.model, text))
        if known is None:
            try:
                known = await self._inner.embed_query(text, deadline=deadline)
            except Unavailable as error:
                known = error
            run.query_vectors[self.model, text] = known
        if isinstance(known, Unavailable):
            raise known
        return known
