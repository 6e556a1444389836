"""The operations of the llama-agents protocol, with the library's own types for its bodies."""

from collections.abc import Iterator, Mapping
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
from foliotrace_server.contract import BodyType
from foliotrace_server.openapi.operation import (
    Operation,
    Parameter,
    path_parameter,
    query_parameter,
)

_HANDLER = path_parameter("handler_id", {"type": "string", "minLength": 1, "maxLength": 64})
_STATUS = {"enum": ["running", "completed", "failed", "cancelled"]}
_ENDED_BADLY = "The run has failed or was cancelled."
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


def protocol_operations(workflows: tuple[str, ...]) -> Iterator[Operation]:
    """The operations of a server that hosts `workflows`."""
    name = path_parameter("name", {"enum": list(workflows)})
    yield _get("/health", "protocolHealth", "Check that the process answers", HealthResponse)
    yield _get("/workflows", "listWorkflows", "List the hosted workflows", WorkflowsListResponse)
    for how, operation_id, summary in (
        ("run", "runWorkflow", "Run a workflow and wait until it ends"),
        ("run-nowait", "startWorkflow", "Start a workflow"),
    ):
        waits = how == "run"
        yield Operation(
            method="POST",
            path=f"/workflows/{{name}}/{how}",
            operation_id=operation_id,
            summary=summary,
            tag="protocol",
            parameters=(name,),
            request=RunWorkflow,
            response=HandlerData,
            also={500: _ENDED_BADLY} if waits else {},
            problems=(400, 404, 408, 409, 413, 415, 422, 429, 503, *((504,) if waits else ())),
        )
    for what, operation_id, summary, response in (
        ("schema", "workflowSchema", "Get a workflow's input and output", WorkflowSchemaResponse),
        ("events", "workflowEvents", "Get a workflow's events", WorkflowEventsListResponse),
        ("representation", "workflowRepresentation", "Get its graph", WorkflowGraphResponse),
    ):
        path = f"/workflows/{{name}}/{what}"
        yield _get(path, operation_id, summary, response, parameters=(name,), problems=(404,))
    yield _get(
        "/handlers",
        "listHandlers",
        "List runs",
        HandlersListResponse,
        parameters=(
            query_parameter("status", {"type": "array", "items": _STATUS}),
            query_parameter("workflow_name", {"type": "array", "items": {"type": "string"}}),
        ),
    )
    for path, operation_id, summary, response in (
        ("/handlers/{handler_id}", "getHandler", "Get a run's state", HandlerData),
        ("/results/{handler_id}", "getResult", "Get a run's result", HandlerResult),
    ):
        also = {202: "The run has not ended.", 500: _ENDED_BADLY}
        yield _get(
            path,
            operation_id,
            summary,
            response,
            parameters=(_HANDLER,),
            also=also,
            problems=(404, 422),
        )
    yield Operation(
        method="POST",
        path="/handlers/{handler_id}/cancel",
        operation_id="cancelHandler",
        summary="Cancel a run",
        tag="protocol",
        parameters=(_HANDLER, query_parameter("purge", {"type": "boolean"}, "Also forget it.")),
        response=CancelHandlerResponse,
        problems=(404,),
    )
    yield from _run_events()


def _run_events() -> Iterator[Operation]:
    after = {"oneOf": [{"type": "integer"}, {"const": "now"}]}
    yield Operation(
        method="GET",
        path="/events/{handler_id}",
        operation_id="followHandler",
        summary="Follow a run's events",
        tag="protocol",
        parameters=(
            _HANDLER,
            query_parameter("sse", {"type": "boolean", "default": True}, "Else JSON lines."),
            query_parameter("after_sequence", after, "Resume after this event."),
            query_parameter("include_qualified_name", {"type": "boolean", "default": True}),
        ),
        media_type="application/x-ndjson",
        events={kind.__name__: kind for kind in _EVENTS},
        is_enveloped=True,
        also={204: "All events were already sent."},
        problems=(400, 404, 422),
    )
    yield Operation(
        method="POST",
        path="/events/{handler_id}",
        operation_id="sendEvent",
        summary="Send an event into a run",
        tag="protocol",
        parameters=(_HANDLER,),
        request=SendEvent,
        response=SendEventResponse,
        problems=(400, 404, 408, 409, 413, 415),
    )


def _get(
    path: str,
    operation_id: str,
    summary: str,
    response: BodyType,
    *,
    parameters: tuple[Parameter, ...] = (),
    also: Mapping[int, str] | None = None,
    problems: tuple[int, ...] = (),
) -> Operation:
    return Operation(
        method="GET",
        path=path,
        operation_id=operation_id,
        summary=summary,
        tag="protocol",
        response=response,
        parameters=parameters,
        also=also or {},
        problems=problems,
    )
