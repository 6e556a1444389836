"""Metering: a model call is reserved at its worst case before, and settled at its cost after.

Each call is charged to the open budget of its query and to the ledger of the tenant's day.
"""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Generic, TypeVar

from foliotrace import budget as rules
from foliotrace.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    EmbedderUnavailable,
    LedgerUnavailable,
    Unavailable,
)
from foliotrace.events import ModelCallPaid, ReservationNotSettled, emit
from foliotrace.model import Deadline, Extraction, ParsedPage, Usage
from foliotrace.ports import (
    BudgetLedger,
    Delta,
    Embedder,
    ExtractionTask,
    Extractor,
    Generation,
    Prompt,
    TextGenerator,
    Vector,
)

M = TypeVar("M", bound=TextGenerator | Embedder)
_USEFUL_TOKENS: Final = 64  # a shorter answer is not worth its prompt
_LONGEST_TOKEN_BYTES: Final = 8  # a streamed answer is cut at this many bytes a reserved token


@dataclass(slots=True)
class QueryBudget:
    """What one query or extraction of a tenant may spend; `usage` is what it has used so far.

    `embedded` holds the vector of each text, or the failure, so that it is asked for once.
    """

    tenant: str
    state: rules.BudgetState
    usage: Usage = field(default_factory=Usage)
    embedded: dict[tuple[str, str], Vector | Unavailable] = field(default_factory=dict)


_current: ContextVar[QueryBudget | None] = ContextVar("foliotrace_query_budget", default=None)


@contextmanager
def open_budget(tenant: str, cap_usd: Decimal) -> Iterator[QueryBudget]:
    """Charge everything metered inside to one budget with this cap."""
    budget = QueryBudget(tenant, rules.BudgetState(cap_usd=cap_usd))
    token = _current.set(budget)
    try:
        yield budget
    finally:
        _current.reset(token)


@dataclass(slots=True)
class _Charge:
    """What a call cost; None where that is not known, and its worst case is settled."""

    actual_usd: Decimal | None = rules.ZERO


@asynccontextmanager
async def _charged(
    budget: QueryBudget, ledger: BudgetLedger | None, worst_usd: Decimal
) -> AsyncIterator[_Charge]:
    """Reserve `worst_usd` in the budget and the ledger; settle both, however the call ends.

    A call that ran out of time or was cancelled may be answered, and billed, after we left: it is
    settled at its worst case. Raises BudgetExceeded, LedgerUnavailable before anything is spent.
    """
    budget.state = budget.state.reserve(worst_usd)
    charge = _Charge()
    try:
        reservation = await ledger.reserve(budget.tenant, worst_usd) if ledger else None
    except LedgerUnavailable as error:
        budget.state = budget.state.settle(worst_usd, rules.ZERO)
        # `lasting` and `answered`: neither a retry nor the model's breaker is concerned
        raise LedgerUnavailable(
            error.message,
            reason=error.reason,
            retry_after_s=error.retry_after_s,
            lasting=True,
            answered=True,
        ) from error
    except BaseException:
        budget.state = budget.state.settle(worst_usd, rules.ZERO)
        raise
    try:
        yield charge
    except (DeadlineExceeded, CancelledError):
        charge.actual_usd = None
        raise
    finally:
        actual_usd = worst_usd if charge.actual_usd is None else charge.actual_usd
        budget.state = budget.state.settle(worst_usd, actual_usd)
        if ledger and reservation:
            try:
                await ledger.settle(reservation, actual_usd)
            except LedgerUnavailable as error:  # costs no paid answer: the reservation stays there
                emit(ReservationNotSettled(reason=error.reason))


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


class _EmbedderWrapper(_ModelWrapper[Embedder]):
    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """Embed texts of documents: neither charged to a query nor remembered."""
        return await self._inner.embed(texts, deadline=deadline)


class MeteredGenerator(_ModelWrapper[TextGenerator]):
    """A `TextGenerator` that charges each request. Raises BudgetExceeded before spending."""

    def __init__(
        self,
        inner: TextGenerator,
        *,
        price_of: rules.PriceOf,
        ledger: BudgetLedger,
        unknown: rules.UnknownPrice = rules.UnknownPrice.DEAREST,
    ) -> None:
        super().__init__(inner)
        self._price_of = price_of
        self._ledger = ledger
        self._unknown = unknown

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """Generate at most the tokens that the budget pays for; the usage carries the cost."""
        call = self._priced(prompt, max_tokens)
        async with _charged(call.budget, self._ledger, call.worst_usd) as charge:
            generation = await self._inner.generate(
                prompt, max_tokens=call.max_tokens, deadline=deadline
            )
            return self._paid(generation, call, charge)

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As `generate`; cut, with finish reason `budget`, when the reservation is used up."""
        call = self._priced(prompt, max_tokens)
        async with _charged(call.budget, self._ledger, call.worst_usd) as charge:
            charge.actual_usd = None  # a stream that breaks off has cost something
            bytes_left = call.max_tokens * _LONGEST_TOKEN_BYTES
            inner = self._inner.stream(prompt, max_tokens=call.max_tokens, deadline=deadline)
            async with aclosing(inner) as pieces:
                async for delta in pieces:
                    if delta.done is not None:
                        yield replace(delta, done=self._paid(delta.done, call, charge))
                        return
                    bytes_left -= len(delta.text.encode())
                    if bytes_left < 0:
                        yield Delta(done=self._paid(call.cut(self.model), call, charge))
                        return
                    yield delta

    def _priced(self, prompt: Prompt, max_tokens: int) -> "_PricedCall":
        """Raises BudgetExceeded if the budget does not pay for a useful answer."""
        budget = _current.get() or QueryBudget(
            "default", rules.BudgetState(cap_usd=Decimal("Infinity"))
        )
        price = rules.price_for(self.model, self._price_of, self._unknown)
        prompt_tokens = rules.tokens_at_most(prompt.system + prompt.user)
        left_usd = budget.state.left_usd
        if left_usd != Decimal("Infinity"):
            affordable = rules.affordable_tokens(
                left_usd, prompt_tokens=prompt_tokens, max_tokens=max_tokens, price=price
            )
            if affordable < min(_USEFUL_TOKENS, max_tokens):
                raise BudgetExceeded(
                    f"The {left_usd} USD left for this query do not pay for an answer of"
                    f" {self.model}.",
                    hint=rules.SET_A_PRICE
                    if price is rules.DEAREST
                    else "Raise budget.max_cost_per_query_usd, or use a cheaper model.",
                )
            max_tokens = affordable
        return _PricedCall(budget, price, prompt_tokens, max_tokens)

    def _paid(self, generation: Generation, call: "_PricedCall", charge: _Charge) -> Generation:
        usage = replace(
            generation.usage, llm_calls=1, cost_usd=rules.cost_usd(generation.usage, call.price)
        )
        charge.actual_usd = usage.cost_usd
        call.budget.usage = call.budget.usage.plus(usage)
        emit(
            ModelCallPaid(
                model=self.model,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cost_usd=usage.cost_usd,
            )
        )
        return replace(generation, usage=usage)


@dataclass(frozen=True, slots=True)
class _PricedCall:
    """One request to a language model with what it may cost."""

    budget: QueryBudget
    price: rules.Price
    prompt_tokens: int
    max_tokens: int

    @property
    def worst_usd(self) -> Decimal:
        return rules.worst_case_usd(self.prompt_tokens, self.max_tokens, self.price)

    def cut(self, model: str) -> Generation:
        """The end of a stream that used its reservation up."""
        usage = Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.max_tokens)
        return Generation(text="", model=model, usage=usage, finish_reason="budget")


class MeteredEmbedder(_EmbedderWrapper):
    """An `Embedder` that charges questions; documents are embedded outside any budget.

    Providers report no usage here, so tokens are estimated from above (`tokens_at_most`). A refused
    budget is an EmbedderUnavailable `budget_exceeded`, since a path without vectors always exists.
    """

    def __init__(
        self,
        inner: Embedder,
        *,
        price_of: rules.PriceOf,
        ledger: Callable[[], BudgetLedger],
        unknown: rules.UnknownPrice = rules.UnknownPrice.DEAREST,
    ) -> None:
        super().__init__(inner)
        self._price_of = price_of
        self._ledger = ledger
        self._unknown = unknown

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """Embed a question and charge it. A free model needs no ledger."""
        budget = _current.get()
        if budget is None:
            return await self._inner.embed_query(text, deadline=deadline)
        try:
            price = rules.price_for(
                self.model, self._price_of, self._unknown, dearest=rules.DEAREST_EMBEDDING
            )
            tokens = rules.tokens_at_most(text)
            cost_usd = tokens * price.input_usd
            ledger = self._ledger() if cost_usd else None
            async with _charged(budget, ledger, cost_usd) as charge:
                vector = await self._inner.embed_query(text, deadline=deadline)
                charge.actual_usd = cost_usd
        except BudgetExceeded as error:
            raise EmbedderUnavailable(
                error.message, reason=error.reason, hint=error.hint, lasting=True, answered=True
            ) from error
        budget.usage = budget.usage.plus(Usage(embedding_tokens=tokens, cost_usd=cost_usd))
        return vector


class EmbedOncePerQuery(_EmbedderWrapper):
    """An `Embedder` that is asked once for a question, however many lookups need its vector."""

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """The remembered vector, or failure, of this query; else ask for it."""
        budget = _current.get()
        if budget is None:
            return await self._inner.embed_query(text, deadline=deadline)
        known = budget.embedded.get((self.model, text))
        if known is None:
            try:
                known = await self._inner.embed_query(text, deadline=deadline)
            except Unavailable as error:
                known = error
            budget.embedded[self.model, text] = known
        if isinstance(known, Unavailable):
            raise known
        return known


class MeteredExtractor:
    """An `Extractor` over a metered model: each call opens a budget for the task's tenant."""

    def __init__(self, inner: Extractor, *, cap_usd: Decimal) -> None:
        self._inner = inner
        self._cap_usd = cap_usd

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """Extract within the budget; the usage carries the cost. Raises BudgetExceeded."""
        with open_budget(task.principal.tenant, self._cap_usd) as budget:
            extraction = await self._inner.extract(task, pages, deadline=deadline)
        return replace(extraction, usage=budget.usage) if budget.usage.llm_calls else extraction
