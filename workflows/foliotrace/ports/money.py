"""The ledger that money is reserved in before it is spent."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money set aside for one call, until settled, released or expired."""

    id: str
    tenant: str
    amount_usd: Decimal


class BudgetLedger(Protocol):
    """What a tenant has spent and set aside today. Atomic across processes."""

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        """Raises BudgetExceeded, LedgerUnavailable."""
        ...

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Replace the reservation by what was really spent. Twice is fine."""
        ...

    async def spent_usd(self, tenant: str) -> Decimal:
        """Settled and reserved today (UTC)."""
        ...
