"""The OpenAPI document: the REST API and the llama-agents protocol of this very server."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from workflows import Workflow

from foliotrace_server import contract
from foliotrace_server.openapi.protocol import protocol_paths, protocol_schemas
from foliotrace_server.openapi.rest import rest_paths

__all__ = ["openapi", "openapi_of"]

_REFS = "#/components/schemas/{model}"
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
        "paths": {**rest_paths(question.__name__), **protocol_paths([name for name, _ in starts])},
        "components": {"schemas": schemas},
    }
