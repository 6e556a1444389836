"""What llama-agents-server tells its callers, without exception text and echoed input."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foliotrace_server.problems import Problem, problem_of

TOLD = {
    400: ("invalid_request", "the request cannot be used"),
    404: ("not_found", "nothing of that id or name is here"),
    405: ("method_not_allowed", "this route does not take that method"),
    409: ("conflict", "the run has ended, or one of this id is already going"),
    422: ("result_unreadable", "the stored result cannot be read by this version"),
}


async def http_exception(request: Request, error: Exception) -> Response:
    """The library's HTTP errors as problems; its texts quote input and exceptions."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    status = error.status_code
    if status == 204:
        return Response(status_code=204)  # the library would send a body with it
    if status >= 500:  # an event that could not be delivered
        status = 409
    code, title = TOLD.get(status, TOLD[400])
    return Problem(code=code, title=title, status=status).response()


async def any_exception(request: Request, error: Exception) -> Response:
    """Anything else: named by its code alone."""
    return problem_of(error).response()


EXCEPTION_HANDLERS = {HTTPException: http_exception, Exception: any_exception}
