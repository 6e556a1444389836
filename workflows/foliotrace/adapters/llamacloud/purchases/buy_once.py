"""Places each billed job at most once, and finds it again after a lost reply.

One process owns a data folder (writer lease), so a lock in this process is enough to keep two runs
from buying the same job twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem
from foliotrace.adapters.llamacloud.purchases.journal import Order, Purchase, PurchaseJournal
from foliotrace.events import CloudPurchaseReconciled, emit
from foliotrace.ports import Clock

ENDED_BADLY: Final = frozenset({"FAILED", "CANCELLED"})
"""A job with one of these statuses is not what a lost request became."""

LISTED_WITHIN: Final = timedelta(minutes=5)
"""A job that was accepted is listed by then. Until then a lost reply may have left a billed job."""

_LISTED_AFTER_S: Final = 0.5

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Place: TypeAlias = Callable[[], Awaitable[str]]
Find: TypeAlias = Callable[[Purchase], Awaitable[str | None]]
"""Look up the job of a purchase in the cloud; None if there is none."""


def may_be_listed_yet(purchase: Purchase, now: datetime) -> bool:
    """Whether a request that was sent may still show up in the listings as a job."""
    return purchase.sent_at is not None and now - purchase.sent_at < LISTED_WITHIN


class PurchaseCoordinator:
    """Turns purchases into jobs, one at a time for each key."""

    def __init__(self, journal: PurchaseJournal, sleep: Sleep, clock: Clock) -> None:
        self._journal = journal
        self._sleep = sleep
        self._clock = clock
        self._under_way: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def buy(
        self, tenant: str, key: str, kind: str, order: Order, place: Place, find: Find
    ) -> str:
        """The id of the job for this key.

        Raises CloudFailure: REPLY_LOST while an earlier request may still turn out to be a job.
        """
        async with self._under_way.setdefault((tenant, key), asyncio.Lock()):
            purchase, is_new = self._journal.record(tenant, key, kind, order)
            if purchase.job_id is not None:
                return purchase.job_id
            if not is_new:  # its reply was lost, maybe before a restart
                found = await find(purchase)
                if found is not None:
                    self._journal.mark_placed(tenant, key, found)
                    return found
                if may_be_listed_yet(purchase, self._clock.now()):
                    raise CloudFailure(
                        CloudProblem.REPLY_LOST, f"the reply to a {kind} request was lost"
                    )
                self._journal.update_order(tenant, key, order)
                purchase = self._journal.find(tenant, key)
            job_id = await self._placed(purchase, place, find)
            self._journal.mark_placed(tenant, key, job_id)
            return job_id

    async def _placed(self, purchase: Purchase, place: Place, find: Find) -> str:
        try:
            return await place()
        except CloudFailure as failure:
            if not failure.outcome_unknown:
                self._journal.mark_failed(purchase.tenant, purchase.key)
                raise
            found = await self._reconcile(purchase, find)
            if found is None and failure.replied:
                self._journal.mark_unsent(purchase.tenant, purchase.key)
            if found is None:
                raise  # the record stays: the next attempt looks again before it buys
            emit(CloudPurchaseReconciled(kind=purchase.kind))
            return found

    async def _reconcile(self, purchase: Purchase, find: Find) -> str | None:
        """Look twice: the cloud lists a job a moment after it was accepted."""
        try:
            found = await find(purchase)
            if found is None:
                await self._sleep(_LISTED_AFTER_S)
                found = await find(purchase)
        except CloudFailure:
            return None
        return found
