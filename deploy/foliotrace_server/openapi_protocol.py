"""The llama-agents protocol in the OpenAPI document, as this server answers it."""

from collections.abc import Sequence
from typing import Any

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
_HANDLER = {
    "type": "object",
    "properties": {
        "handler_id": {"type": "string"},
        "workflow_name": {"type": "string"},
        "run_id": _OPTIONAL_TEXT,
        "status": {"enum": ["running", "completed", "failed", "cancelled"]},
        "started_at": {"type": "string", "format": "date-time"},
        "updated_at": _OPTIONAL_TEXT,
        "completed_at": _OPTIONAL_TEXT,
        "error": _OPTIONAL_TEXT,
        "result": {"oneOf": [{"$ref": "#/components/schemas/ProtocolEvent"}, {"type": "null"}]},
        "result_unreadable": {"type": "boolean"},
    },
    "required": ["handler_id", "workflow_name", "status", "started_at"],
}
_HANDLER_REF = {"$ref": "#/components/schemas/Handler"}
_RESULT = {
    "type": "object",
    "properties": {**_HANDLER["properties"], "result": {}},  # type: ignore[dict-item] # a dict above
    "required": _HANDLER["required"],
}


def protocol_schemas() -> dict[str, Any]:
    """The bodies of the protocol."""
    return {"ProtocolEvent": _EVENT, "Handler": _HANDLER, "HandlerResult": _RESULT}


def protocol_paths(workflows: Sequence[str]) -> dict[str, Any]:
    """The routes of the protocol, for the hosted `workflows`."""
    name = _path("name", {"enum": list(workflows)})
    handler_id = _path("handler_id", {"type": "string", "minLength": 1, "maxLength": 64})
    run = _run_body()
    return {
        "/health": {"get": _op("protocolHealth", {"200": _json(_object("status"))})},
        "/workflows": {"get": _op("listWorkflows", {"200": _json(_object("workflows"))})},
        "/workflows/{name}/run": {
            "parameters": [name],
            "post": _op(
                "runWorkflow",
                {"200": _json(_HANDLER_REF), "500": _json_or_problem(_HANDLER_REF)},
                (400, 404, 409, 413, 415, 422, 429, 503, 504),
                run,
            ),
        },
        "/workflows/{name}/run-nowait": {
            "parameters": [name],
            "post": _op(
                "startWorkflow",
                {"200": _json(_HANDLER_REF)},
                (400, 404, 409, 413, 415, 422, 429, 503),
                run,
            ),
        },
        **{
            f"/workflows/{{name}}/{what}": {
                "parameters": [name],
                "get": _op(f"workflow{what.title()}", {"200": _json(_object(*keys))}, (404,)),
            }
            for what, keys in (
                ("schema", ("start", "stop")),
                ("events", ("events",)),
                ("representation", ("graph",)),
            )
        },
        **_handler_paths(handler_id),
    }


def _handler_paths(handler_id: dict[str, Any]) -> dict[str, Any]:
    state = {"enum": ["running", "completed", "failed", "cancelled"]}
    listed = {
        "type": "object",
        "properties": {"handlers": {"type": "array", "items": _HANDLER_REF}},
    }
    got = {
        "200": _json(_HANDLER_REF),
        "202": _json(_HANDLER_REF),
        "500": _json_or_problem(_HANDLER_REF),
    }
    result = {"$ref": "#/components/schemas/HandlerResult"}
    results = {"200": _json(result), "202": _json(result), "500": _json_or_problem(result)}
    stream = {
        "text/event-stream": {"schema": {"type": "string"}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    sent = {"properties": {"event": {"type": ["object", "string"]}, "step": _OPTIONAL_TEXT}}
    return {
        "/handlers": {
            "get": {
                **_op("listHandlers", {"200": _json(listed)}),
                "parameters": [
                    _query("status", {"type": "array", "items": state}),
                    _query("workflow_name", {"type": "array", "items": {"type": "string"}}),
                ],
            }
        },
        "/handlers/{handler_id}": {
            "parameters": [handler_id],
            "get": _op("getHandler", got, (404, 422)),
        },
        "/handlers/{handler_id}/cancel": {
            "parameters": [handler_id],
            "post": {
                **_op("cancelHandler", {"200": _json(_object("status"))}, (404,)),
                "parameters": [_query("purge", {"type": "boolean"})],
            },
        },
        "/results/{handler_id}": {
            "parameters": [handler_id],
            "get": _op("getResult", results, (404, 422)),
        },
        "/events/{handler_id}": {
            "parameters": [handler_id],
            "get": {
                **_op(
                    "followHandler",
                    {
                        "200": {"description": "Events.", "content": stream},
                        "204": {"description": "All were sent."},
                    },
                    (400, 404, 422),
                ),
                "parameters": [
                    _query("sse", {"type": "boolean", "default": True}),
                    _query("after_sequence", {"oneOf": [{"type": "integer"}, {"const": "now"}]}),
                    _query("include_qualified_name", {"type": "boolean", "default": True}),
                ],
            },
            "post": _op(
                "sendEvent",
                {"200": _json(_object("status"))},
                (400, 404, 409, 413, 415),
                {"type": "object", "required": ["event"], **sent},
            ),
        },
    }


def _run_body() -> dict[str, Any]:
    return {
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


def _op(
    operation_id: str,
    answers: dict[str, Any],
    problems: tuple[int, ...] = (),
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    told = {
        str(status): {"description": "A problem.", "content": problem}
        for status in (*problems, 403, 500)
    }
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": "llama-agents protocol",
        "tags": ["protocol"],
        "responses": {**told, **answers},
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _json_or_problem(schema: dict[str, Any]) -> dict[str, Any]:
    problem = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    content = {"application/json": {"schema": schema}, "application/problem+json": problem}
    return {"description": "The run has failed or was cancelled.", "content": content}


def _object(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required)}


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}
