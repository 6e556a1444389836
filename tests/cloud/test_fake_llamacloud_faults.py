"""Every fault of the fake does on the wire what its name says, as the real SDK and httpx see it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from llama_cloud import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf
from tests.fakes.llamacloud.sdk import client_of, settle

pytestmark = pytest.mark.anyio

PARSE = "POST /api/v2/parse"
READ = "GET /api/v2/parse/{job_id}"
FILES = "GET /api/v1/beta/files"
FAST = {"tier": "fast", "version": "latest"}


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, fake: FakeLlamaCloud) -> AsyncIterator[Any]:
    async with client_of(request.param, fake) as made:
        yield made


async def listed(client: Any) -> Any:
    return await settle(client.files.list())


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        (Fault.unauthorized, AuthenticationError, 401),
        (Fault.payment_required, APIStatusError, 402),
        (Fault.forbidden, PermissionDeniedError, 403),
        (Fault.not_found, NotFoundError, 404),
        (Fault.conflict, ConflictError, 409),
        (Fault.unprocessable, UnprocessableEntityError, 422),
        (Fault.rate_limited(120), RateLimitError, 429),
        (Fault.server_error, InternalServerError, 500),
        (Fault.unavailable, InternalServerError, 503),
        (Fault.http(504, "upstream"), InternalServerError, 504),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Fault) else "",
)
async def test_a_status_fault_answers_that_status_and_does_no_work(
    client: Any, fake: FakeLlamaCloud, fault: Fault, error: type[Exception], status: int
) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, fault, times=1)
    with pytest.raises(error) as caught:
        await settle(client.parsing.create(**FAST, file_id=file_id))
    assert caught.value.status_code == status  # type: ignore[attr-defined]
    assert caught.value.body["detail"]  # type: ignore[attr-defined]
    assert caught.value.response.headers.get("retry-after") == fault.retry_after  # type: ignore[attr-defined]
    assert fake.billing.jobs() == 0
    await settle(client.parsing.create(**FAST, file_id=file_id))
    assert fake.billing.jobs() == 1


async def test_a_short_retry_after_is_obeyed_by_the_sdk(fake: FakeLlamaCloud) -> None:
    fake.fail(FILES, Fault.rate_limited(0.2), times=2)
    async with client_of("async", fake, max_retries=5) as client:
        started = time.monotonic()
        await client.files.list()
        waited = time.monotonic() - started
    assert fake.count(FILES) == 3
    assert waited >= 0.4


async def test_html_with_200_is_a_validation_error(client: Any, fake: FakeLlamaCloud) -> None:
    fake.fail(FILES, Fault.html)
    with pytest.raises(APIResponseValidationError):
        await listed(client)


@pytest.mark.parametrize("fault", [Fault.truncated_json, Fault.garbage], ids=lambda f: f.kind)
async def test_a_broken_body_is_no_json(client: Any, fake: FakeLlamaCloud, fault: Fault) -> None:
    fake.preload("a.txt", b"hello")
    fake.fail(FILES, fault)
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        await listed(client)


async def test_an_empty_object_is_missing_its_fields(client: Any, fake: FakeLlamaCloud) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, Fault.empty_object)
    with pytest.raises(APIResponseValidationError):
        await settle(client.parsing.create(**FAST, file_id=file_id))


@pytest.mark.parametrize(
    ("fault", "jobs"),
    [(Fault.reset_before_work, 0), (Fault.reset_after_work, 1), (Fault.cut_body, 1)],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_a_reset_loses_the_answer_but_perhaps_not_the_work(
    client: Any, fake: FakeLlamaCloud, fault: Fault, jobs: int
) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, fault, times=1)
    with pytest.raises((APIConnectionError, httpx.TransportError)):
        await settle(client.parsing.create(**FAST, file_id=file_id))
    assert fake.billing.jobs() == jobs
    assert fake.billing.billed_twice() == []
    await settle(client.parsing.create(**FAST, file_id=file_id))
    assert len(fake.billing.billed_twice()) == jobs


async def test_blind_sdk_retries_bill_a_job_more_than_once(fake: FakeLlamaCloud) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, Fault.reset_after_work, times=2)
    async with client_of("async", fake, max_retries=2) as client:
        await client.parsing.create(**FAST, file_id=file_id)
    assert (fake.count(PARSE), fake.billing.jobs()) == (3, 3)
    assert len(fake.billing.billed_twice()) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault.hang, Fault.hang_after_work, Fault.slow_first_byte(5), Fault.slow_body(60, pieces=3)],
    ids=lambda fault: fault.kind,
)
async def test_a_slow_answer_runs_into_the_client_s_time_out(
    client: Any, fake: FakeLlamaCloud, fault: Fault
) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, fault)
    with pytest.raises((APITimeoutError, httpx.TimeoutException)):
        await settle(client.parsing.create(**FAST, file_id=file_id, timeout=0.3))
    assert fake.billing.jobs() == (0 if fault is Fault.hang else 1)


async def test_a_dripping_body_arrives_in_the_end(client: Any, fake: FakeLlamaCloud) -> None:
    fake.preload("a.txt", b"hello")
    fake.fail(FILES, Fault.slow_body(0.3, pieces=5))
    started = time.monotonic()
    assert len((await listed(client)).items) == 1
    assert time.monotonic() - started >= 0.3


async def test_a_job_that_never_ends_can_be_cancelled(client: Any, fake: FakeLlamaCloud) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, Fault.never_finishes, times=1)
    job = await settle(client.parsing.create(**FAST, file_id=file_id))
    for _ in range(12):
        assert (await settle(client.parsing.get(job.id))).job.status == "RUNNING"
    assert (await settle(client.parsing.cancel(job.id))).status == "CANCELLED"


async def test_a_slow_job_needs_as_many_polls_as_planned(client: Any, fake: FakeLlamaCloud) -> None:
    file_id = fake.preload("a.txt", b"hello")
    fake.fail(PARSE, Fault.slow_job(5))
    job = await settle(client.parsing.create(**FAST, file_id=file_id))
    states = [(await settle(client.parsing.get(job.id))).job.status for _ in range(5)]
    assert states == ["RUNNING"] * 4 + ["COMPLETED"]


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.job_failed, "FAILED"), (Fault.job_cancelled, "CANCELLED")]
)
async def test_a_job_can_end_badly_without_a_charge(
    client: Any, fake: FakeLlamaCloud, fault: Fault, status: str
) -> None:
    fake.pace("extract", Pace(polls=1))
    file_id = fake.preload("a.txt", b"Total: 5\n")
    fake.fail("POST /api/v2/extract", fault)
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    job = await settle(
        client.extract.create(file_input=file_id, configuration={"data_schema": schema})
    )
    ended = await settle(client.extract.get(job.id))
    assert (ended.status, ended.extract_result, fake.billing.credits) == (status, None, 0)


async def test_partial_pages_fail_inside_a_completed_job(client: Any, fake: FakeLlamaCloud) -> None:
    fake.pace("parse", Pace(polls=1))
    file_id = fake.preload("invoice.pdf", invoice_pdf())
    fake.fail(PARSE, Fault.partial(2))
    lenient = {"job_failure_conditions": {"allowed_page_failure_ratio": 1.0}}
    job = await settle(client.parsing.create(**FAST, file_id=file_id, processing_control=lenient))
    reply = await settle(client.parsing.get(job.id, expand=["text", "markdown", "items", "usage"]))
    assert reply.job.status == "COMPLETED"
    assert [page.success for page in reply.markdown.pages] == [True, False]
    assert reply.items.pages[1].error
    assert [bool(page.text) for page in reply.text.pages] == [True, False]
    assert reply.job.usage.credits == 1.0


async def test_partial_pages_fail_the_job_beyond_the_allowed_ratio(
    client: Any, fake: FakeLlamaCloud
) -> None:
    fake.pace("parse", Pace(polls=1))
    file_id = fake.preload("invoice.pdf", invoice_pdf())
    fake.fail(PARSE, Fault.partial(2))
    job = await settle(client.parsing.create(**FAST, file_id=file_id))
    reply = await settle(client.parsing.get(job.id, expand=["text"]))
    assert (reply.job.status, reply.job.error_message) == ("FAILED", "1 of 2 pages failed")


async def test_a_dead_service_refuses_and_comes_back_on_the_same_port_with_its_state(
    client: Any, fake: FakeLlamaCloud
) -> None:
    file_id = fake.preload("a.txt", b"hello")
    await listed(client)
    for _ in range(2):
        fake.die()
        with pytest.raises(APIConnectionError):
            await listed(client)
        fake.revive()
        assert [file.id for file in (await listed(client)).items] == [file_id]


async def test_death_resets_the_requests_that_run(fake: FakeLlamaCloud) -> None:
    fake.fail(FILES, Fault.hang)
    async with client_of("async", fake) as client:
        running = asyncio.ensure_future(client.files.list()._get_page())
        while fake.count(FILES) == 0:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(fake.die)
        with pytest.raises(APIConnectionError):
            await running


async def test_a_flapping_service_follows_its_pattern(client: Any, fake: FakeLlamaCloud) -> None:
    fake.fail(FILES, Fault.unavailable, pattern="..x", skip=1)
    seen = []
    for _ in range(7):
        try:
            await listed(client)
            seen.append(".")
        except InternalServerError:
            seen.append("x")
    assert "".join(seen) == "...x..x"


async def test_chance_repeats_with_its_seed(client: Any, fake: FakeLlamaCloud) -> None:
    async def pattern() -> str:
        fake.recover()
        line = fake.fail(FILES, Fault.unavailable, probability=0.5, seed=7)
        for _ in range(12):
            try:
                await listed(client)
            except InternalServerError:
                continue
        assert line.seen == 12
        return "".join(r.fault[:1] or "." for r in fake.requests.find(FILES)[-12:])

    first = await pattern()
    assert first == await pattern()
    assert {"s", "."} == set(first)


async def test_a_fault_can_meet_one_client_only(fake: FakeLlamaCloud) -> None:
    fake.fail("*", Fault.forbidden, key="llx-fake-b")
    async with client_of("async", fake) as good, client_of("sync", fake, api_key="llx-fake-b") as b:
        await good.files.list()
        with pytest.raises(PermissionDeniedError):
            b.files.list()
    assert fake.requests.counts_by_key() == {"llx-fake": 1, "llx-fake-b": 1}
    assert fake.count(status=403, key="llx-fake-b") == 1


async def test_a_wrong_key_is_refused(fake: FakeLlamaCloud) -> None:
    async with client_of("async", fake, api_key="sk-other") as client:
        with pytest.raises(AuthenticationError):
            await client.files.list()
    assert httpx.get(f"{fake.url}/api/v1/beta/files").status_code == 401


async def test_a_rate_limit_lets_so_many_through(client: Any, fake: FakeLlamaCloud) -> None:
    fake.limit(FILES, requests=2, per_s=0.5)
    await listed(client)
    await listed(client)
    with pytest.raises(RateLimitError) as caught:
        await listed(client)
    wait_s = float(caught.value.response.headers["retry-after"])
    assert 0 < wait_s <= 0.5
    await asyncio.sleep(wait_s + 0.01)
    await listed(client)


async def test_an_endpoint_that_does_not_exist_cannot_be_planned(fake: FakeLlamaCloud) -> None:
    with pytest.raises(ValueError, match="matches none"):
        fake.fail("POST /api/v2/prase", Fault.html)
    with pytest.raises(ValueError, match="no endpoint"):
        fake.limit("POST /api/v2/prase", requests=1, per_s=1)


async def test_the_log_tells_what_was_asked(client: Any, fake: FakeLlamaCloud) -> None:
    file_id = fake.preload("a.txt", b"hello")
    job = await settle(
        client.parsing.create(**FAST, file_id=file_id, user_metadata={"operation": "op-1"})
    )
    await settle(client.parsing.get(job.id, expand=["text", "items"]))
    created, read = fake.requests.find("* /api/v2/parse*")
    assert created.body["user_metadata"] == {"operation": "op-1"}
    assert (read.endpoint, read.status, read.query) == (READ, 200, "expand=text&expand=items")
    assert fake.requests.counts() == {PARSE: 1, READ: 1}
    assert fake.connections == 1


async def test_the_fake_can_be_driven_by_hand(client: Any, fake: FakeLlamaCloud) -> None:
    async with httpx.AsyncClient(base_url=fake.url) as hand:
        plan = {"endpoint": FILES, "fault": "rate_limited", "arguments": {"retry_after": 9}}
        assert (await hand.post("/_fake/faults", json=plan | {"times": 1})).status_code == 200
        with pytest.raises(RateLimitError):
            await listed(client)
        wrong = await hand.post("/_fake/faults", json={"endpoint": FILES, "fault": "nonsense"})
        assert wrong.status_code == 422
        await hand.post("/_fake/faults", json=plan)
        assert (await hand.delete("/_fake/faults")).status_code == 204
        await hand.post("/_fake/pace", json={"product": "parse", "polls": 1})
        file_id = fake.preload("a.txt", b"hello")
        job = await settle(client.parsing.create(**FAST, file_id=file_id))
        assert (await settle(client.parsing.get(job.id))).job.status == "COMPLETED"
        bill = (await hand.get("/_fake/billing")).json()
        assert (bill["credits"], bill["jobs"], bill["billed_twice"]) == (1.0, 1, [])
        seen = (await hand.get("/_fake/requests")).json()
        assert seen["counts"][FILES] == 1
        assert seen["requests"][0]["status"] == 429
        await hand.post("/_fake/die", json={"for_s": 0.2})
        await asyncio.sleep(0.1)
    with pytest.raises(APIConnectionError):
        await listed(client)
    await asyncio.sleep(0.4)
    await listed(client)
    httpx.post(f"{fake.url}/_fake/reset")
    assert fake.billing.jobs() == fake.count() == 0
