"""A pace for each endpoint, so that we are not told to slow down."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from foliotrace.model import Deadline
from foliotrace.ports import Clock


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `requests` in `seconds`, evenly refilled."""

    requests: int
    seconds: float


DOCUMENTED = {
    "upload": Pace(50, 5.0),
    "parse": Pace(50, 10.0),
    "extract": Pace(10, 1.0),
}
"""What the vendor documents, or less where users saw 429 sooner (extraction at 15 a second)."""


@dataclass(slots=True)
class _Bucket:
    pace: Pace
    tokens: float
    at_s: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pacer:
    """Token buckets by endpoint; an endpoint without a pace passes at once."""

    def __init__(
        self,
        paces: dict[str, Pace],
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        now_s = clock.monotonic_s()
        self._buckets = {
            name: _Bucket(pace, float(pace.requests), now_s) for name, pace in paces.items()
        }

    async def wait(self, endpoint: str, deadline: Deadline) -> bool:
        """Wait for a turn; False when the deadline would pass first (nothing is taken then)."""
        bucket = self._buckets.get(endpoint)
        if bucket is None:
            return True
        async with bucket.turn:
            now_s = self._clock.monotonic_s()
            rate = bucket.pace.requests / bucket.pace.seconds
            bucket.tokens = min(
                float(bucket.pace.requests), bucket.tokens + (now_s - bucket.at_s) * rate
            )
            bucket.at_s = now_s
            wait_s = max(0.0, (1.0 - bucket.tokens) / rate)
            if wait_s > deadline.remaining_s(now_s):
                return False
            bucket.tokens -= 1.0
        if wait_s:
            await self._sleep(wait_s)
        return True
