"""The operations of the llama-agents protocol, with the library's own types for its bodies."""

from functools import partial
from typing import Annotated, Any

from llama_agents.client.protocol import (  # type: ignore[import-untyped] # no py.typed
    CancelHandlerResponse,
    HandlerData,
    HandlersListResponse,
    HealthResponse,
    SendEventResponse,
    WorkflowEventsListResponse,
    WorkflowGraphResponse,
    WorkflowSchemaResponse,
    WorkflowsListResponse,
)
from pydantic import BaseModel, Field
from typing_extensions import TypedDict
from workflows.events import (
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
)

from foliotrace.extract.workflow import Extracted
from foliotrace.ingest.workflow import Ingested
from foliotrace.jobs import Progress
from foliotrace.query.workflow import AnswerDegraded, AnswerDelta, Answered, AnswerReset
from foliotrace_server.openapi.operation import (
    Operation,
    path_parameter,
    query_parameter,
)

_HANDLER = path_parameter("handler_id", {"type": "string", "minLength": 1, "maxLength": 64})
_STATUS = {"enum": ["running", "completed", "failed", "cancelled"]}
_get = partial(Operation, method="GET", tag="protocol")
_post = partial(Operation, method="POST", tag="protocol")
_ENDED_BADLY = {
    409: "The run was cancelled.",
    422: "The run failed on what it was given.",
    500: "The run failed.",
}
_EVENTS = (
    AnswerDegraded,
    AnswerDelta,
    AnswerReset,
    Answered,
    Progress,
    Ingested,
    Extracted,
    WorkflowFailedEvent,
    WorkflowCancelledEvent,
    WorkflowTimedOutEvent,
)


class RunWorkflow(TypedDict, total=False):
    """A workflow to be run."""

    start_event: Annotated[
        dict[str, Any] | str, Field(description="The fields of the start event, or its envelope.")
    ]
    handler_id: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
    kwargs: Annotated[dict[str, Any], Field(description="The older name of `start_event`.")]


class SendEvent(BaseModel):
    """An event for a run that waits for one."""

    event: dict[str, Any] | str
    step: str | None = None


class HandlerResult(HandlerData):  # type: ignore[misc] # untyped
    """A run and its result as the workflow returned it."""

    result: Any = None


def protocol_operations(workflows: tuple[str, ...]) -> list[Operation]:
    """The operations of a server that hosts `workflows`."""
    of_workflow = (path_parameter("name", {"enum": list(workflows)}),)
    start = partial(_post, parameters=of_workflow, request=RunWorkflow, response=HandlerData)
    about_workflow = partial(_get, parameters=of_workflow, problems=(404,))
    refusals = (400, 404, 408, 409, 413, 415, 422, 429, 503)
    return [
        _get(
            path="/health",
            operation_id="protocolHealth",
            summary="Check that the process answers",
            response=HealthResponse,
        ),
        _get(
            path="/workflows",
            operation_id="listWorkflows",
            summary="List the hosted workflows",
            response=WorkflowsListResponse,
        ),
        start(
            path="/workflows/{name}/run",
            operation_id="runWorkflow",
            summary="Run a workflow and wait until it ends",
            also=_ENDED_BADLY,
            problems=(*refusals, 504),
        ),
        start(
            path="/workflows/{name}/run-nowait",
            operation_id="startWorkflow",
            summary="Start a workflow",
            problems=refusals,
        ),
        about_workflow(
            path="/workflows/{name}/schema",
            operation_id="workflowSchema",
            summary="Get the schemas of a workflow's input and output",
            response=WorkflowSchemaResponse,
        ),
        about_workflow(
            path="/workflows/{name}/events",
            operation_id="workflowEvents",
            summary="Get the schemas of a workflow's events",
            response=WorkflowEventsListResponse,
        ),
        about_workflow(
            path="/workflows/{name}/representation",
            operation_id="workflowRepresentation",
            summary="Get the graph of a workflow",
            response=WorkflowGraphResponse,
        ),
        *_RUNS,
    ]


_RUNS = (
    _get(
        path="/handlers",
        operation_id="listHandlers",
        summary="List runs",
        response=HandlersListResponse,
        parameters=(
            query_parameter("status", {"type": "array", "items": _STATUS}),
            query_parameter("workflow_name", {"type": "array", "items": {"type": "string"}}),
        ),
    ),
    _get(
        path="/handlers/{handler_id}",
        operation_id="getHandler",
        summary="Get a run's state",
        response=HandlerData,
        parameters=(_HANDLER,),
        also={202: "The run has not ended.", **_ENDED_BADLY},
        problems=(404, 422),
    ),
    _post(
        path="/handlers/{handler_id}/cancel",
        operation_id="cancelHandler",
        summary="Cancel a run",
        response=CancelHandlerResponse,
        parameters=(
            _HANDLER,
            query_parameter("purge", {"type": "boolean"}, "Also delete its record."),
        ),
        problems=(404,),
    ),
    _get(
        path="/results/{handler_id}",
        operation_id="getResult",
        summary="Get a run's result",
        response=HandlerResult,
        parameters=(_HANDLER,),
        also={202: "The run has not ended.", **_ENDED_BADLY},
        problems=(404, 422),
    ),
    _get(
        path="/events/{handler_id}",
        operation_id="followHandler",
        summary="Follow a run's events",
        media_type="application/x-ndjson",
        events={kind.__name__: kind for kind in _EVENTS},
        is_enveloped=True,
        parameters=(
            _HANDLER,
            query_parameter(
                "sse", {"type": "boolean", "default": True}, "False: one JSON object a line."
            ),
            query_parameter(
                "after_sequence",
                {"oneOf": [{"type": "integer"}, {"const": "now"}]},
                "Resume after this event.",
            ),
            query_parameter("include_qualified_name", {"type": "boolean", "default": True}),
        ),
        also={204: "All events were already sent."},
        problems=(400, 404, 422),
    ),
    _post(
        path="/events/{handler_id}",
        operation_id="sendEvent",
        summary="Send an event into a run",
        request=SendEvent,
        response=SendEventResponse,
        parameters=(_HANDLER,),
        problems=(400, 404, 408, 409, 413, 415),
    ),
)
