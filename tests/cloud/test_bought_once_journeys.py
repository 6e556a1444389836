"""A service that is killed, or whose replies are lost, buys no job in the cloud twice."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.cloud.service import Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace_server.sections import LlamaCloudSection

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


async def upload_and_wait(folder: Path, url: str) -> None:
    """What the process that is killed does: one document, and no end."""
    given = LlamaCloudSection(
        api_key=SecretStr("llx-fake"), where=url, parsing="cloud_then_local", parse_tier="fast"
    )
    async with service(folder, llamacloud=given) as running:
        await running.put("invoice.pdf", invoice_pdf())


async def only_job(running: Service) -> str:
    jobs = (await running.client.get("/v1/jobs")).json()["jobs"]
    assert len(jobs) == 1
    return str(jobs[0]["id"])


async def test_a_killed_service_goes_on_with_the_job_it_bought(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.pace("parse", Pace(seconds=2.0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.cloud.test_bought_once_journeys", str(tmp_path), fake.url
    )
    try:
        async with asyncio.timeout(60):
            while not fake.count(PARSE):
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        await process.wait()
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud_then_local")) as running:
        done = await running.finished(await only_job(running))
        page = await running.client.get(f"/v1/documents/{done['document_id']}/pages/1")
    assert done["status"] == "completed"
    assert page.json()["engine"].startswith("llamaparse")
    assert fake.count(PARSE) == 1
    assert fake.billing.billed_twice() == []


@pytest.mark.parametrize(
    "fault", [Fault.reset_after_work, Fault.garbage, Fault.truncated_json, Fault.cut_body]
)
async def test_a_lost_reply_is_found_again_and_not_bought_again(
    fake: FakeLlamaCloud, tmp_path: Path, fault: Fault
) -> None:
    fake.fail(PARSE, fault, times=1)
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud")) as running:
        done = await running.put("invoice.pdf", invoice_pdf())
    assert done["status"] == "completed"
    assert fake.billing.jobs() == 1
    assert fake.billing.billed_twice() == []


async def test_the_same_file_under_two_names_is_bought_once(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud")) as running:
        for name in ("a.pdf", "b.pdf"):
            assert (await running.put(name, invoice_pdf()))["status"] == "completed"
    assert fake.billing.jobs() == 1


if __name__ == "__main__":
    asyncio.run(upload_and_wait(Path(sys.argv[1]), sys.argv[2]))
