"""Ports that fail well: wrappers between a journey and an adapter, stacked in compose.

From the outside: `Guarded*` (breaker, bulkhead, retry, time-out), then `MeteredGenerator` (money),
then the adapter. So each request that leaves is reserved and settled by itself.
"""

from foliotrace.guarded.dependency import Dependency, GuardPolicy
from foliotrace.guarded.embedded import EmbeddedOnce, MeteredEmbedder
from foliotrace.guarded.metered import (
    MeteredGenerator,
    PaidExtractor,
    Purse,
    spending,
)
from foliotrace.guarded.stores import GuardedCache, GuardedLedger
from foliotrace.guarded.wrappers import (
    FollowingIndex,
    GuardedEmbedder,
    GuardedExtractor,
    GuardedGenerator,
    GuardedParser,
    GuardedRetriever,
)

__all__ = [
    "Dependency",
    "EmbeddedOnce",
    "FollowingIndex",
    "GuardPolicy",
    "GuardedCache",
    "GuardedEmbedder",
    "GuardedExtractor",
    "GuardedGenerator",
    "GuardedLedger",
    "GuardedParser",
    "GuardedRetriever",
    "MeteredEmbedder",
    "MeteredGenerator",
    "PaidExtractor",
    "Purse",
    "spending",
]
