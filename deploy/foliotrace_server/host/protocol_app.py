"""The llama-agents protocol over the hot and the durable workflows, behind one base URL.

`WorkflowClient` works unchanged. Starting a run is ours (limits, promises, no echo); what reads or
steers one goes to the server that has it.
"""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from llama_agents.server import HandlerQuery
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from workflows import Workflow
from workflows.events import StartEvent

from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, InvalidRequest, NotFound
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.in_memory_host import InMemoryHost
from foliotrace_server.host.internals import (
    EventEnvelope,
    EventValidationError,
    HandlerData,
    handler_data,
)
from foliotrace_server.http_guard import ConcurrencyLimit
from foliotrace_server.identity import caller
from foliotrace_server.names import checked_id
from foliotrace_server.request_body import read_json, replayed, start_event

_STATES = ("running", "completed", "failed", "cancelled")
_JOBS = ("ingest", "extract")
_ENVELOPE = frozenset({"value", "type", "types", "qualified_name"})


class ProtocolApp:
    """An ASGI application for `/workflows`, `/handlers`, `/events`, `/results` and `/health`."""

    def __init__(
        self,
        hot: InMemoryHost,
        durable: DurableHost,
        *,
        queries: ConcurrencyLimit,
        max_body_bytes: int,
    ) -> None:
        self._hot, self._durable = hot, durable
        self._queries = queries
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on. Raises our errors for the edge to tell."""
        request = Request(scope, receive, send)
        match (request.method, *request.url.path.strip("/").split("/")):
            case ("GET", "health"):
                answer = _json({"status": "healthy"})
            case ("GET", "workflows"):
                answer = _json({"workflows": [*self._hot.workflows, *self._durable.workflows]})
            case ("POST", "workflows", name, "run" | "run-nowait" as how):
                answer = await self._start(request, name, wait=how == "run")
            case ("GET", "workflows", name, "schema" | "events" | "representation"):
                self._workflow(name)
                return await self._pass_on(scope, receive, send, hot=name in self._hot.workflows)
            case ("GET", "handlers"):
                answer = await self._handlers(request)
            case ("POST", "handlers", handler_id, "cancel"):
                if not await self._hot.cancel(handler_id):
                    return await self._steer(handler_id, scope, receive, send)
                answer = _json({"status": "cancelled"})
            case ("POST", "events", handler_id):
                body = await self._event(request)
                return await self._steer(handler_id, scope, replayed(body), send)
            case ("GET", "handlers" | "results" | "events", handler_id):
                return await self._steer(handler_id, scope, receive, send)
            case _:
                raise NotFound(code=ErrorCode.ROUTE_NOT_FOUND)
        await answer(scope, receive, send)
        return None

    async def _start(self, request: Request, name: str, *, wait: bool) -> Response:
        workflow = self._workflow(name)
        body = await read_json(request, self._max_body_bytes)
        if body.get("context"):
            raise InvalidRequest("a saved context is not taken from callers")
        handler_id = body.get("handler_id") or None
        given = _decoded(body.get("start_event", body.get("kwargs", {})))
        if name in self._durable.workflows:
            return await self._start_durably(name, workflow, handler_id, given, wait=wait)
        chosen = await self._chosen(handler_id, durable=False)
        event = start_event_of(workflow, given)
        if not wait:
            return _handler(await self._hot.start(name, chosen, event))
        async with self._queries.slot():
            return _handler(await self._hot.run(name, chosen, event))

    async def _start_durably(
        self, name: str, workflow: Workflow, handler_id: object, given: object, *, wait: bool
    ) -> Response:
        if name in _JOBS:  # a job's id is its handler's
            given, handler_id = _with_job_id(workflow.start_event_class, given, handler_id)
        chosen = await self._chosen(handler_id, durable=True, reused=name not in _JOBS)
        self._durable.promise(chosen, caller().tenant, name, start_event_of(workflow, given))
        await self._durable.begin(chosen, may_wait=False)
        return _handler(await self._durable.record(chosen, wait=wait))

    async def _chosen(self, handler_id: object, *, durable: bool, reused: bool = True) -> str:
        """A handler id that names no run of the other kind. Raises Conflict, InvalidRequest.

        `reused`: an id whose run has ended may go on, as the protocol has it; a job's may not.
        """
        if handler_id is None:
            return uuid4().hex
        chosen = checked_id(handler_id, "handler_id")
        other = self._hot.knows(chosen) if durable else await self._durable.handler(chosen)
        if other or (not reused and await self._durable.handler(chosen) is not None):
            raise Conflict(code=ErrorCode.HANDLER_EXISTS)
        return chosen

    async def _handlers(self, request: Request) -> Response:
        """Both listings as one."""
        states = [s for s in request.query_params.getlist("status") if s]
        names = [n for n in request.query_params.getlist("workflow_name") if n]
        query = HandlerQuery(
            status_in=[s for s in _STATES if s in states] if states else None,  # type: ignore[misc] # they are
            workflow_name_in=names or None,
        )
        found = [*await self._hot.store.query(query), *await self._durable.store.query(query)]
        return _json({"handlers": [handler_data(each).model_dump() for each in found]})

    async def _event(self, request: Request) -> bytes:
        body = await read_json(request, self._max_body_bytes)
        if not isinstance(body.get("event"), (dict, str)) or not body["event"]:
            raise InvalidRequest("`event` must be an event")
        if not isinstance(body.get("step"), str | None):
            raise InvalidRequest("`step` must be the name of a step")
        return orjson.dumps(body)

    async def _steer(self, handler_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pass_on(scope, receive, send, hot=self._hot.knows(handler_id))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, *, hot: bool) -> None:
        """To the server that has it; never with internal events, which hold inputs."""
        query = b"&".join(
            part
            for part in scope["query_string"].split(b"&")
            if not part.lower().startswith(b"include_internal")
        )
        app = self._hot.server.app if hot else self._durable.server.app
        await app({**scope, "query_string": query}, receive, send)

    def _workflow(self, name: str) -> Workflow:
        found = self._hot.workflows.get(name) or self._durable.workflows.get(name)
        if found is None:
            raise NotFound(code=ErrorCode.WORKFLOW_NOT_FOUND)
        return found


def start_event_of(workflow: Workflow, given: object) -> StartEvent:
    """A start event as clients send it: its fields, or an envelope of type and value.

    Raises WrongFields naming each field, InvalidRequest.
    """
    kind = workflow.start_event_class
    if kind.model_config.get("extra") == "forbid":
        return start_event(kind, _fields(kind, given))
    try:
        event = EventEnvelope.parse(given, {kind.__name__: kind}, explicit_event=kind)
    except EventValidationError:
        raise InvalidRequest("`start_event` is no event of this workflow") from None
    if not isinstance(event, kind):
        raise InvalidRequest("`start_event` is not the event this workflow starts with")
    return event


def _fields(kind: type[StartEvent], given: object) -> dict[str, Any]:
    """The fields in `given`, taken out of an envelope if they are in one."""
    if not isinstance(given, dict):
        raise InvalidRequest("`start_event` must be an object")
    if not ("value" in given and _ENVELOPE.issuperset(given)):
        return given
    named = given.get("type") or (given.get("qualified_name") or "").rpartition(".")[2]
    if named not in ("", kind.__name__) or not isinstance(given["value"], dict):
        raise InvalidRequest("`start_event` is not the event this workflow starts with")
    value: dict[str, Any] = given["value"]
    return value


def _with_job_id(
    kind: type[StartEvent], given: object, handler_id: object
) -> tuple[dict[str, Any], object]:
    """(start event's fields, handler id), both naming the same job."""
    fields = _fields(kind, given)
    job_id = fields.get("job_id") or handler_id or f"job_{uuid4().hex}"
    if handler_id is not None and handler_id != job_id:
        raise InvalidRequest("`handler_id` and `job_id` must be the same")
    return {**fields, "job_id": job_id}, job_id


def _decoded(given: object) -> object:
    """An event sent as text, decoded. Raises InvalidRequest."""
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        raise InvalidRequest("`start_event` is not JSON") from None


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _handler(handler: HandlerData) -> Response:
    """200, or as the library has it: 500 for a run that has ended otherwise."""
    ended_badly = handler.status in ("failed", "cancelled")
    return Response(
        handler.model_dump_json(),
        status_code=HTTPStatus.INTERNAL_SERVER_ERROR if ended_badly else HTTPStatus.OK,
        media_type="application/json",
    )
