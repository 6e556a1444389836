"""Pages that a lower parser read are listed everywhere, and read again by themselves."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.audit.log_reading import audit_records
from tests.cloud.service import Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace.settings import IngestSettings

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"
AGAIN = IngestSettings(parser_processes=1, parse_deadline_s=20.0, read_again_after_s=0.5)


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


async def document(running: Service, document_id: str) -> dict[str, Any]:
    return dict((await running.client.get(f"/v1/documents/{document_id}")).json())


async def record(folder: Path, event: str, job_id: str) -> dict[str, Any]:
    for _ in range(200):
        for found in audit_records(folder / "audit"):
            if (found["event"], found.get("run_id")) == (event, job_id):
                return dict(found)
        await asyncio.sleep(0.02)
    raise AssertionError(f"no {event} of {job_id}")


async def test_pages_read_on_a_lower_rung_are_listed_and_read_again_when_the_parser_is_back(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(PARSE, Fault.payment_required)
    given = cloud(fake, parsing="cloud_then_local")
    async with service(tmp_path, llamacloud=given, ingest=AGAIN) as running:
        job = await running.put("invoice.pdf", invoice_pdf())
        pages = job["pages_total"]
        listed = await document(running, job["document_id"])
        audited = await record(tmp_path, "ingest_completed", job["id"])
        metrics = (await running.client.get("/metrics")).text
        assert (job["pages_degraded"], listed["pages_degraded"]) == (pages, pages)
        assert audited["degradation"] == {"level": 2, "reasons": ["pages_degraded"]}
        assert f"foliotrace_ingest_degraded_pages_total {float(pages)}" in metrics
        fake.recover()
        async with asyncio.timeout(40):
            while (await document(running, job["document_id"]))["pages_degraded"]:
                await asyncio.sleep(0.2)
        again = await document(running, job["document_id"])
        page = (await running.client.get(f"/v1/documents/{job['document_id']}/pages/1")).json()
        jobs = (await running.client.get("/v1/jobs")).json()["jobs"]
        (last,) = [each for each in jobs if not each["pages_degraded"] and each["id"] != job["id"]]
        bought = await record(tmp_path, "ingest_completed", last["id"])
    assert (again["status"], page["degraded_from"]) == ("ready", None)
    assert page["engine"].startswith("llamaparse")
    assert fake.billing.jobs("parse") == 1
    assert bought["degradation"]["level"] == 0
    assert float(bought["credits"]) == fake.billing.credits
    assert bought["cloud_jobs"] == [charge.job_id for charge in fake.billing.standing]


async def test_the_job_of_a_lost_reply_gives_the_pages_when_it_shows(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.listing_lag_s = 4.0
    fake.fail(PARSE, Fault.reset_after_work, times=1)
    given = cloud(fake, parsing="cloud_then_local")
    async with service(tmp_path, llamacloud=given, ingest=AGAIN) as running:
        job = await running.put("invoice.pdf", invoice_pdf())
        assert job["pages_degraded"]
        async with asyncio.timeout(60):
            while (await document(running, job["document_id"]))["pages_degraded"]:
                await asyncio.sleep(0.2)
    assert fake.count(PARSE) == 1
    assert fake.billing.billed_twice() == []


async def test_a_failed_reading_again_leaves_a_good_document_ready(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud_then_local")) as running:
        fake.fail(PARSE, Fault.payment_required)
        first = await running.put("invoice.pdf", invoice_pdf())
        before = await document(running, first["document_id"])
        sent = await running.client.post(
            "/v1/documents",
            files={"file": ("invoice.pdf", invoice_pdf())},
            data={"path": "cloud", "collection": "default"},
        )
        assert sent.status_code == 202, sent.text
        job = await running.finished(sent.json()["accepted"][0]["job"]["id"])
        after = await document(running, first["document_id"])
    assert (before["status"], job["status"]) == ("ready", "failed")
    assert after | {"updated_at": before["updated_at"]} == before
