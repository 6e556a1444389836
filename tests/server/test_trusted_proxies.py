"""Headers of a reverse proxy count on connections from a listed address, and on no other."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from tests.server.small_service import serving, small_engine

from foliotrace_server.http.proxies import TrustedProxies
from foliotrace_server.sections import AuthSettings, ProxyAuthSettings, ServerSettings

pytestmark = pytest.mark.anyio
USER = {"X-Forwarded-User": "anna"}


def behind_a_proxy(folder: Path, *proxies: str, **headers: str) -> Any:
    engine = small_engine(folder, trusted_proxies=proxies)
    proxy = ProxyAuthSettings(subject_header="X-Forwarded-User", **headers)
    engine.settings = engine.settings.model_copy(update={"auth": AuthSettings(proxy=proxy)})
    return serving(engine)


async def code_of(client: httpx.AsyncClient, headers: Any, path: str = "/v1/jobs") -> str:
    answer = await client.get(path, headers=headers)
    return "" if answer.status_code == 200 else str(answer.json()["code"])


async def test_the_caller_that_a_listed_proxy_names_is_believed(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path, "127.0.0.0/8") as client:
        assert await code_of(client, USER) == ""
        assert await code_of(client, {}) == "key_required"
        assert await code_of(client, USER, "/metrics") == "scope_missing"
        twice = [("X-Forwarded-User", "anna"), ("X-Forwarded-User", "admin")]
        assert await code_of(client, twice) == "key_required"
        assert await code_of(client, {"X-Forwarded-User": ""}) == "key_required"


async def test_the_same_header_from_any_other_address_is_ignored(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path, "10.0.0.0/8") as client:
        assert await code_of(client, USER) == "key_required"
        assert await code_of(client, USER | {"X-Forwarded-For": "10.0.0.1"}) == "key_required"
    async with behind_a_proxy(tmp_path) as client:
        assert await code_of(client, USER) == "key_required"


async def test_tenant_and_scopes_come_from_the_headers_that_are_named(tmp_path: Path) -> None:
    named = {"tenant_header": "X-Tenant", "scopes_header": "X-Scopes"}
    async with behind_a_proxy(tmp_path, "127.0.0.1", **named) as client:
        full = USER | {"X-Tenant": "acme", "X-Scopes": "read, admin"}
        assert await code_of(client, full, "/metrics") == ""
        assert await code_of(client, full | {"X-Scopes": "ingest"}) == "scope_missing"
        assert await code_of(client, USER | {"X-Scopes": "read"}) == "key_required"
        assert await code_of(client, full | {"X-Tenant": "../x"}) == "key_required"


def test_the_client_is_the_last_hop_that_is_no_proxy_of_ours() -> None:
    proxies = TrustedProxies(("10.0.0.0/8", "::1"))
    scope = {
        "client": ("10.0.0.1", 1234),
        "scheme": "http",
        "headers": [
            (b"host", b"inner:8080"),
            (b"x-forwarded-for", b"1.1.1.1, 203.0.113.7, 10.2.3.4"),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"docs.example.org"),
        ],
    }
    seen = proxies.as_forwarded(scope)
    assert (seen["client"][0], seen["scheme"]) == ("203.0.113.7", "https")
    assert dict(seen["headers"])[b"host"] == b"docs.example.org"
    assert proxies.trusts("::ffff:10.0.0.9")
    assert not proxies.trusts("unix")
    assert not proxies.trusts(None)


def test_a_network_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValidationError):
        ServerSettings(trusted_proxies=("ten dot zero",))
