"""Resilience around ports: wrappers between a journey and an adapter, stacked when composing.

From the outside in: `Resilient*` (breaker, bulkhead, retry, time-out), then `Metered*` (money),
then the adapter. So each request that leaves is reserved and settled by itself.
"""

from foliotrace.resilient.guard import CircuitGuard, GuardFactory, GuardPolicy
from foliotrace.resilient.meter import Meter
from foliotrace.resilient.metering import (
    EmbedOncePerQuery,
    MeteredEmbedder,
    MeteredGenerator,
)
from foliotrace.resilient.wrappers import (
    BackgroundIndexWriter,
    ResilientCache,
    ResilientEmbedder,
    ResilientExtractor,
    ResilientGenerator,
    ResilientLedger,
    ResilientParser,
    ResilientReranker,
    ResilientRetriever,
)

__all__ = [
    "BackgroundIndexWriter",
    "CircuitGuard",
    "EmbedOncePerQuery",
    "GuardFactory",
    "GuardPolicy",
    "Meter",
    "MeteredEmbedder",
    "MeteredGenerator",
    "ResilientCache",
    "ResilientEmbedder",
    "ResilientExtractor",
    "ResilientGenerator",
    "ResilientLedger",
    "ResilientParser",
    "ResilientReranker",
    "ResilientRetriever",
]
