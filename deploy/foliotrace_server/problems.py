"""Errors as RFC 9457 problems: our codes become statuses here and nowhere else.

No exception text but that of our own errors leaves the process, and nothing that was sent comes
back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from traceback import extract_tb
from typing import Any

import orjson
import structlog
from starlette.responses import Response

from foliotrace import errors

_log = structlog.get_logger(__name__)
INTERNAL = "internal_error"
PROBLEM = "foliotrace.problem"  # in a scope: the code of the problem it was answered with

_STATUS: tuple[tuple[type[errors.FoliotraceError], int], ...] = (  # the first that fits
    (errors.UnsupportedFile, 415),
    (errors.FileRefused, 422),
    (errors.NothingToIndex, 422),
    (errors.InvalidSchema, 422),
    (errors.BadInput, 400),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.TooBusy, 429),
    (errors.BudgetExceeded, 402),
    (errors.Refused, 403),
    (errors.DeadlineExceeded, 504),
    (errors.Unavailable, 503),
)
_STATUS_OF_CODE = {
    "file_too_large": 413,
    "body_too_large": 413,
    "body_too_slow": 408,
    "media_type_unsupported": 415,
    "method_not_allowed": 405,
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
        """The JSON of it."""
        shown: dict[str, Any] = {
            "type": f"urn:foliotrace:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.hint:
            shown["detail"] = self.hint
        if self.errors:
            shown["errors"] = list(self.errors)
        return shown

    def response(self) -> Response:
        """The answer that says so."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, ceil(self.retry_after_s)))
        return Response(
            orjson.dumps(self.body()),
            status_code=self.status,
            headers=headers,
            media_type="application/problem+json",
        )


def problem_of(error: BaseException) -> Problem:
    """What may be told of `error`; anything unplanned is logged with its type and told as such."""
    if not isinstance(error, errors.FoliotraceError):
        _log.error("request.failed", error_type=type(error).__name__, where=where(error))
        return Problem(
            code=INTERNAL,
            title="The server failed on this request.",
            status=500,
            hint="Look for `request.failed` in the server's log.",
        )
    return Problem(
        code=error.error_code,
        title=error.message,
        status=status_of(error),
        hint=error.hint,
        errors=getattr(error, "fields", ()),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def where(error: BaseException) -> list[str]:
    """The lines an error came through, innermost last; its text may quote what was sent."""
    return [f"{f.filename}:{f.lineno} {f.name}" for f in extract_tb(error.__traceback__)[-8:]]


def status_of(error: errors.FoliotraceError) -> int:
    """The HTTP status for one of our errors."""
    return status_of_code(error.error_code) or status_of_class(type(error))


def status_of_code(code: str) -> int | None:
    """The status of a narrower code that differs from its class's."""
    return _STATUS_OF_CODE.get(code)


def status_of_class(kind: type[errors.FoliotraceError]) -> int:
    """The HTTP status for a class of errors, its narrower codes apart."""
    return next((status for each, status in _STATUS if issubclass(kind, each)), 500)


class WrongFields(errors.InvalidRequest):
    """Some fields cannot be used: each by JSON pointer and the rule it breaks, never its value."""

    default_hint = "See `errors` and /docs."

    def __init__(self, fields: Sequence[Mapping[str, str]]) -> None:
        super().__init__("some fields of the request cannot be used")
        self.fields = fields
