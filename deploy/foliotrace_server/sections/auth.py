"""Who may call: OIDC, a proxy that authenticates, and keys."""

from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from foliotrace.settings import Section

_PRIVATE = tuple(
    ip_network(each)
    for each in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


def is_safe_url(url: str) -> bool:
    """Whether keys may be fetched from `url`: by TLS, or from this machine or a private address."""
    return url.startswith("https://") or (url.startswith("http://") and is_private(url))


def is_private(url: str | None) -> bool:
    """Whether the host of `url` is a loopback or private address; names other than localhost no."""
    host = urlsplit(url or "").hostname or ""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)


class OidcSettings(Section):
    """Bearer tokens of an OpenID Connect provider. Needs `issuer` and `audience`."""

    issuer: str = Field(
        description="The provider, as the claim `iss` of its tokens names it: `https://...`."
    )
    audience: str = Field(
        min_length=1, description="This service, as the claim `aud` of tokens names it."
    )
    jwks_url: str | None = Field(
        default=None,
        description="URL of the provider's keys. None: as `/.well-known/openid-configuration` of "
        "the issuer says.",
    )
    algorithms: tuple[
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
        ],
        ...,
    ] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"),
        min_length=1,
        description="Algorithms of signatures that are accepted.",
    )
    clock_skew_s: float = Field(
        default=60.0, ge=0, le=600, description="How far the provider's clock may be from ours."
    )
    refetch_s: float = Field(
        default=10.0,
        ge=1,
        description="Shortest time between two fetches of the keys because a token names a key "
        "that is not known.",
    )
    tenant: str = Field(
        default="default", description="The tenant of every token, if `tenant_claim` is not set."
    )
    tenant_claim: str | None = Field(
        default=None, description="The claim that names the tenant; tokens without it are refused."
    )
    scopes_claim: str = Field(
        default="scope",
        description="The claim that lists scopes, as a text or an array; `a.b` for `b` inside `a`.",
    )
    scope_prefix: str = Field(
        default="",
        description="What stands before `read`, `ingest`, `extract` and `admin` in that claim.",
    )
    collections_claim: str | None = Field(
        default=None,
        description="The claim that lists the collections a token may use; tokens without it are "
        "refused. None: all collections of the tenant.",
    )

    @model_validator(mode="after")
    def _fetched_safely(self) -> "OidcSettings":
        if not all(map(is_safe_url, (self.issuer, self.jwks_url or self.issuer))):
            raise ValueError("issuer and jwks_url need https, except on private addresses")
        return self


class ProxyAuthSettings(Section):
    """Callers as a reverse proxy names them, which has authenticated them.

    Believed only on connections from `server.trusted_proxies`. The proxy must remove these headers
    from what clients send.
    """

    subject_header: str | None = Field(
        default=None,
        description="The header that names the caller, such as `X-Forwarded-User`. None: no header "
        "is believed.",
    )
    tenant_header: str | None = Field(
        default=None, description="The header that names the tenant. None: `default`."
    )
    scopes_header: str | None = Field(
        default=None,
        description="The header that lists scopes. None: `read`, `ingest` and `extract`.",
    )


class AuthSettings(Section):
    """Who may call the HTTP service."""

    required: Literal["auto", "always"] = Field(
        default="auto",
        description="`auto`: requests need an API key as soon as one was made with `foliotrace "
        "keys create`, or `oidc` or `proxy` is set. `always`: they need one from the start.",
    )
    oidc: OidcSettings | None = Field(
        default=None, description="Bearer tokens of an OpenID Connect provider, beside API keys."
    )
    proxy: ProxyAuthSettings = Field(
        default=ProxyAuthSettings(), description="Callers as a trusted reverse proxy names them."
    )
