"""One operation of the HTTP API: its route, its types, and what OpenAPI says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from foliotrace_server.bodies import BodyType

Parameter: TypeAlias = Mapping[str, Any]
"""A parameter object of OpenAPI."""

ID = {"type": "string", "minLength": 1, "maxLength": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a path.

    `request` is the type of a JSON body, or a ready `requestBody` object. `response` is the type of
    the JSON answer; None where it is text of `media_type` or a stream. `events` maps the names of
    server-sent events to their types; `is_enveloped` says that the name stands in the data, as the
    llama-agents protocol has it. `also` holds further statuses with the same body (204: without).
    `problems` are the statuses of RFC 9457 problems; each operation may also answer 403 and 500.
    """

    method: str
    path: str
    operation_id: str
    summary: str
    tag: str
    request: BodyType = None
    response: BodyType = None
    media_type: str = "application/json"
    status: int = 200
    also: Mapping[int, str] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)
    is_enveloped: bool = False
    parameters: tuple[Parameter, ...] = ()
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[int, ...] = ()


def path_parameter(name: str, schema: Mapping[str, Any] = ID) -> Parameter:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query_parameter(name: str, schema: Mapping[str, Any], description: str = "") -> Parameter:
    """A parameter after the question mark."""
    about = {"description": description} if description else {}
    return {"name": name, "in": "query", **about, "schema": schema}


def header_parameter(name: str, description: str) -> Parameter:
    """A request header."""
    schema = {"type": "string", "pattern": "^[!-~]{1,128}$"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def paging(after: str) -> tuple[Parameter, Parameter]:
    """`limit` and `after` of a listing."""
    number = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    return (
        query_parameter("limit", number, "The most items to return."),
        query_parameter("after", {"type": "string"}, after),
    )
