"""Who calls: the only source of tenant and subject."""

from contextvars import ContextVar

from starlette.requests import HTTPConnection

from foliotrace.model import Principal

_NOBODY = Principal()
_current: ContextVar[Principal] = ContextVar("foliotrace_principal", default=_NOBODY)


def identify(connection: HTTPConnection) -> Principal:
    """The caller of a request. `default` until keys exist; no header or body may choose it."""
    return _NOBODY


def caller() -> Principal:
    """Who the running request belongs to; the `Identify` port."""
    return _current.get()


def enter(principal: Principal) -> None:
    """Make `principal` the caller for the rest of the running task."""
    _current.set(principal)
