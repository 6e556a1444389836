"""The meter: reserves a call at its worst case, and settles it at its cost however it ends.

Each call is an entry in the ledger of its run (`foliotrace.budget`) and counts in the ledger of its
tenant's day.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from foliotrace import budget as rules
from foliotrace.budget import NO_USAGE, CallKind, CallOutcome, LedgerEntry, RunLedger, current_run
from foliotrace.catalog import Reason
from foliotrace.errors import BudgetExceeded, DeadlineExceeded, LedgerUnavailable, Unavailable
from foliotrace.events import CallRefusedByBudget, ModelCallPaid, ReservationNotSettled, emit
from foliotrace.model import Usage
from foliotrace.ports import BudgetLedger, Reservation

_TIMED_OUT: Final = (Reason.LLM_TIMEOUT, Reason.EMBEDDER_TIMEOUT)


class Meter:
    """Charges the calls of one kind. `ledger` is called when there is something to pay for."""

    def __init__(
        self,
        kind: CallKind,
        *,
        ledger: Callable[[], BudgetLedger],
        price_of: rules.PriceOf = lambda _: None,
        unknown: rules.UnknownPrice = rules.UnknownPrice.DEAREST,
        highest_price: rules.Price = rules.HIGHEST_LLM_PRICE,
    ) -> None:
        self.kind = kind
        self._ledger = ledger
        self._price_of = price_of
        self._unknown = unknown
        self._highest_price = highest_price

    def price(self, model: str) -> rules.Price:
        """The price of the model. Raises BudgetExceeded if the policy refuses an unknown one."""
        try:
            return rules.price_for(
                model, self._price_of, self._unknown, highest_price=self._highest_price
            )
        except BudgetExceeded:
            self.refuse(run_or_default(), model, "unknown_price")
            raise

    def refuse(self, run: RunLedger, model: str, cap: str) -> None:
        """Enter a call that is not sent."""
        run.record(LedgerEntry(kind=self.kind, model=model, outcome=CallOutcome.REFUSED))
        emit(CallRefusedByBudget(model=model, cap=cap))

    @asynccontextmanager
    async def charged(
        self, model: str, price: rules.Price, worst: Usage
    ) -> AsyncIterator["MeteredCall"]:
        """Reserve `worst` in the run and the tenant's day; settle both, however the call ends.

        Raises BudgetExceeded, LedgerUnavailable before anything is spent.
        """
        run = run_or_default()
        worst = replace(worst, cost_usd=rules.cost_usd(worst, price))
        call = MeteredCall(used=worst)
        reservation = await self.reserve(run, model, worst.cost_usd)
        try:
            yield call
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            used = replace(call.used, cost_usd=rules.cost_usd(call.used, price))
            run.state = run.state.settle(worst.cost_usd, used.cost_usd)
            self.enter(run, model, call.outcome, used)
            if reservation is not None:
                await self.settle(reservation, used.cost_usd)

    async def reserve(self, run: RunLedger, model: str, amount_usd: Decimal) -> Reservation | None:
        """Reserve in the run, and unless it is free in the tenant's day."""
        try:
            run.state = run.state.reserve(amount_usd)
        except BudgetExceeded:
            self.refuse(run, model, "run")
            raise
        try:
            return await self._ledger().reserve(run.tenant, amount_usd) if amount_usd else None
        except BaseException as error:
            run.state = run.state.settle(amount_usd, rules.ZERO)
            if isinstance(error, BudgetExceeded | LedgerUnavailable):
                cap = "tenant_day" if isinstance(error, BudgetExceeded) else "ledger"
                self.refuse(run, model, cap)
            if isinstance(error, LedgerUnavailable):  # concerns no retry and no model's breaker
                error.lasting = error.answered = True
            raise

    def enter(self, run: RunLedger, model: str, outcome: CallOutcome, used: Usage) -> None:
        """Enter a call that was sent, and emit what it cost."""
        run.record(LedgerEntry(kind=self.kind, model=model, outcome=outcome, usage=used))
        if outcome is not CallOutcome.FAILED:
            emit(
                ModelCallPaid(
                    model=model,
                    prompt_tokens=used.prompt_tokens + used.embedding_tokens,
                    completion_tokens=used.completion_tokens,
                    cost_usd=used.cost_usd,
                    outcome=outcome.value,
                )
            )

    async def settle(self, reservation: Reservation, amount_usd: Decimal) -> None:
        """Settle in the tenant's day; a ledger that fails costs no paid answer."""
        try:
            await self._ledger().settle(reservation, amount_usd)
        except LedgerUnavailable as error:  # the reservation stays there
            emit(ReservationNotSettled(reason=error.reason))


def run_or_default() -> RunLedger:
    """The run that is going on; outside of one, calls count for the tenant `default` alone."""
    return current_run() or RunLedger("default", rules.BudgetState(cap_usd=rules.UNLIMITED_USD))


@dataclass(slots=True)
class MeteredCall:
    """A call that is being charged: how it ended and what it used; at first its worst case.

    `so_far` counts what a stream has used; None before its first piece.
    """

    used: Usage
    so_far: Callable[[], Usage] | None = None
    outcome: CallOutcome = CallOutcome.UNKNOWN

    def answered(self, usage: Usage) -> None:
        """It was answered and used this."""
        self.outcome, self.used = CallOutcome.ANSWERED, usage

    def failed(self, error: BaseException) -> None:
        """Decide what a call that ended with `error` is charged."""
        if self.outcome is not CallOutcome.UNKNOWN or isinstance(error, DeadlineExceeded):
            return
        known = error if isinstance(error, Unavailable) else None
        if known is not None and known.usage is not None:
            self.answered(known.usage)
        elif known is not None and known.reason in _TIMED_OUT:
            return
        elif self.so_far is not None:
            self.outcome, self.used = CallOutcome.ABANDONED, self.so_far()
        elif known is not None and not known.maybe_billed:
            self.outcome, self.used = CallOutcome.FAILED, NO_USAGE
