"""One purchase at a time for each key: written down, placed once, found again after a lost reply.

One process owns a folder (the writer's lease), so locks of this process keep two runs that want
the same job from buying it twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from foliotrace.adapters.llamacloud.failures import CloudFailure
from foliotrace.adapters.llamacloud.intents import Intent, IntentLog, Order
from foliotrace.events import CloudPurchaseReconciled, emit

ENDED_BADLY: Final = frozenset({"FAILED", "CANCELLED"})
"""A job in one of these is no answer to the question what became of a request."""

_LISTED_AFTER_S: Final = 0.5

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Place: TypeAlias = Callable[[], Awaitable[str]]
Find: TypeAlias = Callable[[Intent], Awaitable[str | None]]
"""The job that an intent became, by what it named; None when there is none."""


class Purchases:
    """Turns intents into jobs."""

    def __init__(self, intents: IntentLog, sleep: Sleep) -> None:
        self._intents = intents
        self._sleep = sleep
        self._under_way: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def buy(
        self, tenant: str, key: str, kind: str, order: Order, place: Place, find: Find
    ) -> str:
        """The id of the job of this key, placed at most once. Raises CloudFailure."""
        async with self._under_way.setdefault((tenant, key), asyncio.Lock()):
            intent, is_new = self._intents.mean(tenant, key, kind, order)
            if intent.job_id is not None:
                return intent.job_id
            if not is_new:  # its reply was lost, in this life or an earlier one
                found = await find(intent)
                if found is not None:
                    self._intents.placed(tenant, key, found)
                    return found
                self._intents.aim(tenant, key, order)
                intent = self._intents.find(tenant, key)
            job_id = await self._placed(intent, place, find)
            self._intents.placed(tenant, key, job_id)
            return job_id

    async def _placed(self, intent: Intent, place: Place, find: Find) -> str:
        try:
            return await place()
        except CloudFailure as failure:
            if not failure.outcome_unknown:
                self._intents.failed(intent.tenant, intent.key)
                raise
            found = await self._reconcile(intent, find)
            if found is None:
                raise  # the intent stays: the next attempt looks again before it buys
            emit(CloudPurchaseReconciled(kind=intent.kind))
            return found

    async def _reconcile(self, intent: Intent, find: Find) -> str | None:
        """Look twice, a moment apart: a job may be listed a little after it was accepted."""
        try:
            found = await find(intent)
            if found is None:
                await self._sleep(_LISTED_AFTER_S)
                found = await find(intent)
        except CloudFailure:
            return None
        return found
