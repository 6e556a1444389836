"""Budget ledger and answer cache: in the data folder and the process, or on Redis."""

from typing import Any

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.errors import Misconfigured
from foliotrace.ports import AnswerCache, BudgetLedger, Clock
from foliotrace.resilient import CircuitGuard, GuardFactory, ResilientCache, ResilientLedger
from foliotrace.stack import open_ledger
from foliotrace_server.settings import Settings


class SharedStores:
    """Stores that several processes may share. Redis is connected at first use."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._guards = GuardFactory(settings.resilience, clock=clock)
        self._ledger: SqliteLedger | None = None
        self._client: Any = _connect(settings)

    def ledger(self) -> BudgetLedger:
        """The ledger that counts spending. Raises LedgerUnavailable."""
        if self._client is not None:
            from foliotrace.adapters.redis.ledger import RedisLedger

            cap_usd = self._settings.budget.daily_usd_per_tenant
            ledger = RedisLedger(self._client, clock=self._clock, daily_cap_usd=cap_usd)
            return ResilientLedger(ledger, self._guard("ledger"))
        if self._ledger is None:
            settings = self._settings
            self._ledger = open_ledger(settings.data_dir, settings.budget, clock=self._clock)
        return self._ledger

    def answer_cache(self) -> AnswerCache | None:
        """The cache of exact answers; None when it is disabled."""
        if not self._settings.query.cache_ttl_s:
            return None
        if self._client is not None:
            from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

            return ResilientCache(RedisAnswerCache(self._client), self._guard("answer_cache"))
        return InMemoryAnswerCache(self._clock)

    def _guard(self, name: str) -> CircuitGuard:
        """One attempt: an answer does not wait twice for a store that it can do without."""
        return self._guards.make(name, limit_s=self._settings.redis.timeout_s, attempts=1)

    async def close(self) -> None:
        """Close files and connections."""
        if self._ledger is not None:
            self._ledger.close()
        if self._client is not None:
            await self._client.aclose()


def _connect(settings: Settings) -> Any:  # noqa: ANN401 - redis is an extra
    redis = settings.redis
    if redis.url is None:
        return None
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise Misconfigured(
            "redis.url is set and redis is not installed", hint="pip install 'foliotrace[redis]'"
        ) from error
    return Redis.from_url(
        redis.url.get_secret_value(),
        socket_timeout=redis.timeout_s,
        socket_connect_timeout=redis.timeout_s,
        retry=None,
    )
