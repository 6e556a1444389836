"""The fake's files, parse and extract calls, through the real SDK, sync and async, strictly."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pypdfium2 as pdfium
import pytest
from llama_cloud import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)
from llama_cloud._polling import PollingError
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf
from tests.fakes.llamacloud.sdk import client_of, collect, settle

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {
        "invoice_number": {"type": "string"},
        "invoice_date": {"type": "string", "format": "date"},
        "customer": {"type": "string"},
        "total_due": {"type": "number"},
        "purchase_order": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "description": {"type": "string"},
                    "quantity": {"type": "integer"},
                    "amount": {"type": "number"},
                },
            },
        },
    },
}
EVERYTHING = ["text", "markdown", "items", "metadata", "forms", "job_metadata", "usage"]


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, fake: FakeLlamaCloud) -> AsyncIterator[Any]:
    async with client_of(request.param, fake) as made:
        yield made


async def uploaded(client: Any, content: bytes | None = None, name: str = "invoice.pdf") -> Any:
    held = invoice_pdf() if content is None else content
    return await settle(client.files.create(file=(name, held), purpose="parse"))


async def parsed(client: Any, file_id: str, **options: Any) -> Any:
    job = await settle(
        client.parsing.create(tier="cost_effective", version="latest", file_id=file_id, **options)
    )
    return await finished(client, job.id)


async def finished(client: Any, job_id: str) -> Any:
    for _ in range(50):
        reply = await settle(client.parsing.get(job_id, expand=EVERYTHING))
        if reply.job.status in ("COMPLETED", "FAILED", "CANCELLED"):
            return reply
    raise AssertionError("the job did not end")


async def extracted(client: Any, source: str, **configuration: Any) -> Any:
    job = await settle(
        client.extract.create(
            file_input=source, configuration={"data_schema": SCHEMA, **configuration}
        )
    )
    for _ in range(50):
        reply = await settle(client.extract.get(job.id, expand=["extract_metadata", "usage"]))
        if reply.status in ("COMPLETED", "FAILED", "CANCELLED"):
            return reply
    raise AssertionError("the job did not end")


async def test_a_file_is_kept_found_given_back_and_deleted(client: Any) -> None:
    file = await settle(
        client.files.create(
            file=("a.txt", b"hello"), purpose="user_data", external_file_id="sha256:1"
        )
    )
    assert (file.name, file.file_type, file.external_file_id) == ("a.txt", "txt", "sha256:1")
    assert (await settle(client.files.retrieve(file.id))).name == "a.txt"
    found = await collect(client.files.list(external_file_id="sha256:1", expand=["download_url"]))
    assert [f.id for f in found] == [file.id]
    assert httpx.get(found[0].download_url.url).content == b"hello"
    link = await settle(client.files.content(file.id))
    assert httpx.get(link.url).content == b"hello"
    await settle(client.files.delete(file.id))
    with pytest.raises(NotFoundError):
        await settle(client.files.retrieve(file.id))
    assert httpx.get(link.url).status_code == 404


async def test_a_presigned_url_cannot_be_altered_and_expires(client: Any) -> None:
    file = await uploaded(client)
    link = await settle(client.files.content(file.id, expires_at_seconds=-5))
    assert httpx.get(link.url).status_code == 403
    good = await settle(client.files.content(file.id))
    assert httpx.get(good.url.replace("signature=", "signature=0")).status_code == 403


async def test_lists_come_in_pages_that_the_sdk_follows(client: Any, fake: FakeLlamaCloud) -> None:
    ids = {fake.preload(f"f{n}.txt", b"x") for n in range(7)}
    found = await collect(client.files.list(page_size=3))
    assert {f.id for f in found} == ids
    assert fake.count("GET /api/v1/beta/files") == 3
    with pytest.raises(BadRequestError):
        await collect(client.files.list(page_token="nonsense"))


async def test_an_expired_file_is_gone(client: Any, fake: FakeLlamaCloud) -> None:
    file = await uploaded(client)
    fake.expire_file(file.id)
    with pytest.raises(NotFoundError):
        await settle(client.files.content(file.id))
    with pytest.raises(NotFoundError):
        await parsed(client, file.id)


async def test_a_job_is_pending_then_running_then_completed(client: Any) -> None:
    file = await uploaded(client)
    job = await settle(client.parsing.create(tier="fast", version="latest", file_id=file.id))
    seen = [job.status]
    seen += [(await settle(client.parsing.get(job.id))).job.status for _ in range(3)]
    assert seen == ["PENDING", "RUNNING", "COMPLETED", "COMPLETED"]


async def test_a_job_can_take_its_time_by_the_clock(client: Any, fake: FakeLlamaCloud) -> None:
    fake.pace("parse", Pace(seconds=0.3))
    file = await uploaded(client)
    job = await settle(client.parsing.create(tier="fast", version="latest", file_id=file.id))
    assert (await settle(client.parsing.get(job.id))).job.status == "PENDING"
    await asyncio.sleep(0.35)
    assert (await settle(client.parsing.get(job.id))).job.status == "COMPLETED"


async def test_parse_returns_what_the_pdf_says(client: Any) -> None:
    file = await uploaded(client)
    reply = await parsed(client, file.id)
    assert [page.page_number for page in reply.text.pages] == [1, 2]
    assert "Invoice Number: INV-2026-117" in reply.text.pages[0].text
    assert reply.markdown.pages[0].markdown.startswith("# ACME Supplies Ltd")
    assert "| Copper wire | 12 | 240.00 |" in reply.markdown.pages[0].markdown
    kinds = [item.type for item in reply.items.pages[0].items]
    assert kinds[0] == "heading"
    assert "table" in kinds
    table = next(item for item in reply.items.pages[0].items if item.type == "table")
    assert ["Steel bolts", "300", "75.50"] in table.rows
    assert reply.job.usage.credits == 6.0


async def test_an_item_s_box_holds_its_words(client: Any) -> None:
    content = invoice_pdf()
    file = await uploaded(client, content)
    page = (await parsed(client, file.id)).items.pages[0]
    document = pdfium.PdfDocument(content)
    text_page = document[0].get_textpage()
    for item in page.items:
        box = item.bbox[0]
        left, top = box.x - 1, page.page_height - box.y + 1
        right, bottom = box.x + box.w + 1, page.page_height - box.y - box.h - 1
        there = text_page.get_text_bounded(left, bottom, right, top)
        wanted = item.value if hasattr(item, "value") else " ".join(map(" ".join, item.rows))
        assert there.split() == wanted.split()
    text_page.close()
    document.close()


async def test_words_come_as_a_side_file(client: Any) -> None:
    file = await uploaded(client)
    job_id = (await parsed(client, file.id)).job.id
    reply = await settle(client.parsing.get(job_id, expand=["raw_words_content_metadata"]))
    side = reply.result_content_metadata["raw_words"]
    rows = [json.loads(line) for line in httpx.get(side.presigned_url).text.splitlines()]
    assert side.exists
    assert {"INV-2026-117", "overdue"} <= {row["text"] for row in rows}
    assert {row["page_number"] for row in rows} == {1, 2}


async def test_pages_are_chosen_from_one(client: Any) -> None:
    file = await uploaded(client)
    only = await parsed(client, file.id, page_ranges={"target_pages": "2"})
    assert [page.page_number for page in only.text.pages] == [2]
    first = await parsed(client, file.id, page_ranges={"max_pages": 1})
    assert [page.page_number for page in first.text.pages] == [1]
    with pytest.raises(UnprocessableEntityError):
        await parsed(client, file.id, page_ranges={"target_pages": "1,1-2"})


async def test_upload_and_parse_in_one_call(client: Any) -> None:
    job = await settle(
        client.parsing.create(
            tier="agentic",
            version="2026-10-16",
            upload_file=("note.md", b"# Note\n\nThe warranty lasts 24 months.\n"),
            agentic_options={"custom_prompt": "keep tables"},
        )
    )
    reply = await finished(client, job.id)
    assert reply.markdown.pages[0].markdown == "# Note\n\nThe warranty lasts 24 months."


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("empty.pdf", b"", "empty"),
        ("broken.pdf", b"%PDF-1.4 nothing more", "Failed to load"),
        ("strange.bin", b"\x00\x01\x02", "Unsupported"),
    ],
)
async def test_a_file_that_cannot_be_read_fails_its_job(
    client: Any, fake: FakeLlamaCloud, name: str, content: bytes, part: str
) -> None:
    reply = await parsed(client, (await uploaded(client, content, name)).id)
    assert reply.job.status == "FAILED"
    assert part in reply.job.error_message
    assert fake.billing.credits == 0


async def test_parse_refuses_what_the_service_would_refuse(client: Any) -> None:
    file = await uploaded(client)
    for wrong in (
        {"tier": "best", "version": "latest", "file_id": file.id},
        {"tier": "fast", "version": "1999-01-01", "file_id": file.id},
        {"tier": "fast", "version": "latest"},
        {"tier": "fast", "version": "latest", "file_id": file.id, "extra_body": {"mode": "x"}},
        {"tier": "fast", "version": "latest", "file_id": file.id, "page_ranges": {"pages": "1"}},
        {"tier": "fast", "version": "latest", "file_id": file.id, "extra_query": {"wait": "1"}},
    ):
        with pytest.raises(UnprocessableEntityError):
            await settle(client.parsing.create(**wrong))
    with pytest.raises(NotFoundError):
        await parsed(client, "dfl-unknown")


async def test_jobs_are_listed_newest_first_and_filtered(client: Any) -> None:
    file = await uploaded(client)
    started = datetime.now(UTC)
    ids = []
    for number in range(3):
        job = await settle(
            client.parsing.create(
                tier="fast", version="latest", file_id=file.id, user_metadata={"op": str(number)}
            )
        )
        ids.append(job.id)
    await finished(client, ids[1])
    listed = await collect(client.parsing.list(created_at_on_or_after=started, page_size=2))
    assert [job.id for job in listed] == ids[::-1]
    assert [job.user_metadata["op"] for job in listed] == ["2", "1", "0"]
    done = await collect(client.parsing.list(status="COMPLETED"))
    assert [job.id for job in done] == [ids[1]]
    assert await collect(client.parsing.list(created_at_on_or_before=started - timedelta(1))) == []


async def test_cancel_stops_a_job_and_voids_its_charge(client: Any, fake: FakeLlamaCloud) -> None:
    file = await uploaded(client)
    job = await settle(client.parsing.create(tier="fast", version="latest", file_id=file.id))
    with pytest.raises(ConflictError):
        await settle(client.parsing.delete(job.id))
    assert (await settle(client.parsing.cancel(job.id))).status == "CANCELLED"
    with pytest.raises(ConflictError):
        await settle(client.parsing.cancel(job.id))
    assert (fake.billing.jobs(), fake.billing.credits) == (1, 0)
    assert (await settle(client.parsing.delete(job.id))).id == job.id
    with pytest.raises(NotFoundError):
        await settle(client.parsing.get(job.id))


async def test_versions_name_the_latest_of_each_tier(client: Any) -> None:
    versions = await settle(client.parsing.list_versions())
    assert versions.latest.fast in versions.fast
    assert versions.latest.agentic_plus in versions.agentic_plus


async def test_extract_finds_values_and_says_where(client: Any) -> None:
    file = await uploaded(client)
    job = await extracted(client, file.id, cite_sources=True, confidence_scores=True)
    assert job.extract_result == {
        "invoice_number": "INV-2026-117",
        "invoice_date": "2026-11-03",
        "customer": "Northwind Traders",
        "total_due": 315.5,
        "purchase_order": None,
        "lines": [
            {"description": "Copper wire", "quantity": 12, "amount": 240.0},
            {"description": "Steel bolts", "quantity": 300, "amount": 75.5},
        ],
    }
    metadata = job.extract_metadata.field_metadata.document_metadata
    citation = metadata["total_due"]["citation"][0]
    assert (citation["page"], citation["matching_text"]) == (1, "$315.50")
    assert citation["page_dimensions"] == {"width": 612.0, "height": 792.0}
    assert "purchase_order" not in metadata
    assert metadata["lines"][1]["amount"]["citation"][0]["matching_text"] == "75.50"
    assert (job.usage.extract_credits, job.usage.parse_credits) == (10.0, 6.0)


async def test_extract_from_a_parse_job_does_not_pay_for_parsing_again(client: Any) -> None:
    file = await uploaded(client)
    waiting = await settle(client.parsing.create(tier="fast", version="latest", file_id=file.id))
    with pytest.raises(BadRequestError):
        await extracted(client, waiting.id)
    await finished(client, waiting.id)
    job = await extracted(client, waiting.id)
    assert job.extract_result["total_due"] == 315.5
    assert job.extract_metadata.parse_job_id == waiting.id
    assert job.extract_metadata.field_metadata.document_metadata["total_due"] == {}
    assert (job.usage.extract_credits, job.usage.parse_credits) == (10.0, 0.0)


async def test_extract_per_page_and_per_row(client: Any) -> None:
    file = await uploaded(client)
    pages = await extracted(client, file.id, extraction_target="per_page")
    assert [page["total_due"] for page in pages.extract_result] == [315.5, None]
    items = {"data_schema": SCHEMA["properties"]["lines"]["items"]}  # type: ignore[index]
    rows = await extracted(client, file.id, **items, extraction_target="per_table_row")
    assert [row["quantity"] for row in rows.extract_result] == [12, 300]
    assert len(rows.extract_metadata.field_metadata.row_metadata) == 2


async def test_extract_by_a_saved_configuration_can_be_found_again(client: Any) -> None:
    file = await uploaded(client)
    saved = await settle(
        client.configurations.create(
            name="invoice-v1", parameters={"product_type": "extract_v2", "data_schema": SCHEMA}
        )
    )
    job = await settle(client.extract.create(file_input=file.id, configuration_id=saved.id))
    other = await settle(
        client.extract.create(file_input=file.id, configuration={"data_schema": SCHEMA})
    )
    found = await collect(client.extract.list(file_input=file.id, configuration_id=saved.id))
    assert [j.id for j in found] == [job.id]
    assert (await settle(client.extract.cancel(other.id))).status == "CANCELLED"
    await settle(client.extract.delete(other.id))
    again = await settle(client.extract.get(job.id, expand=["configuration"]))
    assert again.configuration.data_schema == SCHEMA


async def test_schemas_are_validated_and_generated(client: Any) -> None:
    good = await settle(client.extract.validate_schema(data_schema=SCHEMA))
    assert good.data_schema == SCHEMA
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        deep = {"type": "object", "properties": {"inner": deep}}
    for wrong in ({"type": "array"}, {"type": "object", "properties": {"a": {"type": "x"}}}, deep):
        with pytest.raises(UnprocessableEntityError):
            await settle(client.extract.validate_schema(data_schema=wrong))
    file = await uploaded(client)
    made = await settle(client.extract.generate_schema(file_id=file.id, name="invoice"))
    assert {"invoice_number", "customer", "total_due"} <= set(
        made.parameters.data_schema["properties"]
    )


async def test_the_sdk_s_own_wait_helpers_work(fake: FakeLlamaCloud) -> None:
    fake.pace("extract", Pace(polls=1))
    fake.pace("parse", Pace(polls=1))
    async with client_of("async", fake) as client:
        file = await uploaded(client)
        reply = await client.parsing.parse(
            tier="fast",
            version="latest",
            file_id=file.id,
            expand=["text"],
            polling_interval=0.01,
        )
        assert "ACME" in reply.text.pages[0].text
        job = await client.extract.run(
            file_input=file.id, configuration={"data_schema": SCHEMA}, polling_interval=0.01
        )
        assert job.extract_result["customer"] == "Northwind Traders"


async def test_a_failed_job_raises_in_the_sync_sdk_and_returns_in_the_async_one(
    fake: FakeLlamaCloud,
) -> None:
    fake.pace("parse", Pace(polls=1))
    fake.fail("POST /api/v2/parse", Fault.job_failed)
    wait = {"tier": "fast", "version": "latest", "polling_interval": 0.01}
    async with client_of("async", fake) as client:
        file = await uploaded(client)
        reply = await client.parsing.parse(file_id=file.id, expand=["text"], **wait)
        assert reply.job.status == "FAILED"
        assert reply.text is None
    async with client_of("sync", fake) as client:
        with pytest.raises(PollingError):
            client.parsing.parse(file_id=file.id, expand=["text"], **wait)


async def test_projects_do_not_see_each_other(client: Any) -> None:
    file = await uploaded(client)
    names = {project.id for project in await settle(client.projects.list())}
    assert names == {"prj-fake", "prj-other"}
    with pytest.raises(NotFoundError):
        await settle(client.files.retrieve(file.id, extra_headers={"Project-Id": "prj-other"}))
    with pytest.raises(NotFoundError):
        await parsed(client, file.id, project_id="prj-other")
    with pytest.raises(NotFoundError):
        await settle(client.files.retrieve(file.id, project_id="prj-nobody"))  # type: ignore[call-arg]
