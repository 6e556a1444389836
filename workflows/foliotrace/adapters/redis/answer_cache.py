"""Answers on a Redis server: shared by processes, kept no longer than their time.

An answer is one key with its time to live, and so is its question's vector; a set per document
names the answers that cite it, a list per group the questions that are alike, newest first. Names
are keyed hashes, so Redis sees no question; it does hold answers, and the vectors of questions.
Every key ends, so the server's own `maxmemory` may evict any of them.
"""

from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from foliotrace.errors import CacheUnavailable
from foliotrace.model import Answer
from foliotrace.ports import Asked, Vector

_ALIKE: Final = 8
_answer: Final = TypeAdapter(Answer)


class RedisAnswerCache:
    """An `AnswerCache` on Redis."""

    def __init__(self, client: Redis, *, prefix: str = "foliotrace:answers") -> None:
        self._client = client
        self._prefix = prefix

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        """As the port says. What another version of the product stored is a miss."""
        async with _in_our_words():
            found = await self._client.get(self._answer_key(tenant, key))
        if found is None:
            return None
        try:
            return _answer.validate_json(found)
        except ValidationError:
            return None

    async def store(
        self, tenant: str, key: str, answer: Answer, *, ttl_s: float, asked: Asked | None = None
    ) -> None:
        """As the port says."""
        life_ms = int(ttl_s * 1000)
        if life_ms <= 0:
            return
        async with _in_our_words(), self._client.pipeline(transaction=False) as pipe:
            pipe.set(self._answer_key(tenant, key), _answer.dump_json(answer), px=life_ms)
            for document_id in {citation.document_id for citation in answer.citations}:
                citing = self._citing_key(tenant, document_id)
                pipe.sadd(citing, key)
                _live_at_least(pipe, citing, life_ms)
            if asked is not None:
                group = self._group_key(tenant, asked.group)
                packed = array("f", asked.vector).tobytes()
                pipe.set(self._vector_key(tenant, key), packed, px=life_ms)
                pipe.lrem(group, 0, key)
                pipe.lpush(group, key)
                pipe.ltrim(group, 0, _ALIKE - 1)
                _live_at_least(pipe, group, life_ms)
            await pipe.execute()

    async def alike(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        """As the port says."""
        async with _in_our_words():
            listed = await self._client.lrange(self._group_key(tenant, group), 0, _ALIKE - 1)
            keys = [_text(key) for key in listed]
            if not keys:
                return []
            packed = await self._client.mget([self._vector_key(tenant, key) for key in keys])
        return [
            (key, array("f", raw))
            for key, raw in zip(keys, packed, strict=True)
            if isinstance(raw, bytes) and len(raw) % array("f").itemsize == 0
        ]

    async def forget_document(self, tenant: str, document_id: str) -> None:
        """As the port says."""
        citing = self._citing_key(tenant, document_id)
        async with _in_our_words():
            keys = [_text(key) for key in await self._client.smembers(citing)]
        cited = [key for key in keys if await self._cites(tenant, key, document_id)]
        async with _in_our_words():
            await self._client.delete(
                citing,
                *(self._answer_key(tenant, key) for key in cited),
                *(self._vector_key(tenant, key) for key in keys),
            )

    async def _cites(self, tenant: str, key: str, document_id: str) -> bool:
        """Whether the answer that is kept now does; an earlier one may have."""
        kept = await self.lookup(tenant, key)
        return kept is not None and document_id in {c.document_id for c in kept.citations}

    def _answer_key(self, tenant: str, key: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:answer:{key}"

    def _vector_key(self, tenant: str, key: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:vector:{key}"

    def _group_key(self, tenant: str, group: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:alike:{group}"

    def _citing_key(self, tenant: str, document_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:citing:{document_id}"


def _live_at_least(pipe: Any, key: str, life_ms: int) -> None:
    pipe.pexpire(key, life_ms, nx=True)
    pipe.pexpire(key, life_ms, gt=True)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


@asynccontextmanager
async def _in_our_words() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailable(f"the answer cache failed: {type(error).__name__}") from error
