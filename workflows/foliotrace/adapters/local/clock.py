"""The clock of the machine."""

import time
from datetime import UTC, datetime


class SystemClock:
    """A `Clock`; tests use one of their own."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()
