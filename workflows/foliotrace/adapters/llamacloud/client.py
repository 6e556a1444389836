"""The LlamaCloud client of a process, and its failures as errors of ours.

The SDK raises its own errors, bare JSON errors, validation errors and httpx errors. All become
`CloudFailure`, which says whether to retry and whether the work may have been done.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from llama_cloud import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncLlamaCloud,
    DefaultAsyncHttpxClient,
    LlamaCloudError,
)

from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import Misconfigured, Unavailable
from foliotrace.model import Deadline
from foliotrace.ports import Clock
from foliotrace.resilience import parse_retry_after
from foliotrace.settings import LlamaCloudSettings

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
    REPLY_LOST = "reply_lost"
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
        CloudProblem.REPLY_LOST,
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
    """A request to LlamaCloud failed. Holds no response body and no key.

    `unsent`: the request reached nobody who could have done its work. `replied`: it was answered
    with an error. `lasting`: repeating it would change nothing, although the problem often passes.
    """

    code = ErrorCode.LLAMACLOUD_FAILED

    def __init__(
        self,
        problem: CloudProblem,
        message: str,
        *,
        retry_after_s: float | None = None,
        unsent: bool = False,
        replied: bool = False,
        lasting: bool = False,
    ) -> None:
        super().__init__(
            message,
            reason=problem.reason,
            retry_after_s=retry_after_s,
            lasting=lasting or problem not in _TRANSIENT,
            answered=problem in _ABOUT_THE_REQUEST,
        )
        self.problem = problem
        self.unsent = unsent
        self.replied = replied

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.problem in _TRANSIENT

    @property
    def outcome_unknown(self) -> bool:
        """Whether the work may have been done and billed although the reply was lost."""
        return self.problem in _OUTCOME_UNKNOWN and not self.unsent


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
        raise CloudFailure(
            CloudProblem.TIMEOUT, f"{what}: no response in time", unsent=_is_unsent(error)
        ) from error
    except APIConnectionError as error:
        raise CloudFailure(
            CloudProblem.UNREACHABLE, f"{what}: no connection", unsent=_is_unsent(error)
        ) from error
    except (APIResponseValidationError, json.JSONDecodeError) as error:
        raise CloudFailure(
            CloudProblem.GARBAGE, f"{what}: the response cannot be parsed"
        ) from error
    except (APIError, LlamaCloudError) as error:
        raise CloudFailure(CloudProblem.GARBAGE, f"{what}: {type(error).__name__}") from error
    except httpx.HTTPError as error:
        raise CloudFailure(CloudProblem.UNREACHABLE, f"{what}: {type(error).__name__}") from error


def _is_unsent(error: APIConnectionError) -> bool:
    """Whether there never was a connection."""
    return isinstance(
        error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    )


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
        problem,
        f"{what}: HTTP {status}",
        retry_after_s=parse_retry_after(
            error.response.headers.get("retry-after"), datetime.now(UTC)
        ),
        unsent=status == 503,  # by definition the request was not handled
        replied=status not in (502, 504),  # these come from a proxy that had no reply
    )


REGIONS: Final = {
    "us": "https://api.cloud.llamaindex.ai",
    "eu": "https://api.cloud.eu.llamaindex.ai",
}

BeforeRequest: TypeAlias = Callable[[httpx.Request], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccess:
    """How to reach LlamaCloud. `before_request` sees every request, redirected ones too."""

    api_key: str = field(repr=False)
    settings: LlamaCloudSettings = field(default_factory=LlamaCloudSettings)
    before_request: BeforeRequest | None = None


def base_url(where: str) -> str:
    """The base URL of a region or an address; the vendor's pages give one without a scheme.

    Raises Misconfigured when it is neither.
    """
    address = where.strip().rstrip("/")
    if address.lower() in REGIONS:
        return REGIONS[address.lower()]
    url = address if "://" in address else f"https://{address}"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or ("." not in host and host != "localhost"):
        raise Misconfigured(
            f"llamacloud.where is neither a region ({', '.join(REGIONS)}) nor a URL",
            hint="Set it to eu, us or https://...",
        )
    return url


def connect(access: CloudAccess) -> AsyncLlamaCloud:
    """A client for one event loop. Every request is made once; replies must have their shape."""
    hooks = [access.before_request] if access.before_request is not None else []
    return AsyncLlamaCloud(
        api_key=access.api_key,
        base_url=base_url(access.settings.where),
        max_retries=0,
        timeout=access.settings.timeout_s,
        http_client=DefaultAsyncHttpxClient(event_hooks={"request": hooks}),
        _strict_response_validation=True,
    )


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in `seconds`; the allowance refills evenly."""

    requests: int
    seconds: float


RATE_LIMITS = {
    "upload": RateLimit(50, 5.0),
    "parse": RateLimit(50, 10.0),
    "extract": RateLimit(10, 1.0),
}
"""The documented limits, or less where users saw 429 earlier (extraction at 15 a second)."""


@dataclass(slots=True)
class _Bucket:
    limit: RateLimit
    tokens: float
    at_s: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    """One token bucket per endpoint; an endpoint without a limit passes at once."""

    def __init__(
        self,
        limits: dict[str, RateLimit],
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        now_s = clock.monotonic_s()
        self._buckets = {
            name: _Bucket(limit, float(limit.requests), now_s) for name, limit in limits.items()
        }

    async def wait(self, endpoint: str, deadline: Deadline) -> bool:
        """Wait until a request may be sent; False, without waiting, if the deadline is earlier."""
        bucket = self._buckets.get(endpoint)
        if bucket is None:
            return True
        async with bucket.turn:
            now_s = self._clock.monotonic_s()
            rate = bucket.limit.requests / bucket.limit.seconds
            bucket.tokens = min(
                float(bucket.limit.requests), bucket.tokens + (now_s - bucket.at_s) * rate
            )
            bucket.at_s = now_s
            wait_s = max(0.0, (1.0 - bucket.tokens) / rate)
            if wait_s > deadline.remaining_s(now_s):
                return False
            bucket.tokens -= 1.0
        if wait_s:
            await self._sleep(wait_s)
        return True
