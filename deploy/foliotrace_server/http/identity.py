"""The caller of a request: the only source of tenant, subject and scopes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotAllowed, NotFound
from foliotrace.model import Principal
from foliotrace_server.http.proxies import Peer, TrustedProxies
from foliotrace_server.http.scopes import Access, needed
from foliotrace_server.keys.api_key import SUBJECT_OF_KEYS, TENANT, KeyText, Scope
from foliotrace_server.keys.key_file import LiveKeys
from foliotrace_server.keys.oidc import OidcTokens
from foliotrace_server.sections import ProxyAuthSettings

if TYPE_CHECKING:
    from foliotrace_server.settings import Settings

_ANONYMOUS: Final = Principal()
NOBODY: Final = Principal(tenant="", subject="unknown")
"""Whoever sent a request that is not yet, or not, known to be of a caller."""
_EVERYTHING: Final = frozenset(Scope)
_PROXY_SCOPES: Final = frozenset({Scope.READ, Scope.INGEST, Scope.EXTRACT})
_MAX_SUBJECT_CHARS: Final = 128
_REFUSALS: Final = {"unknown": ErrorCode.KEY_REFUSED, "revoked": ErrorCode.KEY_REFUSED}
FORWARDED: Final = "X-Foliotrace-Release"
"""Sent with a question that another foliotrace forwards; it is not forwarded a second time."""
_authorization: ContextVar[str | None] = ContextVar("foliotrace_authorization", default=None)
_forwarded: ContextVar[bool] = ContextVar("foliotrace_forwarded", default=False)
_current: ContextVar[Principal] = ContextVar("foliotrace_principal", default=_ANONYMOUS)
_source: ContextVar[str | None] = ContextVar("foliotrace_source_address", default=None)
_scopes: ContextVar[frozenset[Scope]] = ContextVar("foliotrace_scopes", default=_EVERYTHING)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what the caller's key allows."""

    principal: Principal = _ANONYMOUS
    scopes: frozenset[Scope] = _EVERYTHING
    is_public: bool = False  # the route asks nobody who calls


class Authentication:
    """Identifies callers by API key, bearer token, or the word of a trusted proxy.

    While none of them is required, everybody is the default caller.
    """

    def __init__(
        self,
        keys: LiveKeys | None,
        *,
        always: bool,
        tokens: OidcTokens | None = None,
        proxy: ProxyAuthSettings | None = None,
        proxies: TrustedProxies | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._proxy = proxy if proxy and proxy.subject_header else None
        self.proxies = proxies or TrustedProxies()
        self._always = always or tokens is not None or self._proxy is not None
        self._now = now

    @classmethod
    def of(cls, settings: "Settings") -> "Authentication":
        """The authentication that the settings and the keys of their data folder ask for."""
        auth = settings.auth
        return cls(
            LiveKeys(settings.data_dir),
            always=auth.required == "always",
            tokens=OidcTokens(auth.oidc) if auth.oidc else None,
            proxy=auth.proxy,
            proxies=TrustedProxies(settings.server.trusted_proxies),
        )

    @property
    def required(self) -> bool:
        """Whether a request needs a key now."""
        return self._always or (self._keys is not None and self._keys.exist)

    def reload(self) -> None:
        """Read the keys again, even if their file looks unchanged."""
        if self._keys is not None:
            self._keys.reload()

    async def admit(self, connection: HTTPConnection, peer: Peer) -> Caller:
        """The caller of a request, who may make it.

        Raises NotAllowed, NotFound, IdentityProviderUnavailable.
        """
        needs = needed(connection.scope["method"], connection.scope["path"])
        if needs is Access.PUBLIC:
            return Caller(scopes=frozenset(), is_public=True)
        if not self.required:
            return Caller()
        caller = self._named_by_proxy(connection, peer) or await self.identify(connection)
        if needs is Access.NO_ROUTE:
            raise NotFound(code=ErrorCode.ROUTE_NOT_FOUND)
        if needs and not needs & caller.scopes:
            raise _lacks(needs)
        return caller

    async def identify(self, connection: HTTPConnection) -> Caller:
        """The caller whose key or token is in `Authorization`.

        Raises NotAllowed `key_...` or `token_...`, IdentityProviderUnavailable.
        """
        sent = connection.headers.getlist("authorization")
        scheme, _, text = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise NotAllowed(code=ErrorCode.KEY_REQUIRED)
        if self._tokens is not None and text.count(".") == 2:  # no key holds a dot
            held = await self._tokens.holder(text)
            return _caller(held.tenant, held.subject, held.scopes, held.collections)
        parsed = KeyText.parse(text)
        if parsed is None or self._keys is None:
            raise NotAllowed(code=ErrorCode.KEY_MISTYPED)
        key, state = self._keys.find(parsed, self._now())
        if key is None:
            raise NotAllowed(code=_REFUSALS.get(state, ErrorCode.KEY_EXPIRED))
        return _caller(key.tenant, key.subject, key.scopes, key.collections)

    def claimed_key_id(self, connection: HTTPConnection) -> str | None:
        """The id of the key that a refused request sent, which proves nothing."""
        sent = connection.headers.get("authorization", "").partition(" ")[2].strip()
        parsed = KeyText.parse(sent)
        return parsed.id if parsed is not None else None

    def _named_by_proxy(self, connection: HTTPConnection, peer: Peer) -> Caller | None:
        """The caller that a trusted proxy names; None if it is none, or names nobody.

        Raises NotAllowed `key_required` for a header that is sent twice or cannot be used.
        """
        proxy = self._proxy
        if proxy is None or proxy.subject_header is None or not peer.is_trusted:
            return None
        subject = _header(connection, proxy.subject_header)
        if subject is None:
            return None
        tenant = _header(connection, proxy.tenant_header) if proxy.tenant_header else None
        scopes = _PROXY_SCOPES
        if proxy.scopes_header:
            named = (_header(connection, proxy.scopes_header) or "").replace(",", " ").split()
            scopes = frozenset(scope for scope in Scope if scope in named)
        tenant = (tenant or "") if proxy.tenant_header else _ANONYMOUS.tenant
        if not TENANT.fullmatch(tenant) or not 0 < len(subject) <= _MAX_SUBJECT_CHARS:
            raise NotAllowed(code=ErrorCode.KEY_REQUIRED)
        return _caller(tenant, f"proxy:{subject}", scopes, None)


def _caller(
    tenant: str, subject: str, scopes: frozenset[Scope], collections: frozenset[str] | None
) -> Caller:
    if collections is not None:
        scopes -= {Scope.ADMIN}  # it covers every collection
    return Caller(Principal(tenant=tenant, subject=subject, collections=collections), scopes)


def _header(connection: HTTPConnection, name: str) -> str | None:
    """A header's value. Raises NotAllowed if it was sent twice: one of them is not the proxy's."""
    sent = connection.headers.getlist(name)
    if len(sent) > 1:
        raise NotAllowed(code=ErrorCode.KEY_REQUIRED)
    return sent[0].strip() if sent else None


OPEN: Final = Authentication(None, always=False)
"""For an application without a socket: everybody is the default caller."""


def caller() -> Principal:
    """The caller of the running request or job; implements the `Identify` port."""
    return _current.get()


def set_caller(caller: Caller) -> None:
    """Set the caller for the rest of the running task."""
    _current.set(caller.principal)
    _scopes.set(caller.scopes)


def authorization() -> str | None:
    """The header by which the caller was admitted, to ask another service in the same name."""
    return _authorization.get()


def is_forwarded() -> bool:
    """Whether another foliotrace forwarded the running request."""
    return _forwarded.get()


def set_sender(connection: HTTPConnection) -> None:
    """Note what a question needs that is forwarded, for the rest of the running task."""
    _authorization.set(connection.headers.get("authorization"))
    _forwarded.set(FORWARDED in connection.headers)


def source_address() -> str | None:
    """The address that the running request came from; None outside of a request."""
    return _source.get()


def set_source(address: str | None) -> None:
    """Set the address for the rest of the running task."""
    _source.set(address)


def api_key_id(principal: Principal) -> str | None:
    """The id of the key that this caller used; None for every other sort of caller."""
    kind, _, key_id = principal.subject.partition(":")
    return key_id if kind == SUBJECT_OF_KEYS else None


@contextmanager
def acting_as(principal: Principal) -> Iterator[None]:
    """Run on behalf of the one who started a background run, whosever task this is."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)


def require(scope: Scope) -> None:
    """Raise NotAllowed `scope_missing` if the caller of this request lacks `scope`."""
    if scope not in _scopes.get():
        raise _lacks(frozenset({scope}))


def may(scope: Scope) -> bool:
    """Whether the caller of this request has `scope`."""
    return scope in _scopes.get()


def _lacks(scopes: frozenset[Scope]) -> NotAllowed:
    names = " or ".join(f"`{scope}`" for scope in sorted(scopes))
    return NotAllowed(f"the key or token lacks the scope {names}", code=ErrorCode.SCOPE_MISSING)
