"""Budget ledger and answer cache: in the data folder and the process, or on Redis."""

from typing import Any

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.errors import Misconfigured
from foliotrace.ports import AnswerCache, BudgetLedger, Clock
from foliotrace.resilient import CircuitGuard, ResilientCache, ResilientLedger
from foliotrace_server.composing.guards import GuardFactory
from foliotrace_server.settings import Settings


class SharedStores:
    """What several processes may share. Redis is connected to at first use."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._guards = GuardFactory(settings.resilience, clock=clock)
        self._ledger: SqliteLedger | None = None
        self._client: Any = _connect(settings)

    def ledger(self) -> BudgetLedger:
        """Where spending is counted. Raises LedgerUnavailable."""
        cap_usd = self._settings.budget.daily_usd_per_tenant
        if self._client is not None:
            from foliotrace.adapters.redis.ledger import RedisLedger

            ledger = RedisLedger(self._client, clock=self._clock, daily_cap_usd=cap_usd)
            return ResilientLedger(ledger, self._guard("ledger"))
        if self._ledger is None:
            file = self._settings.data_dir / "budget.db"
            self._ledger = SqliteLedger(file, clock=self._clock, daily_cap_usd=cap_usd)
        return self._ledger

    def answer_cache(self) -> AnswerCache | None:
        """Where exact answers are kept; None when they are not."""
        if not self._settings.query.cache_ttl_s:
            return None
        if self._client is not None:
            from foliotrace.adapters.redis.answer_cache import RedisAnswerCache

            return ResilientCache(RedisAnswerCache(self._client), self._guard("answer_cache"))
        return InMemoryAnswerCache(self._clock)

    def _guard(self, name: str) -> CircuitGuard:
        """Asked once: a store beside the answer is not worth a second wait."""
        return self._guards.make(name, limit_s=self._settings.redis.timeout_s, attempts=1)

    async def close(self) -> None:
        """Close files and connections."""
        if self._ledger is not None:
            self._ledger.close()
        if self._client is not None:
            await self._client.aclose()


def _connect(settings: Settings) -> Any:  # noqa: ANN401 - redis is an extra
    given = settings.redis
    if given.url is None:
        return None
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise Misconfigured(
            "redis.url is set and redis is not installed", hint="pip install 'foliotrace[redis]'"
        ) from error
    return Redis.from_url(
        given.url.get_secret_value(),
        socket_timeout=given.timeout_s,
        socket_connect_timeout=given.timeout_s,
        retry=None,
    )
