"""A reply that is lost while the listings lag is never paid twice."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cloud.service import cloud as switched
from tests.cloud.service import service
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace.adapters.llamacloud.client import (
    CloudAccess,
    CloudFailure,
    CloudProblem,
    RateLimiter,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline
from foliotrace.settings import LlamaCloudSettings

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"
REPLIES = 1000


class Clock(SystemClock):
    """A clock that a test moves."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


@pytest.fixture
def clock(cloud: FakeLlamaCloud) -> Clock:
    made, began = Clock(), datetime.now(UTC)
    cloud.listing_lag_s = 60.0
    cloud.moment = lambda: began + made.ahead  # stands still, however long the requests take
    return made


@pytest.fixture
async def gateway(
    cloud: FakeLlamaCloud, clock: Clock, tmp_path: Path
) -> AsyncIterator[CloudGateway]:
    async def at_once(seconds: float) -> None:
        pass

    settings = LlamaCloudSettings(where=cloud.url, timeout_s=5)
    opened = CloudGateway(
        CloudAccess(api_key="llx-fake-key", settings=settings),
        PurchaseJournal(tmp_path / "purchases.db", clock=clock),
        clock=clock,
        rate_limiter=RateLimiter({}, clock=clock),
        sleep=at_once,
    )
    yield opened
    await opened.aclose()
    opened.journal.close()


async def buy(gateway: CloudGateway, file_id: str, number: int) -> str:
    pages = str(number)
    request = {
        "tier": "fast",
        "version": "2026-06-15",
        "file_id": file_id,
        "page_ranges": {"target_pages": pages},
    }
    deadline = Deadline(SystemClock().monotonic_s() + 60)
    return await gateway.buy_parse("acme", f"key-{number}", request, deadline, worst_credits=1)


async def test_a_thousand_lost_replies_while_listings_lag_are_billed_once_each(
    gateway: CloudGateway, cloud: FakeLlamaCloud, clock: Clock
) -> None:
    file_id = cloud.preload("terms.txt", b"Refunds are paid within 30 days.")
    cloud.fail(PARSE, Fault.reset_after_work)
    for number in range(1, REPLIES + 1):
        with pytest.raises(CloudFailure):
            await buy(gateway, file_id, number)
    cloud.recover()
    clock.ahead = timedelta(seconds=30)
    for number in range(1, REPLIES + 1, 20):  # asked again while the jobs are not listed
        with pytest.raises(CloudFailure) as lost:
            await buy(gateway, file_id, number)
        assert lost.value.problem is CloudProblem.REPLY_LOST
    clock.ahead = timedelta(minutes=4)
    await gateway.collect_late_credits()
    adopted = {await buy(gateway, file_id, number) for number in range(1, REPLIES + 1)}
    assert len(adopted) == REPLIES
    assert cloud.count(PARSE) == REPLIES
    assert cloud.billing.jobs("parse") <= REPLIES
    assert cloud.billing.billed_twice() == []


async def test_a_request_that_never_became_a_job_is_bought_again_when_it_must_be_listed(
    gateway: CloudGateway, cloud: FakeLlamaCloud, clock: Clock
) -> None:
    file_id = cloud.preload("terms.txt", b"Refunds are paid within 30 days.")
    cloud.fail(PARSE, Fault.reset_before_work, times=1)
    with pytest.raises(CloudFailure):
        await buy(gateway, file_id, 1)
    with pytest.raises(CloudFailure):
        await buy(gateway, file_id, 1)
    assert cloud.count(PARSE) == 1
    clock.ahead = timedelta(minutes=6)
    await buy(gateway, file_id, 1)
    assert cloud.count(PARSE) == 2


async def test_a_cloud_that_cannot_be_reached_leaves_nothing_to_wait_for(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    file_id = cloud.preload("terms.txt", b"Refunds are paid within 30 days.")
    cloud.die()
    with pytest.raises(CloudFailure):
        await buy(gateway, file_id, 1)
    cloud.revive()
    assert await buy(gateway, file_id, 1)


async def test_a_document_falls_to_the_local_parser_instead_of_a_second_bill(
    cloud: FakeLlamaCloud, tmp_path: Path
) -> None:
    cloud.listing_lag_s = 60.0
    cloud.fail(PARSE, Fault.reset_after_work, times=1)
    given = switched(cloud, parsing="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        done = await running.put("invoice.pdf", invoice_pdf())
        page = await running.client.get(f"/v1/documents/{done['document_id']}/pages/1")
    assert done["status"] == "completed"
    assert page.json()["degraded_from"].startswith("llamaparse")
    assert cloud.count(PARSE) == 1
