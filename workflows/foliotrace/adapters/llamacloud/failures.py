"""Translates the SDK's exceptions. No other module knows them.

The SDK raises its own errors, bare JSON errors, validation errors and httpx errors. All become
`CloudFailure`, which says whether to retry and whether the work may have been done.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

import httpx
from llama_cloud import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    LlamaCloudError,
)

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Unavailable

Kind = TypeVar("Kind", bound=Unavailable)


class CloudProblem(StrEnum):
    """Ways in which LlamaCloud fails."""

    UNAUTHORIZED = "unauthorized"
    OUT_OF_CREDITS = "out_of_credits"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    DEADLINE = "deadline"
    EMPTY = "empty"

    @property
    def reason(self) -> Reason:
        """The degradation reason."""
        return Reason.parse(f"llamacloud_{self}")


_TRANSIENT = frozenset(
    {
        CloudProblem.RATE_LIMITED,
        CloudProblem.SERVER_ERROR,
        CloudProblem.UNREACHABLE,
        CloudProblem.TIMEOUT,
        CloudProblem.GARBAGE,
    }
)
_ABOUT_THE_REQUEST = frozenset(
    {
        CloudProblem.NOT_FOUND,
        CloudProblem.CONFLICT,
        CloudProblem.REFUSED,
        CloudProblem.JOB_FAILED,
        CloudProblem.JOB_CANCELLED,
        CloudProblem.EMPTY,
    }
)
_OUTCOME_UNKNOWN = frozenset(
    {
        CloudProblem.SERVER_ERROR,
        CloudProblem.UNREACHABLE,
        CloudProblem.TIMEOUT,
        CloudProblem.GARBAGE,
    }
)


class CloudFailure(Unavailable):
    """A request to LlamaCloud failed. Holds no response body and no key."""

    code = ErrorCode.LLAMACLOUD_FAILED

    def __init__(
        self, problem: CloudProblem, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(
            message,
            reason=problem.reason,
            retry_after_s=retry_after_s,
            lasting=problem not in _TRANSIENT,
            answered=problem in _ABOUT_THE_REQUEST,
        )
        self.problem = problem

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.problem in _TRANSIENT

    @property
    def outcome_unknown(self) -> bool:
        """Whether the work may have been done and billed although the reply was lost."""
        return self.problem in _OUTCOME_UNKNOWN


def as_port_error(kind: type[Kind], failure: CloudFailure, *, setting: str) -> Kind:
    """The port's error. `setting` is the one that can be set to local instead."""
    hint = failure.hint
    if failure.problem is CloudProblem.OUT_OF_CREDITS:
        hint = f"Buy credits, or set {setting} to local."
    return kind(
        failure.message,
        reason=failure.reason,
        retry_after_s=failure.retry_after_s,
        hint=hint,
        lasting=failure.lasting,
        answered=failure.answered,
    )


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turn the SDK's exceptions inside the block into `CloudFailure`; `what` names the request."""
    try:
        yield
    except APIStatusError as error:
        raise _from_status(what, error) from error
    except APITimeoutError as error:
        raise CloudFailure(CloudProblem.TIMEOUT, f"{what}: no response in time") from error
    except APIConnectionError as error:
        raise CloudFailure(CloudProblem.UNREACHABLE, f"{what}: no connection") from error
    except (APIResponseValidationError, json.JSONDecodeError) as error:
        raise CloudFailure(
            CloudProblem.GARBAGE, f"{what}: the response cannot be parsed"
        ) from error
    except (APIError, LlamaCloudError) as error:
        raise CloudFailure(CloudProblem.GARBAGE, f"{what}: {type(error).__name__}") from error
    except httpx.HTTPError as error:
        raise CloudFailure(CloudProblem.UNREACHABLE, f"{what}: {type(error).__name__}") from error


def _from_status(what: str, error: APIStatusError) -> CloudFailure:
    status = error.status_code
    problem = {
        401: CloudProblem.UNAUTHORIZED,
        402: CloudProblem.OUT_OF_CREDITS,
        403: CloudProblem.UNAUTHORIZED,
        404: CloudProblem.NOT_FOUND,
        409: CloudProblem.CONFLICT,
        429: CloudProblem.RATE_LIMITED,
    }.get(status, CloudProblem.SERVER_ERROR if status >= 500 else CloudProblem.REFUSED)
    return CloudFailure(
        problem, f"{what}: HTTP {status}", retry_after_s=_retry_after_s(error.response)
    )


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header; dates are ignored."""
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
