"""Resilience around ports: wrappers between a journey and an adapter, stacked when composing.

From the outside in: `Resilient*` (breaker, bulkhead, retry, time-out), then `Metered*` (money),
then the adapter. So each request that leaves is reserved and settled by itself.
"""

from foliotrace.resilient.guard import CircuitGuard, GuardFactory, GuardPolicy
from foliotrace.resilient.metering import (
    EmbedOncePerQuery,
    MeteredEmbedder,
    MeteredExtractor,
    MeteredGenerator,
    QueryBudget,
    open_budget,
)
from foliotrace.resilient.wrappers import (
    BackgroundIndexWriter,
    ResilientCache,
    ResilientEmbedder,
    ResilientExtractor,
    ResilientGenerator,
    ResilientLedger,
    ResilientParser,
    ResilientRetriever,
)

__all__ = [
    "BackgroundIndexWriter",
    "CircuitGuard",
    "EmbedOncePerQuery",
    "GuardFactory",
    "GuardPolicy",
    "MeteredEmbedder",
    "MeteredExtractor",
    "MeteredGenerator",
    "QueryBudget",
    "ResilientCache",
    "ResilientEmbedder",
    "ResilientExtractor",
    "ResilientGenerator",
    "ResilientLedger",
    "ResilientParser",
    "ResilientRetriever",
    "open_budget",
]
