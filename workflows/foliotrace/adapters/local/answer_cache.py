"""The answer cache of one process: answers with their time to live."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import Answer
from foliotrace.ports import Clock, SemanticKey, Vector

_LIMIT: Final = 4096
_SIMILAR: Final = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    answer: Answer
    expires_s: float
    semantic_key: SemanticKey | None


class InMemoryAnswerCache:
    """An `AnswerCache` of at most `limit` answers; the least recently used is evicted first."""

    def __init__(self, clock: Clock, *, limit: int = _LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._keys_citing: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._groups: dict[tuple[str, str], OrderedDict[str, Vector]] = defaultdict(OrderedDict)

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        entry = self._entries.get((tenant, key))
        if entry is None:
            return None
        if entry.expires_s <= self._clock.monotonic_s():
            self._remove(tenant, key)
            return None
        self._entries.move_to_end((tenant, key))
        return entry.answer

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        self._remove(tenant, key)
        expires_s = self._clock.monotonic_s() + ttl_s
        self._entries[tenant, key] = _Entry(answer, expires_s, semantic_key)
        for citation in answer.citations:
            self._keys_citing[tenant, citation.document_id].add(key)
        if semantic_key is not None:
            group = self._groups[tenant, semantic_key.group]
            group[key] = semantic_key.vector
            if len(group) > _SIMILAR:
                group.popitem(last=False)
        if len(self._entries) > self._limit:
            self._remove(*next(iter(self._entries)))

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        now_s = self._clock.monotonic_s()
        for key in list(self._groups.get((tenant, group), ())):
            if self._entries[tenant, key].expires_s <= now_s:
                self._remove(tenant, key)
        return list(self._groups.get((tenant, group), {}).items())

    async def forget_document(self, tenant: str, document_id: str) -> None:
        for key in list(self._keys_citing.get((tenant, document_id), ())):
            self._remove(tenant, key)

    def _remove(self, tenant: str, key: str) -> None:
        entry = self._entries.pop((tenant, key), None)
        if entry is None:
            return
        for citation in entry.answer.citations:
            keys = self._keys_citing.get((tenant, citation.document_id))
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys_citing[tenant, citation.document_id]
        if entry.semantic_key is not None:
            self._remove_from_group((tenant, entry.semantic_key.group), key)

    def _remove_from_group(self, name: tuple[str, str], key: str) -> None:
        group = self._groups.get(name)
        if group is not None:
            group.pop(key, None)
            if not group:
                del self._groups[name]
