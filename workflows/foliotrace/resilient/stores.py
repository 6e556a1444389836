"""Cache and ledger behind a `CircuitGuard`: a store that hangs costs a few waits, not each."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

from foliotrace.errors import BreakerOpen, CacheUnavailable, DeadlineExceeded, LedgerUnavailable
from foliotrace.events import stage
from foliotrace.model import Answer, Deadline
from foliotrace.ports import AnswerCache, BudgetLedger, Reservation, SemanticKey, Vector
from foliotrace.resilient.guard import CircuitGuard

T = TypeVar("T")
_NO_DEADLINE = Deadline(float("inf"))


class ResilientCache:
    """An `AnswerCache` behind a `CircuitGuard`."""

    def __init__(self, inner: AnswerCache, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """As the port says."""
        async with _as(CacheUnavailable):
            return await _call(self.guard, lambda: self._inner.lookup(tenant, key))

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        """As the port says; a stage, for the answer waits for it."""
        async with _as(CacheUnavailable):
            with stage("keep"):
                await _call(
                    self.guard,
                    lambda: self._inner.store(
                        tenant, key, answer, ttl_s=ttl_s, semantic_key=semantic_key
                    ),
                )

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """As the port says."""
        async with _as(CacheUnavailable):
            return await _call(self.guard, lambda: self._inner.similar(tenant, group))

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """As the port says; asked also when the breaker is open, for nothing deleted may stay."""
        await self._inner.forget_document(tenant, document_id)


class ResilientLedger:
    """A `BudgetLedger` behind a `CircuitGuard`."""

    def __init__(self, inner: BudgetLedger, guard: CircuitGuard) -> None:
        self._inner = inner
        self.guard = guard

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """As the port says."""
        async with _as(LedgerUnavailable):
            return await _call(self.guard, lambda: self._inner.reserve(tenant, amount_usd))

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """As the port says; asked also when the breaker is open, for the money is spent."""
        await self._inner.settle(reservation, actual_usd)

    async def spent_usd(self, tenant: str) -> Decimal:
        """As the port says."""
        async with _as(LedgerUnavailable):
            return await _call(self.guard, lambda: self._inner.spent_usd(tenant))


async def _call(guard: CircuitGuard, work: Callable[[], Awaitable[T]]) -> T:
    return await guard.call(lambda capped: work(), _NO_DEADLINE)


@asynccontextmanager
async def _as(kind: type[CacheUnavailable] | type[LedgerUnavailable]) -> AsyncIterator[None]:
    """An open breaker and a time-out in the words of the port."""
    try:
        yield
    except (BreakerOpen, DeadlineExceeded) as error:
        raise kind(error.message, reason=error.reason, retry_after_s=error.retry_after_s) from error
