"""Errors as RFC 9457 problems: kinds of errors become HTTP statuses here and nowhere else.

Only the messages of our own errors leave the process, and no input is echoed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from traceback import extract_tb
from typing import Any, Final

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foliotrace import errors
from foliotrace.catalog import ErrorCode, ErrorKind

_log = structlog.get_logger(__name__)
PROBLEM = "foliotrace.problem"  # ASGI scope key: the code of the problem that was sent

_STATUS: Final[Mapping[ErrorKind, int]] = {
    ErrorKind.INVALID: 400,
    ErrorKind.OVER_BUDGET: 402,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.REQUEST_TIMEOUT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED_TYPE: 415,
    ErrorKind.UNPROCESSABLE: 422,
    ErrorKind.BUSY: 429,
    ErrorKind.HEADER_TOO_LARGE: 431,
    ErrorKind.INTERNAL: 500,
    ErrorKind.CLIENT: 500,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.TIMEOUT: 504,
}
_INVALID: Final = 'Bearer realm="foliotrace", error="invalid_token"'
_CHALLENGES: Final[Mapping[str, str]] = {  # RFC 6750, section 3
    ErrorCode.KEY_REQUIRED: 'Bearer realm="foliotrace"',
    ErrorCode.KEY_MISTYPED: _INVALID,
    ErrorCode.KEY_REFUSED: _INVALID,
    ErrorCode.KEY_EXPIRED: _INVALID,
    ErrorCode.TOKEN_REFUSED: _INVALID,
    ErrorCode.TOKEN_EXPIRED: _INVALID,
    ErrorCode.SCOPE_MISSING: 'Bearer realm="foliotrace", error="insufficient_scope"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An RFC 9457 problem. `errors` names the fields that are wrong, without their values."""

    code: str
    title: str
    status: int
    hint: str | None = None
    errors: Sequence[Mapping[str, str]] = ()
    retry_after_s: float | None = None

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        body: dict[str, Any] = {
            "type": f"urn:foliotrace:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.hint:
            body["detail"] = self.hint
        if self.errors:
            body["errors"] = list(self.errors)
        return body

    def response(self) -> Response:
        """The HTTP response."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, ceil(self.retry_after_s)))
        if self.code in _CHALLENGES:
            headers["WWW-Authenticate"] = _CHALLENGES[self.code]
        return Response(
            orjson.dumps(self.body()),
            status_code=self.status,
            headers=headers,
            media_type="application/problem+json",
        )


def problem_of(error: BaseException) -> Problem:
    """The problem for `error`. An exception that is not ours is logged, and its text withheld."""
    if not isinstance(error, errors.FoliotraceError):
        _log.error("request.failed", error_type=type(error).__name__, where=where(error))
        internal = ErrorCode.INTERNAL_ERROR
        return Problem(
            code=internal,
            title=internal.message,
            status=_STATUS[internal.kind],
            hint=internal.hint,
        )
    retry = error if isinstance(error, errors.TooBusy | errors.Unavailable) else None
    return Problem(
        code=error.error_code,
        title=error.message,
        status=status_of(ErrorCode.parse(error.error_code)),
        hint=error.hint,
        errors=error.fields if isinstance(error, WrongFields) else (),
        retry_after_s=retry.retry_after_s if retry else None,
    )


def where(error: BaseException) -> list[str]:
    """The lines an error came through, innermost last; its text may quote what was sent."""
    return [f"{f.filename}:{f.lineno} {f.name}" for f in extract_tb(error.__traceback__)[-8:]]


def status_of(code: ErrorCode) -> int:
    """The HTTP status for a code."""
    return _STATUS[code.kind]


class WrongFields(errors.InvalidRequest):
    """Some fields are invalid: each is a JSON pointer and the rule it breaks, never its value."""

    def __init__(self, fields: Sequence[Mapping[str, str]]) -> None:
        super().__init__("Some fields of the request are invalid.", hint="See `errors` and /docs.")
        self.fields = fields


_CODES: Final = {
    400: ErrorCode.INVALID_REQUEST,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    409: ErrorCode.CONFLICT,
    422: ErrorCode.RESULT_UNREADABLE,
}


async def http_exception(request: Request, error: Exception) -> Response:
    """A problem for an HTTP error of the library, whose own text quotes input and exceptions."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    status = error.status_code
    if status == 204:
        return Response(status_code=204)  # the library would send a body with it
    if status >= 500:  # an event that could not be delivered
        status = 409
    code = _CODES.get(status, ErrorCode.INVALID_REQUEST)
    return Problem(code=code, title=code.message, status=status).response()


async def any_exception(request: Request, error: Exception) -> Response:
    """A problem for any other exception; it shows the code alone."""
    return problem_of(error).response()


EXCEPTION_HANDLERS = {HTTPException: http_exception, Exception: any_exception}
