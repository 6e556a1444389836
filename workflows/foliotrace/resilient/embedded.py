"""Vectors of questions: asked for once a question, and paid for from its budget."""

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from decimal import Decimal

from foliotrace import budget as rules
from foliotrace.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    EmbedderUnavailable,
    LedgerUnavailable,
    Unavailable,
)
from foliotrace.events import ReservationNotSettled, emit
from foliotrace.model import Deadline, Usage
from foliotrace.ports import BudgetLedger, Embedder, Reservation, Vector
from foliotrace.resilient.metered import current_budget, no_failure_of_the_model


class EmbeddedOnce:
    """An `Embedder` that is asked once for a question, however many look-ups need its vector.

    What it gave, a failure too, is remembered in the question's budget and ends with it.
    """

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner

    @property
    def ready(self) -> bool:
        """Whether the model can be asked now."""
        return self._inner.ready

    @property
    def model(self) -> str:
        """Name and version of the embedding model."""
        return self._inner.model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """As the port says."""
        return await self._inner.embed(texts, deadline=deadline)

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """As the port says."""
        budget = current_budget()
        if budget is None:
            return await self._inner.embed_query(text, deadline=deadline)
        given = budget.embedded.get((self.model, text))
        if given is None:
            try:
                given = await self._inner.embed_query(text, deadline=deadline)
            except Unavailable as error:
                given = error
            budget.embedded[self.model, text] = given
        if isinstance(given, Unavailable):
            raise given
        return given


class MeteredEmbedder:
    """An `Embedder` whose questions are paid for; documents are embedded outside any budget.

    Providers say no usage here, so tokens are reckoned from above (`tokens_at_most`). A budget that
    refuses is an EmbedderUnavailable `budget_exceeded`: a path without vectors is always there.
    """

    def __init__(
        self,
        inner: Embedder,
        *,
        price_of: rules.PriceOf,
        ledger: Callable[[], BudgetLedger],
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
        """Name and version of the embedding model."""
        return self._inner.model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """As the port says."""
        return await self._inner.embed(texts, deadline=deadline)

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """As the port says; what it costs counts to the question, the tenant and its day."""
        budget = current_budget()
        if budget is None:
            return await self._inner.embed_query(text, deadline=deadline)
        tokens = rules.tokens_at_most(text)
        try:
            price = rules.price_for(
                self.model, self._price_of, self._unknown, dearest=rules.DEAREST_EMBEDDING
            )
            cost_usd = tokens * price.input_usd
            budget.state = budget.state.reserve(cost_usd)
        except BudgetExceeded as error:
            raise _unpaid(error) from error
        spent_usd = rules.ZERO
        try:
            reservation = await self._reserved(budget.tenant, cost_usd)
            try:
                vector = await self._inner.embed_query(text, deadline=deadline)
                spent_usd = cost_usd
            except (DeadlineExceeded, CancelledError):
                spent_usd = cost_usd  # it may have been answered, and billed, after we left
                raise
            finally:
                await self._settled(reservation, spent_usd)
        finally:
            budget.state = budget.state.settle(cost_usd, spent_usd)
        budget.usage = budget.usage.plus(Usage(embedding_tokens=tokens, cost_usd=cost_usd))
        return vector

    async def _reserved(self, tenant: str, cost_usd: Decimal) -> Reservation | None:
        """None for what costs nothing."""
        if not cost_usd:
            return None
        try:
            return await self._ledger().reserve(tenant, cost_usd)
        except BudgetExceeded as error:
            raise _unpaid(error) from error
        except LedgerUnavailable as error:
            raise no_failure_of_the_model(error) from error

    async def _settled(self, reservation: Reservation | None, cost_usd: Decimal) -> None:
        if reservation is not None:
            try:
                await self._ledger().settle(reservation, cost_usd)
            except LedgerUnavailable as error:
                emit(ReservationNotSettled(reason=error.reason))


def _unpaid(error: BudgetExceeded) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        error.message, reason=error.reason, hint=error.hint, lasting=True, answered=True
    )
