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
from foliotrace_server.http.scopes import Access, needed
from foliotrace_server.keys.api_key import KeyText, Scope
from foliotrace_server.keys.key_file import LiveKeys

if TYPE_CHECKING:
    from foliotrace_server.settings import Settings

_ANONYMOUS: Final = Principal()
_EVERYTHING: Final = frozenset(Scope)
_REFUSALS: Final = {"unknown": ErrorCode.KEY_REFUSED, "revoked": ErrorCode.KEY_REFUSED}
_current: ContextVar[Principal] = ContextVar("foliotrace_principal", default=_ANONYMOUS)
_scopes: ContextVar[frozenset[Scope]] = ContextVar("foliotrace_scopes", default=_EVERYTHING)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what the caller's key allows."""

    principal: Principal = _ANONYMOUS
    scopes: frozenset[Scope] = _EVERYTHING
    is_public: bool = False  # the route asks nobody who calls


class Authentication:
    """Identifies callers by API key. While no key is required, everybody is the default caller."""

    def __init__(
        self,
        keys: LiveKeys | None,
        *,
        always: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._always = always
        self._now = now

    @classmethod
    def of(cls, settings: "Settings") -> "Authentication":
        """The authentication that the settings and the keys of their data folder ask for."""
        return cls(LiveKeys(settings.data_dir), always=settings.auth.required == "always")

    @property
    def required(self) -> bool:
        """Whether a request needs a key now."""
        return self._always or (self._keys is not None and self._keys.exist)

    def admit(self, connection: HTTPConnection) -> Caller:
        """The caller of a request, who may make it. Raises NotAllowed, NotFound."""
        needs = needed(connection.scope["method"], connection.scope["path"])
        if needs is Access.PUBLIC:
            return Caller(scopes=frozenset(), is_public=True)
        if not self.required:
            return Caller()
        caller = self.identify(connection)
        if needs is Access.NO_ROUTE:
            raise NotFound(code=ErrorCode.ROUTE_NOT_FOUND)
        if needs and not needs & caller.scopes:
            raise _lacks(needs)
        return caller

    def identify(self, connection: HTTPConnection) -> Caller:
        """The caller whose key is in `Authorization`. Raises NotAllowed `key_...`."""
        sent = connection.headers.getlist("authorization")
        scheme, _, text = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not text.strip():
            raise NotAllowed(code=ErrorCode.KEY_REQUIRED)
        parsed = KeyText.parse(text.strip())
        if parsed is None or self._keys is None:
            raise NotAllowed(code=ErrorCode.KEY_MISTYPED)
        key, state = self._keys.find(parsed, self._now())
        if key is None:
            raise NotAllowed(code=_REFUSALS.get(state, ErrorCode.KEY_EXPIRED))
        return Caller(Principal(tenant=key.tenant, subject=key.subject), key.scopes)


OPEN: Final = Authentication(None, always=False)
"""For an application without a socket: everybody is the default caller."""


def caller() -> Principal:
    """The caller of the running request or job; implements the `Identify` port."""
    return _current.get()


def set_caller(caller: Caller) -> None:
    """Set the caller for the rest of the running task."""
    _current.set(caller.principal)
    _scopes.set(caller.scopes)


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
    return NotAllowed(f"the API key lacks the scope {names}", code=ErrorCode.SCOPE_MISSING)
