"""Every request the fake received, for assertions about counts."""

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass
class RequestRecord:
    """One received request; `status` is 0 while it runs and when the connection was reset."""

    number: int
    at: float
    endpoint: str
    method: str
    path: str
    query: str
    key: str
    headers: dict[str, str]
    body: Any
    body_bytes: int
    fault: str = ""
    status: int = 0
    seconds: float = 0.0


@dataclass
class RequestLog:
    """All requests in the order of arrival. Control requests are not logged."""

    records: list[RequestRecord] = field(default_factory=list)

    def find(
        self, endpoint: str = "*", *, key: str | None = None, status: int | None = None
    ) -> list[RequestRecord]:
        """The requests to `endpoint` (wildcards allowed), of one key, with one status."""
        return [
            record
            for record in list(self.records)
            if fnmatchcase(record.endpoint, endpoint)
            and key in (None, record.key)
            and status in (None, record.status)
        ]

    def count(
        self, endpoint: str = "*", *, key: str | None = None, status: int | None = None
    ) -> int:
        """How many requests `find` finds."""
        return len(self.find(endpoint, key=key, status=status))

    def counts(self) -> dict[str, int]:
        """Requests per endpoint."""
        return dict(Counter(record.endpoint for record in list(self.records)))

    def counts_by_key(self) -> dict[str, int]:
        """Requests per client key."""
        return dict(Counter(record.key for record in list(self.records)))

    def clear(self) -> None:
        """Forget everything."""
        self.records.clear()
