"""A request says where it may be worked on: less cloud than configured, never one that is off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from tests.cloud.service import FUEL, RUNWAY, Service, cloud, service, settings_for
from tests.cloud.test_cloud_windows_journeys import SCHEMA
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace.errors import PathNotOffered
from foliotrace.model import ExecutionMode
from foliotrace.route_policy import select
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem
from foliotrace_server.compose import compose

pytestmark = pytest.mark.anyio
EXTRACT, PARSE = "POST /api/v2/extract", "POST /api/v2/parse"
BOTH = "cloud_then_local"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


async def put(running: Service, path: str | None, key: str | None = None) -> dict[str, Any]:
    """Upload the invoice and wait: what came back, and the first page as it is served then."""
    sent = await running.client.post(
        "/v1/documents",
        files={"file": ("invoice.pdf", invoice_pdf())},
        data={} if path is None else {"path": path},
        headers={} if key is None else {"idempotency-key": key},
    )
    if sent.status_code != 202:
        return {"status": sent.status_code, **sent.json()}
    (accepted,) = sent.json()["accepted"]
    job = await running.finished(accepted["job"]["id"])
    page = await running.client.get(f"/v1/documents/{job['document_id']}/pages/1")
    return {"job": job, "unchanged": accepted["unchanged"], "page": page.json()}


async def extract(running: Service, document_id: str, **more: Any) -> dict[str, Any]:
    asked = {"document_id": document_id, "schema": SCHEMA, **more}
    started = await running.client.post("/v1/extractions", json=asked)
    if started.status_code != 202:
        return {"code": started.json()["code"], "http": started.status_code}
    await running.finished(started.json()["id"])
    return dict((await running.client.get(f"/v1/extractions/{started.json()['id']}")).json())


@drawn(st.sampled_from([None, *ExecutionMode]), st.booleans())
def test_only_what_is_offered_can_be_chosen(asked: ExecutionMode | None, on: bool) -> None:
    offered = {path: path.value for path in ExecutionMode} if on else {}
    if asked is None or (not on and asked is ExecutionMode.LOCAL):
        assert select(asked, "configured", offered) == "configured"
    elif on:
        assert select(asked, "configured", offered) == asked.value
    else:
        with pytest.raises(PathNotOffered):
            select(asked, "configured", offered)


async def test_a_file_that_asks_for_local_never_reaches_the_cloud(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = cloud(fake, parsing=BOTH, extraction=BOTH)
    async with service(tmp_path, llamacloud=given) as running:
        made = await put(running, "local")
        document_id = made["job"]["document_id"]
        found = await extract(running, document_id, path="local")
    assert made["page"]["engine"].startswith("liteparse")
    assert made["page"]["degraded_from"] is None
    assert {field["method"] for field in found["fields"]} <= {"rules", "none"}
    assert (found["status"], found["degradation"]["level"]) == ("completed", 0)
    assert fake.count("*") == 0


async def test_pages_that_are_not_stored_are_read_here_for_a_local_extraction(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = cloud(fake, parsing="cloud", extraction="cloud")
    async with service(tmp_path, llamacloud=given) as running:
        fake.fail(PARSE, Fault.payment_required)
        document_id = (await put(running, None))["job"]["document_id"]
        before = fake.count("*")
        found = await extract(running, document_id, path="local")
        assert fake.count("*") == before
    assert found["status"] == "completed"


async def test_the_path_is_part_of_what_a_file_is_read_as(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing=BOTH)) as running:
        assert (await put(running, "local", "k1"))["unchanged"] is False
        again = await put(running, "cloud")
        assert again["unchanged"] is False
        assert again["page"]["engine"].startswith("llamaparse")
        assert (await put(running, "cloud"))["unchanged"] is True
        assert (await put(running, None))["unchanged"] is True
        conflict = await put(running, "cloud", "k1")
        assert (conflict["status"], conflict["code"]) == (409, "idempotency_conflict")
    assert fake.billing.jobs() == 1


async def test_cloud_alone_fails_rather_than_being_read_here(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.fail(PARSE, Fault.payment_required)
    fake.fail(EXTRACT, Fault.payment_required)
    given = cloud(fake, parsing=BOTH, extraction=BOTH)
    async with service(tmp_path, llamacloud=given) as running:
        assert (await put(running, "cloud"))["job"]["status"] == "failed"
        made = await put(running, None)
        assert made["page"]["degraded_from"].startswith("llamaparse")
        document_id = made["job"]["document_id"]
        alone = await extract(running, document_id, path="cloud")
        assert (alone["status"], alone["record"]) == ("failed", None)
        both = await extract(running, document_id, path=BOTH)
        assert (both["status"], both["degradation"]["level"]) == ("completed", 2)


async def test_a_question_chooses_who_retrieves_and_is_marked_against_its_choice(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    given = cloud(fake, index=BOTH)
    async with service(tmp_path, llamacloud=given) as running:
        await running.put("runway.txt", RUNWAY)
        await running.put("fuel.txt", FUEL)
        await running.indexed()
        question = "How long is the runway?"
        for path, mode in (("local", "keyword"), ("cloud", "managed"), (BOTH, "managed")):
            asked = await running.ask(question, path=path, bypass_cache=True)
            assert (asked.level, asked.path[0]) == (0, mode)
            assert asked.marks is not None
            assert asked.marks.complete
        before = fake.count("POST /api/v1/retrieval/retrieve")
        assert (await running.ask(question, path="local", bypass_cache=True)).level == 0
        assert fake.count("POST /api/v1/retrieval/retrieve") == before
        fake.fail("POST /api/v1/retrieval/retrieve", Fault.payment_required)
        fallen = await running.ask(question, path=BOTH, bypass_cache=True)
        assert (fallen.level, fallen.path[0]) == (2, "keyword")
        alone = await running.ask(question, path="cloud", bypass_cache=True)
        assert alone.level >= 3
        assert alone.path[0] == "none"


async def test_kept_answers_are_those_of_the_same_best_path(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    query = settings_for(tmp_path).query.model_copy(update={"cache_ttl_s": 600.0})
    async with service(tmp_path, llamacloud=cloud(fake, index=BOTH), query=query) as running:
        await running.put("runway.txt", RUNWAY)
        await running.indexed()

        async def state(**more: Any) -> tuple[str, str]:
            sent = {"query": "How long is runway 08/26?", **more}
            body = (await running.client.post("/v1/query", json=sent)).json()
            return body["cache"], body["degradation"]["retrieval"]

        assert await state() == ("miss", "managed")
        assert await state(path="local") == ("miss", "keyword")
        assert await state(path="local") == ("exact", "keyword")
        assert await state(path="cloud") == ("exact", "managed")


async def test_a_cloud_that_is_off_cannot_be_asked_for(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        refused = await put(running, "cloud")
        assert (refused["status"], refused["code"]) == (400, "path_not_offered")
        assert (await running.client.get("/v1/documents")).json()["documents"] == []
        document_id = (await put(running, "local"))["job"]["document_id"]
        for path in ("cloud", BOTH):
            assert await extract(running, document_id, path=path) == {
                "code": "path_not_offered",
                "http": 400,
            }
            asked = await running.ask("How long is the runway?", path=path)
            assert (asked.status, asked.body["code"]) == (400, "path_not_offered")
        assert (await running.ask("When is payment due?", path="local")).level == 0
        wrong = await put(running, "mars")
        assert (wrong["status"], wrong["code"]) == (400, "invalid_request")
        asked = await running.ask("How long is the runway?", path="mars")
        assert (asked.status, asked.body["errors"][0]["pointer"]) == (400, "/path")


async def test_the_protocol_and_the_client_say_the_same(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, parsing=BOTH)) as running:
        document_id = (await put(running, "local"))["job"]["document_id"]
        refused = await running.client.post(
            "/workflows/query/run", json={"start_event": {"query": "When?", "path": "cloud"}}
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "path_not_offered")
        ran = await running.client.post(
            "/workflows/ingest/run",
            json={"start_event": {"document_id": document_id, "path": "cloud"}},
        )
        assert ran.status_code == 200, ran.text
        page = await running.client.get(f"/v1/documents/{document_id}/pages/1")
        assert page.json()["engine"].startswith("llamaparse")
        client = AsyncFoliotraceClient("http://service")
        await client.http.aclose()
        client.http = running.client
        sent = await client.upload([("other.pdf", invoice_pdf())], path="local")
        await running.finished(sent.accepted[0].job.id)
        other = await client.page(sent.accepted[0].document.id, 1)
        assert other.engine.startswith("liteparse")
        with pytest.raises(ServerProblem) as told:
            await client.ask("When is payment due?", path=ExecutionMode.CLOUD)
        assert told.value.error_code == "path_not_offered"
        with pytest.raises(ServerProblem, match="path"):
            await client.extract(document_id, SCHEMA, path="cloud")


async def test_an_upload_that_was_never_acknowledged_keeps_its_path(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, llamacloud=cloud(fake, parsing=BOTH))
    async with service(tmp_path, llamacloud=settings.llamacloud) as running:
        job = (await put(running, "local"))["job"]
        stored = await running.engine.assembly.ingest.jobs.job("default", job["id"])
    assert stored.path is ExecutionMode.LOCAL  # what a repaired job is ingested by
    engine = compose(settings)
    assert await engine.assembly.ingest.jobs.job("default", job["id"]) == stored
    for close in engine.assembly.closing:
        await close()
    assert fake.count("*") == 0
