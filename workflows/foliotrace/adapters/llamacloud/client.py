"""The SDK's client, configured: strict, without its own retries; and a rate limit per endpoint."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx
from llama_cloud import AsyncLlamaCloud, DefaultAsyncHttpxClient

from foliotrace.errors import Misconfigured
from foliotrace.model import Deadline
from foliotrace.ports import Clock
from foliotrace.settings import LlamaCloudSettings

REGIONS: Final = {
    "us": "https://api.cloud.llamaindex.ai",
    "eu": "https://api.cloud.eu.llamaindex.ai",
}

BeforeRequest: TypeAlias = Callable[[httpx.Request], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccess:
    """How to reach LlamaCloud. `before_request` sees every request, redirected ones too."""

    api_key: str = field(repr=False)
    settings: LlamaCloudSettings = field(default_factory=LlamaCloudSettings)
    before_request: BeforeRequest | None = None


def base_url(where: str) -> str:
    """The base URL of a region or an address; the vendor's pages give one without a scheme.

    Raises Misconfigured when it is neither.
    """
    address = where.strip().rstrip("/")
    if address.lower() in REGIONS:
        return REGIONS[address.lower()]
    url = address if "://" in address else f"https://{address}"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or ("." not in host and host != "localhost"):
        raise Misconfigured(
            f"llamacloud.where is neither a region ({', '.join(REGIONS)}) nor a URL",
            hint="Set it to eu, us or https://...",
        )
    return url


def connect(access: CloudAccess) -> AsyncLlamaCloud:
    """A client for one event loop. Every request is made once; replies must have their shape."""
    hooks = [access.before_request] if access.before_request is not None else []
    return AsyncLlamaCloud(
        api_key=access.api_key,
        base_url=base_url(access.settings.where),
        max_retries=0,
        timeout=access.settings.timeout_s,
        http_client=DefaultAsyncHttpxClient(event_hooks={"request": hooks}),
        _strict_response_validation=True,
    )


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in `seconds`; the allowance refills evenly."""

    requests: int
    seconds: float


RATE_LIMITS = {
    "upload": RateLimit(50, 5.0),
    "parse": RateLimit(50, 10.0),
    "extract": RateLimit(10, 1.0),
}
"""The documented limits, or less where users saw 429 earlier (extraction at 15 a second)."""


@dataclass(slots=True)
class _Bucket:
    limit: RateLimit
    tokens: float
    at_s: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    """One token bucket per endpoint; an endpoint without a limit passes at once."""

    def __init__(
        self,
        limits: dict[str, RateLimit],
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        now_s = clock.monotonic_s()
        self._buckets = {
            name: _Bucket(limit, float(limit.requests), now_s) for name, limit in limits.items()
        }

    async def wait(self, endpoint: str, deadline: Deadline) -> bool:
        """Wait until a request may be sent; False, without waiting, if the deadline is earlier."""
        bucket = self._buckets.get(endpoint)
        if bucket is None:
            return True
        async with bucket.turn:
            now_s = self._clock.monotonic_s()
            rate = bucket.limit.requests / bucket.limit.seconds
            bucket.tokens = min(
                float(bucket.limit.requests), bucket.tokens + (now_s - bucket.at_s) * rate
            )
            bucket.at_s = now_s
            wait_s = max(0.0, (1.0 - bucket.tokens) / rate)
            if wait_s > deadline.remaining_s(now_s):
                return False
            bucket.tokens -= 1.0
        if wait_s:
            await self._sleep(wait_s)
        return True
