"""What OpenAPI paths are made of: operations, bodies, parameters, problems."""

from collections.abc import Mapping, Sequence
from typing import Any

_ID = {"type": "string", "minLength": 1, "maxLength": 128}
_PROBLEMS = {
    400: "The request cannot be used; `errors` names the fields.",
    403: "Not from this origin or host name.",
    404: "Nothing of that id belongs to the caller.",
    409: "It contradicts what is already there.",
    408: "The request came too slowly.",
    413: "The request is too large.",
    415: "The content is of a type that is not taken.",
    422: "The content cannot be worked on.",
    429: "Every place is taken; `Retry-After` says when to come back.",
    500: "The server failed on this request.",
    503: "A dependency does not answer.",
    504: "The time given ran out.",
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}


def operation(
    operation_id: str,
    summary: str,
    *,
    answers: Mapping[int, Any],
    problems: Sequence[int] = (),
    parameters: Sequence[dict[str, Any]] = (),
    body: dict[str, Any] | None = None,
    tags: Sequence[str] = (),
) -> dict[str, Any]:
    """One method of a path. Every one may also answer 403 and 500."""
    told = {
        str(status): {"description": _PROBLEMS[status], "content": PROBLEM}
        for status in sorted({*problems, 403, 500})
    }
    made: dict[str, Any] = {
        "operationId": operation_id,
        "summary": summary,
        "responses": {**told, **{str(status): answer for status, answer in answers.items()}},
    }
    given = {"tags": list(tags), "parameters": list(parameters), "requestBody": body}
    return made | {name: each for name, each in given.items() if each}


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON request."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def json_answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON answer."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def event_stream(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer of server-sent events."""
    return {"description": description, "content": {"text/event-stream": {"schema": schema or {}}}}


def ref(name: str) -> dict[str, Any]:
    """A schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def path(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """A parameter in the path; an id unless told."""
    return {"name": name, "in": "path", "required": True, "schema": schema or _ID}


def query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    """A parameter behind the question mark."""
    told = {"description": description} if description else {}
    return {"name": name, "in": "query", **told, "schema": schema}


def header(name: str, description: str) -> dict[str, Any]:
    """A request header."""
    schema = {"type": "string", "pattern": "^[!-~]{1,128}$"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def paging(after: str) -> list[dict[str, Any]]:
    """`limit` and `after` of a listing."""
    number = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    return [
        query("limit", number, "How many at most."),
        query("after", {"type": "string"}, after),
    ]
