"""Errors of llama-agents-server as problems, without exception text or echoed input."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foliotrace.catalog import ErrorCode
from foliotrace_server.problems import Problem, problem_of

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
