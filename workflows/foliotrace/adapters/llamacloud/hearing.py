"""Being told by a webhook instead of asking again and again: what is asked for, who is woken."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

_ENDS: Final = ("success", "partial_success", "error", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAddress:
    """Where LlamaCloud shall post the end of each job, and the secret that it signs with."""

    url: str
    secret: str = field(repr=False)

    def request(self, product: str) -> dict[str, Any]:
        """The part of a billed request of "parse" or "extract" that asks for it."""
        return {
            "webhook_configurations": [
                {
                    "webhook_url": self.url,
                    "webhook_signing_secret": self.secret,
                    "webhook_events": [f"{product}.{end}" for end in _ENDS],
                    "webhook_output_format": "json",
                }
            ]
        }


class Ears:
    """Who waits for the end of which job."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job is said to have ended."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def told(self, job_id: str) -> None:
        """A webhook names the job; one that nobody waits for is of no interest."""
        for event in self._waiting.get(job_id, ()):
            event.set()
