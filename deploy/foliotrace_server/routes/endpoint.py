"""`@endpoint` declares a handler's route; what the handler returns is the response body."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import FunctionType
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from foliotrace_server.bodies import BodyType, to_json
from foliotrace_server.openapi.operation import ID, Operation, Parameter, path_parameter

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])
_DECLARED: dict[object, Operation] = {}  # by handler
DEGRADATION_HEADER: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Degradation-Level": {
        "description": "How far the result fell below the best configured path.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 4},
    },
}


def endpoint(
    method: str,
    path: str,
    *,
    tag: str,
    response: BodyType = None,
    status: int = 200,
    media_type: str = "application/json",
    request: BodyType = None,
    events: Mapping[str, BodyType] | None = None,
    also: Mapping[int, str] | None = None,
    headers: Mapping[str, Mapping[str, Any]] | None = None,
    path_types: Mapping[str, Mapping[str, Any]] | None = None,
    parameters: Sequence[Parameter] = (),
    problems: tuple[int, ...] = (),
) -> Callable[[H], H]:
    """Declare a handler's route, with the fields of `Operation`.

    Id and summary of the operation are the handler's name and the first line of its docstring. A
    handler that returns a body is answered with that body as JSON. One that makes its own
    `Response` names the type that the response holds in `response`.
    """
    schemas = path_types or {}
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]

    def declare(handler: H) -> H:
        returned = handler.__annotations__["return"]
        first, *words = handler.__name__.split("_")
        _DECLARED[handler] = Operation(
            method=method,
            path=path,
            operation_id=first + "".join(word.capitalize() for word in words),
            summary=(handler.__doc__ or "").partition("\n")[0].rstrip("."),
            tag=tag,
            response=response if returned is Response else returned,
            parameters=(
                *(path_parameter(name, schemas.get(name, ID)) for name in in_path),
                *parameters,
            ),
            status=status,
            media_type=media_type,
            request=request,
            events=events or {},
            also=also or {},
            headers=headers or {},
            problems=problems,
        )
        return handler

    return declare


def operations(*handlers: type) -> Iterator[Operation]:
    """The operations that classes of handlers declare, in their order."""
    for each in handlers:
        for function in vars(each).values():
            if isinstance(function, FunctionType) and function in _DECLARED:
                yield _DECLARED[function]


def routes(*handlers: object) -> Iterator[Route]:
    """The routes of handler objects."""
    for each in handlers:
        for name, function in vars(type(each)).items():
            if isinstance(function, FunctionType) and function in _DECLARED:
                operation, handler = _DECLARED[function], getattr(each, name)
                if function.__annotations__["return"] is not Response:
                    handler = _as_json(handler, operation)
                yield Route(operation.path, handler, methods=[operation.method])


def _as_json(
    handler: Callable[[Request], Awaitable[Any]], operation: Operation
) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        body = to_json(operation.response, await handler(request))
        return Response(body, status_code=operation.status, media_type="application/json")

    return respond


_HEARTBEAT_S = 15.0


def event(name: str, body: bytes, *, id_: int | None = None) -> bytes:
    """One event; `body` is JSON on one line. A client resumes after the last `id_` it has seen."""
    head = b"" if id_ is None else b"id: %d\n" % id_
    return head + b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of events. It closes `source` when the client hangs up, so that its work stops."""

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            _with_heartbeats(source),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )


async def _with_heartbeats(source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """`source`, and a comment after each 15 s of silence, so that no proxy times out."""
    waiting: asyncio.Task[bytes] | None = None
    async with aclosing(source):
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(source))
                done, _ = await asyncio.wait({waiting}, timeout=_HEARTBEAT_S)
                if not done:
                    yield b": heartbeat\n\n"
                    continue
                finished, waiting = waiting, None
                try:
                    part = finished.result()
                except StopAsyncIteration:
                    return
                yield part
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
