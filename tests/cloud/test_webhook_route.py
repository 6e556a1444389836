"""`POST /v1/webhooks/llamacloud` over HTTP: signed words end a wait, all others change nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from tests.cloud.service import Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, Pace, running_fake_llamacloud, sign
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace_server.sections import LlamaCloudSection

pytestmark = pytest.mark.anyio
ROUTE = "/v1/webhooks/llamacloud"
SECRET = "whsec-of-the-test"
PARSE, STATUS = "POST /api/v2/parse", "GET /api/v2/parse/*"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


def hearing(fake: FakeLlamaCloud, **given: Any) -> LlamaCloudSection:
    return cloud(
        fake,
        parsing="cloud",
        webhook_secret=SecretStr(SECRET),
        webhook_url="https://docs.example.org" + ROUTE,
        **given,
    )


@pytest.fixture
async def running(fake: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path, llamacloud=hearing(fake)) as opened:
        yield opened


def event(job_id: str, kind: str = "parse.success") -> bytes:
    return json.dumps(
        {"event_id": "evt-1", "event_type": kind, "data": {"job_id": job_id}}
    ).encode()


async def post(running: Service, body: bytes, signature: str | None) -> httpx.Response:
    headers = {"content-type": "application/json"}
    if signature is not None:
        headers["LC-Signature"] = signature
    return await running.client.post(ROUTE, content=body, headers=headers)


async def waiting_job(fake: FakeLlamaCloud, running: Service) -> tuple[str, str]:
    """(our job, the cloud's job): the second goes on until the test ends it."""
    fake.pace("parse", Pace(seconds=3600.0))
    sent = await running.client.post("/v1/documents", files={"file": ("i.pdf", invoice_pdf())})
    async with asyncio.timeout(30):
        while not fake.count(STATUS):
            await asyncio.sleep(0.01)
    (cloud_job,) = fake.state.jobs
    return sent.json()["accepted"][0]["job"]["id"], cloud_job


async def test_a_signed_word_ends_the_wait(fake: FakeLlamaCloud, running: Service) -> None:
    job_id, cloud_job = await waiting_job(fake, running)
    (asked,) = fake.requests.find(PARSE)[0].body["webhook_configurations"]
    assert asked["webhook_url"] == "https://docs.example.org" + ROUTE
    fake.state.jobs[cloud_job].finish()
    body = event(cloud_job)
    told = await post(running, body, sign(asked["webhook_signing_secret"], body))
    assert told.status_code == 204
    assert (await running.finished(job_id))["status"] == "completed"
    assert fake.count(PARSE) == 1


async def test_a_replayed_or_a_late_word_changes_nothing(
    fake: FakeLlamaCloud, running: Service
) -> None:
    job_id, cloud_job = await waiting_job(fake, running)
    body = event(cloud_job)
    for _ in range(3):  # before the job has ended: a question each, and the wait goes on
        assert (await post(running, body, sign(SECRET, body))).status_code == 204
    job = (await running.client.get(f"/v1/jobs/{job_id}")).json()
    assert job["status"] == "running"
    fake.state.jobs[cloud_job].finish()
    assert (await post(running, body, sign(SECRET, body))).status_code == 204
    done = await running.finished(job_id)
    asked = fake.count("*")
    assert (await post(running, body, sign(SECRET, body))).status_code == 204
    assert (await running.client.get(f"/v1/jobs/{job_id}")).json() == done
    assert fake.count("*") == asked


async def test_a_word_of_an_unknown_job_is_taken_and_asks_nothing(
    fake: FakeLlamaCloud, running: Service
) -> None:
    for body in (event("pjb-of-nobody"), json.dumps(event("pjb-2").decode()).encode()):
        assert (await post(running, body, sign(SECRET, body))).status_code == 204
    assert fake.count("*") == 0


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (event("pjb-1"), None),
        (event("pjb-1"), ""),
        (event("pjb-1"), sign("another secret", event("pjb-1"))),
        (event("pjb-1"), sign(SECRET, event("pjb-1")).upper()),
        (event("pjb-1") + b" ", sign(SECRET, event("pjb-1"))),
        (b"not json", sign(SECRET, b"not json")),
        (b"[]", sign(SECRET, b"[]")),
        (b"", sign(SECRET, b"")),
    ],
)
async def test_what_is_not_signed_or_is_no_event_is_refused(
    running: Service, body: bytes, signature: str | None
) -> None:
    refused = await post(running, body, signature)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert SECRET not in refused.text


async def test_a_huge_body_is_refused_before_it_is_held(running: Service) -> None:
    huge = b"x" * (1 << 20)
    refused = await post(running, huge, sign(SECRET, huge))
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield huge[: 1 << 16]

    streamed = await running.client.post(ROUTE, content=pieces())
    assert streamed.status_code == 413


async def test_without_a_secret_there_is_no_such_route(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud")) as running:
        body = event("pjb-1")
        assert (await post(running, body, sign(SECRET, body))).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_url": "https://docs.example.org/hook"},
        {"webhook_url": "docs.example.org/hook", "webhook_secret": SECRET},
        {"webhook_url": "ftp://docs.example.org/hook", "webhook_secret": SECRET},
    ],
)
def test_an_address_that_could_not_be_believed_or_reached_stops_the_start(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError):
        LlamaCloudSection(**wrong)
