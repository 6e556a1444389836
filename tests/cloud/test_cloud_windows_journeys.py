"""A long document at LlamaExtract: in windows, merged into one record, each page paid once."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.cloud.service import Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud
from tests.fakes.llamacloud.sample import pdf

from foliotrace_server.sections import LlamaCloudSection

pytestmark = pytest.mark.anyio
EXTRACT = "POST /api/v2/extract"
UPLOAD = "POST /api/v1/beta/files"
HEAD = ["Description", "Quantity", "Amount"]
LONG = pdf(
    [
        ["ACME Supplies Ltd"],
        ["Invoice Number: INV-2026-117"],
        HEAD,
        ["Copper wire", "12", "240.00"],
    ],
    [["Delivery"], ["Goods are delivered within five days of the order."]],
    [["Annex"], HEAD, ["Steel bolts", "300", "75.50"], ["Copper wire", "12", "240.00"]],
    [["Terms"], ["Contact: Ada Larkfield"]],
    [["Summary"], ["Total Due: 315.50"]],
)
_LINE = {
    "type": "object",
    "properties": {
        "description": {"type": "string"},
        "quantity": {"type": "integer"},
        "amount": {"type": "number"},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "invoice_number": {"type": "string"},
        "contact": {"type": "string"},
        "total_due": {"type": "number"},
        "purchase_order": {"type": "string"},
        "lines": {"type": "array", "items": _LINE},
    },
}


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


def windowed(fake: FakeLlamaCloud, **given: Any) -> LlamaCloudSection:
    return cloud(fake, **{"extraction": "cloud_then_local", "extract_window_pages": 2, **given})


async def extracted(running: Service, document_id: str) -> dict[str, Any]:
    asked = {"document_id": document_id, "schema": SCHEMA}
    started = await running.client.post("/v1/extractions", json=asked)
    assert started.status_code == 202, started.text
    await running.finished(started.json()["id"])
    found = await running.client.get(f"/v1/extractions/{started.json()['id']}")
    return dict(found.json())


async def uploaded(running: Service) -> str:
    return str((await running.put("invoice.pdf", LONG))["document_id"])


def pages_asked(fake: FakeLlamaCloud) -> list[str | None]:
    """`target_pages` of every configuration that was saved, in order."""
    saved = fake.state.configurations.values()
    return [configuration.parameters.get("target_pages") for configuration in saved]


def by_pointer(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["pointer"]: field for field in found["fields"]}


def page_of(field: Mapping[str, Any]) -> int:
    return int(field["citations"][0]["anchor"]["page"])


async def test_windows_become_one_record_with_the_pages_they_were_found_on(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        found = await extracted(running, await uploaded(running))
    assert pages_asked(fake) == ["1-2", "3-4", "5-5"]
    assert found["valid"], found["errors"]
    assert found["record"] == {
        "invoice_number": "INV-2026-117",
        "contact": "Ada Larkfield",
        "total_due": 315.5,
        "purchase_order": None,
        "lines": [
            {"description": "Copper wire", "quantity": 12, "amount": 240.0},
            {"description": "Steel bolts", "quantity": 300, "amount": 75.5},
            {"description": "Copper wire", "quantity": 12, "amount": 240.0},
        ],
    }
    fields = by_pointer(found)
    assert {
        pointer: page_of(fields[pointer])
        for pointer in ("/invoice_number", "/contact", "/total_due")
    } == {"/invoice_number": 1, "/contact": 4, "/total_due": 5}
    assert [page_of(fields[f"/lines/{n}/amount"]) for n in range(3)] == [1, 3, 3]
    assert fields["/purchase_order"]["method"] == "none"
    assert found["degradation"]["level"] == 0
    assert sum(charge.pages for charge in fake.billing.standing) == 5
    assert found["usage"]["credits"] == sum(charge.credits for charge in fake.billing.standing)


async def test_a_short_document_is_one_job_without_a_page_range(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=windowed(fake, extract_window_pages=5)) as running:
        found = await extracted(running, await uploaded(running))
    assert pages_asked(fake) == [None]
    assert len(found["record"]["lines"]) == 3


async def test_a_type_without_pages_goes_whole(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    text = "\n\n".join(["Invoice Number: INV-2026-117", *["More words."] * 2000])
    async with service(tmp_path, llamacloud=windowed(fake, extract_window_pages=1)) as running:
        document_id = (await running.put("invoice.txt", text))["document_id"]
        found = await extracted(running, document_id)
    assert fake.count(EXTRACT) == 1
    assert found["record"]["invoice_number"] == "INV-2026-117"


async def test_a_window_that_fails_is_read_by_the_next_rung_and_marked(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(EXTRACT, Fault.job_failed, skip=2, times=1)
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        found = await extracted(running, await uploaded(running))
    fields = by_pointer(found)
    assert fields["/invoice_number"]["method"] == "cloud"
    assert (fields["/total_due"]["method"], fields["/total_due"]["value"]) == ("rules", 315.5)
    assert found["degradation"]["level"] == 2
    assert found["degradation"]["reasons"] == ["cloud_llamacloud_job_failed"]
    assert fake.count(EXTRACT) == 3


@pytest.mark.parametrize("fault", [Fault.server_error, Fault.reset_after_work])
async def test_a_window_whose_request_fails_once_is_tried_again_and_paid_once(
    fake: FakeLlamaCloud, tmp_path: Path, fault: Fault
) -> None:
    fake.fail(EXTRACT, fault, skip=1, times=1)
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        found = await extracted(running, await uploaded(running))
    assert found["degradation"]["level"] == 0
    assert {field["method"] for field in found["fields"]} == {"cloud", "none"}
    assert fake.billing.jobs() == 3
    assert fake.billing.billed_twice() == []


async def test_cloud_alone_fails_with_a_failed_window_and_goes_on_from_there_when_asked_again(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(EXTRACT, Fault.payment_required, skip=1, times=1)
    async with service(tmp_path, llamacloud=windowed(fake, extraction="cloud")) as running:
        document_id = await uploaded(running)
        failed = await extracted(running, document_id)
        assert (failed["status"], failed["record"]) == ("failed", None)
        again = await extracted(running, document_id)
    assert again["status"] == "completed"
    assert fake.billing.jobs() == 3
    assert fake.billing.billed_twice() == []


async def extract_and_wait(folder: Path, url: str) -> None:
    """What the process that is killed does."""
    given = LlamaCloudSection(
        api_key=SecretStr("llx-fake"),
        where=url,
        extraction="cloud_then_local",
        extract_window_pages=2,
    )
    async with service(folder, llamacloud=given) as running:
        await extracted(running, await uploaded(running))


async def test_a_kill_between_windows_pays_no_window_twice(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.pace("extract", Pace(seconds=0.6))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.cloud.test_cloud_windows_journeys", str(tmp_path), fake.url
    )
    try:
        async with asyncio.timeout(60):
            while fake.count(EXTRACT) < 2:
                await asyncio.sleep(0.01)
    finally:
        process.kill()
        await process.wait()
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        jobs = (await running.client.get("/v1/jobs")).json()["jobs"]
        (job_id,) = [job["id"] for job in jobs if job["kind"] == "extract"]
        assert (await running.finished(job_id))["status"] == "completed"
        found = (await running.client.get(f"/v1/extractions/{job_id}")).json()
    assert found["record"]["total_due"] == 315.5
    assert len(found["record"]["lines"]) == 3
    assert fake.billing.jobs() == 3
    assert fake.billing.billed_twice() == []


async def test_a_restart_in_the_middle_leaves_the_job_alone_and_takes_its_result(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.pace("extract", Pace(seconds=1.0))
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        asked = {"document_id": await uploaded(running), "schema": SCHEMA}
        job_id = (await running.client.post("/v1/extractions", json=asked)).json()["id"]
        async with asyncio.timeout(30):
            while not fake.count(EXTRACT):
                await asyncio.sleep(0.01)
    assert fake.count("POST /api/v2/extract/*/cancel") == 0
    async with service(tmp_path, llamacloud=windowed(fake)) as running:
        await running.finished(job_id)
        found = (await running.client.get(f"/v1/extractions/{job_id}")).json()
    assert found["degradation"]["level"] == 0
    assert fake.billing.jobs() == 3


async def test_what_llamaparse_has_read_is_extracted_from_there(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = windowed(fake, parsing="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        document_id = await uploaded(running)
        parsed = sum(charge.credits for charge in fake.billing.standing)
        found = await extracted(running, document_id)
    assert {field["method"] for field in found["fields"]} == {"cloud", "none"}
    assert page_of(by_pointer(found)["/total_due"]) == 5
    sources = {record.body["file_input"][:4] for record in extractions(fake)}
    assert sources == {"pjb-"}
    assert fake.count(UPLOAD) == 1
    bought = [charge for charge in fake.billing.standing if charge.product == "extract"]
    assert sum(charge.credits for charge in bought) == 5 * 5  # cost_effective, no parse in it
    assert parsed == sum(c.credits for c in fake.billing.standing if c.product == "parse")


@pytest.mark.parametrize("window_pages", [2, 20])
async def test_an_expired_parse_job_is_not_asked_again_and_the_file_is_used(
    fake: FakeLlamaCloud, tmp_path: Path, window_pages: int
) -> None:
    given = windowed(
        fake, parsing="cloud_then_local", extract_window_pages=window_pages, extraction="cloud"
    )
    async with service(tmp_path, llamacloud=given) as running:
        document_id = await uploaded(running)
        fake.state.jobs.clear()  # their results' retention has ended
        found = await extracted(running, document_id)
    assert found["record"]["total_due"] == 315.5
    assert found["degradation"]["level"] == 0
    asked = [record.body["file_input"][:4] for record in extractions(fake)]
    assert asked.count("pjb-") == 1
    assert set(asked[1:]) == {"dfl-"}
    assert len(asked) == 1 + (3 if window_pages == 2 else 1)
    assert fake.billing.billed_twice() == []


async def test_pages_the_cloud_could_not_read_are_extracted_from_the_file(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail("POST /api/v2/parse", Fault.partial(4), times=1)
    given = windowed(fake, parsing="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        found = await extracted(running, await uploaded(running))
    asked = [record.body["file_input"][:4] for record in extractions(fake)]
    assert asked == ["pjb-", "dfl-", "pjb-"]
    assert by_pointer(found)["/contact"]["value"] == "Ada Larkfield"


async def test_an_extraction_whose_result_has_expired_is_bought_anew(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = windowed(fake, extract_window_pages=20, extraction="cloud")
    async with service(tmp_path, llamacloud=given) as running:
        document_id = await uploaded(running)
        first = await extracted(running, document_id)
        assert (await extracted(running, document_id))["record"] == first["record"]
        assert fake.count(EXTRACT) == 1
        fake.state.jobs.clear()
        assert (await extracted(running, document_id))["record"] == first["record"]
    assert fake.count(EXTRACT) == 2


def extractions(fake: FakeLlamaCloud) -> list[Any]:
    return list(fake.requests.find(EXTRACT))


if __name__ == "__main__":
    asyncio.run(extract_and_wait(Path(sys.argv[1]), sys.argv[2]))
