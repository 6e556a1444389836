"""What an exception of a model's SDK says: its HTTP status, and whether the call was ever sent."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final

from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.resilience import parse_retry_after

LASTING: Final = frozenset({401, 402, 403, 404})
"""Statuses of a wrong key, account or name: the operator must act."""

_NOT_CONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


def never_sent(error: BaseException | None) -> bool:
    """Whether no connection was made, so that nothing can have been billed."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or type(error).__name__ in _NOT_CONNECTED:
            return True
        error = error.__cause__
    return False


def watched(health: ComponentHealth | None, *sent: str) -> AbstractContextManager[None]:
    """Note in `health`, if there is one, how the call ends; `sent` is never repeated there."""
    return nullcontext() if health is None else health.watch(*sent)


def status_of(error: Exception) -> int | None:
    """The HTTP status that the SDK reports; None for none."""
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def retry_after_s(error: Exception) -> float | None:
    """Seconds of the reply's Retry-After."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return parse_retry_after(headers.get("retry-after"), datetime.now(UTC))
