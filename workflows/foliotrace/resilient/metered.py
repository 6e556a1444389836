"""Money around models: every request is reserved at its worst case and settled after."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import Decimal

from foliotrace import budget as rules
from foliotrace.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    LedgerUnavailable,
    Unavailable,
)
from foliotrace.events import ModelCallPaid, ReservationNotSettled, emit
from foliotrace.model import Deadline, Extraction, ParsedPage, Usage
from foliotrace.ports import (
    BudgetLedger,
    Delta,
    ExtractionTask,
    Extractor,
    Generation,
    Prompt,
    Reservation,
    TextGenerator,
    Vector,
)

USEFUL_TOKENS = 64
"""A shorter answer than this is not worth its prompt."""


@dataclass(slots=True)
class QueryBudget:
    """What one query or extraction of a tenant may spend; `usage` is what it has used so far."""

    tenant: str
    state: rules.BudgetState
    usage: Usage = field(default_factory=Usage)
    embedded: dict[tuple[str, str], "Vector | Unavailable"] = field(default_factory=dict)


_budget: ContextVar[QueryBudget | None] = ContextVar("foliotrace_query_budget", default=None)


def current_budget() -> QueryBudget | None:
    """The budget that is paid from here and now."""
    return _budget.get()


@contextmanager
def open_budget(tenant: str, cap_usd: Decimal) -> Iterator[QueryBudget]:
    """Everything metered inside is paid from one budget with this cap."""
    budget = QueryBudget(tenant, rules.BudgetState(cap_usd=cap_usd))
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


def no_failure_of_the_model(error: LedgerUnavailable) -> LedgerUnavailable:
    """The same failure, as one that asking the model again would not mend."""
    return LedgerUnavailable(
        error.message,
        reason=error.reason,
        retry_after_s=error.retry_after_s,
        lasting=True,
        answered=True,
    )


@dataclass(slots=True)
class _Hold:
    """A request's reservation; `actual_usd` None means it ended without saying what it cost."""

    max_tokens: int
    price: rules.Price
    actual_usd: Decimal | None = Decimal(0)


class MeteredGenerator:
    """A `TextGenerator` whose requests are paid for. Raises BudgetExceeded before spending."""

    def __init__(
        self,
        inner: TextGenerator,
        *,
        price_of: rules.PriceOf,
        ledger: BudgetLedger,
        unknown: rules.UnknownPrice = rules.UnknownPrice.DEAREST,
    ) -> None:
        self._inner = inner
        self._price_of = price_of
        self._ledger = ledger
        self._unknown = unknown

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now."""
        return self._inner.ready

    @property
    def model(self) -> str:
        """The pinned model name."""
        return self._inner.model

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """As the port says; the usage carries its cost."""
        async with self._held(prompt, max_tokens) as hold:
            generation = await self._inner.generate(
                prompt, max_tokens=hold.max_tokens, deadline=deadline
            )
            return self._paid(generation, hold)

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """As the port says; cut, with finish reason `budget`, when the reservation is used up."""
        async with self._held(prompt, max_tokens) as hold:
            hold.actual_usd = None  # a stream that breaks off has cost something
            bytes_left = hold.max_tokens * 8  # a token is seldom longer
            inner = self._inner.stream(prompt, max_tokens=hold.max_tokens, deadline=deadline)
            async with aclosing(inner) as pieces:
                async for delta in pieces:
                    if delta.done is not None:
                        yield replace(delta, done=self._paid(delta.done, hold))
                        return
                    bytes_left -= len(delta.text.encode())
                    if bytes_left < 0:
                        yield Delta(done=self._cut(prompt, hold))
                        return
                    yield delta

    @asynccontextmanager
    async def _held(self, prompt: Prompt, max_tokens: int) -> AsyncIterator[_Hold]:
        """Reserve in the budget and the ledger; settle both, however the request ends."""
        budget = _budget.get() or QueryBudget(
            "default", rules.BudgetState(cap_usd=Decimal("Infinity"))
        )
        price = rules.price_for(self.model, self._price_of, self._unknown)
        prompt_tokens = rules.tokens_at_most(prompt.system + prompt.user)
        affordable = self._affordable(budget, prompt_tokens, max_tokens, price)
        hold = _Hold(affordable, price)
        worst_usd = rules.worst_case_usd(prompt_tokens, affordable, price)
        budget.state = budget.state.reserve(worst_usd)
        try:
            reservation = await self._reserved(budget.tenant, worst_usd)
        except BaseException:
            budget.state = budget.state.settle(worst_usd, rules.ZERO)
            raise
        try:
            yield hold
        except DeadlineExceeded:
            hold.actual_usd = None  # it may have been answered, and billed, after we left
            raise
        finally:
            actual_usd = worst_usd if hold.actual_usd is None else hold.actual_usd
            budget.state = budget.state.settle(worst_usd, actual_usd)
            await self._settled(reservation, actual_usd)

    async def _reserved(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """Raises BudgetExceeded, and LedgerUnavailable as no failure of the model behind it."""
        try:
            return await self._ledger.reserve(tenant, amount_usd)
        except LedgerUnavailable as error:
            raise no_failure_of_the_model(error) from error

    async def _settled(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """A ledger that fails now costs no paid answer: the worst case stays reserved there."""
        try:
            await self._ledger.settle(reservation, actual_usd)
        except LedgerUnavailable as error:
            emit(ReservationNotSettled(reason=error.reason))

    def _affordable(
        self, budget: QueryBudget, prompt_tokens: int, max_tokens: int, price: rules.Price
    ) -> int:
        left_usd = budget.state.left_usd
        if left_usd == Decimal("Infinity"):
            return max_tokens
        affordable = rules.affordable_tokens(
            left_usd, prompt_tokens=prompt_tokens, max_tokens=max_tokens, price=price
        )
        if affordable < min(USEFUL_TOKENS, max_tokens):
            raise BudgetExceeded(
                f"the {left_usd} USD left for this query do not pay for an answer of {self.model}",
                hint=rules.SAY_ITS_PRICE
                if price is rules.DEAREST
                else "Raise budget.max_cost_per_query_usd, or use a cheaper model.",
            )
        return affordable

    def _paid(self, generation: Generation, hold: _Hold) -> Generation:
        usage = replace(
            generation.usage, llm_calls=1, cost_usd=rules.cost_usd(generation.usage, hold.price)
        )
        hold.actual_usd = usage.cost_usd
        budget = _budget.get()
        if budget is not None:
            budget.usage = budget.usage.plus(usage)
        emit(
            ModelCallPaid(
                model=self.model,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cost_usd=usage.cost_usd,
            )
        )
        return replace(generation, usage=usage)

    def _cut(self, prompt: Prompt, hold: _Hold) -> Generation:
        usage = Usage(
            prompt_tokens=rules.tokens_at_most(prompt.system + prompt.user),
            completion_tokens=hold.max_tokens,
        )
        cut = Generation(text="", model=self.model, usage=usage, finish_reason="budget")
        return self._paid(cut, hold)


class PaidExtractor:
    """An `Extractor` over a metered model: each call has a budget of the task's tenant."""

    def __init__(self, inner: Extractor, *, cap_usd: Decimal) -> None:
        self._inner = inner
        self._cap_usd = cap_usd

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """As the port says; the usage carries its cost. Raises BudgetExceeded."""
        with open_budget(task.principal.tenant, self._cap_usd) as budget:
            found = await self._inner.extract(task, pages, deadline=deadline)
        return replace(found, usage=budget.usage) if budget.usage.llm_calls else found
