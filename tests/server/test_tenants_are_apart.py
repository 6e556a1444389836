"""B asks for everything of A, on every route and protocol verb: nothing comes out.

B is another tenant, or a key of the same tenant for another collection.
Each request with an id of A must get the very answer that an id nobody has gets.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.small_service import serving, small_engine

from foliotrace_server.compose import compose
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.keys.key_file import KeyFile
from foliotrace_server.openapi.document import openapi_document
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
SECRET = "zanzibar"
TEXT = f"The refund window of {SECRET} is 30 days. The customer of {SECRET} pays for shipping."
QUESTION = f"How long is the refund window of {SECRET}?"
SCHEMA = {"type": "object", "properties": {"refund_window": {"type": ["string", "null"]}}}
_PER_REQUEST = ("date", "x-trace-id", "traceresponse")
NOBODYS = {"id": "0" * 12, "handler_id": "0" * 12, "number": "1"}


@dataclass
class Tenants:
    """Clients of two tenants, and the ids of what the first one has."""

    a: httpx.AsyncClient
    b: httpx.AsyncClient
    ids: dict[str, list[str]]  # by path parameter

    def known_to_a(self) -> list[str]:
        return [SECRET, *(i for ids in self.ids.values() for i in ids)]


def _key(folder: Path, tenant: str, collection: str | None = None) -> str:
    scopes = frozenset(Scope) - ({Scope.ADMIN} if collection else set())
    return KeyFile(folder).create(
        tenant=tenant,
        scopes=scopes,
        now=datetime.now(UTC),
        collections=frozenset({collection}) if collection else None,
    )[1]


async def _ended(client: httpx.AsyncClient, job_id: str) -> None:
    async with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        async for _ in stream.aiter_lines():
            pass


async def _fill(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """Have a document, an extraction, questions and runs of both hosts; their ids."""
    uploaded = await client.post(
        "/v1/documents",
        files={"file": ("refunds.txt", TEXT.encode())},
        headers={"Idempotency-Key": "upload-1"},
    )
    accepted = uploaded.json()["accepted"][0]
    document, ingest = accepted["document"]["id"], accepted["job"]["id"]
    await _ended(client, ingest)
    extraction = await client.post(
        "/v1/extractions",
        json={"document_id": document, "schema": SCHEMA},
        headers={"Idempotency-Key": "extract-1"},
    )
    extract = extraction.json()["id"]
    await _ended(client, extract)
    answer = await client.post("/v1/query", json={"query": QUESTION})
    assert SECRET in answer.text
    direct = await client.post("/workflows/query/run", json={"start_event": {"query": QUESTION}})
    hosted = await client.post(
        "/workflows/query/run-nowait",
        json={"start_event": {"query": QUESTION}, "handler_id": "chosen"},
    )
    handlers = [direct.json()["handler_id"], hosted.json()["handler_id"], ingest, extract]
    runs = [answer.headers["x-run-id"], document, ingest, extract]
    return {"id": runs, "handler_id": [*handlers, "chosen"]}


@asynccontextmanager
async def _apart(folder: Path, key_a: str, key_b: str) -> AsyncIterator[Tenants]:
    engine = compose(load_settings(None, data_dir=folder))
    async with serving(engine) as client:
        client.headers["Authorization"] = f"Bearer {key_a}"
        b = httpx.AsyncClient(base_url=client.base_url, timeout=30)
        b.headers["Authorization"] = f"Bearer {key_b}"
        async with b:
            yield Tenants(client, b, await _fill(client))


@pytest.fixture(params=["default", "acme"])
async def tenants(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Tenants]:
    keys = _key(tmp_path, request.param), _key(tmp_path, "rival")
    async with _apart(tmp_path, *keys) as both:
        yield both


@pytest.fixture(params=["default", "acme"])
async def collections(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Tenants]:
    """A has everything in the collection `default`; B may use `open` alone."""
    keys = _key(tmp_path, request.param), _key(tmp_path, request.param, "open")
    async with _apart(tmp_path, *keys) as both:
        yield both


def _requests() -> Iterator[tuple[str, str, list[str]]]:
    """(method, path, names of its ids) of every operation that names an id."""
    paths = openapi_document(("query", "ingest", "extract"))["paths"]
    for path, methods in paths.items():
        names = [n for n in re.findall(r"{(\w+)}", path) if n in NOBODYS]
        for method in methods:
            if names:
                yield method.upper(), path, names


async def _ask(client: httpx.AsyncClient, method: str, path: str) -> tuple[Any, ...]:
    body: dict[str, Any] = {}
    if method == "POST":
        body["json"] = {"event": {"type": "HumanResponseEvent", "value": {}}}
    answer = await client.request(method, path, **body)
    told = {n: v for n, v in answer.headers.items() if n not in _PER_REQUEST}
    return answer.status_code, answer.text, told


async def test_no_id_of_another_tenant_is_answered_otherwise_than_one_nobody_has(
    tenants: Tenants,
) -> None:
    await _ask_for_every_id(tenants)


async def test_no_id_of_another_collection_is_answered_otherwise_than_one_nobody_has(
    collections: Tenants,
) -> None:
    await _ask_for_every_id(collections)


async def _ask_for_every_id(tenants: Tenants) -> None:
    tried, leaks = 0, []
    every_id = sorted({i for ids in tenants.ids.values() for i in ids})
    for method, path, names in _requests():
        empty = path
        for name in names:
            empty = empty.replace(f"{{{name}}}", NOBODYS[name])
        for more in ("", "?after_sequence=x", "?after=zz&limit=0", "?purge=true", "?sse=false"):
            expected = await _ask(tenants.b, method, empty + more)
            for each in every_id:
                asked = path.replace("{id}", each).replace("{handler_id}", each)
                asked = asked.replace("{number}", "1")
                got = await _ask(tenants.b, method, asked + more)
                tried += 1
                if got != expected:
                    leaks.append((method, asked + more, got, expected))
    assert leaks == []
    assert tried > 300
    for document in (await tenants.a.get("/v1/documents")).json()["documents"]:
        assert document["status"] == "ready"  # nothing was deleted meanwhile
    assert len((await tenants.a.get("/handlers")).json()["handlers"]) >= 4


async def test_no_listing_answer_or_stream_holds_a_word_of_another_tenant(
    tenants: Tenants,
) -> None:
    b, document = tenants.b, tenants.ids["id"][1]
    start = {"start_event": {"query": "refund window days shipping"}}
    answers = [
        await b.get("/v1/documents"),
        await b.get("/v1/jobs"),
        await b.get("/v1/jobs", params={"document_id": document}),
        await b.get("/handlers"),
        await b.get("/handlers", params={"workflow_name": "query", "status": "completed"}),
        await b.get("/workflows"),
        await b.get("/metrics"),
        await b.get("/readyz"),
        await b.post("/v1/query", json={"query": "refund window days shipping"}),
        await b.post("/v1/query", json={"query": "refund window days", "stream": True}),
        await b.post("/workflows/query/run", json=start),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        for word in tenants.known_to_a():
            if word != "chosen":
                assert word not in answer.text, (answer.url, word)
    same = await b.post("/v1/query", json={"query": QUESTION})
    assert same.headers["x-cache"] != "hit"
    assert same.json()["citations"] == []


async def test_the_same_names_and_keys_are_free_for_each_tenant(tenants: Tenants) -> None:
    b = tenants.b
    theirs = await b.post(
        "/v1/documents",
        files={"file": ("refunds.txt", b"Other words of the rival.")},
        headers={"Idempotency-Key": "upload-1"},
    )
    assert theirs.status_code == 202, theirs.text
    accepted = theirs.json()["accepted"][0]
    assert accepted["job"]["id"] not in tenants.ids["id"]
    await _ended(b, accepted["job"]["id"])
    extraction = await b.post(
        "/v1/extractions",
        json={"document_id": accepted["document"]["id"], "schema": SCHEMA},
        headers={"Idempotency-Key": "extract-1"},
    )
    assert extraction.status_code == 202, extraction.text
    await _ended(b, extraction.json()["id"])
    start = {"start_event": {"query": "rival words"}, "handler_id": "chosen"}
    for how in ("run-nowait", "run"):
        started = await b.post(f"/workflows/query/{how}", json=start)
        assert started.status_code == 200, started.text
        found = await b.get(f"/handlers/{started.json()['handler_id']}")
        assert found.status_code in (200, 202)
        assert (await b.get("/handlers/chosen")).json()["run_id"] == found.json()["run_id"]
        async with b.stream("GET", "/events/chosen") as stream:
            async for line in stream.aiter_lines():
                assert SECRET not in line
    assert SECRET in (await tenants.a.get("/results/chosen")).text
    deleted = await b.delete(f"/v1/documents/{accepted['document']['id']}")
    assert deleted.status_code == 200
    assert SECRET in (await tenants.a.post("/v1/query", json={"query": QUESTION})).text


async def test_starting_the_work_of_another_tenant_is_refused_like_unknown_work(
    tenants: Tenants,
) -> None:
    document, ingest, extract = tenants.ids["id"][1:4]
    for name, fields in (
        ("ingest", {"document_id": document, "job_id": ingest}),
        ("ingest", {"document_id": document}),
        ("extract", {"document_id": document, "schema": SCHEMA}),
        ("extract", {"document_id": document, "schema": SCHEMA, "job_id": extract}),
    ):
        known = await tenants.b.post(f"/workflows/{name}/run", json={"start_event": fields})
        nobodys = {**fields, "document_id": NOBODYS["id"]}
        if "job_id" in fields:
            nobodys["job_id"] = f"job_nobodys_{name}"
        unknown = await tenants.b.post(f"/workflows/{name}/run", json={"start_event": nobodys})
        told = [
            (each.status_code, each.json().get("error"), each.json().get("code"))
            for each in (known, unknown)
        ]
        assert told[0] == told[1], (name, fields)
        assert SECRET not in known.text
    rest = {"document_id": document, "schema": SCHEMA}
    assert (await tenants.b.post("/v1/extractions", json=rest)).status_code == 404


async def test_a_queued_or_resumed_job_runs_for_the_tenant_that_started_it(tmp_path: Path) -> None:
    """Neither the task that frees the slot nor a restart may lend its own tenant."""
    keys = {tenant: _key(tmp_path, tenant) for tenant in ("acme", "rival")}
    jobs: dict[str, list[str]] = {"acme": [], "rival": []}
    async with serving(small_engine(tmp_path)) as client:
        for number in range(4):
            for tenant, key in keys.items():
                answer = await client.post(
                    "/v1/documents",
                    files={"file": (f"{number}.txt", b"slow one\fslow two\fslow three")},
                    headers={"Authorization": f"Bearer {key}"},
                )
                jobs[tenant].append(answer.json()["accepted"][0]["job"]["id"])
    async with serving(small_engine(tmp_path)) as client:
        for tenant, key in keys.items():
            client.headers["Authorization"] = f"Bearer {key}"
            for job_id in jobs[tenant]:
                await _ended(client, job_id)
                job = (await client.get(f"/v1/jobs/{job_id}")).json()
                assert job["status"] == "completed", job
            listed = (await client.get("/handlers")).json()["handlers"]
            assert {each["handler_id"] for each in listed} == set(jobs[tenant])


async def test_a_key_for_one_collection_reads_and_writes_no_other(collections: Tenants) -> None:
    b, document = collections.b, collections.ids["id"][1]
    upload = {"files": {"file": ("new.txt", b"Words of B.")}}
    start = {"start_event": {"query": QUESTION}}
    closed = [
        await b.post("/v1/query", json={"query": QUESTION}),
        await b.post("/v1/query", json={"query": QUESTION, "collection": "default"}),
        await b.post("/workflows/query/run", json=start),
        await b.get("/v1/documents", params={"collection": "default"}),
        await b.post("/v1/documents", **upload),
        await b.post("/v1/documents", **upload, data={"collection": "default"}),
    ]
    for answer in closed:
        assert (answer.status_code, answer.json()["code"]) == (403, "collection_not_allowed")
    streamed = await b.post("/v1/query", json={"query": QUESTION, "stream": True})
    assert "collection_not_allowed" in streamed.text
    later = await b.post("/workflows/query/run-nowait", json=start)
    async with b.stream("GET", f"/events/{later.json()['handler_id']}") as stream:
        seen = [line async for line in stream.aiter_lines()]
    ended = await b.get(f"/results/{later.json()['handler_id']}")
    for told in (*(answer.text for answer in closed), streamed.text, ended.text, *seen):
        assert SECRET not in told
    for listing in ("/v1/documents", "/v1/jobs", f"/v1/jobs?document_id={document}", "/handlers"):
        text = (await b.get(listing)).text
        for known in collections.known_to_a():
            if known != "chosen":
                assert known not in text, (listing, known)
    assert (await b.get("/metrics")).status_code == 403


async def test_a_key_for_one_collection_does_everything_in_it(collections: Tenants) -> None:
    a, b = collections.a, collections.b
    uploaded = await b.post(
        "/v1/documents",
        files={"file": ("open.txt", b"The open window is 12 days.")},
        data={"collection": "open"},
    )
    accepted = uploaded.json()["accepted"][0]
    document, job = accepted["document"]["id"], accepted["job"]["id"]
    await _ended(b, job)
    asked = {"query": "How long is the open window?", "collection": "open"}
    answer = await b.post("/v1/query", json=asked)
    assert "12 days" in answer.text
    hosted = await b.post("/workflows/query/run", json={"start_event": asked})
    extraction = await b.post("/v1/extractions", json={"document_id": document, "schema": SCHEMA})
    assert extraction.status_code == 202
    await _ended(b, extraction.json()["id"])
    of_a = await a.post(  # by another key, on a document that B may use
        "/v1/extractions", json={"document_id": document, "schema": SCHEMA, "instructions": "x"}
    )
    for path in (
        f"/v1/documents/{document}",
        f"/v1/documents/{document}/pages/1",
        f"/v1/jobs/{job}",
        f"/v1/extractions/{of_a.json()['id']}",
        f"/v1/runs/{answer.headers['x-run-id']}",
        f"/handlers/{job}",
        f"/handlers/{hosted.json()['handler_id']}",
    ):
        for client in (a, b):
            assert (await client.get(path)).status_code in (200, 202), path
    listed = (await b.get("/v1/documents", params={"limit": 1})).json()
    assert [each["id"] for each in listed["documents"]] == [document]
    assert {j["document_id"] for j in (await b.get("/v1/jobs?limit=2")).json()["jobs"]} == {
        document
    }
    assert (await b.delete(f"/v1/documents/{document}")).status_code == 200


async def test_the_work_of_another_collection_is_refused_like_unknown_work(
    collections: Tenants,
) -> None:
    document = collections.ids["id"][1]
    for name, fields in (("ingest", {}), ("extract", {"schema": SCHEMA})):
        told = []
        for each in (document, NOBODYS["id"]):
            event = {"start_event": {"document_id": each, **fields}}
            answer = await collections.b.post(f"/workflows/{name}/run", json=event)
            told.append((answer.status_code, answer.json().get("error"), answer.json().get("code")))
        assert told[0] == told[1], name
    for each in (document, NOBODYS["id"]):
        body = {"document_id": each, "schema": SCHEMA}
        assert (await collections.b.post("/v1/extractions", json=body)).status_code == 404
