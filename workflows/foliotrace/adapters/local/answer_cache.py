"""Answers kept in the process: lost with it, never on a disk."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import Answer
from foliotrace.ports import Asked, Clock, Vector

_KEPT: Final = 4096
_ALIKE: Final = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Answer
    until_s: float
    asked: Asked | None


class InMemoryAnswerCache:
    """An `AnswerCache`; of more than `limit` answers the one not asked for longest goes."""

    def __init__(self, clock: Clock, *, limit: int = _KEPT) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._citing: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._groups: dict[tuple[str, str], OrderedDict[str, Vector]] = defaultdict(OrderedDict)

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """See `AnswerCache.lookup`."""
        found = self._kept.get((tenant, key))
        if found is None:
            return None
        if found.until_s <= self._clock.monotonic_s():
            self._drop(tenant, key)
            return None
        self._kept.move_to_end((tenant, key))
        return found.answer

    async def store(
        self, tenant: str, key: str, answer: Answer, *, ttl_s: float, asked: Asked | None = None
    ) -> None:
        """See `AnswerCache.store`."""
        self._drop(tenant, key)
        self._kept[tenant, key] = _Kept(answer, self._clock.monotonic_s() + ttl_s, asked)
        for citation in answer.citations:
            self._citing[tenant, citation.document_id].add(key)
        if asked is not None:
            group = self._groups[tenant, asked.group]
            group[key] = asked.vector
            if len(group) > _ALIKE:
                group.popitem(last=False)
        if len(self._kept) > self._limit:
            self._drop(*next(iter(self._kept)))

    async def alike(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """See `AnswerCache.alike`."""
        now_s = self._clock.monotonic_s()
        for key in list(self._groups.get((tenant, group), ())):
            if self._kept[tenant, key].until_s <= now_s:
                self._drop(tenant, key)
        return list(self._groups.get((tenant, group), {}).items())

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """See `AnswerCache.forget_document`."""
        for key in list(self._citing.get((tenant, document_id), ())):
            self._drop(tenant, key)

    def _drop(self, tenant: str, key: str) -> None:
        gone = self._kept.pop((tenant, key), None)
        if gone is None:
            return
        for citation in gone.answer.citations:
            keys = self._citing.get((tenant, citation.document_id))
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._citing[tenant, citation.document_id]
        if gone.asked is not None:
            self._leave(tenant, gone.asked.group, key)

    def _leave(self, tenant: str, name: str, key: str) -> None:
        group = self._groups.get((tenant, name))
        if group is not None:
            group.pop(key, None)
            if not group:
                del self._groups[tenant, name]
