"""The events that callers of the llama-agents protocol send, and those they see."""

import hashlib
from typing import Any
from uuid import uuid4

import orjson
from workflows import Workflow
from workflows.events import (
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
)

from foliotrace.catalog import ErrorCode
from foliotrace.errors import InvalidRequest, NotAllowed
from foliotrace.model import Principal
from foliotrace_server.host.internals.stores import (
    EventEnvelope,
    EventValidationError,
)
from foliotrace_server.http.identity import caller
from foliotrace_server.http.request_body import start_event

_DEFAULT_TENANT = Principal().tenant
_ENVELOPE = frozenset({"value", "type", "types", "qualified_name"})


def start_event_of(workflow: Workflow, payload: object) -> StartEvent:
    """The start event in `payload`: its fields, or an envelope with type and value.

    Raises WrongFields naming each field, InvalidRequest.
    """
    kind = workflow.start_event_class
    if kind.model_config.get("extra") == "forbid":
        return start_event(kind, fields_of(kind, payload))
    try:
        event = EventEnvelope.parse(payload, {kind.__name__: kind}, explicit_event=kind)
    except EventValidationError:
        raise InvalidRequest("`start_event` is no event of this workflow") from None
    if not isinstance(event, kind):
        raise InvalidRequest("`start_event` is not the event this workflow starts with")
    return event


def public_events(workflow: Workflow) -> list[type[Event]]:
    """The events by which a workflow meets its callers; those between its steps are its own."""
    at_the_border = (StartEvent, StopEvent, InputRequiredEvent, HumanResponseEvent)
    return [kind for kind in workflow.events if issubclass(kind, at_the_border)]


def awaited_event(workflow: Workflow, sent: object) -> Event:
    """The event in `sent`, if the workflow's steps take it from outside.

    Raises NotAllowed `event_not_accepted`, InvalidRequest.
    """
    awaited = {
        kind.__name__: kind for kind in workflow.events if issubclass(kind, HumanResponseEvent)
    }
    envelope = decoded(sent, "event")
    named = ""
    if isinstance(envelope, dict):
        kind = envelope.get("type") or envelope.get("qualified_name")
        named = kind.rpartition(".")[2] if isinstance(kind, str) else ""
    if named not in awaited:
        raise NotAllowed(code=ErrorCode.EVENT_NOT_ACCEPTED)
    try:
        event: Event = EventEnvelope.parse(envelope, awaited)
    except (EventValidationError, ValueError):
        raise InvalidRequest("`event` has wrong fields") from None
    return event


def fields_of(kind: type[StartEvent], payload: object) -> dict[str, Any]:
    """The fields in `payload`, unpacked if they are in an envelope."""
    if not isinstance(payload, dict):
        raise InvalidRequest("`start_event` must be an object")
    if not ("value" in payload and _ENVELOPE.issuperset(payload)):
        return payload
    named = payload.get("type") or (payload.get("qualified_name") or "").rpartition(".")[2]
    if named not in ("", kind.__name__) or not isinstance(payload["value"], dict):
        raise InvalidRequest("`start_event` is not the event this workflow starts with")
    value: dict[str, Any] = payload["value"]
    return value


def with_job_id(
    kind: type[StartEvent], payload: object, handler_id: object
) -> tuple[dict[str, Any], object]:
    """(fields of the start event, handler id), with the same job id in both."""
    fields = fields_of(kind, payload)
    job_id = fields.get("job_id") or handler_id
    if handler_id is not None and handler_id != job_id:
        raise InvalidRequest("`handler_id` and `job_id` must be the same")
    job_id = id_of_tenant(job_id) if isinstance(job_id, str) else job_id or f"job_{uuid4().hex}"
    return {**fields, "job_id": job_id}, job_id


def id_of_tenant(handler_id: str) -> str:
    """An id chosen by the caller, which another tenant may have chosen as well."""
    tenant = caller().tenant
    if tenant == _DEFAULT_TENANT:
        return handler_id
    mark = hashlib.sha256(tenant.encode()).hexdigest()[:12]
    return handler_id if handler_id.startswith(f"{mark}-") else f"{mark}-{handler_id}"


def decoded(payload: object, name: str = "start_event") -> object:
    """Decode an event that was sent as a JSON string. Raises InvalidRequest."""
    if not isinstance(payload, str):
        return payload
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise InvalidRequest(f"`{name}` is not JSON") from None
