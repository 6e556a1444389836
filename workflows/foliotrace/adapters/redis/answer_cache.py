"""The answer cache on a Redis server, shared by several processes.

An answer is one key with a time to live, and so is the vector of its question. A set per document
names the answers that cite it; a list per semantic group names its questions, newest first. Names
are keyed hashes, so Redis never sees a question, but it does hold answers and question vectors.
Every key expires, and any key may be evicted by the server's `maxmemory` policy.
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
from foliotrace.ports import SemanticKey, Vector

_SIMILAR: Final = 8
_answer: Final = TypeAdapter(Answer)


class RedisAnswerCache:
    """An `AnswerCache` on Redis."""

    def __init__(self, client: Redis, *, prefix: str = "foliotrace:answers") -> None:
        self._client = client
        self._prefix = prefix

    async def lookup(self, tenant: str, key: str) -> Answer | None:
        async with _redis_errors():
            stored = await self._client.get(self._answer_key(tenant, key))
        if stored is None:
            return None
        try:
            return _answer.validate_json(stored)
        except ValidationError:
            return None  # another version of foliotrace stored it

    async def store(
        self,
        tenant: str,
        key: str,
        answer: Answer,
        *,
        ttl_s: float,
        semantic_key: SemanticKey | None = None,
    ) -> None:
        ttl_ms = int(ttl_s * 1000)
        if ttl_ms <= 0:
            return
        async with _redis_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.set(self._answer_key(tenant, key), _answer.dump_json(answer), px=ttl_ms)
            for document_id in {citation.document_id for citation in answer.citations}:
                citing = self._citing_key(tenant, document_id)
                pipe.sadd(citing, key)
                _expire_not_before(pipe, citing, ttl_ms)
            if semantic_key is not None:
                group = self._group_key(tenant, semantic_key.group)
                packed = array("f", semantic_key.vector).tobytes()
                pipe.set(self._vector_key(tenant, key), packed, px=ttl_ms)
                pipe.lrem(group, 0, key)
                pipe.lpush(group, key)
                pipe.ltrim(group, 0, _SIMILAR - 1)
                _expire_not_before(pipe, group, ttl_ms)
            await pipe.execute()

    async def similar(self, tenant: str, group: str) -> Sequence[tuple[str, Vector]]:
        async with _redis_errors():
            listed = await self._client.lrange(self._group_key(tenant, group), 0, _SIMILAR - 1)
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
        citing = self._citing_key(tenant, document_id)
        async with _redis_errors():
            keys = [_text(key) for key in await self._client.smembers(citing)]
        cited = [key for key in keys if await self._cites(tenant, key, document_id)]
        async with _redis_errors():
            await self._client.delete(
                citing,
                *(self._answer_key(tenant, key) for key in cited),
                *(self._vector_key(tenant, key) for key in keys),
            )

    async def _cites(self, tenant: str, key: str, document_id: str) -> bool:
        """Whether the current answer under `key` cites the document; an earlier one may have."""
        answer = await self.lookup(tenant, key)
        return answer is not None and document_id in {c.document_id for c in answer.citations}

    def _answer_key(self, tenant: str, key: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:answer:{key}"

    def _vector_key(self, tenant: str, key: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:vector:{key}"

    def _group_key(self, tenant: str, group: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:semantic:{group}"

    def _citing_key(self, tenant: str, document_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:citing:{document_id}"


def _expire_not_before(pipe: Any, key: str, ttl_ms: int) -> None:
    pipe.pexpire(key, ttl_ms, nx=True)
    pipe.pexpire(key, ttl_ms, gt=True)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


@asynccontextmanager
async def _redis_errors() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailable(f"the answer cache failed: {type(error).__name__}") from error
