"""Gives a few slots to many files: each tenant gets its share, and small files pass large ones."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

_KEPT: Final = 10_000
_OLDEST_EVERY: Final = 4  # grants; so a large file goes on while small ones keep coming


@dataclass(eq=False, slots=True)
class _Waiter:
    tenant: Hashable
    file: Hashable
    granted: asyncio.Future[None]


class FairSlots:
    """`size` slots. A free one goes to the tenant, then to the file, that has used the least.

    What is used is reported by `charge`. Every fourth slot goes to whoever has waited longest.
    Belongs to one event loop.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[_Waiter] = []
        self._used: OrderedDict[Hashable, float] = OrderedDict()
        self._grants = 0

    def used(self, key: Hashable) -> float:
        """What was charged to a tenant or a file; 0 again once many others came after it."""
        return self._used.get(key, 0.0)

    def charge(self, tenant: Hashable, file: Hashable, amount: float) -> None:
        """Note that a file of a tenant has used `amount`."""
        for key in (tenant, file):
            self._used[key] = self.used(key) + amount
            self._used.move_to_end(key)
        while len(self._used) > _KEPT:
            self._used.popitem(last=False)

    def forget(self, file: Hashable) -> None:
        """Count a file from zero: it is read anew."""
        self._used.pop(file, None)

    @asynccontextmanager
    async def slot(self, tenant: Hashable, file: Hashable) -> AsyncIterator[None]:
        """Hold a slot, waiting for one if necessary."""
        self._let_nobody_save_up(tenant)
        waiter = _Waiter(tenant, file, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted
            yield
        finally:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._free += 1
                self._grant()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)

    def _let_nobody_save_up(self, tenant: Hashable) -> None:
        """A tenant that comes back begins level with those that wait, not far ahead of them."""
        level = min((self.used(each.tenant) for each in self._waiting), default=0.0)
        if self.used(tenant) < level:
            self._used[tenant] = level

    def _grant(self) -> None:
        self._waiting = [each for each in self._waiting if not each.granted.cancelled()]
        while self._free and self._waiting:
            self._grants += 1
            first = self._waiting[0]
            if self._grants % _OLDEST_EVERY:
                first = min(self._waiting, key=lambda w: (self.used(w.tenant), self.used(w.file)))
            self._waiting.remove(first)
            self._free -= 1
            first.granted.set_result(None)
