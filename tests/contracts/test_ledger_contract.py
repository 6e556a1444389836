"""What every `BudgetLedger` holds, embedded and on Redis."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.contracts.redis_server import running_redis

from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.errors import BudgetExceeded, LedgerUnavailable
from foliotrace.ports import BudgetLedger, Reservation

pytestmark = pytest.mark.anyio
CAP = Decimal("1.00")


class HandClock:
    def __init__(self) -> None:
        self.at_s = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.real_servers)])
async def ledger(
    request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock
) -> AsyncIterator[BudgetLedger]:
    if request.param == "sqlite":
        opened = SqliteLedger(tmp_path / "budget.db", clock=clock, daily_cap_usd=CAP, lease_s=600)
        yield opened
        opened.close()
        return
    async with running_redis(tmp_path) as client:
        from foliotrace.adapters.redis.ledger import RedisLedger

        yield RedisLedger(client, clock=clock, daily_cap_usd=CAP, lease_s=600)


async def test_what_is_reserved_counts_until_it_is_settled(ledger: BudgetLedger) -> None:
    held = await ledger.reserve("acme", Decimal("0.40"))
    assert await ledger.spent_usd("acme") == Decimal("0.40")
    await ledger.settle(held, Decimal("0.15"))
    assert await ledger.spent_usd("acme") == Decimal("0.15")


async def test_a_cap_is_never_passed_by_reservations(ledger: BudgetLedger) -> None:
    await ledger.reserve("acme", Decimal("0.70"))
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("acme", Decimal("0.31"))
    await ledger.reserve("acme", Decimal("0.30"))


async def test_tenants_do_not_share_a_budget(ledger: BudgetLedger) -> None:
    await ledger.reserve("acme", Decimal("1.00"))
    await ledger.reserve("umbra", Decimal("1.00"))
    assert await ledger.spent_usd("umbra") == Decimal("1.00")


async def test_settling_twice_counts_once(ledger: BudgetLedger) -> None:
    held = await ledger.reserve("acme", Decimal("0.10"))
    await ledger.settle(held, Decimal("0.05"))
    await ledger.settle(held, Decimal("0.05"))
    assert await ledger.spent_usd("acme") == Decimal("0.05")


async def test_a_reservation_that_is_never_settled_expires_after_its_lease(
    ledger: BudgetLedger, clock: HandClock
) -> None:
    await ledger.reserve("acme", Decimal("1.00"))
    clock.at_s += 601
    assert await ledger.spent_usd("acme") == 0
    await ledger.reserve("acme", Decimal("1.00"))


async def test_a_call_that_ends_after_its_lease_is_still_counted_once(
    ledger: BudgetLedger, clock: HandClock
) -> None:
    held = await ledger.reserve("acme", Decimal("0.50"))
    clock.at_s += 601
    assert await ledger.spent_usd("acme") == 0
    await ledger.settle(held, Decimal("0.20"))
    await ledger.settle(held, Decimal("0.20"))
    assert await ledger.spent_usd("acme") == Decimal("0.20")


async def test_a_new_day_has_a_new_budget(ledger: BudgetLedger, clock: HandClock) -> None:
    held = await ledger.reserve("acme", Decimal("1.00"))
    await ledger.settle(held, Decimal("1.00"))
    clock.at_s += 24 * 3600
    await ledger.reserve("acme", Decimal("1.00"))


async def test_sixty_four_callers_at_once_pass_the_cap_by_nothing(ledger: BudgetLedger) -> None:
    async def call() -> bool:
        try:
            await ledger.reserve("acme", Decimal("0.03"))
        except BudgetExceeded:
            return False
        return True

    admitted = sum(await asyncio.gather(*(call() for _ in range(64))))
    assert admitted == 33
    assert await ledger.spent_usd("acme") == Decimal("0.99")


async def test_processes_killed_in_mid_call_never_pass_the_cap(tmp_path: Path) -> None:
    file = tmp_path / "budget.db"
    script = textwrap.dedent(
        """
        import asyncio, sys
        from decimal import Decimal
        from pathlib import Path
        from datetime import UTC, datetime
        from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
        from foliotrace.errors import BudgetExceeded

        class RealClock:
            def now(self):
                return datetime.now(UTC)

        async def main():
            ledger = SqliteLedger(Path(sys.argv[1]), clock=RealClock(), daily_cap_usd=Decimal(1))
            while True:
                try:
                    held = await ledger.reserve("acme", Decimal("0.01"))
                except BudgetExceeded:
                    return
                print("spent", flush=True)
                await ledger.settle(held, Decimal("0.01"))

        asyncio.run(main())
        """
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert workers[0].stdout is not None
    workers[0].stdout.readline()
    workers[0].kill()
    printed = sum(worker.communicate()[0].count("spent") for worker in workers)
    clock = HandClock()
    clock.at_s = datetime.now(UTC).timestamp()
    ledger = SqliteLedger(file, clock=clock, daily_cap_usd=CAP)
    assert await ledger.spent_usd("acme") <= CAP
    assert printed <= 100
    ledger.close()


async def test_a_damaged_file_is_an_unavailable_ledger(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "budget.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerUnavailable):
        SqliteLedger(file, clock=clock)


async def test_what_a_killed_process_had_reserved_is_free_when_the_next_one_starts(
    tmp_path: Path, clock: HandClock
) -> None:
    file = tmp_path / "budget.db"
    script = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from decimal import Decimal
        from pathlib import Path
        from foliotrace.adapters.local.clock import SystemClock
        from foliotrace.adapters.local.sqlite.ledger import SqliteLedger

        async def main():
            ledger = SqliteLedger(Path(sys.argv[1]), clock=SystemClock())
            held = [await ledger.reserve("acme", Decimal("0.10")) for _ in range(6)]
            await ledger.settle(held[0], Decimal("0.04"))
            print(held[1].id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
        """
    )
    clock.at_s = datetime.now(UTC).timestamp()
    living = SqliteLedger(file, clock=clock)
    await living.reserve("acme", Decimal("0.01"))
    killed = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False
    )
    assert await living.spent_usd("acme") == Decimal("0.55")
    ledger = SqliteLedger(file, clock=clock)
    assert await ledger.spent_usd("acme") == Decimal("0.05")  # the living process keeps its own
    late = Reservation(id=killed.stdout.strip(), tenant="acme", amount_usd=Decimal("0.10"))
    await ledger.settle(late, Decimal("0.07"))  # a cloud job that outlived its process
    await ledger.settle(late, Decimal("0.07"))
    assert await ledger.spent_usd("acme") == Decimal("0.12")
    ledger.close()
    living.close()
