"""Charges the credits of billed jobs: reserved at their worst case, settled once they are known.

A job outlives the process that placed it and its credits come late, so the journal holds what is
reserved and what was charged on assumption.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from foliotrace.adapters.llamacloud.purchases.journal import Charge, PurchaseJournal
from foliotrace.budget import (
    UNLIMITED_USD,
    BudgetState,
    CallKind,
    CallOutcome,
    RunLedger,
    current_run,
)
from foliotrace.model import Usage
from foliotrace.ports import BudgetLedger, Reservation
from foliotrace.resilient import Meter

_MODELS: Final = {"parse": "llamaparse", "extract": "llamaextract"}


class CreditCharges:
    """The charges of one process; `ledger` is called when credits have a price."""

    def __init__(
        self,
        journal: PurchaseJournal,
        *,
        ledger: Callable[[], BudgetLedger],
        usd_per_credit: Decimal,
    ) -> None:
        self._journal = journal
        self._usd_per_credit = usd_per_credit
        self._meters = {kind: Meter(CallKind(kind), ledger=ledger) for kind in _MODELS}
        self._reserved: dict[tuple[str, str], RunLedger] = {}

    async def reserve(self, tenant: str, key: str, kind: str, credits: float) -> None:
        """Reserve the worst case. Raises BudgetExceeded, LedgerUnavailable."""
        await self._correct(tenant, key, kind, 0.0)  # what an earlier attempt was assumed to cost
        run = _run_of(tenant)
        reservation = await self._meters[kind].reserve(run, _MODELS[kind], self._usd(credits))
        self._reserved[tenant, key] = run
        held = reservation.id if reservation is not None else ""
        self._journal.set_charge(tenant, key, Charge(reservation=held, worst=credits, due=None))

    async def settle(self, tenant: str, key: str, kind: str, credits: float | None) -> None:
        """Charge `credits` to the run that is going on, or the worst case if None. Once a job."""
        charge = self._journal.charge(tenant, key)
        if charge.reservation is None:
            if credits is not None:
                await self._correct(tenant, key, kind, credits)
            return
        used = charge.worst if credits is None else credits
        due = charge.worst if credits is None else None
        self._journal.set_charge(tenant, key, Charge(reservation=None, worst=used, due=due))
        run, meter = _run_of(tenant), self._meters[kind]
        reserving = self._reserved.pop((tenant, key), None)
        if reserving is not None:
            reserving.state = reserving.state.settle(self._usd(charge.worst), Decimal(0))
        outcome = CallOutcome.ANSWERED if credits else CallOutcome.FAILED
        self._enter(run, kind, used, outcome if credits is not None else CallOutcome.UNKNOWN)
        if charge.reservation:
            worst_usd = self._usd(charge.worst)
            held = Reservation(id=charge.reservation, tenant=tenant, amount_usd=worst_usd)
            await meter.settle(held, self._usd(used))

    async def _correct(self, tenant: str, key: str, kind: str, credits: float) -> None:
        """Replace what was charged on assumption by what is known now."""
        charge = self._journal.charge(tenant, key)
        if charge.due is None:
            return
        self._journal.set_charge(tenant, key, Charge(reservation=None, worst=credits, due=None))
        difference = credits - charge.due
        run, meter = _run_of(tenant), self._meters[kind]
        self._enter(run, kind, difference, CallOutcome.ANSWERED)
        if self._usd_per_credit and difference:
            held = await meter.reserve(run, _MODELS[kind], Decimal("1e-6"))
            run.state = run.state.settle(Decimal("1e-6"), Decimal(0))
            if held is not None:
                await meter.settle(held, self._usd(difference))

    def _enter(self, run: RunLedger, kind: str, credits: float, outcome: CallOutcome) -> None:
        usage = Usage(credits=credits, cost_usd=self._usd(credits))
        run.state = run.state.settle(Decimal(0), usage.cost_usd)
        self._meters[kind].enter(run, _MODELS[kind], outcome, usage)

    def _usd(self, credits: float) -> Decimal:
        return Decimal(str(credits)) * self._usd_per_credit


def _run_of(tenant: str) -> RunLedger:
    run = current_run()
    if run is None or run.tenant != tenant:
        run = RunLedger(tenant, BudgetState(cap_usd=UNLIMITED_USD))
    return run
