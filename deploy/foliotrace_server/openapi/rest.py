"""The paths of the REST API, noun by noun."""

from typing import Any

from foliotrace.model import CacheState, ExecutionMode
from foliotrace_server.openapi.pieces import (
    event_stream,
    header,
    json_answer,
    json_body,
    operation,
    paging,
    path,
    query,
    ref,
)

_TEXT = {"type": "string"}
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


def rest_paths(question: str) -> dict[str, Any]:
    """All of them; `question` is the schema of what `/v1/query` takes."""
    return {
        "/v1/query": {"post": _ask(question)},
        **_document_paths(),
        **_extraction_paths(),
        **_job_paths(),
        "/v1/runs/{id}": {
            "parameters": [path("id")],
            "get": _one("getRun", "Get what is kept of a run", "RunBody"),
        },
        **_operation_paths(),
    }


def _ask(question: str) -> dict[str, Any]:
    answered = {
        "description": "The answer; as events (`start`, `degraded`, `delta`, `reset`, `answer`, "
        "`problem`) if `stream` is true.",
        "headers": _ANSWER_HEADERS,
        "content": {
            "application/json": {"schema": ref("AnswerBody")},
            "text/event-stream": {"schema": {}},
        },
    }
    return operation(
        "ask",
        "Ask a question",
        body=json_body(ref(question)),
        answers={200: answered},
        problems=(400, 408, 413, 415, 429, 503, 504),
    )


def _document_paths() -> dict[str, Any]:
    upload = operation(
        "uploadDocuments",
        "Upload files",
        body=_upload_body(),
        parameters=[header("Idempotency-Key", "The same key again gives the same jobs.")],
        answers={202: json_answer("Stored; the jobs will happen.", ref("UploadBody"))},
        problems=(400, 408, 409, 413, 415, 422, 429, 503),
    )
    listing = operation(
        "listDocuments",
        "List documents",
        parameters=[
            *paging("A document id."),
            query("collection", _TEXT, "Only this collection."),
            query("name", _TEXT, "Only this name."),
        ],
        answers={200: json_answer("A page of documents.", ref("DocumentsBody"))},
        problems=(400, 404, 503),
    )
    return {
        "/v1/documents": {"post": upload, "get": listing},
        "/v1/documents/{id}": {
            "parameters": [path("id")],
            "get": _one("getDocument", "Get a document", "DocumentBody"),
            "delete": _one(
                "deleteDocument", "Delete a document and all made of it", "DocumentBody"
            ),
        },
        "/v1/documents/{id}/pages/{number}": {
            "parameters": [path("id"), path("number", {"type": "integer", "minimum": 1})],
            "get": _one("getPage", "Get a page with its boxes", "PageBody"),
        },
    }


def _upload_body() -> dict[str, Any]:
    fields = {
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
        "collection": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
        "metadata": {"type": "string", "description": "A flat JSON object of texts and numbers."},
        "path": {
            "type": "string",
            "enum": [path.value for path in ExecutionMode],
            "description": "Who reads the files: less cloud than configured, or the cloud alone.",
        },
    }
    schema = {
        "type": "object",
        "properties": fields,
        "required": ["file"],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _extraction_paths() -> dict[str, Any]:
    extract = operation(
        "extract",
        "Extract a typed record",
        body=json_body(ref("ExtractionRequest")),
        parameters=[header("Idempotency-Key", "The same key again gives the same job.")],
        answers={202: json_answer("The job will happen.", ref("ExtractionBody"))},
        problems=(400, 404, 408, 409, 413, 415, 422, 429, 503),
    )
    return {
        "/v1/extractions": {"post": extract},
        "/v1/extractions/{id}": {
            "parameters": [path("id")],
            "get": _one("getExtraction", "Get an extraction", "ExtractionBody"),
        },
    }


def _job_paths() -> dict[str, Any]:
    listing = operation(
        "listJobs",
        "List jobs, newest first",
        parameters=[
            *paging("A job id."),
            query("document_id", _TEXT, "Only of this document."),
            query("unfinished", {"type": "boolean"}, "Only those going on."),
        ],
        answers={200: json_answer("A page of jobs.", ref("JobsBody"))},
        problems=(400, 404, 503),
    )
    follow = operation(
        "followJob",
        "Follow a job",
        parameters=[header("Last-Event-ID", "Resume behind this event.")],
        answers={200: event_stream("`progress` as it comes, then `end` with the job.")},
        problems=(404, 429, 503),
    )
    cancel = operation(
        "cancelJob",
        "Cancel a job",
        answers={200: json_answer("The job.", ref("JobBody"))},
        problems=(404, 409, 503),
    )
    job = [path("id")]
    return {
        "/v1/jobs": {"get": listing},
        "/v1/jobs/{id}": {"parameters": job, "get": _one("getJob", "Get a job", "JobBody")},
        "/v1/jobs/{id}/events": {"parameters": job, "get": follow},
        "/v1/jobs/{id}/cancel": {"parameters": job, "post": cancel},
    }


def _operation_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    page = {"text/html": {"schema": {"type": "string"}}}
    ready = {
        200: json_answer("Work is taken.", ref("ReadyBody")),
        503: json_answer("Not yet, or no more.", ref("ReadyBody")),
    }
    found: dict[str, tuple[str, str, dict[int, Any]]] = {
        "/healthz": (
            "health",
            "The process answers",
            {200: json_answer("It does.", ref("HealthBody"))},
        ),
        "/readyz": ("readiness", "What can be done now, and how well", ready),
        "/metrics": (
            "metrics",
            "Prometheus metrics",
            {200: {"description": "Text format.", "content": text}},
        ),
        "/openapi.json": (
            "openapi",
            "This document",
            {200: json_answer("It.", {"type": "object"})},
        ),
        "/docs": (
            "docs",
            "This document for people",
            {200: {"description": "A page.", "content": page}},
        ),
    }
    return {
        place: {"get": operation(name, summary, answers=answers)}
        for place, (name, summary, answers) in found.items()
    }


def _one(operation_id: str, summary: str, body: str) -> dict[str, Any]:
    return operation(
        operation_id, summary, answers={200: json_answer(summary, ref(body))}, problems=(404, 503)
    )
