"""Uploads that name their pages: by LlamaParse and by the local parsers, under the same numbers."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.service import Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import pdf

from foliotrace.model import PageSelection
from foliotrace.settings import IngestSettings

pytestmark = pytest.mark.anyio
PARSE = "POST /api/v2/parse"
HARBOURS = ("Calden", "Ostrin", "Veymar", "Tolsey", "Brackel", "Munsby", "Dorrel", "Hexley")
PAGES = [
    [[f"Harbour {name}"], [f"The harbour of {name} has a depth of {number}.5 metres."]]
    for number, name in enumerate(HARBOURS, 1)
]
FILE = pdf(*PAGES)


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


async def sent(
    running: Service, pages: str | None, name: str = "harbours.pdf", content: bytes = FILE
) -> Any:
    """The response to an upload."""
    form = {} if pages is None else {"pages": pages}
    return await running.client.post("/v1/documents", files={"file": (name, content)}, data=form)


async def read(running: Service, pages: str | None) -> dict[str, Any]:
    """The document after its ingestion, with the job and whether it was `unchanged`."""
    response = await sent(running, pages)
    assert response.status_code == 202, response.text
    accepted = response.json()["accepted"][0]
    job = await running.finished(accepted["job"]["id"])
    document = (await running.client.get(f"/v1/documents/{job['document_id']}")).json()
    return {**document, "job": job, "unchanged": accepted["unchanged"]}


async def depth_of(running: Service, name: str) -> tuple[str, list[int]]:
    """The answer's text and the pages it cites."""
    asked = await running.ask(f"What depth has the harbour of {name}?", bypass_cache=True)
    return asked.body["answer"], [each["anchor"]["page"] for each in asked.body["citations"]]


async def stored_pages(running: Service, document_id: str) -> list[int]:
    path = f"/v1/documents/{document_id}/pages"
    replies = [await running.client.get(f"{path}/{n}") for n in range(1, len(PAGES) + 2)]
    return [number for number, each in enumerate(replies, 1) if each.status_code == 200]


async def test_only_the_named_pages_are_read_and_keep_their_numbers(local: Service) -> None:
    document = await read(local, " 7, 2-3,3")
    assert document["job"]["status"] == "completed", document
    assert (document["pages"], document["pages_total"]) == ("2-3,7", 3)
    assert (document["job"]["pages_done"], document["job"]["pages_total"]) == (3, 3)
    assert await stored_pages(local, document["id"]) == [2, 3, 7]
    text, cited = await depth_of(local, "Dorrel")
    assert ("7.5 metres" in text, set(cited)) == (True, {7})
    assert "4.5 metres" not in (await depth_of(local, "Tolsey"))[0]


async def test_llamaparse_is_asked_for_these_pages_and_bills_no_others(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud")) as running:
        document = await read(running, "2-3,7")
        text, cited = await depth_of(running, "Dorrel")
        stored = await stored_pages(running, document["id"])
    ranges = [request.body["page_ranges"] for request in fake.requests.find(PARSE)]
    assert ranges == [{"target_pages": "2-3,7-7"}]
    assert [charge.pages for charge in fake.billing.standing] == [3]
    assert ("7.5 metres" in text, set(cited)) == (True, {7})
    assert stored == [2, 3, 7]


async def test_windows_count_the_named_pages(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    small = IngestSettings(parser_processes=1, parse_deadline_s=20.0, window_pages=2)
    given: dict[str, Any] = {"llamacloud": cloud(fake, parsing="cloud"), "ingest": small}
    async with service(tmp_path, **given) as running:
        document = await read(running, "1,3-4,7-8")
        stored = await stored_pages(running, document["id"])
        text, cited = await depth_of(running, "Hexley")
    asked = [request.body["page_ranges"]["target_pages"] for request in fake.requests.find(PARSE)]
    assert asked == ["1-1,3-3", "4-4,7-7", "8-8"]
    assert (document["pages_total"], stored) == (5, [1, 3, 4, 7, 8])
    assert ("8.5 metres" in text, 8 in cited) == (True, True)


async def test_a_named_page_that_llamaparse_fails_on_is_read_locally_and_marked(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(PARSE, Fault.partial(7), times=1)
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud_then_local")) as running:
        document = await read(running, "2-3,7")
        text, cited = await depth_of(running, "Dorrel")
    assert document["pages_degraded"] == 1
    assert ("7.5 metres" in text, set(cited)) == (True, {7})


async def test_named_pages_are_read_locally_where_llamaparse_is_down(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(PARSE, Fault.server_error)
    async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud_then_local")) as running:
        document = await read(running, "2-3,7")
        stored = await stored_pages(running, document["id"])
    assert (document["pages_degraded"], stored) == (3, [2, 3, 7])


async def test_the_same_pages_are_unchanged_and_others_are_a_new_revision(local: Service) -> None:
    first = await read(local, "1-2")
    assert (await read(local, "2, 1"))["unchanged"]
    other = await read(local, "4")
    assert (other["id"], other["unchanged"]) == (first["id"], False)
    assert await stored_pages(local, other["id"]) == [4]
    assert "1.5 metres" not in (await depth_of(local, "Calden"))[0]
    whole = await read(local, None)
    assert (whole["unchanged"], whole["pages"], whole["pages_total"]) == (False, None, 8)
    assert await stored_pages(local, whole["id"]) == list(range(1, 9))
    assert not (await read(local, "1-8"))["unchanged"]


async def test_a_key_that_was_used_for_other_pages_is_refused(local: Service) -> None:
    async def keyed(pages: str) -> Any:
        return await local.client.post(
            "/v1/documents",
            files={"file": ("harbours.pdf", FILE)},
            data={"pages": pages},
            headers={"Idempotency-Key": "k1"},
        )

    assert (await keyed("1-2")).status_code == 202
    assert (await keyed("1,2")).status_code == 202
    again = await keyed("1-3")
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_conflict")


_MALFORMED = ("", " ", ",", "1,", "0", "0-2", "3-1", "-2", "2-", "a", "1-2-3", "1;2", "1.5", "٣")


@pytest.mark.parametrize("pages", [*_MALFORMED, "9" * 7, ",".join(["1"] * 201)])
async def test_a_malformed_selection_is_refused_before_anything_is_stored(
    local: Service, pages: str
) -> None:
    refused = await sent(local, pages)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_pages")
    assert "1-3,7" in refused.json()["detail"]
    assert (await local.client.get("/v1/documents")).json()["documents"] == []


async def test_pages_that_the_file_does_not_have_fail_the_job_and_say_how_many_it_has(
    local: Service,
) -> None:
    document = await read(local, "2,9")
    assert (document["status"], document["problem"]) == ("failed", "pages_out_of_range")
    assert document["job"]["problem"] == "pages_out_of_range"
    assert "has 8 pages" in document["problem_detail"]
    assert (await read(local, "2,8"))["status"] == "ready"


async def test_a_failed_change_of_pages_leaves_the_served_ones_and_says_which_they_are(
    local: Service,
) -> None:
    await read(local, "2-3")
    document = await read(local, "2-30")
    assert document["job"]["problem"] == "pages_out_of_range"
    assert (document["status"], document["pages"], document["pages_total"]) == ("ready", "2-3", 2)
    assert "2.5 metres" in (await depth_of(local, "Ostrin"))[0]
    assert (await read(local, "2-3"))["unchanged"]


@pytest.mark.parametrize(
    ("name", "content"), [("notes.txt", b"Plain words."), ("table.csv", b"a,b\n1,2\n")]
)
async def test_a_format_without_numbered_pages_is_refused(
    local: Service, name: str, content: bytes
) -> None:
    refused = await sent(local, "1", name, content)
    assert (refused.status_code, refused.json()["code"]) == (422, "file_without_pages")
    assert (await local.client.get("/v1/documents")).json()["documents"] == []


async def test_llamaextract_reads_the_named_pages_alone(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"harbour": {"type": "string"}}}
    given = cloud(fake, extraction="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        document = await read(running, "2-3,7")
        started = await running.client.post(
            "/v1/extractions", json={"document_id": document["id"], "schema": schema}
        )
        await running.finished(started.json()["id"])
    saved = [each.parameters.get("target_pages") for each in fake.state.configurations.values()]
    assert saved == ["2-3,7-7"]
    assert [charge.pages for charge in fake.billing.standing] == [3]


async def test_llamaextract_takes_them_from_the_parse_job_that_read_them(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"harbour": {"type": "string"}}}
    given = cloud(fake, parsing="cloud", extraction="cloud")
    async with service(tmp_path, llamacloud=given) as running:
        await read(running, "1,3-8")
        document = await read(running, "2")  # the earlier job spans page 2 and did not read it
        started = await running.client.post(
            "/v1/extractions", json={"document_id": document["id"], "schema": schema}
        )
        await running.finished(started.json()["id"])
    jobs = {job.id: job.request for job in fake.state.jobs.values()}
    (asked,) = fake.requests.find("POST /api/v2/extract")
    assert jobs[asked.body["file_input"]]["page_ranges"] == {"target_pages": "2-2"}


async def test_the_managed_index_which_reads_whole_files_brings_no_other_page(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = cloud(fake, parsing="local", index="cloud_then_local")
    async with service(tmp_path, llamacloud=given) as running:
        await read(running, "2-3,7")
        async with asyncio.timeout(30):
            while (await running.ask("How deep is Dorrel?", bypass_cache=True)).path[
                0
            ] != "managed":
                await asyncio.sleep(0.1)
        text, cited = await depth_of(running, "Tolsey")
        right = await depth_of(running, "Dorrel")
    assert ("4.5" in text, 4 in cited) == (False, False)
    assert ("7.5 metres" in right[0], set(right[1])) == (True, {7})


async def test_a_start_event_names_the_pages_of_its_file(local: Service) -> None:
    async def run(**start: str) -> Any:
        content = b64encode(FILE).decode()
        event = {"content": content, "name": "harbours.pdf", **start}
        return await local.client.post("/workflows/ingest/run", json={"start_event": event})

    refused = await run(pages="3-1")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_pages")
    done = (await run(pages="2,5")).json()["result"]["value"]
    assert done["pages"] == 2
    assert await stored_pages(local, done["document_id"]) == [2, 5]


def test_equal_selections_have_one_short_form() -> None:
    assert str(PageSelection.parse("7,1-3")) == "1-3,7"
    assert str(PageSelection.parse("3, 1 - 2,2-3,5,4")) == "1-5"
    assert PageSelection.parse("1-3,7").numbers() == (1, 2, 3, 7)
    assert PageSelection.parse("1-3,7").overlaps(range(4, 8))
    assert not PageSelection.parse("1-3,7").overlaps(range(4, 7))
