"""LlamaCloud credits are priced, reserved and capped like tokens, and agree with its bill."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.budget import CallOutcome, open_run
from foliotrace.errors import BudgetExceeded, Unavailable
from foliotrace.model import Deadline, SourceFile
from foliotrace.settings import LlamaCloudSettings

CloudGateway = lazy_call("foliotrace.adapters.llamacloud.gateway:CloudGateway")
CloudAccess = lazy_call("foliotrace.adapters.llamacloud.client:CloudAccess")
PurchaseJournal = lazy_call("foliotrace.adapters.llamacloud.purchases.journal:PurchaseJournal")
CreditCharges = lazy_call("foliotrace.adapters.llamacloud.purchases.credit_charges:CreditCharges")

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"
USD = Decimal("0.00125")
WORST = 3.0
REQUEST = {"tier": "fast", "version": "2026-06-15"}


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


class ShiftedClock(SystemClock):
    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Shop:
    """A gateway whose jobs are charged to a ledger."""

    def __init__(self, cloud: FakeLlamaCloud, folder: Path, cap_usd: Decimal | None) -> None:
        self.clock = clock = ShiftedClock()
        self.folder = folder
        self.ledger = SqliteLedger(folder / "budget.db", clock=SystemClock(), daily_cap_usd=cap_usd)
        self.journal = PurchaseJournal(folder / "intents.db", clock=clock)
        charges = CreditCharges(self.journal, ledger=lambda: self.ledger, usd_per_credit=USD)
        settings = LlamaCloudSettings(where=cloud.url, timeout_s=5)
        access = CloudAccess(api_key=cloud.api_key, settings=settings)
        self.gateway = CloudGateway(access, self.journal, clock=clock, charges=charges)

    async def parse(self, name: str, seconds: float = 20) -> None:
        """Buy one page and wait for it."""
        text = f"Refunds of {name} are paid within 30 days.".encode()
        path = self.folder / f"{name}.txt"
        path.write_bytes(text)
        source = SourceFile(
            path=path,
            name=path.name,
            media_type="text/plain",
            content_hash=sha256(text).hexdigest(),
            size_bytes=len(text),
        )
        deadline = Deadline(SystemClock().monotonic_s() + seconds)
        file_id = await self.gateway.upload("acme", source, deadline)
        request = {**REQUEST, "file_id": file_id}
        job = await self.gateway.buy_parse("acme", name, request, deadline, worst_credits=WORST)
        await self.gateway.parsed("acme", name, job, deadline, expand=["text"])

    async def spent_credits(self) -> Decimal:
        return await self.ledger.spent_usd("acme") / USD


@asynccontextmanager
async def shop(
    cloud: FakeLlamaCloud, folder: Path, cap_usd: Decimal | None = None
) -> AsyncIterator[Shop]:
    opened = Shop(cloud, folder, cap_usd)
    yield opened
    await opened.gateway.aclose()
    opened.journal.close()
    opened.ledger.close()


async def test_a_job_is_charged_the_credits_of_the_cloud_in_its_run_and_the_tenant_s_day(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with shop(cloud, tmp_path) as opened:
        with open_run("acme", Decimal(1)) as run:
            await opened.parse("terms")
            await opened.parse("terms")  # known: nothing is bought again
        assert run.usage.credits == cloud.billing.credits == 1
        assert run.usage.cost_usd == USD == await opened.ledger.spent_usd("acme")
        assert (run.state.spent_usd, run.state.reserved_usd) == (USD, 0)


@pytest.mark.parametrize("of_the_run", [True, False])
async def test_a_job_that_could_pass_a_cap_is_not_sent(
    cloud: FakeLlamaCloud, tmp_path: Path, of_the_run: bool
) -> None:
    cap = Decimal("0.000001")
    async with shop(cloud, tmp_path, None if of_the_run else cap) as opened:
        with open_run("acme", cap if of_the_run else None) as run, pytest.raises(BudgetExceeded):
            await opened.parse("terms")
        assert [entry.outcome for entry in run.entries] == [CallOutcome.REFUSED]
        assert (cloud.count(PARSE), await opened.spent_credits()) == (0, 0)


async def test_credits_that_are_null_are_charged_at_their_worst_and_corrected_when_they_come(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with shop(cloud, tmp_path) as opened:
        cloud.billing.is_late = True
        with open_run("acme", None) as run:
            await opened.parse("terms")
        assert run.usage.credits == WORST == await opened.spent_credits()
        await opened.gateway.collect_late_credits()
        assert await opened.spent_credits() == WORST
        cloud.billing.is_late = False
        for _ in range(2):
            await opened.gateway.collect_late_credits()
            assert await opened.spent_credits() == cloud.billing.credits == 1
            assert opened.journal.find("acme", "terms").credits == 1


async def test_a_job_that_outlives_its_process_is_charged_once_by_the_next_one(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    cloud.billing.is_late = True
    async with shop(cloud, tmp_path) as opened:
        await opened.parse("terms")
        opened.journal._run("UPDATE intents SET state = 'placed', due_credits = NULL")
        held = await opened.ledger.reserve("acme", Decimal(WORST) * USD)
        opened.journal._run("UPDATE intents SET reservation = ?, worst_credits = 3", held.id)
        before = await opened.spent_credits()
    cloud.billing.is_late = False
    async with shop(cloud, tmp_path) as opened:
        assert await opened.spent_credits() == before - 3
        await opened.parse("terms")
        assert await opened.spent_credits() == before - 3 + 1


async def test_after_many_faults_ledger_and_bill_differ_by_one_job_at_most(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    faults = [Fault.reset_after_work, Fault.http(500), Fault.payment_required, None, None]
    async with shop(cloud, tmp_path) as opened:
        for number in range(15):
            fault = faults[number % len(faults)]
            if fault is not None:
                cloud.fail(PARSE, fault, times=1)
            cloud.billing.is_late = number % 3 == 0
            with open_run("acme", None):
                try:
                    await opened.parse(f"terms-{number}")
                except Unavailable:
                    cloud.recover()
        cloud.billing.is_late = False
        opened.clock.ahead = timedelta(minutes=6)
        for _ in range(2):  # adopts the jobs of lost replies, then asks for their credits
            await opened.gateway.collect_late_credits()
        assert cloud.billing.credits > 6
        difference = await opened.spent_credits() - Decimal(cloud.billing.credits)
        assert abs(difference) <= WORST
