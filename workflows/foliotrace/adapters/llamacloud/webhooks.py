"""Webhooks that end polling early: how a job asks for one, who waits for it, how it is verified."""

import asyncio
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from foliotrace.errors import NotAllowed

SIGNATURE_HEADER = "LC-Signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """A verified webhook: its type ("parse.success") and the job it names."""

    type: str
    job_id: str


def read_webhook(body: bytes, signature: str | None, secret: str) -> CloudEvent:
    """The event, when `signature` ("sha256=<hex>") is the HMAC of the raw body.

    Raises NotAllowed for a missing or wrong signature and for a body that is no event. The vendor
    sends the event as JSON, or as a JSON string that holds JSON.
    """
    expected = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    if signature is None or not hmac.compare_digest(expected.encode(), signature.encode()):
        raise NotAllowed(
            "the webhook is not signed with the configured secret",
            hint="Check llamacloud.webhook_secret.",
        )
    try:
        event = json.loads(body)
        if isinstance(event, str):
            event = json.loads(event)
        data = event.get("data") or {}
        return CloudEvent(
            type=str(event["event_type"] if "event_type" in event else event["type"]),
            job_id=str(data.get("job_id") or data.get("id") or event["job_id"]),
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise NotAllowed(
            "the body of the webhook is not an event", hint="Set its output format to JSON."
        ) from error


_ENDS: Final = ("success", "partial_success", "error", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """Where LlamaCloud posts the end of each job, and the secret that signs the post."""

    url: str
    secret: str = field(repr=False)

    def request(self, product: str) -> dict[str, Any]:
        """The part of a billed "parse" or "extract" request that asks for the webhook."""
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


class JobWaiters:
    """Tasks that wait for the end of a job, by job id."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def waiting(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when a webhook reports the end of the job."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def notify(self, job_id: str) -> None:
        """Wake the tasks that wait for the job, if there are any."""
        for event in self._waiting.get(job_id, ()):
            event.set()
