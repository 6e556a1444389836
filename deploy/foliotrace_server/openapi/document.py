"""`/openapi.json`: derived from the route table and the types that its handlers take and return."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema
from workflows.events import Event

from foliotrace_server.bodies import BodyType, ProblemBody
from foliotrace_server.http.scopes import Access, of_operation
from foliotrace_server.openapi.limits import with_limits
from foliotrace_server.openapi.operation import Operation
from foliotrace_server.openapi.protocol import protocol_operations
from foliotrace_server.routes.documents import Documents
from foliotrace_server.routes.endpoint import operations
from foliotrace_server.routes.erasures import Erasures
from foliotrace_server.routes.jobs import Jobs
from foliotrace_server.routes.managed_index import ManagedIndexes
from foliotrace_server.routes.operations import Operations
from foliotrace_server.routes.queries import Queries

_Field: TypeAlias = core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField
_REFS = "#/components/schemas/{model}"
_TAGS = {
    "query": "Ask questions; answers cite the pages they come from.",
    "documents": "Upload, list, read and delete documents.",
    "extractions": "Extract typed records from documents.",
    "jobs": "Follow and cancel the durable jobs behind uploads and extractions.",
    "runs": "Read the stored records of answered questions.",
    "operations": "Health, metrics and this description.",
    "protocol": "The llama-agents protocol, as LlamaIndex's `WorkflowClient` speaks it.",
}
_SCHEME = "apiKey"
_ABOUT_KEYS = {
    "bearerFormat": "ftk_<id>_<secret>_<checksum>",
    "description": "An API key, made with `foliotrace keys create`. Its scopes are `read`, "
    "`ingest`, `extract` and `admin`.",
}
_PROBLEMS = {
    400: "The request is invalid; `errors` names the fields.",
    401: "No API key, or one that is mistyped, unknown, revoked or expired.",
    403: "Refused for this origin or host name, or the API key lacks a scope.",
    404: "The caller has nothing of that id.",
    408: "Request body upload timed out.",
    409: "It conflicts with the current state.",
    413: "The request is too large.",
    415: "The content type is not supported.",
    422: "The content cannot be processed.",
    429: "The server is at capacity; retry after `Retry-After` seconds.",
    500: "The server failed on this request.",
    503: "A dependency is unavailable.",
    504: "The deadline has passed.",
}


@lru_cache(maxsize=4)
def openapi_document(
    workflows: tuple[str, ...], *, keys_required: bool = True
) -> Mapping[str, Any]:
    """OpenAPI 3.1 for a server that hosts `workflows`.

    Without `keys_required`, no operation asks for the API key that `securitySchemes` describes.
    """
    described = [
        *operations(Queries, Documents, Jobs, Erasures, ManagedIndexes, Operations),
        *protocol_operations(workflows),
    ]
    schemas = _Schemas(described)
    examples = json.loads(files(__package__).joinpath("examples.json").read_text())
    paths: dict[str, Any] = {}
    for each in described:
        example = examples.get(each.operation_id, {})
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each, schemas, example)
        if keys_required:
            _secure(paths[each.path][each.method.lower()], each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "foliotrace",
            "version": version("foliotrace"),
            "description": "Documents in, cited answers and typed records out. Errors are RFC 9457 "
            "problems with stable codes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {_SCHEME: {"type": "http", "scheme": "bearer", **_ABOUT_KEYS}},
        },
    }


class _ResponseSchema(GenerateJsonSchema):
    """JSON schemas that say what a response really holds: every field, and no other."""

    def field_is_required(self, field: _Field, total: bool) -> bool:
        if self.mode == "serialization" and field["type"] == "dataclass-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        closed = {"additionalProperties": False} if self.mode == "serialization" else {}
        return {**super().dataclass_schema(schema), **closed}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "string"}  # also "1E-7", which pydantic's pattern forbids


class _Schemas:
    """The component schemas of all types that `described` name."""

    def __init__(self, described: Iterable[Operation]) -> None:
        types: dict[tuple[int, JsonSchemaMode], Any] = {
            (id(ProblemBody), "serialization"): ProblemBody
        }
        for each in described:
            if each.request is not None and not isinstance(each.request, Mapping):
                types[id(each.request), "validation"] = each.request
            for body_type in (each.response, *each.events.values()):
                if body_type is not None:
                    types[id(body_type), _mode(body_type)] = body_type
        self._references, definitions = TypeAdapter.json_schemas(
            [(key, mode, TypeAdapter(body_type)) for (key, mode), body_type in types.items()],
            ref_template=_REFS,
            schema_generator=_ResponseSchema,
        )
        self.components = with_limits(definitions["$defs"])

    def of(self, body_type: BodyType, mode: JsonSchemaMode | None = None) -> JsonSchemaValue:
        return self._references[id(body_type), mode or _mode(body_type)]


def _mode(body_type: BodyType) -> JsonSchemaMode:
    """Workflow events write themselves as any object: only what they take has their fields."""
    is_event = isinstance(body_type, type) and issubclass(body_type, Event)
    return "validation" if is_event else "serialization"


def _described(
    operation: Operation, schemas: _Schemas, examples: Mapping[str, Any]
) -> dict[str, Any]:
    """The operation object; `examples` are its parameters, its request and its responses."""
    parameters = [
        {**parameter, **_example(examples.get("parameters", {}), parameter["name"])}
        for parameter in operation.parameters
    ]
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": _responses(operation, schemas, examples.get("responses", {})),
    }
    if operation.request is not None:
        described["requestBody"] = _request_body(operation.request, schemas, examples)
    return described


def _secure(described: dict[str, Any], operation: Operation, schemas: _Schemas) -> None:
    """Add the key that an operation needs, and the answer without it."""
    needs = of_operation(operation.method, operation.path)
    if isinstance(needs, Access):
        return
    described["security"] = [{_SCHEME: [scope]} for scope in sorted(needs)] or [{_SCHEME: []}]
    content = {"application/problem+json": {"schema": schemas.of(ProblemBody)}}
    described["responses"]["401"] = {"description": _PROBLEMS[401], "content": content}


def _request_body(
    request: BodyType, schemas: _Schemas, examples: Mapping[str, Any]
) -> dict[str, Any]:
    if not isinstance(request, Mapping):
        request = {
            "required": True,
            "content": {"application/json": {"schema": schemas.of(request, "validation")}},
        }
    example = _example(examples, "request", "example")
    content = {kind: {**media, **example} for kind, media in request["content"].items()}
    return {**request, "content": content}


def _responses(
    operation: Operation, schemas: _Schemas, examples: Mapping[str, Any]
) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": schemas.of(ProblemBody)}}
    responses: dict[str, Any] = {
        str(status): {"description": _PROBLEMS[status], "content": problem}
        for status in sorted({*operation.problems, 403, 500})
    }
    for status, about in {operation.status: f"{operation.summary}.", **operation.also}.items():
        if status == 204:
            responses["204"] = {"description": about}
            continue
        content = _content(operation, schemas, examples, str(status))
        known = responses.get(str(status), {}).get("content", {})
        responses[str(status)] = {"description": about, "content": {**content, **known}}
    if operation.headers:
        responses[str(operation.status)]["headers"] = dict(operation.headers)
    return responses


def _content(
    operation: Operation, schemas: _Schemas, examples: Mapping[str, Any], status: str
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.response is not None:
        schema = schemas.of(operation.response)
        content[operation.media_type] = {"schema": schema, **_example(examples, status, "example")}
    elif not operation.events or operation.is_enveloped:
        text = {"schema": {"type": "string"}, **_example(examples, status, "example")}
        content[operation.media_type] = text
    if operation.events:
        stream = {"schema": _event_stream(operation, schemas)}
        content["text/event-stream"] = {
            **stream,
            **_example(examples, f"{status} text/event-stream", "example"),
        }
    return content


def _event_stream(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    """A text of events, each one of `operation.events`: OpenAPI 3.1 has no type for a stream."""
    name_key, value_key = ("type", "value") if operation.is_enveloped else ("event", "data")
    return {
        "type": "string",
        "contentMediaType": "text/event-stream",
        "contentSchema": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {name_key: {"const": name}, value_key: schemas.of(kind)},
                    "required": [name_key, value_key],
                }
                for name, kind in operation.events.items()
            ]
        },
    }


def _example(examples: Mapping[str, Any], name: str, key: str = "example") -> dict[str, Any]:
    return {key: examples[name]} if name in examples else {}
