"""The budget ledger on a Redis server: atomic across machines.

Reserving and settling are one Lua script each. The keys of a tenant's day share a hash tag, so that
the scripts also run on a Redis cluster.
"""

from decimal import Decimal
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from foliotrace.budget import to_micro_usd
from foliotrace.errors import BudgetExceeded, LedgerUnavailable
from foliotrace.ports import Clock, Reservation

_RESERVE = """
local spent, held, expiries = KEYS[1], KEYS[2], KEYS[3]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', expiries, '-inf', ARGV[3])) do
  local amount = redis.call('HGET', held, id)
  if amount then
    redis.call('HSET', held, id, -math.abs(amount))
    redis.call('DECRBY', spent, math.abs(amount))
  end
  redis.call('ZREM', expiries, id)
end
local cap, amount = tonumber(ARGV[4]), tonumber(ARGV[2])
if amount >= 0 and cap >= 0 and tonumber(redis.call('GET', spent) or '0') + amount > cap then
  return 0
end
if amount >= 0 then
  redis.call('INCRBY', spent, amount)
  redis.call('HSET', held, ARGV[1], amount)
  redis.call('ZADD', expiries, ARGV[5], ARGV[1])
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 172800) end
end
return 1
"""
# The amount of an expired reservation is kept, negated: a late settlement then adds its full cost.
_SETTLE = """
local amount = redis.call('HGET', KEYS[2], ARGV[1])
if not amount then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('INCRBY', KEYS[1], tonumber(ARGV[2]) - math.max(0, tonumber(amount)))
return 1
"""


class RedisLedger:
    """A `BudgetLedger` on Redis. With `daily_cap_usd` None, spending is counted but not limited."""

    def __init__(
        self,
        client: Redis,
        *,
        clock: Clock,
        daily_cap_usd: Decimal | None = None,
        lease_s: float = 600.0,
        prefix: str = "foliotrace:budget",
    ) -> None:
        self._client = client
        self._clock = clock
        self._cap_usd = daily_cap_usd
        self._lease_s = lease_s
        self._prefix = prefix
        self._reserve = client.register_script(_RESERVE)
        self._settle = client.register_script(_SETTLE)

    async def reserve(self, tenant: str, amount_usd: Decimal) -> Reservation:
        now = self._clock.now()
        day = now.date().isoformat()
        reservation = Reservation(id=f"{day}/{uuid4().hex}", tenant=tenant, amount_usd=amount_usd)
        if not await self._run_reserve(tenant, day, reservation.id, to_micro_usd(amount_usd)):
            raise BudgetExceeded(
                f"the call could exceed the tenant's budget of {self._cap_usd} USD for {day}",
                hint="Raise budget.daily_usd_per_tenant, or wait until the next day (UTC).",
            )
        return reservation

    async def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        day = reservation.id.partition("/")[0]
        try:
            await self._settle(
                keys=self._keys(reservation.tenant, day),
                args=[reservation.id, to_micro_usd(actual_usd)],
            )
        except RedisError as error:
            raise LedgerUnavailable(f"the budget ledger failed: {type(error).__name__}") from error

    async def spent_usd(self, tenant: str) -> Decimal:
        day = self._clock.now().date().isoformat()
        await self._run_reserve(tenant, day, "", -1)  # releases expired reservations
        try:
            spent = await self._client.get(self._keys(tenant, day)[0])
        except RedisError as error:
            raise LedgerUnavailable(f"the budget ledger failed: {type(error).__name__}") from error
        return Decimal(int(spent or 0)) / 1_000_000

    async def _run_reserve(self, tenant: str, day: str, reservation_id: str, micro: int) -> bool:
        now_s = self._clock.now().timestamp()
        cap = -1 if self._cap_usd is None else int(self._cap_usd * 1_000_000)
        try:
            admitted = await self._reserve(
                keys=self._keys(tenant, day),
                args=[reservation_id, micro, now_s, cap, now_s + self._lease_s],
            )
        except RedisError as error:
            raise LedgerUnavailable(f"the budget ledger failed: {type(error).__name__}") from error
        return bool(admitted)

    def _keys(self, tenant: str, day: str) -> list[str]:
        tag = f"{self._prefix}:{{{tenant}:{day}}}"
        return [f"{tag}:spent", f"{tag}:held", f"{tag}:expiries"]
