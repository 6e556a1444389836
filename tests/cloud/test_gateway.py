"""The gateway buys each job once, waits with a deadline, and says what went wrong in our words."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud

from foliotrace.adapters.llamacloud.client import (
    CloudAccess,
    CloudFailure,
    CloudProblem,
    base_url,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.job_waiting import Polling
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal, PurchaseState
from foliotrace.adapters.llamacloud.webhooks import WebhookTarget
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import LibraryUnavailable, Misconfigured
from foliotrace.model import Deadline, SourceFile
from foliotrace.settings import LlamaCloudSettings

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
        CloudAccess(
            api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
        ),
        PurchaseJournal(folder / "intents.db", clock=clock),
        clock=clock,
    )


@pytest.fixture
async def gateway(cloud: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[CloudGateway]:
    opened = open_gateway(cloud, tmp_path)
    yield opened
    await opened.aclose()
    opened.journal.close()


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
    intent = gateway.journal.find("acme", "k1")
    assert (intent.state, intent.job_id) == (PurchaseState.DONE, job_id)
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
    cloud.fail(PARSE, Fault.server_error, times=1)
    with pytest.raises(CloudFailure):
        await buy(gateway, source)
    assert gateway.journal.find("acme", "k1").state is PurchaseState.MEANT
    await buy(gateway, source)
    assert len(cloud.billing.standing) == 1
    assert cloud.count("GET /api/v2/parse") >= 3


async def test_a_purchase_made_in_an_earlier_life_is_found_after_a_kill(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile, tmp_path: Path
) -> None:
    first = await buy(gateway, source)
    gateway.journal._db.execute("UPDATE intents SET state = 'meant', job_id = NULL")  # the kill
    again = open_gateway(cloud, tmp_path)
    assert await buy(again, source) == first
    await again.aclose()
    again.journal.close()
    assert cloud.count(PARSE) == 1


async def test_a_refused_purchase_may_be_tried_again(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.payment_required, times=1)
    with pytest.raises(CloudFailure) as refused:
        await buy(gateway, source)
    assert refused.value.reason == "llamacloud_out_of_credits"
    assert gateway.journal.find("acme", "k1").state is PurchaseState.FAILED
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
        gateway.notify(job_id)
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


async def test_two_runs_that_want_the_same_job_at_once_buy_it_once(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    await gateway.upload("acme", source, soon())
    bought = await asyncio.gather(*(buy(gateway, source) for _ in range(4)))
    assert len(set(bought)) == 1
    assert cloud.count(PARSE) == 1


async def test_what_was_cancelled_here_can_be_bought_again(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.never_finishes, times=1)
    job_id = await buy(gateway, source)
    waiting = asyncio.create_task(gateway.parsed("acme", "k1", job_id, soon(), expand=["text"]))
    while not cloud.count("GET /api/v2/parse/*"):
        await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    again = await buy(gateway, source)
    assert again != job_id
    result = await gateway.parsed("acme", "k1", again, soon(), expand=["text"])
    assert result.job.status == "COMPLETED"


async def test_a_job_that_failed_is_not_taken_for_the_one_whose_reply_was_lost(
    gateway: CloudGateway, cloud: FakeLlamaCloud, source: SourceFile
) -> None:
    cloud.fail(PARSE, Fault.job_failed, times=1)
    failed = await buy(gateway, source)
    with pytest.raises(CloudFailure):
        await gateway.parsed("acme", "k1", failed, soon(), expand=["text"])
    cloud.fail(PARSE, Fault.server_error, times=1)
    with pytest.raises(CloudFailure):
        await buy(gateway, source)
    assert await buy(gateway, source) != failed


class _Ahead(SystemClock):
    """A machine whose clock is wrong by three quarters of an hour."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=45)


async def test_a_lost_reply_is_found_by_a_machine_whose_clock_is_ahead(
    cloud: FakeLlamaCloud, source: SourceFile, tmp_path: Path
) -> None:
    clock = _Ahead()
    access = CloudAccess(
        api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
    )
    gateway = CloudGateway(access, PurchaseJournal(tmp_path / "i.db", clock=clock), clock=clock)
    cloud.fail(PARSE, Fault.reset_after_work, times=1)
    await buy(gateway, source)
    await gateway.aclose()
    gateway.journal.close()
    assert cloud.count(PARSE) == 1
    assert cloud.billing.jobs() == 1


def webhook_at(port: int) -> WebhookTarget:
    return WebhookTarget(url=f"http://127.0.0.1:{port}/hook", secret="whsec-fake")


async def test_a_billed_job_asks_for_a_signed_webhook_and_polling_is_the_fallback(
    cloud: FakeLlamaCloud, source: SourceFile, tmp_path: Path
) -> None:
    clock = SystemClock()
    access = CloudAccess(
        api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
    )
    gateway = CloudGateway(
        access,
        PurchaseJournal(tmp_path / "i.db", clock=clock),
        clock=clock,
        webhook=webhook_at(1),  # nobody listens there
        polling=Polling(first_s=0.1, longest_s=0.2),
    )
    cloud.fail(PARSE, Fault.slow_job(3), times=1)
    job_id = await buy(gateway, source)
    result = await gateway.parsed("acme", "k1", job_id, soon(), expand=["text"])
    assert result.job.status == "COMPLETED"
    (sent,) = cloud.requests.find(PARSE)
    (asked,) = sent.body["webhook_configurations"]
    assert asked == {
        "webhook_url": "http://127.0.0.1:1/hook",
        "webhook_signing_secret": "whsec-fake",
        "webhook_events": [
            "parse.success",
            "parse.partial_success",
            "parse.error",
            "parse.cancelled",
        ],
        "webhook_output_format": "json",
    }
    assert "whsec" not in repr(webhook_at(1))
    await gateway.aclose()
    gateway.journal.close()


def test_an_intent_log_of_an_earlier_schema_is_brought_up(tmp_path: Path) -> None:
    file, clock = tmp_path / "intents.db", SystemClock()
    with closing(sqlite3.connect(file)) as old:
        old.executescript(
            "CREATE TABLE intents (tenant TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,"
            " state TEXT NOT NULL, job_id TEXT, content_hash TEXT,"
            " credits REAL NOT NULL DEFAULT 0, created_at TEXT NOT NULL,"
            " updated_at TEXT NOT NULL, PRIMARY KEY (tenant, key)) WITHOUT ROWID;"
            "INSERT INTO intents VALUES ('acme', 'k1', 'parse', 'done', 'pjb-1', 'b', 3,"
            " '2026-11-01T00:00:00+00:00', '2026-11-01T00:00:00+00:00');"
        )
    for _ in range(2):
        log = PurchaseJournal(file, clock=clock)
        assert log.find("acme", "k1").job_id == "pjb-1"
        assert log.parse_job("acme", "b", range(1, 2)) is None  # whose pages nobody noted
        log.close()
    with closing(sqlite3.connect(file)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (5,)


def test_an_intent_log_of_a_newer_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "intents.db"
    PurchaseJournal(file, clock=SystemClock()).close()
    with closing(sqlite3.connect(file)) as newer:
        newer.execute("PRAGMA user_version=99")
    with pytest.raises(LibraryUnavailable, match="version 99"):
        PurchaseJournal(file, clock=SystemClock())
    with closing(sqlite3.connect(file)) as still:
        assert still.execute("PRAGMA user_version").fetchone() == (99,)
