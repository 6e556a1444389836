"""Word from LlamaCloud that a job has ended, believed only when it is signed."""

import hmac
import json
from dataclasses import dataclass

from foliotrace.errors import NotAllowed

SIGNATURE_HEADER = "LC-Signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """What a webhook says: its type ("parse.success") and the job it is about."""

    type: str
    job_id: str


def read_webhook(body: bytes, signature: str | None, secret: str) -> CloudEvent:
    """The event, when `signature` ("sha256=<hex>") is the HMAC of the raw body.

    Raises NotAllowed for a missing or wrong signature and for a body that is no event. The vendor
    sends the event as JSON, or as a JSON string that holds JSON.
    """
    expected = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    if signature is None or not hmac.compare_digest(expected.encode(), signature.encode()):
        raise NotAllowed("the webhook is not signed with our secret", hint="Check the secret.")
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
            "the webhook's body is no event", hint="Check its output format."
        ) from error
