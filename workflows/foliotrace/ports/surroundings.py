"""Who calls, what time it is, which trace runs."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from foliotrace.model import Principal

Identify: TypeAlias = Callable[[], Principal]
"""Who calls now. The edge sets it; without an edge it answers the default principal."""

HashQuery: TypeAlias = Callable[[str, str], tuple[str, str]]
"""(tenant, text) -> (key id, keyed hash). Never a plain hash."""

CurrentTrace: TypeAlias = Callable[[], str | None]
"""The trace id (32 hex digits) of the running span, or None when nothing is traced."""

CurrentSpan: TypeAlias = Callable[[], str | None]
"""The running span as a W3C traceparent, for links to it; None when its trace is not kept."""


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...
