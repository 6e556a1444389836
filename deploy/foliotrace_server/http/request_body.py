"""Reads and validates request bodies and identifiers; errors never echo the input."""

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
from foliotrace.model import COLLECTION_NAME
from foliotrace_server.http.problems import WrongFields

M = TypeVar("M", bound=BaseModel)
_MIN_BYTES_PER_S: Final = 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def with_body_timeout(receive: Receive, grace_s: float) -> Receive:
    """Wrap `receive` to raise BadInput `body_too_slow` for a body that arrives too slowly.

    A body may take `grace_s` longer than at 1 KiB a second; only time spent in `receive` counts.
    """
    left_s, complete = grace_s, False

    async def receive_in_time() -> Message:
        nonlocal left_s, complete
        if complete:  # the next message is the disconnect
            return await receive()
        began_s = monotonic()
        try:
            async with asyncio.timeout(left_s):
                message = await receive()
        except TimeoutError:
            raise BadInput(code=ErrorCode.BODY_TOO_SLOW) from None
        allowed_s = len(message.get("body", b"")) / _MIN_BYTES_PER_S
        left_s += min(allowed_s, grace_s) - (monotonic() - began_s)
        complete = not message.get("more_body", False)
        return message

    return receive_in_time


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body. Raises BadInput before more than `limit_bytes` are in memory."""
    return b"".join([part async for part in stream_body(request, limit_bytes)])


async def stream_body(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body in chunks. Raises BadInput as soon as it is too large or cut short."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    received_bytes = 0
    try:
        async for part in request.stream():
            received_bytes += len(part)
            if received_bytes > limit_bytes:
                raise _too_large(limit_bytes)
            yield part
    except ClientDisconnect:
        raise BadInput(code=ErrorCode.BODY_CUT_SHORT) from None


def _too_large(limit_bytes: int) -> BadInput:
    return BadInput(f"the body exceeds {limit_bytes} bytes", code=ErrorCode.BODY_TOO_LARGE)


async def read_json(request: Request, limit_bytes: int) -> dict[str, Any]:
    """A JSON object. Raises BadInput, InvalidRequest.

    The content type must be JSON: browsers send it to another site only after a CORS preflight.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise BadInput(
            "this route reads JSON",
            code=ErrorCode.MEDIA_TYPE_UNSUPPORTED,
            hint="Send `Content-Type: application/json`.",
        )
    body = await read_body(request, limit_bytes)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is not a JSON object")
    return value


def parse_as(kind: type[M], value: Mapping[str, Any]) -> M:
    """Validate `value` as `kind`. Raises WrongFields with each field and the rule it breaks."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise wrong_fields(error) from None


E = TypeVar("E", bound=StartEvent)


def start_event(kind: type[E], value: object) -> E:
    """Validate `value` as a start event of ours. Raises WrongFields.

    Done here because LlamaIndex's events accept unknown fields and ignore aliases.
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
    return parse_as(kind, named)


def wrong_fields(error: ValidationError) -> WrongFields:
    """Field and rule of each validation error, without the values."""
    return WrongFields(
        [
            {"pointer": _pointer(problem["loc"]), "rule": problem["type"]}
            for problem in error.errors(
                include_input=False, include_url=False, include_context=False
            )
        ]
    )


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer; a name that is not an identifier could be any text and becomes `?`."""
    return "/" + "/".join(
        str(part) if isinstance(part, int) or _NAME.fullmatch(part) else "?" for part in location
    )


def receive_again(body: bytes) -> Receive:
    """A `receive` that passes a body that was read already to another application."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def checked_id(value: object, name: str) -> str:
    """`value`, checked to be 1 to 64 letters, digits, `_` or `-`. Raises InvalidRequest."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidRequest(f"`{name}` must be 1 to 64 letters, digits, _ or -")
    return value


def checked_collection(value: str) -> str:
    """`value`, checked to be a collection name. Raises InvalidRequest."""
    if not COLLECTION_NAME.fullmatch(value):
        raise InvalidRequest("`collection` must be 1 to 64 letters, digits, `_`, `.` or `-`")
    return value


def checked_key(value: str | None) -> str | None:
    """`value`, checked to be 1 to 128 visible ASCII characters or None. Raises InvalidRequest."""
    if value is not None and not _KEY.fullmatch(value):
        raise InvalidRequest("`Idempotency-Key` must be 1 to 128 visible ASCII characters")
    return value
