"""Many jobs are asked for in one listing; what it cannot answer is asked for singly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.cloud.test_gateway import PARSE, REQUEST, open_gateway, soon
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.job_statuses import JobStatuses
from foliotrace.adapters.llamacloud.purchases.journal import Order, PurchaseState

pytestmark = pytest.mark.anyio
LISTING = "GET /api/v2/parse"
STATUS = "GET /api/v2/parse/{job_id}"
EXTRACT = "POST /api/v2/extract"
EXTRACTIONS = "GET /api/v2/extract"
EXTRACTION = "GET /api/v2/extract/{job_id}"
SCHEMA = {"type": "object", "properties": {"order_number": {"type": "string"}}}
FILES = 40


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud(pace=Pace(seconds=2.0)) as fake:
        yield fake


@pytest.fixture
async def gateway(cloud: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[CloudGateway]:
    opened = open_gateway(cloud, tmp_path)
    yield opened
    await opened.aclose()
    opened.journal.close()


async def parse(gateway: CloudGateway, cloud: FakeLlamaCloud, number: int) -> str:
    """The text of a file of its own, bought and fetched."""
    file_id = cloud.preload(f"{number}.txt", f"Order {number} was delivered.".encode())
    key = f"k{number}"
    request = {**REQUEST, "file_id": file_id}
    job_id = await gateway.buy_parse("acme", key, request, soon())
    result = await gateway.parsed("acme", key, job_id, soon(), expand=["text"])
    assert result.text is not None
    return result.text.pages[0].text


async def parse_many(
    gateway: CloudGateway, cloud: FakeLlamaCloud, files: int = FILES
) -> list[str | BaseException]:
    return await asyncio.gather(
        *(parse(gateway, cloud, number) for number in range(files)), return_exceptions=True
    )


def texts(files: int = FILES) -> list[str]:
    return [f"Order {number} was delivered." for number in range(files)]


async def test_forty_jobs_are_asked_for_in_a_few_listings_and_each_result_is_fetched_once(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    assert await parse_many(gateway, cloud) == texts()
    assert cloud.count(STATUS) <= FILES + 6  # two that wait alone at the end ask by themselves
    assert 1 <= cloud.count(LISTING) <= 10
    assert cloud.billing.jobs() == FILES
    spent = [gateway.journal.find("acme", f"k{number}").credits for number in range(FILES)]
    assert min(spent) > 0


async def test_more_jobs_than_a_listing_holds_are_all_found(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    assert await parse_many(gateway, cloud, 60) == texts(60)
    assert cloud.billing.jobs() == 60


@pytest.mark.parametrize("fault", [Fault.garbage, Fault.unprocessable, Fault.not_found])
async def test_jobs_are_asked_for_singly_while_the_listing_is_of_no_use(
    gateway: CloudGateway, cloud: FakeLlamaCloud, fault: Fault
) -> None:
    cloud.fail(LISTING, fault)
    assert await parse_many(gateway, cloud, 8) == texts(8)
    assert cloud.billing.jobs() == 8


async def test_jobs_that_are_not_listed_yet_are_asked_for_singly(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.listing_lag_s = 60.0
    assert await parse_many(gateway, cloud, 8) == texts(8)


async def test_a_listing_beyond_the_rate_is_asked_for_again_after_the_time_that_the_cloud_names(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(LISTING, Fault.rate_limited(1), times=2)
    assert await parse_many(gateway, cloud, 8) == texts(8)
    assert cloud.count(LISTING) <= 8


async def test_one_failed_job_among_many_fails_alone(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(PARSE, Fault.job_failed, times=1)
    ended = await parse_many(gateway, cloud, 8)
    (failure,) = [each for each in ended if isinstance(each, BaseException)]
    assert isinstance(failure, CloudFailure)
    assert failure.problem is CloudProblem.JOB_FAILED
    states = [gateway.journal.find("acme", f"k{number}").state for number in range(8)]
    assert sorted(states) == [*[PurchaseState.DONE] * 7, PurchaseState.FAILED]


async def test_lost_replies_among_many_jobs_are_billed_once_each(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(PARSE, Fault.reset_after_work, times=10)
    assert await parse_many(gateway, cloud) == texts()
    assert cloud.count(PARSE) == FILES
    assert cloud.billing.billed_twice() == []


async def test_a_lost_reply_is_found_on_the_first_page_of_a_long_listing(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    file_id = cloud.preload("order.txt", b"Order 7 was delivered.")
    for _ in range(250):
        await gateway.client.parsing.create(tier="fast", version="2026-06-15", file_id=file_id)
    cloud.fail(PARSE, Fault.reset_after_work, times=1)
    await gateway.buy_parse("acme", "k1", {**REQUEST, "file_id": file_id}, soon())
    assert cloud.count(LISTING) == 1


async def test_a_listing_that_is_ahead_of_its_job_leaves_the_purchase_to_be_fetched_later(
    gateway: CloudGateway, cloud: FakeLlamaCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def completed(_self: JobStatuses, _job_id: str) -> str:
        return "COMPLETED"

    with monkeypatch.context() as ahead:
        ahead.setattr(JobStatuses, "of", completed)
        with pytest.raises(CloudFailure) as early:
            await parse(gateway, cloud, 1)
    assert early.value.may_pass
    purchase = gateway.journal.find("acme", "k1")
    assert (purchase.state, purchase.credits) == (PurchaseState.PLACED, 0)
    assert purchase.job_id is not None
    result = await gateway.parsed("acme", "k1", purchase.job_id, soon(), expand=["text"])
    assert result.text is not None
    assert cloud.billing.jobs() == 1


async def extract(gateway: CloudGateway, cloud: FakeLlamaCloud, saved: str, number: int) -> object:
    """What is extracted from a file of its own."""
    file_id = cloud.preload(f"{number}.txt", f"Order Number: A-{number}".encode())
    order = Order(source=file_id, configuration=saved)
    job_id = await gateway.buy_extract("acme", f"e{number}", order, soon())
    result = await gateway.extracted("acme", f"e{number}", job_id, soon())
    assert isinstance(result.extract_result, dict)
    return result.extract_result["order_number"]


async def extract_many(
    gateway: CloudGateway, cloud: FakeLlamaCloud, files: int = FILES
) -> list[object]:
    saved = await gateway.client.configurations.create(
        name="orders",
        parameters={
            "product_type": "extract_v2",
            "data_schema": SCHEMA,
            "tier": "cost_effective",
        },
    )
    return await asyncio.gather(
        *(extract(gateway, cloud, saved.id, number) for number in range(files)),
        return_exceptions=True,
    )


def orders(files: int = FILES) -> list[str]:
    return [f"A-{number}" for number in range(files)]


async def test_forty_extractions_are_asked_for_in_a_few_listings_and_fetched_once_each(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    assert await extract_many(gateway, cloud) == orders()
    assert cloud.count(EXTRACTION) <= FILES + 6
    assert 1 <= cloud.count(EXTRACTIONS) <= 10
    assert cloud.billing.jobs() == FILES
    spent = [gateway.journal.find("acme", f"e{number}").credits for number in range(FILES)]
    assert sum(spent) == sum(charge.credits for charge in cloud.billing.standing) > 0


@pytest.mark.parametrize("fault", [Fault.garbage, Fault.unprocessable, Fault.server_error])
async def test_extractions_end_although_their_listing_fails(
    gateway: CloudGateway, cloud: FakeLlamaCloud, fault: Fault
) -> None:
    cloud.fail(EXTRACTIONS, fault, times=2)
    assert await extract_many(gateway, cloud, 8) == orders(8)
    assert cloud.billing.jobs() == 8


async def test_extractions_that_are_not_listed_yet_are_asked_for_singly(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.listing_lag_s = 60.0
    assert await extract_many(gateway, cloud, 8) == orders(8)


async def test_one_failed_extraction_among_many_fails_alone(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.fail(EXTRACT, Fault.job_failed, times=1)
    ended = await extract_many(gateway, cloud, 8)
    (failure,) = [each for each in ended if isinstance(each, BaseException)]
    assert isinstance(failure, CloudFailure)
    assert failure.problem is CloudProblem.JOB_FAILED


async def test_late_credits_of_extractions_asked_for_together_are_collected(
    gateway: CloudGateway, cloud: FakeLlamaCloud
) -> None:
    cloud.billing.is_late = True
    assert await extract_many(gateway, cloud, 8) == orders(8)
    cloud.billing.is_late = False
    await gateway.collect_late_credits()
    spent = [gateway.journal.find("acme", f"e{number}").credits for number in range(8)]
    assert sum(spent) == sum(charge.credits for charge in cloud.billing.standing) > 0
