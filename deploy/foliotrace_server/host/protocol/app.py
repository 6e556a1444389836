"""The llama-agents protocol over both hosts, in memory and durable, behind one base URL.

LlamaIndex's `WorkflowClient` works unchanged. Runs are started here, with our limits, durability
and errors; requests that read or control a run are forwarded to the server that has it.
"""

from http import HTTPStatus
from uuid import uuid4

import orjson
from llama_agents.server import HandlerQuery
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from workflows import Workflow

from foliotrace.catalog import ErrorCode, ErrorKind
from foliotrace.errors import Conflict, InvalidRequest, NotFound
from foliotrace.ingest.start_file import brings_a_file
from foliotrace.ingest.workflow import IngestDocument
from foliotrace.model import JobKind, Principal
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.in_memory_host import InMemoryHost
from foliotrace_server.host.internals.engine import HandlerData, handler_data
from foliotrace_server.host.internals.stores import (
    EventEnvelope,
    failure_kind,
)
from foliotrace_server.host.protocol.events import (
    awaited_event,
    decoded,
    id_of_tenant,
    public_events,
    start_event_of,
    with_job_id,
)
from foliotrace_server.http.identity import caller, require
from foliotrace_server.http.overload import ConcurrencyLimit
from foliotrace_server.http.request_body import checked_id, read_json, receive_again
from foliotrace_server.http.scopes import scope_of
from foliotrace_server.jobs.service import JobService

_STATES = ("running", "completed", "failed", "cancelled")
_JOBS = ("ingest", "extract")
_OUR_FAULTS = (ErrorKind.INTERNAL, ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT)
_ABOUT_RUNS = ("handlers", "results", "events")


class ProtocolApp:
    """An ASGI application for `/workflows`, `/handlers`, `/events`, `/results` and `/health`."""

    def __init__(
        self,
        in_memory: InMemoryHost,
        durable: DurableHost,
        *,
        jobs: JobService,
        queries: ConcurrencyLimit,
        uploads: ConcurrencyLimit,
        max_body_bytes: int,
        max_upload_bytes: int,
    ) -> None:
        self._in_memory, self._durable = in_memory, durable
        self._jobs = jobs
        self._queries, self._uploads = queries, uploads
        self._max_body_bytes, self._max_upload_bytes = max_body_bytes, max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or forward a request. Raises our errors; `HttpGuard` turns them into problems."""
        parts = scope["path"].strip("/").split("/")
        if len(parts) > 1 and parts[0] in _ABOUT_RUNS:
            parts[1] = self._own_id(parts[1])
            scope = {**scope, "path": "/" + "/".join(parts)}
        request = Request(scope, receive, send)
        match (request.method, *parts):
            case ("GET", "health"):
                answer = _json({"status": "healthy"})
            case ("GET", "workflows"):
                answer = _json(
                    {"workflows": [*self._in_memory.workflows, *self._durable.workflows]}
                )
            case ("POST", "workflows", name, "run" | "run-nowait" as how):
                answer = await self._start(request, name, wait=how == "run")
            case ("GET", "workflows", name, "events"):
                public = public_events(self._workflow(name))
                answer = _json({"events": [kind.model_json_schema() for kind in public]})
            case ("GET", "workflows", name, "schema" | "representation"):
                self._workflow(name)
                is_in_memory = name in self._in_memory.workflows
                host = self._in_memory if is_in_memory else self._durable
                return await _forward(host, scope, receive, send)
            case ("GET", "handlers"):
                answer = await self._list_handlers(request)
            case ("POST", "handlers", handler_id, "cancel"):
                await self._require_scope_of(handler_id)
                if not (
                    await self._in_memory.cancel(handler_id)
                    or await self._cancel_before_start(handler_id)
                ):
                    return await _forward(self._host_of(handler_id), scope, receive, send)
                answer = _json({"status": "cancelled"})
            case ("POST", "events", handler_id):
                await self._require_scope_of(handler_id)
                body = await self._event_body(request, handler_id)
                return await _forward(self._host_of(handler_id), scope, receive_again(body), send)
            case ("GET", "handlers" | "results", handler_id):
                return await self._forward_record(handler_id, scope, receive, send)
            case ("GET", "events", handler_id):
                return await _forward(self._host_of(handler_id), scope, receive, send)
            case _:
                raise NotFound(code=ErrorCode.ROUTE_NOT_FOUND)
        await answer(scope, receive, send)
        return None

    async def _cancel_before_start(self, handler_id: str) -> bool:
        """Cancel an accepted run that has no record yet; False if there is none."""
        if handler_id not in self._durable.accepted or await self._durable.records.handler(
            handler_id
        ):
            return False
        try:
            await self._jobs.cancel(caller(), handler_id)
        except NotFound:  # a run of the user's own workflow has no job
            return await self._durable.cancel(handler_id)
        return True

    async def _start(self, request: Request, name: str, *, wait: bool) -> Response:
        workflow = self._workflow(name)
        require(scope_of(name))
        if name == JobKind.INGEST:  # its start event may hold a file
            async with self._uploads.slot():
                handler_id, payload = await _start_request(request, self._max_upload_bytes)
                handler = await self._accept_ingest(workflow, handler_id, payload)
            return await self._handler_response(
                await self._durable.records.record(handler, wait=wait)
            )
        handler_id, payload = await _start_request(request, self._max_body_bytes)
        if name in self._durable.workflows:
            handler = await self._accept_durably(name, workflow, handler_id, payload)
            return await self._handler_response(
                await self._durable.records.record(handler, wait=wait)
            )
        handler = await self._check_handler_id(handler_id, durable=False)
        event = start_event_of(workflow, payload)
        if not wait:
            return await self._handler_response(await self._in_memory.start(name, handler, event))
        async with self._queries.slot():
            return await self._handler_response(await self._in_memory.run(name, handler, event))

    async def _accept_ingest(self, workflow: Workflow, handler_id: object, payload: object) -> str:
        """Start a run; the file in its start event is stored first, so that no journal holds it."""
        payload, job_id = with_job_id(workflow.start_event_class, payload, handler_id)
        event = start_event_of(workflow, payload)
        if not (isinstance(event, IngestDocument) and brings_a_file(event)):
            return await self._accept_durably(JobKind.INGEST, workflow, job_id, payload)
        handler = await self._check_handler_id(job_id, durable=True, reusable=False)
        await self._jobs.ingest_file(caller(), event.model_copy(update={"job_id": handler}))
        return handler

    async def _accept_durably(
        self, name: str, workflow: Workflow, handler_id: object, payload: object
    ) -> str:
        is_job = name in _JOBS
        if is_job:  # the id of a job is also its handler id
            payload, handler_id = with_job_id(workflow.start_event_class, payload, handler_id)
        handler = await self._check_handler_id(handler_id, durable=True, reusable=not is_job)
        event = start_event_of(workflow, payload)
        with self._durable.accepted.place():
            await self._durable.accept(handler, caller(), name, event)
        await self._durable.begin(handler, may_queue=False)
        return handler

    async def _handler_response(self, handler: HandlerData) -> Response:
        """200, or another status for a run that failed or was cancelled, as `GET /handlers` has."""
        ended_badly = handler.status in ("failed", "cancelled")
        status = await self._status_of_bad_end(handler.handler_id) if ended_badly else HTTPStatus.OK
        body = handler.model_dump_json()
        return Response(body, status_code=status, media_type="application/json")

    async def _forward_record(
        self, handler_id: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Forward, but answer 4xx where the library answers 500 for what the caller did."""

        async def respond(message: Message) -> None:
            if message.get("status") == HTTPStatus.INTERNAL_SERVER_ERROR:
                message = {**message, "status": await self._status_of_bad_end(handler_id)}
            await send(message)

        await _forward(self._host_of(handler_id), scope, receive, respond)

    async def _status_of_bad_end(self, handler_id: str) -> int:
        """409 for a cancelled run, 422 if the input made it fail, 500 for all else."""
        store = self._host_of(handler_id).store
        found = await store.query(HandlerQuery(handler_id_in=[handler_id]))
        if found and found[0].status == "cancelled":
            return HTTPStatus.CONFLICT
        kind = await failure_kind(store, found[0]) if found else None
        is_ours = kind is None or kind in _OUR_FAULTS
        return HTTPStatus.INTERNAL_SERVER_ERROR if is_ours else HTTPStatus.UNPROCESSABLE_ENTITY

    async def _check_handler_id(
        self, handler_id: object, *, durable: bool, reusable: bool = True
    ) -> str:
        """The handler id, or a new one for None. Raises InvalidRequest, Conflict if it is taken.

        With `reusable`, the id of a run that has ended may be used again, as the protocol allows.
        """
        if handler_id is None:
            return uuid4().hex
        checked = id_of_tenant(checked_id(handler_id, "handler_id"))
        in_memory = self._in_memory.has_handler(checked)
        is_stored = (
            not (durable and reusable) and await self._durable.records.handler(checked) is not None
        )
        is_foreign = not _is_own(self._host_of(checked).owner(checked)) and (
            in_memory
            or checked in self._durable.accepted
            or await self._durable.records.handler(checked) is not None
        )
        if (durable and in_memory) or is_stored or is_foreign:
            raise Conflict(code=ErrorCode.HANDLER_EXISTS)
        return checked

    async def _list_handlers(self, request: Request) -> Response:
        """The caller's handlers of both hosts."""
        states = [s for s in request.query_params.getlist("status") if s]
        names = [n for n in request.query_params.getlist("workflow_name") if n]
        query = HandlerQuery(
            status_in=[s for s in _STATES if s in states] if states else None,  # type: ignore[misc] # they are
            workflow_name_in=names or None,
        )
        handlers = [
            handler
            for host in (self._in_memory, self._durable)
            for handler in await host.store.query(query)
            if _is_own(host.owner(handler.handler_id))
        ]
        return _json({"handlers": [handler_data(each).model_dump() for each in handlers]})

    async def _event_body(self, request: Request, handler_id: str) -> bytes:
        body = await read_json(request, self._max_body_bytes)
        if not isinstance(body.get("event"), (dict, str)) or not body["event"]:
            raise InvalidRequest("`event` must be an event")
        if not isinstance(body.get("step"), str | None):
            raise InvalidRequest("`step` must be the name of a step")
        host = self._host_of(handler_id)
        found = await host.store.query(HandlerQuery(handler_id_in=[handler_id]))
        accepted = self._durable.accepted.get(handler_id)  # it may not have started
        name = found[0].workflow_name if found else accepted.workflow if accepted else None
        workflow = host.workflows.get(name) if name else None
        if workflow is None:
            raise NotFound(code=ErrorCode.HANDLER_NOT_FOUND)
        event = awaited_event(workflow, body["event"])
        # parsed and written anew: the library must not read another event from the same bytes
        sent = EventEnvelope.from_event(event).model_dump(exclude_none=True)
        return orjson.dumps({"event": sent, "step": body.get("step")})

    def _own_id(self, handler_id: str) -> str:
        """The id of the caller's run; one that nobody has, if that run is somebody else's.

        So both are answered in the same way, and nobody learns which ids others use.
        """
        for known in (handler_id, id_of_tenant(handler_id)):
            if _is_own(self._host_of(known).owner(known)):
                return known
        return uuid4().hex

    async def _require_scope_of(self, handler_id: str) -> None:
        """Require what the start of this run required."""
        store = self._host_of(handler_id).store
        for found in await store.query(HandlerQuery(handler_id_in=[handler_id])):
            require(scope_of(found.workflow_name))

    def _host_of(self, handler_id: str) -> "InMemoryHost | DurableHost":
        return self._in_memory if self._in_memory.has_handler(handler_id) else self._durable

    def _workflow(self, name: str) -> Workflow:
        workflow = self._in_memory.workflows.get(name) or self._durable.workflows.get(name)
        if workflow is None:
            raise NotFound(code=ErrorCode.WORKFLOW_NOT_FOUND)
        return workflow


async def _start_request(request: Request, limit_bytes: int) -> tuple[object, object]:
    """(handler id or None, start event) of a request to start a run. Raises BadInput."""
    body = await read_json(request, limit_bytes)
    if body.get("context"):
        raise InvalidRequest("`context` is not accepted")
    start = decoded(body.get("start_event", body.get("kwargs", {})))
    return body.get("handler_id") or None, start


def _is_own(owner: Principal) -> bool:
    """Whether the caller may see a run: of its tenant, on no collection closed to the caller."""
    asking = caller()
    return asking.tenant == owner.tenant and asking.may_use_all(owner.collections)


async def _forward(
    host: InMemoryHost | DurableHost, scope: Scope, receive: Receive, send: Send
) -> None:
    """Forward to the library's server, never asking for internal events: they hold input."""
    query = b"&".join(
        part
        for part in scope["query_string"].split(b"&")
        if not part.lower().startswith(b"include_internal")
    )
    await host.server.app({**scope, "query_string": query}, receive, send)


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
