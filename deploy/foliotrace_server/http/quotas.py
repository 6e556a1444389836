"""Rate limits and quotas of each key and tenant: requests, tokens, pages and money.

Requests are counted as they arrive. Tokens, pages and money are counted when the work that used
them ends, so that the work that was running when a quota was reached is its only excess. Headers
follow draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import structlog

from foliotrace.budget import to_micro_usd
from foliotrace.catalog import ErrorCode
from foliotrace.errors import LedgerUnavailable, TooBusy
from foliotrace.model import Principal
from foliotrace_server.sections import QuotaSettings, RedisSettings

if TYPE_CHECKING:
    from limits import RateLimitItem

    from foliotrace_server.settings import Settings

_log = structlog.get_logger(__name__)
_REQUESTS: Final = "requests"
_WITHOUT_REDIS_S: Final = 5.0  # after it has failed, so that not every request waits for it
_USED_BY: Final[Mapping[str, tuple[str, ...]]] = {  # what the work of each workflow uses
    "query": ("tokens", "usd"),
    "ingest": ("pages", "usd"),
    "extract": ("tokens", "usd"),
}
_REST: Final = {"query": "query", "documents": "ingest", "extractions": "extract"}
T = TypeVar("T")
SpentToday: TypeAlias = Callable[[str], Awaitable[Decimal]]
"""What a tenant has spent and reserved today, in US dollars. Raises LedgerUnavailable."""


class RateLimited(TooBusy):
    """The key or its tenant sent too many requests."""

    code = ErrorCode.RATE_LIMITED


class QuotaUsedUp(TooBusy):
    """The key or its tenant has used its tokens, pages or money."""

    code = ErrorCode.QUOTA_USED_UP


@dataclass(frozen=True, slots=True)
class _Policy:
    """One limit: `name` is what the headers call it, `holder` key or tenant it counts."""

    name: str
    unit: str
    item: RateLimitItem
    holder: str

    def counter(self, principal: Principal) -> tuple[str, str, str]:
        """The identifiers of the counter."""
        who = principal.tenant if self.holder == "tenant" else principal.subject
        return self.unit, self.holder, who


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request may go on, and the headers that say what is left."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    refusal: TooBusy | None = None


class Quotas:
    """Counts in memory, or on Redis for several processes. Without limits it costs nothing."""

    def __init__(
        self,
        per_key: QuotaSettings,
        per_tenant: QuotaSettings,
        *,
        redis: RedisSettings | None = None,
        spent_today: SpentToday | None = None,
    ) -> None:
        self._policies = [*_policies("key", per_key), *_policies("tenant", per_tenant)]
        self._spent_today = spent_today
        self._counters = _Counters(redis) if self._policies else None

    @classmethod
    def of(cls, settings: Settings, spent_today: SpentToday | None = None) -> Quotas:
        """The quotas that the settings ask for."""
        limits = settings.limits
        return cls(limits.per_key, limits.per_tenant, redis=settings.redis, spent_today=spent_today)

    async def admit(self, principal: Principal, method: str, path: str) -> Allowance:
        """Count a request, and check what its work would use."""
        if self._counters is None:
            return Allowance()
        used = _USED_BY.get(_work_of(path), ()) if method == "POST" else ()
        left, refused = [], None
        for policy in self._policies:
            if policy.unit == _REQUESTS:
                counted = await self._counters.hit_request(policy, principal)
            elif policy.unit in used:
                counted = await self._remaining(policy, principal)
            else:
                continue
            left.append((policy, *counted))
            if counted[1] < (0 if policy.unit == _REQUESTS else 1) and refused is None:
                refused = _refusal(policy, counted[0])
        return Allowance(_headers(left), refused)

    async def add(
        self, principal: Principal, *, tokens: int = 0, pages: int = 0, usd: Decimal = Decimal(0)
    ) -> None:
        """Count what work has used, whether or not that exceeds a quota."""
        amounts = {"tokens": tokens, "pages": pages, "usd": to_micro_usd(usd)}
        for policy in self._policies:
            amount = amounts.get(policy.unit, 0)
            if amount > 0 and self._counters is not None:
                await self._counters.add(policy, principal, amount)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._counters is not None:
            await self._counters.close()

    async def _remaining(self, policy: _Policy, principal: Principal) -> tuple[float, int]:
        assert self._counters is not None  # noqa: S101 - `admit` has checked
        reset_s, left = await self._counters.remaining(policy, principal)
        if policy.unit == "usd" and policy.holder == "tenant" and self._spent_today:
            try:  # the ledger also knows what was spent before this process started
                spent = to_micro_usd(await self._spent_today(principal.tenant))
            except LedgerUnavailable:  # spending needs the ledger itself, and is refused there
                return reset_s, left
            left = min(left, policy.item.amount - spent)
        return reset_s, left


class _Counters:
    """Windows of the library `limits`; while Redis fails, this process counts by itself."""

    def __init__(self, redis: RedisSettings | None) -> None:
        from limits.aio.storage import MemoryStorage

        self._local = _Windows(MemoryStorage())
        self._pool = _redis_pool(redis) if redis and redis.url else None
        self._shared = _Windows(_redis_storage(self._pool)) if self._pool else None
        self._redis_failed_s = -_WITHOUT_REDIS_S

    async def hit_request(self, policy: _Policy, principal: Principal) -> tuple[float, int]:
        """(when the window ends, requests left after this one; -1 if it is one too many)."""

        async def count(windows: _Windows) -> tuple[float, int]:
            who = policy.counter(principal)
            admitted = await windows.moving.hit(policy.item, *who)
            stats = await windows.moving.get_window_stats(policy.item, *who)
            return stats.reset_time, stats.remaining if admitted else -1

        return await self._try(count)

    async def remaining(self, policy: _Policy, principal: Principal) -> tuple[float, int]:
        """(when the window ends, what is left in it)."""

        async def look(windows: _Windows) -> tuple[float, int]:
            stats = await windows.fixed.get_window_stats(policy.item, *policy.counter(principal))
            return stats.reset_time, stats.remaining

        return await self._try(look)

    async def add(self, policy: _Policy, principal: Principal, amount: int) -> None:
        """Add to a window."""

        async def count(windows: _Windows) -> bool:
            who = policy.counter(principal)
            return bool(await windows.fixed.hit(policy.item, *who, cost=amount))

        await self._try(count)

    async def _try(self, ask: Callable[[_Windows], Awaitable[T]]) -> T:
        from limits.errors import StorageError

        if self._shared and monotonic() - self._redis_failed_s >= _WITHOUT_REDIS_S:
            try:
                return await ask(self._shared)
            except StorageError as error:
                self._redis_failed_s = monotonic()
                _log.warning("quotas.redis_failed", error_type=type(error.storage_error).__name__)
        return await ask(self._local)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.disconnect()


class _Windows:
    """Requests in a moving window: never more than the limit in any one. Amounts in fixed ones."""

    def __init__(self, storage: Any) -> None:  # noqa: ANN401 - `limits` has no common type
        from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

        self.moving = MovingWindowRateLimiter(storage)
        self.fixed = FixedWindowRateLimiter(storage)


def _redis_pool(redis: RedisSettings) -> Any:  # noqa: ANN401 - redis is an extra
    from redis.asyncio import ConnectionPool

    assert redis.url is not None  # noqa: S101 - the caller has checked
    return ConnectionPool.from_url(
        redis.url.get_secret_value(),
        socket_timeout=redis.timeout_s,
        socket_connect_timeout=redis.timeout_s,
        retry=None,
    )


def _redis_storage(pool: Any) -> Any:  # noqa: ANN401 - redis is an extra
    from limits.aio.storage import RedisStorage

    return RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="foliotrace:limits",
        connection_pool=pool,
    )


def _policies(holder: str, quota: QuotaSettings) -> Iterator[_Policy]:
    for unit in (_REQUESTS, "tokens", "pages", "usd"):
        text = getattr(quota, unit)
        if text is not None:
            from limits import parse

            amount, _, window = text.partition("/")
            whole = to_micro_usd(Decimal(amount)) if unit == "usd" else int(amount)
            yield _Policy(f"{holder}-{unit}", unit, parse(f"{whole}/{window}"), holder)


def _work_of(path: str) -> str:
    """The workflow that a POST to this path starts; "" for none."""
    match path.strip("/").split("/"):
        case ["v1", noun]:
            return _REST.get(noun, "")
        case ["workflows", name, "run" | "run-nowait"]:
            return name
    return ""


def _refusal(policy: _Policy, reset_s: float) -> TooBusy:
    wait_s = max(0.0, reset_s - time())
    what = "sent" if policy.unit == _REQUESTS else "used"
    kind = RateLimited if policy.unit == _REQUESTS else QuotaUsedUp
    unit = "US dollars" if policy.unit == "usd" else policy.unit
    return kind(f"this {policy.holder} has {what} all its {unit}", retry_after_s=wait_s)


def _headers(
    left: Sequence[tuple[_Policy, float, int]],
) -> tuple[tuple[bytes, bytes], ...]:
    if not left:
        return ()
    now_s = time()
    policies = ", ".join(
        f'"{p.name}";q={p.item.amount};qu="{_UNITS[p.unit]}";w={p.item.get_expiry()}'
        for p, _, _ in left
    )
    remaining = ", ".join(
        f'"{p.name}";r={max(0, rest)};t={max(0, ceil(reset_s - now_s))}'
        for p, reset_s, rest in left
    )
    return ((b"ratelimit-policy", policies.encode()), (b"ratelimit", remaining.encode()))


_UNITS: Final = {_REQUESTS: "requests", "tokens": "tokens", "pages": "pages", "usd": "micro-usd"}
