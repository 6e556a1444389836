"""The caller of a request: the only source of tenant and subject."""

from contextvars import ContextVar

from starlette.requests import HTTPConnection

from foliotrace.model import Principal

_DEFAULT = Principal()
_current: ContextVar[Principal] = ContextVar("foliotrace_principal", default=_DEFAULT)


def identify(connection: HTTPConnection) -> Principal:
    """The caller of a request: always the default, until there are API keys; never a header."""
    return _DEFAULT


def caller() -> Principal:
    """The caller of the running request; implements the `Identify` port."""
    return _current.get()


def set_caller(principal: Principal) -> None:
    """Set the caller for the rest of the running task."""
    _current.set(principal)
