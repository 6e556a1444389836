"""The gateway buys each job once, waits with a deadline, and says what went wrong in our words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import CloudAccess, base_url
from foliotrace.adapters.llamacloud.failures import CloudFailure, CloudProblem
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.intents import IntentLog, IntentState
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import Misconfigured
from foliotrace.model import Deadline, SourceFile

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"
REQUEST = {"tier": "fast", "version": "2026-06-15"}


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


def open_gateway(cloud: FakeLlamaCloud, folder: Path) -> CloudGateway:
    clock = SystemClock()
    return CloudGateway(
        CloudAccess(api_key="llx-fake-key", where=cloud.url, timeout_s=5),
        IntentLog(folder / "intents.db", clock=clock),
        clock=clock,
    )


@pytest.fixture
async def gateway(cloud: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[CloudGateway]:
    opened = open_gateway(cloud, tmp_path)
    yield opened
    await opened.aclose()
    opened.intents.close()


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    text = b"Refunds are paid within 30 days of a written request."
    path = tmp_path / "terms.txt"
    path.write_bytes(text)
    return SourceFile(
        path=path,
        name="terms.txt",
        media_type="text/plain",
        content_hash=sha256(text).hexdigest(),
        size_bytes=len(text),
    )


def soon(seconds: float = 20) -> Deadline:
    return Deadline(SystemClock().monotonic_s() + seconds)


async def buy(gateway: CloudGateway, source: SourceFile, key: str = "k1") -> str:
    file_id = await gateway.upload("acme", source, soon())
    return await gateway.buy_parse("acme", key, {**REQUEST, "file_id": file_id}, soon())


async def test_a_file_is_uploaded_once_for_a_tenant(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    first = await gateway.upload("acme", source, soon())
    assert await gateway.upload("acme", source, soon()) == first
    assert await gateway.upload("umbra", source, soon()) != first
    assert cloud.count("POST /api/v1/beta/files") == 2


async def test_a_parse_job_is_bought_waited_for_and_settled(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    job_id = await buy(gateway, source)
    result = await gateway.parsed("acme", "k1", job_id, soon(), expand=["text"])
    assert result.text is not None
    assert "30 days" in result.text.pages[0].text
    intent = gateway.intents.find("acme", "k1")
    assert (intent.state, intent.job_id) == (IntentState.DONE, job_id)
    assert intent.credits > 0


@pytest.mark.parametrize("fault", [Fault.reset_after_work, Fault.truncated_json])
async def test_a_job_whose_reply_was_lost_is_found_and_not_bought_again(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile, fault: Fault
) -> None:
    cloud.fail(PARSE, fault, times=1)
    job_id = await buy(gateway, source)
    await gateway.parsed("acme", "k1", job_id, soon(), expand=["text"])
    assert cloud.count(PARSE) == 1
    assert len(cloud.billing.standing) == 1


async def test_a_request_that_may_have_been_done_is_looked_for_before_it_is_repeated(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.html, times=1)
    with pytest.raises(CloudFailure):
        await buy(gateway, source)
    assert gateway.intents.find("acme", "k1").state is IntentState.MEANT
    await buy(gateway, source)
    assert len(cloud.billing.standing) == 1
    assert cloud.count("GET /api/v2/parse") >= 3


async def test_a_purchase_made_in_an_earlier_life_is_found_after_a_kill(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile, tmp_path: Path
) -> None:
    first = await buy(gateway, source)
    gateway.intents._db.execute("UPDATE intents SET state = 'meant', job_id = NULL")  # the kill
    again = open_gateway(cloud, tmp_path)
    assert await buy(again, source) == first
    await again.aclose()
    again.intents.close()
    assert cloud.count(PARSE) == 1


async def test_a_refused_purchase_may_be_tried_again(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.payment_required, times=1)
    with pytest.raises(CloudFailure) as refused:
        await buy(gateway, source)
    assert refused.value.reason == "llamacloud_out_of_credits"
    assert gateway.intents.find("acme", "k1").state is IntentState.FAILED
    await buy(gateway, source)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault.unauthorized, CloudProblem.UNAUTHORIZED),
        (Fault.forbidden, CloudProblem.UNAUTHORIZED),
        (Fault.payment_required, CloudProblem.OUT_OF_CREDITS),
        (Fault.unprocessable, CloudProblem.REFUSED),
        (Fault.rate_limited(120), CloudProblem.RATE_LIMITED),
        (Fault.server_error, CloudProblem.SERVER_ERROR),
        (Fault.html, CloudProblem.GARBAGE),
        (Fault.reset_before_work, CloudProblem.UNREACHABLE),
    ],
)
async def test_every_failure_has_its_word_and_costs_one_request(
    gateway: CloudGateway,
    cloud: FakeLlamaCloud,
    source: SourceFile,
    fault: Fault,
    problem: CloudProblem,
) -> None:
    cloud.fail(PARSE, fault)
    with pytest.raises(CloudFailure) as failed:
        await buy(gateway, source)
    assert failed.value.problem is problem
    assert cloud.count(PARSE) == 1
    assert "llx-fake-key" not in f"{failed.value!r} {failed.value.__cause__!r}"
    if problem is CloudProblem.RATE_LIMITED:
        assert failed.value.retry_after_s == 120


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault.job_failed, CloudProblem.JOB_FAILED),
        (Fault.job_cancelled, CloudProblem.JOB_CANCELLED),
    ],
)
async def test_a_job_that_ends_badly_is_an_error_and_not_a_result(
    gateway: CloudGateway,
    cloud: FakeLlamaCloud,
    source: SourceFile,
    fault: Fault,
    problem: CloudProblem,
) -> None:
    cloud.fail(PARSE, fault, times=1)
    job_id = await buy(gateway, source)
    with pytest.raises(CloudFailure) as failed:
        await gateway.parsed("acme", "k1", job_id, soon(), expand=["text"])
    assert failed.value.problem is problem


async def test_a_job_that_never_ends_is_left_at_the_deadline_and_kept_for_later(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.never_finishes, times=1)
    job_id = await buy(gateway, source)
    with pytest.raises(CloudFailure) as late:
        await gateway.parsed("acme", "k1", job_id, soon(1.2), expand=["text"])
    assert late.value.problem is CloudProblem.DEADLINE
    assert await buy(gateway, source) == job_id


async def test_failing_status_questions_do_not_abandon_a_running_job(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    job_id = await buy(gateway, source)
    cloud.fail("GET /api/v2/parse/*", Fault.server_error, times=2)
    result = await gateway.parsed("acme", "k1", job_id, soon(), expand=["text"])
    assert result.job.status == "COMPLETED"


async def test_cancelling_the_wait_cancels_the_job(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.never_finishes, times=1)
    job_id = await buy(gateway, source)
    waiting = asyncio.create_task(gateway.parsed("acme", "k1", job_id, soon(), expand=["text"]))
    await asyncio.sleep(0.3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cloud.count("POST /api/v2/parse/*/cancel") == 1


async def test_a_webhook_ends_the_sleep_between_two_questions(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    slept: list[float] = []

    async def sleep_long(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(3600)

    gateway._sleep = sleep_long
    cloud.fail(PARSE, Fault.slow_job(1), times=1)
    job_id = await buy(gateway, source)
    waiting = asyncio.create_task(gateway.parsed("acme", "k1", job_id, soon(), expand=["text"]))
    while not waiting.done():
        await asyncio.sleep(0.05)
        gateway.told(job_id)
    assert (await waiting).job.status == "COMPLETED"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("EU", "https://api.cloud.eu.llamaindex.ai"),
        ("api.cloud.eu.llamaindex.ai", "https://api.cloud.eu.llamaindex.ai"),
        ("http://localhost:8123/", "http://localhost:8123"),
    ],
)
def test_a_region_or_an_address_without_a_scheme_is_understood(given: str, expected: str) -> None:
    assert base_url(given) == expected


@pytest.mark.parametrize("given", ["mars", "ftp://api.example.org", "https://"])
def test_what_is_no_address_stops_the_start(given: str) -> None:
    with pytest.raises(Misconfigured):
        base_url(given)


def test_the_key_is_not_in_what_is_printed() -> None:
    assert "llx" not in repr(CloudAccess(api_key="llx-secret"))
