"""Request bodies: limited while they stream, read once, told wrong without being echoed."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive
from workflows.events import StartEvent

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput, InvalidRequest
from foliotrace_server.problems import WrongFields

M = TypeVar("M", bound=BaseModel)
_LEAST_BYTES_PER_S: Final = 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class BodyTooLarge(BadInput):
    """The request body is larger than the server accepts."""

    code = ErrorCode.BODY_TOO_LARGE


class MediaTypeUnsupported(BadInput):
    """This route does not read that content type."""

    code = ErrorCode.MEDIA_TYPE_UNSUPPORTED


class BodyTooSlow(BadInput):
    """The upload of the request body timed out."""

    code = ErrorCode.BODY_TOO_SLOW


class BodyCutShort(BadInput):
    """The connection closed before the request was complete."""

    code = ErrorCode.BODY_CUT_SHORT


def paced(receive: Receive, patience_s: float) -> Receive:
    """`receive` that raises BodyTooSlow once a body kept it waiting too long.

    That is `patience_s` beyond what 1 KiB a second would take; time spent elsewhere is not counted.
    """
    left_s, complete = patience_s, False

    async def in_time() -> Message:
        nonlocal left_s, complete
        if complete:  # what comes now is the caller hanging up
            return await receive()
        began_s = monotonic()
        try:
            async with asyncio.timeout(left_s):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow() from None
        came_s = len(message.get("body", b"")) / _LEAST_BYTES_PER_S
        left_s += min(came_s, patience_s) - (monotonic() - began_s)
        complete = not message.get("more_body", False)
        return message

    return in_time


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """All of the body. Raises BodyTooLarge before more than `limit_bytes` are held."""
    return b"".join([part async for part in limited(request, limit_bytes)])


async def limited(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces. Raises BodyTooLarge as soon as it is known to be, BodyCutShort."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise BodyTooLarge(f"the body may hold {limit_bytes} bytes")
    taken = 0
    try:
        async for part in request.stream():
            taken += len(part)
            if taken > limit_bytes:
                raise BodyTooLarge(f"the body may hold {limit_bytes} bytes")
            yield part
    except ClientDisconnect:
        raise BodyCutShort() from None


async def read_json(request: Request, limit_bytes: int) -> dict[str, Any]:
    """A JSON object. Raises BodyTooLarge, MediaTypeUnsupported, InvalidRequest.

    The content type must be JSON: a page of another site cannot send that without asking first.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise MediaTypeUnsupported(
            "this route reads JSON", hint="Send `Content-Type: application/json`."
        )
    body = await read_body(request, limit_bytes)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is not a JSON object")
    return value


def parsed(kind: type[M], value: Mapping[str, Any]) -> M:
    """`value` as a `kind`. Raises WrongFields naming each field and the rule it breaks."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise wrong_fields(error) from None


E = TypeVar("E", bound=StartEvent)


def start_event(kind: type[E], value: object) -> E:
    """`value` as a start event of ours. Raises WrongFields.

    LlamaIndex's events take any further field and know no alias, whatever their model says.
    """
    if not isinstance(value, dict):
        raise WrongFields([{"pointer": "/", "rule": "object"}])
    names: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        names[field.alias or name] = name
    named: dict[str, Any] = {str(names.get(key, key)): each for key, each in value.items()}
    if kind.model_config.get("extra") == "forbid":
        unknown = [key for key in named if key not in kind.model_fields]
        if unknown:
            raise WrongFields(
                [{"pointer": _pointer((key,)), "rule": "extra_forbidden"} for key in unknown]
            )
    return parsed(kind, named)


def wrong_fields(error: ValidationError) -> WrongFields:
    """The places and rules of a validation error, without the values."""
    return WrongFields(
        [
            {"pointer": _pointer(problem["loc"]), "rule": problem["type"]}
            for problem in error.errors(
                include_input=False, include_url=False, include_context=False
            )
        ]
    )


def _pointer(place: tuple[int | str, ...]) -> str:
    """A JSON pointer; a name that is no plain word (and may be anything) is shown as `?`."""
    return "/" + "/".join(
        str(part) if isinstance(part, int) or _NAME.fullmatch(part) else "?" for part in place
    )


def replayed(body: bytes) -> Receive:
    """A `receive` that gives an already read body to another application."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
