"""Bearer tokens of an OpenID Connect provider, which runs on a socket of its own."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from tests.fakes.identity_provider import AUDIENCE, IdentityProvider, identity_provider
from tests.server.small_service import serving, small_engine

from foliotrace_server.keys import oidc
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.keys.key_file import KeyFile
from foliotrace_server.sections import AuthSettings, OidcSettings, ServerSettings
from foliotrace_server.serve import require_loopback
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with identity_provider() as running:
        yield running


def service(folder: Path, provider: IdentityProvider, **settings: Any) -> Any:
    engine = small_engine(folder)
    section = OidcSettings(issuer=provider.url, audience=AUDIENCE, **settings)
    engine.settings = engine.settings.model_copy(update={"auth": AuthSettings(oidc=section)})
    return serving(engine)


async def get(client: httpx.AsyncClient, token: str, path: str = "/v1/jobs") -> tuple[int, str]:
    answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["code"]


async def test_a_token_of_the_provider_opens_what_its_scopes_allow(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    async with service(tmp_path, provider) as client:
        assert await get(client, provider.token()) == (200, "")
        assert await get(client, provider.token(scope="other")) == (403, "scope_missing")
        assert await get(client, provider.token(), "/metrics") == (403, "scope_missing")
        assert await get(client, provider.token(scope=["admin"]), "/metrics") == (200, "")
        assert (await client.get("/v1/jobs")).json()["code"] == "key_required"
        assert provider.asked == 1
        key = KeyFile(tmp_path).create(
            tenant="default", scopes=frozenset(Scope), now=datetime.now(UTC)
        )[1]
        assert await get(client, key) == (200, "")


async def test_tenant_scopes_and_collections_come_from_the_claims_that_are_named(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    named = {
        "tenant_claim": "org",
        "scopes_claim": "realm.roles",
        "scope_prefix": "ft:",
        "collections_claim": "shelves",
    }
    claims: dict[str, Any] = {"org": "acme", "realm": {"roles": ["ft:read", "ingest"]}}
    claims |= {"scope": "admin", "shelves": ["open"]}
    async with service(tmp_path, provider, **named) as client:
        assert await get(client, provider.token(**claims)) == (200, "")
        for wrong in ({"org": None}, {"org": "a/b"}, {"org": 5}, {"shelves": None}):
            refused = await get(client, provider.token(**(claims | wrong)))
            assert refused == (401, "token_refused"), wrong
        bare = provider.token(**(claims | {"realm": {"roles": ["ingest"]}}))
        assert await get(client, bare) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 60}, "token_expired"),
        ({"aud": "another-service"}, "token_refused"),
        ({"aud": None}, "token_refused"),
        ({"iss": "https://evil.test"}, "token_refused"),
        ({"exp": None}, "token_refused"),
        ({"sub": None}, "token_refused"),
        ({"sub": "x" * 500}, "token_refused"),
        ({"nbf": 4_000_000_000}, "token_refused"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(
    tmp_path: Path, provider: IdentityProvider, claims: dict[str, Any], code: str
) -> None:
    async with service(tmp_path, provider) as client:
        assert await get(client, provider.token(**claims)) == (401, code)


async def test_clocks_may_differ_by_as_much_as_the_settings_say(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    async with service(tmp_path, provider, clock_skew_s=30) as client:
        assert await get(client, provider.token(exp=int(time()) - 20)) == (200, "")
        assert await get(client, provider.token(iat=int(time()) + 20)) == (200, "")
        assert await get(client, provider.token(exp=int(time()) - 40)) == (401, "token_expired")


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")


def _unsigned(provider: IdentityProvider) -> str:
    head = json.dumps({"alg": "none", "kid": "one"}).encode()
    return f"{_encoded(head)}.{_encoded(_body(provider).encode())}."


def _body(provider: IdentityProvider) -> str:
    return json.dumps(jwt.decode(provider.token(), options={"verify_signature": False}))


def _signed_with_the_public_key(provider: IdentityProvider) -> str:
    """The classic confusion: the published key used as the secret of an HMAC."""
    public = provider.keys["one"].public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = json.dumps({"alg": "HS256", "kid": "one"}).encode()
    signed = f"{_encoded(head)}.{_encoded(_body(provider).encode())}"
    return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _signed_by_somebody_else(provider: IdentityProvider) -> str:
    other = IdentityProvider(url=provider.url)
    other.add_key("one")
    return other.token()


def _key_in_its_own_header(provider: IdentityProvider) -> str:
    other = IdentityProvider(url=provider.url)
    other.add_key("mine")
    headers = {"jwk": other.published()["keys"][0], "jku": "https://evil.test", "kid": "one"}
    return jwt.encode(json.loads(_body(provider)), other.keys["mine"], "RS256", headers=headers)


def _changed(provider: IdentityProvider) -> str:
    head, body, signature = provider.token().split(".")
    return f"{head}.{body[:-2]}AA.{signature}"


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _signed_with_the_public_key,
        _signed_by_somebody_else,
        _key_in_its_own_header,
        _changed,
        lambda provider: "a.b.c",
        lambda provider: "..",
        lambda provider: "é.é.é",
        lambda provider: f"{'x' * 20_000}.y.z",
        lambda provider: provider.token(algorithm="RS512"),
    ],
)
async def test_a_forged_token_is_refused(
    tmp_path: Path, provider: IdentityProvider, forge: Callable[[IdentityProvider], str]
) -> None:
    async with service(tmp_path, provider) as client:
        sent = {"Authorization": f"Bearer {forge(provider)}".encode()}
        refused = await client.get("/v1/jobs", headers=sent)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_refused")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_a_key_of_another_kind_is_not_taken_for_the_one_named(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    provider.add_key("curve", elliptic=True)
    async with service(tmp_path, provider) as client:
        assert await get(client, provider.token("curve", algorithm="ES256")) == (200, "")
        forged = jwt.encode(
            json.loads(_body(provider)), provider.keys["curve"], "ES256", headers={"kid": "one"}
        )
        assert await get(client, forged) == (401, "token_refused")


async def test_a_rotated_key_is_fetched_at_once(tmp_path: Path, provider: IdentityProvider) -> None:
    async with service(tmp_path, provider) as client:
        old = provider.token()
        assert await get(client, old) == (200, "")
        provider.keys.clear()
        provider.add_key("two")
        assert await get(client, provider.token("two")) == (200, "")
        assert await get(client, old) == (401, "token_refused")


async def test_a_flood_of_unknown_key_ids_asks_the_provider_once(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    async with service(tmp_path, provider) as client:
        good = provider.token()
        flood = []
        for number in range(60):
            provider.keys[f"bad{number}"] = provider.keys["one"]
            flood.append(provider.token(f"bad{number}"))
            del provider.keys[f"bad{number}"]
        seen = await asyncio.gather(*(get(client, token) for token in flood))
        assert set(seen) == {(401, "token_refused")}
        assert await get(client, good) == (200, "")
        assert provider.asked <= 2


async def test_a_provider_that_is_down_is_bridged_and_not_hammered(
    tmp_path: Path, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service(tmp_path, provider) as client:
        provider.is_down = True
        first = await client.get(
            "/v1/jobs", headers={"Authorization": f"Bearer {provider.token()}"}
        )
        assert (first.status_code, first.json()["code"]) == (503, "identity_provider_unavailable")
        assert int(first.headers["retry-after"]) >= 1
        began = provider.asked
        for _ in range(20):
            assert (await get(client, provider.token()))[0] == 503
        assert provider.asked == began
        provider.is_down = False
        await asyncio.sleep(1.1)
        assert await get(client, provider.token()) == (200, "")
        provider.is_down = True
        monkeypatch.setattr(oidc, "monotonic", lambda: monotonic() + 7200)  # two hours later
        assert await get(client, provider.token()) == (200, "")
        monkeypatch.setattr(oidc, "monotonic", lambda: monotonic() + 90_000)  # a day later
        assert (await get(client, provider.token()))[0] == 503


def test_keys_are_not_fetched_in_clear_over_a_network() -> None:
    with pytest.raises(ValidationError):
        OidcSettings(issuer="http://idp.example.org", audience=AUDIENCE)
    with pytest.raises(ValidationError):
        OidcSettings(issuer="https://idp.example.org", audience="x", algorithms=("HS256",))  # type: ignore[arg-type]


def test_tokens_are_authentication_enough_for_another_address(tmp_path: Path) -> None:
    section = OidcSettings(issuer="https://idp.example.org", audience=AUDIENCE)
    settings = Settings.model_construct(
        data_dir=tmp_path,
        server=ServerSettings(host="0.0.0.0"),
        auth=AuthSettings(oidc=section),
    )
    require_loopback(settings)
