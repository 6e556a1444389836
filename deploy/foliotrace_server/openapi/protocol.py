"""The llama-agents protocol in the OpenAPI document, as this server answers it."""

from collections.abc import Sequence
from typing import Any

from foliotrace_server.openapi.pieces import (
    PROBLEM,
    event_stream,
    json_answer,
    json_body,
    operation,
    path,
    query,
    ref,
)

_TAGS = ("protocol",)
_EVENT = {
    "type": "object",
    "properties": {
        "value": {"type": "object"},
        "type": {"type": "string"},
        "types": {"type": ["array", "null"], "items": {"type": "string"}},
        "qualified_name": {"type": ["string", "null"]},
    },
    "required": ["value", "type"],
}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_STATUS = {"enum": ["running", "completed", "failed", "cancelled"]}
_HANDLER_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_HANDLER = {
    "type": "object",
    "properties": {
        "handler_id": {"type": "string"},
        "workflow_name": {"type": "string"},
        "run_id": _OPTIONAL_TEXT,
        "status": _STATUS,
        "started_at": {"type": "string", "format": "date-time"},
        "updated_at": _OPTIONAL_TEXT,
        "completed_at": _OPTIONAL_TEXT,
        "error": _OPTIONAL_TEXT,
        "result": {"oneOf": [ref("ProtocolEvent"), {"type": "null"}]},
        "result_unreadable": {"type": "boolean"},
    },
    "required": ["handler_id", "workflow_name", "status", "started_at"],
}
_RESULT = {
    "type": "object",
    "properties": {**_HANDLER["properties"], "result": {}},  # type: ignore[dict-item] # a dict above
    "required": _HANDLER["required"],
}
_RUN = {
    "type": "object",
    "properties": {
        "start_event": {
            "type": ["object", "string"],
            "description": "The start event's fields, or its envelope.",
        },
        "handler_id": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        "kwargs": {"type": "object"},
    },
}


def protocol_schemas() -> dict[str, Any]:
    """The bodies of the protocol."""
    return {"ProtocolEvent": _EVENT, "Handler": _HANDLER, "HandlerResult": _RESULT}


def protocol_paths(workflows: Sequence[str]) -> dict[str, Any]:
    """The routes of the protocol, for the hosted `workflows`."""
    return {
        "/health": {"get": _get("protocolHealth", "The process answers", "status")},
        **_workflow_paths(path("name", {"enum": list(workflows)})),
        **_handler_paths(path("handler_id", _HANDLER_ID)),
    }


def _workflow_paths(name: dict[str, Any]) -> dict[str, Any]:
    told = (
        ("schema", "workflowSchema", "Get what a workflow takes and gives", ("start", "stop")),
        ("events", "workflowEvents", "Get the events of a workflow", ("events",)),
        ("representation", "workflowRepresentation", "Get a workflow's graph", ("graph",)),
    )
    return {
        "/workflows": {"get": _get("listWorkflows", "List the hosted workflows", "workflows")},
        "/workflows/{name}/run": {"parameters": [name], "post": _run()},
        "/workflows/{name}/run-nowait": {"parameters": [name], "post": _start()},
        **{
            f"/workflows/{{name}}/{what}": {
                "parameters": [name],
                "get": _get(operation_id, summary, *keys, problems=(404,)),
            }
            for what, operation_id, summary, keys in told
        },
    }


def _run() -> dict[str, Any]:
    return operation(
        "runWorkflow",
        "Run a workflow and wait for its end",
        answers={200: _done(ref("Handler")), 500: _failed(ref("Handler"))},
        problems=(400, 404, 408, 409, 413, 415, 422, 429, 503, 504),
        body=json_body(_RUN),
        tags=_TAGS,
    )


def _start() -> dict[str, Any]:
    return operation(
        "startWorkflow",
        "Start a workflow",
        answers={200: _done(ref("Handler"))},
        problems=(400, 404, 408, 409, 413, 415, 422, 429, 503),
        body=json_body(_RUN),
        tags=_TAGS,
    )


def _handler_paths(handler_id: dict[str, Any]) -> dict[str, Any]:
    one = {"parameters": [handler_id]}
    return {
        "/handlers": {"get": _list_handlers()},
        "/handlers/{handler_id}": {
            **one,
            "get": _handler("getHandler", "Get a run's state", "Handler"),
        },
        "/handlers/{handler_id}/cancel": {**one, "post": _cancel_handler()},
        "/results/{handler_id}": {
            **one,
            "get": _handler("getResult", "Get a run's result", "HandlerResult"),
        },
        "/events/{handler_id}": {**one, "get": _follow_handler(), "post": _send_event()},
    }


def _list_handlers() -> dict[str, Any]:
    listed = {
        "type": "object",
        "properties": {"handlers": {"type": "array", "items": ref("Handler")}},
    }
    return operation(
        "listHandlers",
        "List runs",
        answers={200: _done(listed)},
        parameters=[
            query("status", {"type": "array", "items": _STATUS}),
            query("workflow_name", {"type": "array", "items": {"type": "string"}}),
        ],
        tags=_TAGS,
    )


def _handler(operation_id: str, summary: str, schema: str) -> dict[str, Any]:
    shown = ref(schema)
    return operation(
        operation_id,
        summary,
        answers={200: _done(shown), 202: _done(shown), 500: _failed(shown)},
        problems=(404, 422),
        tags=_TAGS,
    )


def _cancel_handler() -> dict[str, Any]:
    return operation(
        "cancelHandler",
        "Cancel a run",
        answers={200: _done(_object("status"))},
        problems=(404,),
        parameters=[query("purge", {"type": "boolean"})],
        tags=_TAGS,
    )


def _follow_handler() -> dict[str, Any]:
    text = {"type": "string"}
    stream = event_stream("Events.", text)
    stream["content"]["application/x-ndjson"] = {"schema": text}
    return operation(
        "followHandler",
        "Follow a run's events",
        answers={200: stream, 204: {"description": "All were sent."}},
        problems=(400, 404, 422),
        parameters=[
            query("sse", {"type": "boolean", "default": True}),
            query("after_sequence", {"oneOf": [{"type": "integer"}, {"const": "now"}]}),
            query("include_qualified_name", {"type": "boolean", "default": True}),
        ],
        tags=_TAGS,
    )


def _send_event() -> dict[str, Any]:
    sent = {"event": {"type": ["object", "string"]}, "step": _OPTIONAL_TEXT}
    return operation(
        "sendEvent",
        "Send an event into a run",
        answers={200: _done(_object("status"))},
        problems=(400, 404, 408, 409, 413, 415),
        body=json_body({"type": "object", "required": ["event"], "properties": sent}),
        tags=_TAGS,
    )


def _get(
    operation_id: str, summary: str, *keys: str, problems: Sequence[int] = ()
) -> dict[str, Any]:
    answers = {200: _done(_object(*keys))}
    return operation(operation_id, summary, answers=answers, problems=problems, tags=_TAGS)


def _done(schema: dict[str, Any]) -> dict[str, Any]:
    return json_answer("Done.", schema)


def _failed(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}, **PROBLEM}
    return {"description": "The run has failed or was cancelled.", "content": content}


def _object(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required)}
