"""Bearer tokens of an OpenID Connect provider: who they name and what they allow.

Only signatures of the provider's published keys count. The keys are fetched at the first token and
then once an hour; a key id that is not among them has them fetched again, at most once in
`refetch_s`, so that a flood of invented key ids reaches the provider no more often than that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotAllowed, Unavailable
from foliotrace.model import COLLECTION_NAME
from foliotrace_server.keys.api_key import TENANT, Scope
from foliotrace_server.sections import OidcSettings, is_safe_url

if TYPE_CHECKING:
    from jwt import PyJWK

_log = structlog.get_logger(__name__)
_FRESH_S: Final = 3600.0
_USABLE_S: Final = 86_400.0  # how long an outage of the provider is bridged
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_FETCH_S: Final = 5.0
_MAX_BYTES: Final = 512 * 1024
_MAX_TOKEN_CHARS: Final = 16_384
_MAX_SUBJECT_CHARS: Final = 128

GetJson = Callable[[str], Awaitable[Any]]


class IdentityProviderUnavailable(Unavailable):
    """The keys of the identity provider could not be fetched, so no token can be checked."""

    code = ErrorCode.IDENTITY_PROVIDER_UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """Who a valid token names, and what it allows. `collections` None: all."""

    tenant: str
    subject: str
    scopes: frozenset[Scope]
    collections: frozenset[str] | None


class OidcTokens:
    """Checks tokens: signature, issuer, audience, times; then reads tenant and scopes."""

    def __init__(self, settings: OidcSettings, get: GetJson | None = None) -> None:
        self._settings = settings
        self._keys = ProviderKeys(settings, get or get_json)

    async def holder(self, text: str) -> TokenHolder:
        """The holder of a token. Raises NotAllowed `token_...`, IdentityProviderUnavailable."""
        import jwt

        settings = self._settings
        try:
            if len(text) > _MAX_TOKEN_CHARS:
                raise NotAllowed(code=ErrorCode.TOKEN_REFUSED)
            header = jwt.get_unverified_header(text)
            algorithm = header.get("alg")
            if algorithm not in settings.algorithms:  # never `none`, never a shared secret
                raise NotAllowed(code=ErrorCode.TOKEN_REFUSED)
            claims = jwt.decode(
                text,
                await self._keys.find(header.get("kid"), algorithm),
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.clock_skew_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotAllowed(code=ErrorCode.TOKEN_EXPIRED) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NotAllowed(code=ErrorCode.TOKEN_REFUSED) from None
        return _holder(claims, settings)


class ProviderKeys:
    """The signing keys that a provider publishes, kept while it cannot be reached."""

    def __init__(self, settings: OidcSettings, get: GetJson) -> None:
        self._settings = settings
        self._get = get
        self._keys: list[Mapping[str, Any]] = []
        self._fetched_s = self._asked_again_s = float("-inf")
        self._failures = 0
        self._not_before_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, key_id: object, algorithm: str) -> "PyJWK":
        """The key for a token's header.

        Raises NotAllowed `token_refused`, IdentityProviderUnavailable, jwt.PyJWTError.
        """
        from jwt import PyJWK

        age_s = monotonic() - self._fetched_s
        found = self._published(key_id, algorithm) if age_s < _USABLE_S else None
        if age_s >= _FRESH_S and not (found and self._fetching.locked()):
            await self._fetch(since_s=self._fetched_s)
            found = self._published(key_id, algorithm)
        if monotonic() - self._fetched_s >= _USABLE_S:
            wait_s = max(1.0, self._not_before_s - monotonic())
            raise IdentityProviderUnavailable(retry_after_s=wait_s)
        if found is None and monotonic() - self._asked_again_s >= self._settings.refetch_s:
            self._asked_again_s = monotonic()
            await self._fetch(since_s=self._fetched_s)
            found = self._published(key_id, algorithm)
        elif found is None and self._fetching.locked():  # somebody asks for a new key just now
            async with self._fetching:
                found = self._published(key_id, algorithm)
        if found is None:
            raise NotAllowed(code=ErrorCode.TOKEN_REFUSED)
        return PyJWK(dict(found), algorithm)

    def _published(self, key_id: object, algorithm: str) -> Mapping[str, Any] | None:
        """The one key with this id that may verify signatures of this algorithm."""
        fitting = [
            key
            for key in self._keys
            if (key_id is None or key.get("kid") == key_id)
            and key.get("kty") in ("RSA", "EC", "OKP")
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and key_id is not None) else None

    async def _fetch(self, *, since_s: float) -> None:
        """Fetch the keys, unless somebody just did or the provider failed a moment ago."""
        async with self._fetching:
            if self._fetched_s != since_s or monotonic() < self._not_before_s:
                return
            try:
                self._keys = await self._download()
            except Exception as error:  # noqa: BLE001 - whatever a provider answers
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
                self._failures += 1
                self._not_before_s = monotonic() + wait_s
                _log.warning("oidc.keys_unavailable", error_type=type(error).__name__)
                return
            self._failures, self._fetched_s = 0, monotonic()
            _log.info("oidc.keys_loaded", count=len(self._keys))

    async def _download(self) -> list[Mapping[str, Any]]:
        settings = self._settings
        url = settings.jwks_url
        if url is None:
            issuer = settings.issuer
            about = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            url = about["jwks_uri"]
            if about["issuer"] != issuer or not is_safe_url(url):
                raise ValueError("the provider describes another issuer, or an unsafe URL")
        keys = (await self._get(url))["keys"]
        return [key for key in keys if isinstance(key, dict)]


async def get_json(url: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON at `url`. Raises httpx.HTTPError, ValueError."""
    import httpx
    import orjson

    async with (
        asyncio.timeout(_FETCH_S),
        httpx.AsyncClient(timeout=_FETCH_S, follow_redirects=False) as client,
        client.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > _MAX_BYTES:
                raise ValueError("the answer is too large")
        return orjson.loads(body)


def _holder(claims: Mapping[str, Any], settings: OidcSettings) -> TokenHolder:
    """Tenant, subject, scopes and collections. Raises NotAllowed `token_refused`."""
    tenant = settings.tenant
    if settings.tenant_claim is not None:
        claimed = _claim(claims, settings.tenant_claim)
        tenant = claimed if isinstance(claimed, str) else ""
    collections = None
    if settings.collections_claim is not None:
        collections = frozenset(_words(_claim(claims, settings.collections_claim)))
    subject = claims["sub"]
    are_valid = (
        TENANT.fullmatch(tenant)
        and isinstance(subject, str)
        and 0 < len(subject) <= _MAX_SUBJECT_CHARS
        and (collections is None or (collections and all(map(_is_collection, collections))))
    )
    if not are_valid:
        raise NotAllowed(code=ErrorCode.TOKEN_REFUSED)
    prefix = settings.scope_prefix
    named = {
        word.removeprefix(prefix)
        for word in _words(_claim(claims, settings.scopes_claim))
        if word.startswith(prefix)
    }
    return TokenHolder(
        tenant=tenant,
        subject=f"oidc:{subject}",
        scopes=frozenset(scope for scope in Scope if scope in named),
        collections=collections,
    )


def _is_collection(name: str) -> bool:
    return COLLECTION_NAME.fullmatch(name) is not None


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """A claim; `a.b` is claim `b` of the object `a`, unless a claim has that whole name."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _words(value: object) -> Iterable[str]:
    """A claim that lists words: a JSON array, or a text with spaces (RFC 8693)."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
