"""Ports that fail well: wrappers between a journey and an adapter, stacked in compose.

From the outside: `Guarded*` (breaker, bulkhead, retry, time-out), then `MeteredGenerator` (money),
then the adapter. So each request that leaves is reserved and settled by itself.
"""

from foliotrace.resilient.embedded import EmbeddedOnce, MeteredEmbedder
from foliotrace.resilient.guard import CircuitGuard, GuardPolicy
from foliotrace.resilient.metered import (
    MeteredGenerator,
    PaidExtractor,
    QueryBudget,
    open_budget,
)
from foliotrace.resilient.stores import ResilientCache, ResilientLedger
from foliotrace.resilient.wrappers import (
    FollowingIndex,
    ResilientEmbedder,
    ResilientExtractor,
    ResilientGenerator,
    ResilientParser,
    ResilientRetriever,
)

__all__ = [
    "CircuitGuard",
    "EmbeddedOnce",
    "FollowingIndex",
    "GuardPolicy",
    "MeteredEmbedder",
    "MeteredGenerator",
    "PaidExtractor",
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
