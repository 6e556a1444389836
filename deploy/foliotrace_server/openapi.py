"""The OpenAPI document: the REST API and the llama-agents protocol of this very server."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from workflows import Workflow

from foliotrace.model import CacheState
from foliotrace_server import contract
from foliotrace_server.openapi_protocol import protocol_paths, protocol_schemas

_REFS = "#/components/schemas/{model}"
_ID = {"type": "string", "minLength": 1, "maxLength": 128}
_PROBLEMS = {
    400: "The request cannot be used; `errors` names the fields.",
    403: "Not from this origin or host name.",
    404: "Nothing of that id belongs to the caller.",
    409: "It contradicts what is already there.",
    413: "The request is too large.",
    415: "The content is of a type that is not taken.",
    422: "The content cannot be worked on.",
    429: "Every place is taken; `Retry-After` says when to come back.",
    500: "The server failed on this request.",
    503: "A dependency does not answer.",
    504: "The time given ran out.",
}
_ANSWER_HEADERS = {
    "X-Degradation-Level": {
        "description": "The answer's loss against what is configured.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 4},
    },
    "X-Cache": {
        "description": "Whether a kept answer was given.",
        "schema": {"type": "string", "enum": [state.value for state in CacheState]},
    },
    "X-Run-Id": {"description": "For `/v1/runs/{id}`.", "schema": {"type": "string"}},
    "X-Trace-Id": {"description": "W3C trace id, if traced.", "schema": {"type": "string"}},
}
_BODIES: tuple[type[BaseModel], ...] = (
    contract.AnswerBody,
    contract.DocumentBody,
    contract.DocumentsBody,
    contract.PageBody,
    contract.JobBody,
    contract.JobsBody,
    contract.UploadBody,
    contract.ExtractionBody,
    contract.RunBody,
    contract.ReadyBody,
    contract.HealthBody,
    contract.ProblemBody,
)


def openapi(workflows: Mapping[str, Workflow]) -> dict[str, Any]:
    """OpenAPI 3.1 for a server that hosts `workflows`."""
    starts = tuple((name, each.start_event_class) for name, each in workflows.items())
    return openapi_of(starts)


@lru_cache(maxsize=4)
def openapi_of(starts: tuple[tuple[str, type[BaseModel]], ...]) -> dict[str, Any]:
    """The same, from each workflow's name and start event."""
    names = [name for name, _ in starts]
    question = dict(starts)["query"]
    _, bodies = models_json_schema(
        [(body, "serialization") for body in _BODIES], ref_template=_REFS
    )
    _, requests = models_json_schema(
        [(contract.ExtractionRequest, "validation"), (question, "validation")], ref_template=_REFS
    )
    schemas = {**bodies["$defs"], **requests["$defs"], **protocol_schemas()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "foliotrace",
            "version": version("foliotrace"),
            "description": "Documents in, cited answers and typed records out. Errors are RFC 9457 "
            "problems with stable codes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_paths(question.__name__), **protocol_paths(names)},
        "components": {"schemas": schemas},
    }


def _paths(question: str) -> dict[str, Any]:
    """The REST API."""
    return {
        "/v1/query": {
            "post": _operation(
                "ask",
                "Ask a question",
                body=_json_body(_ref(question)),
                answers={200: _answered()},
                problems=(400, 413, 415, 429, 503, 504),
            )
        },
        "/v1/documents": {
            "post": _operation(
                "uploadDocuments",
                "Upload files",
                body=_upload_body(),
                parameters=[_header("Idempotency-Key", "The same key again gives the same jobs.")],
                answers={202: _json("Stored; the jobs will happen.", _ref("UploadBody"))},
                problems=(400, 409, 413, 415, 422, 429, 503),
            ),
            "get": _operation(
                "listDocuments",
                "List documents",
                parameters=[
                    *_paging("A document id."),
                    _query("collection", "Only this collection.", {"type": "string"}),
                    _query("name", "Only this name.", {"type": "string"}),
                ],
                answers={200: _json("A page of documents.", _ref("DocumentsBody"))},
                problems=(400, 404, 503),
            ),
        },
        "/v1/documents/{id}": {
            "parameters": [_path("id")],
            "get": _one("getDocument", "Get a document", "DocumentBody"),
            "delete": _one(
                "deleteDocument", "Delete a document and all made of it", "DocumentBody"
            ),
        },
        "/v1/documents/{id}/pages/{number}": {
            "parameters": [_path("id"), _path("number", {"type": "integer", "minimum": 1})],
            "get": _one("getPage", "Get a page with its boxes", "PageBody"),
        },
        "/v1/extractions": {
            "post": _operation(
                "extract",
                "Extract a typed record",
                body=_json_body(_ref("ExtractionRequest")),
                parameters=[_header("Idempotency-Key", "The same key again gives the same job.")],
                answers={202: _json("The job will happen.", _ref("ExtractionBody"))},
                problems=(400, 404, 409, 413, 415, 422, 429, 503),
            )
        },
        "/v1/extractions/{id}": {
            "parameters": [_path("id")],
            "get": _one("getExtraction", "Get an extraction", "ExtractionBody"),
        },
        **_job_paths(),
        "/v1/runs/{id}": {
            "parameters": [_path("id")],
            "get": _one("getRun", "Get what is kept of a run", "RunBody"),
        },
        **_operation_paths(),
    }


def _job_paths() -> dict[str, Any]:
    return {
        "/v1/jobs": {
            "get": _operation(
                "listJobs",
                "List jobs, newest first",
                parameters=[
                    *_paging("A job id."),
                    _query("document_id", "Only of this document.", {"type": "string"}),
                    _query("unfinished", "Only those going on.", {"type": "boolean"}),
                ],
                answers={200: _json("A page of jobs.", _ref("JobsBody"))},
                problems=(400, 404, 503),
            )
        },
        "/v1/jobs/{id}": {
            "parameters": [_path("id")],
            "get": _one("getJob", "Get a job", "JobBody"),
        },
        "/v1/jobs/{id}/events": {
            "parameters": [_path("id")],
            "get": _operation(
                "followJob",
                "Follow a job",
                parameters=[_header("Last-Event-ID", "Resume behind this event.")],
                answers={200: _events("`progress` as it comes, then `end` with the job.")},
                problems=(404, 429, 503),
            ),
        },
        "/v1/jobs/{id}/cancel": {
            "parameters": [_path("id")],
            "post": _operation(
                "cancelJob",
                "Cancel a job",
                answers={200: _json("The job.", _ref("JobBody"))},
                problems=(404, 409, 503),
            ),
        },
    }


def _operation_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    page = {"text/html": {"schema": {"type": "string"}}}
    any_object = {"type": "object"}
    return {
        "/healthz": {
            "get": _operation(
                "health",
                "The process answers",
                answers={200: _json("It does.", _ref("HealthBody"))},
            )
        },
        "/readyz": {
            "get": _operation(
                "readiness",
                "What can be done now, and how well",
                answers={
                    200: _json("Work is taken.", _ref("ReadyBody")),
                    503: _json("Not yet, or no more.", _ref("ReadyBody")),
                },
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "Prometheus metrics",
                answers={200: {"description": "Text format.", "content": text}},
            )
        },
        "/openapi.json": {
            "get": _operation("openapi", "This document", answers={200: _json("It.", any_object)})
        },
        "/docs": {
            "get": _operation(
                "docs",
                "This document for people",
                answers={200: {"description": "A page.", "content": page}},
            )
        },
    }


def _answered() -> dict[str, Any]:
    return {
        "description": "The answer; as events (`start`, `delta`, `reset`, `answer`, `problem`) if "
        "`stream` is true.",
        "headers": _ANSWER_HEADERS,
        "content": {
            "application/json": {"schema": _ref("AnswerBody")},
            "text/event-stream": {"schema": {}},
        },
    }


def _upload_body() -> dict[str, Any]:
    fields = {
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
        "collection": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
        "metadata": {"type": "string", "description": "A flat JSON object of texts and numbers."},
    }
    schema = {
        "type": "object",
        "properties": fields,
        "required": ["file"],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _one(operation_id: str, summary: str, body: str) -> dict[str, Any]:
    return _operation(
        operation_id, summary, answers={200: _json(summary, _ref(body))}, problems=(404, 503)
    )


def _operation(
    operation_id: str,
    summary: str,
    *,
    answers: Mapping[int, Any],
    problems: tuple[int, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    told = {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": _ref("ProblemBody")}},
        }
        for status in sorted({*problems, 403, 500})
    }
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": summary,
        "responses": {**told, **{str(status): answer for status, answer in answers.items()}},
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _events(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"text/event-stream": {"schema": {}}},
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _path(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema or _ID}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[!-~]{1,128}$"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _paging(after: str) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    return [
        _query("limit", "How many at most.", number),
        _query("after", after, {"type": "string"}),
    ]
