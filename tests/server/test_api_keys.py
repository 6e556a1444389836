"""API keys: who may call, what the key allows, and what a wrong one is told."""

import json
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.server.small_service import serving, small_engine

from foliotrace.errors import Misconfigured, NotFound
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.http.scopes import Access, of_operation
from foliotrace_server.keys.api_key import KeyText, Scope
from foliotrace_server.keys.key_file import FILE_NAME, KeyFile
from foliotrace_server.openapi.document import openapi_document
from foliotrace_server.sections import AuthSettings, ServerSettings
from foliotrace_server.serve import require_loopback
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio
ALL = frozenset(Scope)
NOW = datetime.now(UTC)


def new_key(folder: Path, *scopes: Scope, tenant: str = "default") -> str:
    return KeyFile(folder).create(tenant=tenant, scopes=frozenset(scopes) or ALL, now=NOW)[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_engine(tmp_path)) as client:
        yield client


async def test_without_any_key_a_loopback_server_asks_for_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/documents")).status_code == 200
    assert (await client.get("/metrics")).status_code == 200
    assert "security" not in (await client.get("/openapi.json")).text.replace("securitySchemes", "")


async def test_the_first_key_closes_a_running_server(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    for path in ("/v1/documents", "/workflows", "/handlers", "/metrics", "/docs", "/no/route"):
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (401, "key_required"), path
        assert refused.headers["www-authenticate"] == 'Bearer realm="foliotrace"'
    for path in ("/v1/documents", "/workflows", "/handlers", "/metrics", "/docs"):
        assert (await client.get(path, headers=bearer(key))).status_code == 200, path
    for path in ("/healthz", "/readyz"):
        assert (await client.get(path)).status_code == 200
    unknown = await client.get("/no/route", headers=bearer(key))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "route_not_found")


async def test_a_typo_is_told_from_a_wrong_key(client: httpx.AsyncClient, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    typo = key[:20] + ("a" if key[20] != "a" else "b") + key[21:]
    for sent, code in (
        (typo, "key_mistyped"),
        (key[:-1], "key_mistyped"),
        ("sk-something-else", "key_mistyped"),
        (KeyText.new().text, "key_refused"),
    ):
        refused = await client.get("/v1/documents", headers=bearer(sent))
        assert (refused.status_code, refused.json()["code"]) == (401, code)
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        assert sent not in refused.text
    twice = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {typo}")]
    assert (await client.get("/v1/documents", headers=twice)).json()["code"] == "key_required"


async def test_the_right_id_with_another_secret_is_refused(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    forged = KeyText.new().text.split("_")
    body = "_".join(["ftk", key.split("_")[1], forged[2]])
    from foliotrace_server.keys.api_key import _checksum

    refused = await client.get("/v1/documents", headers=bearer(f"{body}_{_checksum(body)}"))
    assert refused.json()["code"] == "key_refused"


async def test_a_revoked_or_expired_key_stops_working_at_once(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path)
    key, text = file.create(tenant="default", scopes=ALL, now=NOW)
    assert (await client.get("/v1/jobs", headers=bearer(text))).status_code == 200
    file.revoke(key.id, now=datetime.now(UTC))
    assert (await client.get("/v1/jobs", headers=bearer(text))).json()["code"] == "key_refused"
    _, old = file.create(tenant="default", scopes=ALL, now=NOW, expires_at=NOW)
    assert (await client.get("/v1/jobs", headers=bearer(old))).json()["code"] == "key_expired"


async def test_a_rotated_key_has_two_lives_and_the_old_one_ends(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path)
    key, old = file.create(tenant="default", scopes=ALL, now=NOW)
    made, new = file.rotate(key.id, now=datetime.now(UTC), overlap=timedelta(hours=1))
    for text in (old, new):
        assert (await client.get("/v1/jobs", headers=bearer(text))).status_code == 200
    before, after = file.keys()
    assert (before.replaced_by, after.scopes) == (made.id, before.scopes)
    assert before.state(NOW + timedelta(hours=2)) == "expired"
    assert after.state(NOW + timedelta(days=999)) == "live"
    with pytest.raises(NotFound):
        file.rotate(key.id, now=datetime.now(UTC), overlap=timedelta(hours=1))


async def test_a_key_does_only_what_its_scopes_allow(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    keys = {scope: new_key(tmp_path, scope) for scope in Scope}
    start = {"start_event": {}}
    requests = [
        ("GET", "/v1/documents", Scope.READ),
        ("POST", "/v1/query", Scope.READ),
        ("GET", "/handlers", Scope.READ),
        ("POST", "/v1/documents", Scope.INGEST),
        ("DELETE", "/v1/documents/doc_1", Scope.INGEST),
        ("POST", "/v1/extractions", Scope.EXTRACT),
        ("POST", "/workflows/query/run", Scope.READ),
        ("POST", "/workflows/ingest/run", Scope.INGEST),
        ("POST", "/workflows/extract/run-nowait", Scope.EXTRACT),
        ("POST", "/workflows/extract/run-nowait/", Scope.EXTRACT),
        ("GET", "/metrics", Scope.ADMIN),
        ("HEAD", "/metrics", Scope.ADMIN),
    ]
    for method, path, needed in requests:
        for scope, key in keys.items():
            answer = await client.request(method, path, headers=bearer(key), json=start)
            assert (answer.status_code == 403) == (scope is not needed), (method, path, scope)
            if scope is not needed:
                assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_run_is_cancelled_only_with_the_scope_that_starts_it(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    reader, ingester = new_key(tmp_path, Scope.READ), new_key(tmp_path, Scope.INGEST)
    run = await client.post(
        "/workflows/query/run-nowait",
        json={"start_event": {"query": "wait"}},
        headers=bearer(reader),
    )
    cancel = f"/handlers/{run.json()['handler_id']}/cancel"
    assert (await client.post(cancel, headers=bearer(ingester))).status_code == 403
    assert (await client.post(cancel, headers=bearer(reader))).status_code == 200


async def test_both_clients_send_the_key(client: httpx.AsyncClient, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    async with AsyncFoliotraceClient(str(client.base_url), api_key=key) as ours:
        assert list((await ours.documents()).documents) == []
        assert (await ours.workflows.list_workflows()).workflows
    theirs = httpx.AsyncClient(base_url=client.base_url, headers=bearer(key))
    async with theirs:
        assert (await WorkflowClient(httpx_client=theirs).get_handlers()).handlers == []


async def test_a_server_that_has_seen_keys_never_opens_again(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    assert (await client.get("/v1/jobs", headers=bearer(key))).status_code == 200
    (tmp_path / FILE_NAME).write_text("not json")
    assert (await client.get("/v1/jobs")).status_code == 401
    (tmp_path / FILE_NAME).unlink()
    assert (await client.get("/v1/jobs")).status_code == 401


async def test_a_browser_may_ask_with_a_key_of_an_allowed_origin(tmp_path: Path) -> None:
    new_key(tmp_path)
    async with serving(small_engine(tmp_path, cors_origins=("https://app.test",))) as client:
        asked = await client.options("/v1/query", headers={"Origin": "https://app.test"})
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["access-control-allow-headers"]


async def test_behind_a_proxy_any_host_name_is_served_once_keys_are_required(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    host = {"Host": "docs.example.org"}
    assert (await client.get("/v1/jobs", headers=host)).json()["code"] == "host_not_allowed"
    key = new_key(tmp_path)
    assert (await client.get("/v1/jobs", headers=host | bearer(key))).status_code == 200
    assert (await client.get("/v1/jobs", headers=host)).status_code == 401


def test_a_key_is_stored_as_a_hash_in_a_file_of_its_owner(tmp_path: Path) -> None:
    text = new_key(tmp_path)
    stored = (tmp_path / FILE_NAME).read_text()
    assert text.split("_")[2] not in stored
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert json.loads(stored)[0]["id"] == text.split("_")[1]


def _settings(folder: Path, *, required: str = "auto", **server: object) -> Settings:
    return Settings.model_construct(
        data_dir=folder,
        server=ServerSettings(host="0.0.0.0", **server),  # type: ignore[arg-type]
        auth=AuthSettings(required=required),  # type: ignore[arg-type]
    )


def test_an_address_for_others_needs_a_key_or_a_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        require_loopback(_settings(tmp_path))
    assert "foliotrace keys create" in (refused.value.hint or "")
    require_loopback(_settings(tmp_path, allow_remote=True))
    require_loopback(_settings(tmp_path, required="always"))
    new_key(tmp_path)
    require_loopback(_settings(tmp_path))


async def test_always_asks_for_a_key_before_there_is_one(tmp_path: Path) -> None:
    engine = small_engine(tmp_path)
    engine.settings = engine.settings.model_copy(update={"auth": AuthSettings(required="always")})
    async with serving(engine) as client:
        assert (await client.get("/v1/documents")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200


def test_every_operation_is_in_the_table_of_scopes_and_says_so() -> None:
    document = openapi_document(("query", "ingest", "extract", "own"))
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needs = of_operation(method.upper(), path)
            assert needs is not Access.NO_ROUTE, path
            assert ("security" in operation) == (path not in ("/healthz", "/readyz")), path
