"""The external services that the settings enable, connected for the stack of a data folder.

Vendors' libraries are imported only when a setting needs them: each costs seconds or megabytes.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.errors import Misconfigured
from foliotrace.model import RetrievalMode
from foliotrace.ports import AnswerCache, BudgetLedger, Clock, Parser, Reranker
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.resilient import (
    CircuitGuard,
    GuardFactory,
    ResilientCache,
    ResilientLedger,
    ResilientReranker,
    ResilientRetriever,
)
from foliotrace.stack import DataFolder, ExternalServices, open_ledger
from foliotrace_server.external.own_parts import OwnParts, load_object
from foliotrace_server.settings import Settings

if TYPE_CHECKING:
    from foliotrace.adapters.llamacloud.client import CloudAccess
    from foliotrace.adapters.local.vectors.store import VectorStore
    from foliotrace.stack.cloud_services import CloudServices


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

    async def spent_today(self, tenant: str) -> Decimal:
        """What a tenant has spent and reserved today. Raises LedgerUnavailable."""
        return await self.ledger().spent_usd(tenant)

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


def connect(
    settings: Settings, folder: DataFolder, parts: OwnParts, prices: PriceTable | None = None
) -> ExternalServices:
    """Every service that the settings enable. Raises Misconfigured; nothing is called yet."""
    guards = GuardFactory(settings.resilience, clock=folder.clock)
    shared = SharedStores(settings, clock=folder.clock)
    closing = [shared.close]
    models = None
    if settings.llm or settings.llm_fallbacks or settings.embedding:
        from foliotrace_server.external.models import Models

        models = Models(
            settings,
            clock=folder.clock,
            guards=guards,
            ledger=shared.ledger,
            parts=parts,
            prices=prices,
        )
        closing.insert(0, models.close)  # a model's last call still charges the ledger
    return ExternalServices(
        generators=models.generators if models else (),
        embedder=models.embedder if models else None,
        vector_store=_own_vector_store(settings, folder, guards, parts),
        retriever=_own_retriever(settings, folder, guards, parts),
        rerankers=_own_rerankers(settings, guards, parts),
        readers=_own_readers(settings, folder.clock, parts),
        cache=shared.answer_cache(),
        cloud=open_cloud(settings, folder, guards, shared.ledger),
        closing=closing,
    )


def open_cloud(
    settings: Settings,
    folder: DataFolder,
    guards: GuardFactory,
    ledger: Callable[[], BudgetLedger],
) -> "CloudServices | None":
    """LlamaCloud, None when no capability uses it. Raises Misconfigured without a key."""
    if not settings.llamacloud.in_use:
        return None
    from foliotrace.stack.cloud_services import CloudServices

    secret = settings.llamacloud.webhook_secret
    return CloudServices(
        cloud_access(settings),
        settings,
        folder,
        guards,
        ledger=ledger,
        webhook_secret=secret.get_secret_value() if secret else None,
    )


def cloud_access(settings: Settings) -> "CloudAccess":
    """How to reach LlamaCloud. Raises Misconfigured without a key."""
    from foliotrace.adapters.llamacloud.client import CloudAccess, base_url
    from foliotrace_server.observing.trace_context import add_traceparent_for

    key = settings.llamacloud.api_key or settings.llama_cloud_api_key
    if key is None:
        raise Misconfigured(
            "llamacloud is switched on without a key",
            hint="Set llamacloud.api_key (or LLAMA_CLOUD_API_KEY), or switch the capability to "
            "local.",
        )
    carries_trace = settings.telemetry.carry_trace
    return CloudAccess(
        api_key=key.get_secret_value(),
        settings=settings.llamacloud,
        before_request=add_traceparent_for(base_url(settings.llamacloud.where))
        if carries_trace
        else None,
    )


def _own_vector_store(
    settings: Settings, folder: DataFolder, guards: GuardFactory, parts: OwnParts
) -> "VectorStore | None":
    """The LlamaIndex vector store that the settings name, as the store of the vector index."""
    name = settings.index.vector_store
    if name is None:
        return None
    if settings.embedding is None:
        raise Misconfigured(
            "index.vector_store is set without an embedding model",
            hint="Set embedding.provider and embedding.model.",
        )
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from foliotrace.adapters.llamaindex.vector_store import LlamaIndexVectors

    own = load_object("index.vector_store", name, BasePydanticVectorStore)  # type: ignore[type-abstract] # only checked against
    return LlamaIndexVectors(
        folder.path,
        own,
        name,
        health=parts.health("index.vector_store"),
        guard=guards.make("vector_store", limit_s=settings.query.retrieval_deadline_s),
    )


def _own_retriever(
    settings: Settings, folder: DataFolder, guards: GuardFactory, parts: OwnParts
) -> RetrievalPath | None:
    """The LlamaIndex retriever that the settings name, as a retrieval path."""
    name = settings.query.retriever
    if name is None:
        return None
    from llama_index.core.base.base_retriever import BaseRetriever

    from foliotrace.adapters.llamaindex.retriever import LlamaIndexRetriever

    own = load_object("query.retriever", name, BaseRetriever)  # type: ignore[type-abstract] # only checked against
    guard = guards.make("retriever", limit_s=settings.query.retrieval_deadline_s)
    adapter = LlamaIndexRetriever(own, folder.library, health=parts.health("query.retriever"))
    path = ResilientRetriever(adapter, guard)
    return RetrievalPath(RetrievalMode.CUSTOM, path)


def _own_rerankers(
    settings: Settings, guards: GuardFactory, parts: OwnParts
) -> tuple[Reranker, ...]:
    """The LlamaIndex node postprocessors that the settings name."""
    if not settings.query.rerankers:
        return ()
    from llama_index.core.postprocessor.types import BaseNodePostprocessor

    from foliotrace.adapters.llamaindex.reranker import LlamaIndexReranker

    made: list[Reranker] = []
    for number, name in enumerate(settings.query.rerankers):
        setting = f"query.rerankers.{number}"
        own = load_object(setting, name, BaseNodePostprocessor)  # type: ignore[type-abstract] # only checked against
        guard = guards.make(f"reranker_{number}", limit_s=settings.query.retrieval_deadline_s)
        adapter = LlamaIndexReranker(own, health=parts.health(setting))
        made.append(ResilientReranker(adapter, guard))
    return tuple(made)


def _own_readers(settings: Settings, clock: Clock, parts: OwnParts) -> tuple[Parser, ...]:
    """The LlamaIndex readers that the settings name, each for one ending of names."""
    if not settings.ingest.readers:
        return ()
    from llama_index.core.readers.base import BaseReader

    from foliotrace.adapters.llamaindex.reader import LlamaIndexParser

    made: list[Parser] = []
    for suffix, name in settings.ingest.readers.items():
        setting = f"ingest.readers{suffix}"
        own = load_object(setting, name, BaseReader)
        health = parts.health(setting)
        made.append(LlamaIndexParser(own, suffix, name, clock=clock, health=health))
    return tuple(made)
