"""Requests to LangSmith: paths, headers, and what a reply means."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import orjson
import urllib3

from foliotrace_loop.ports import LoopError, TargetUnavailable

Parameters: TypeAlias = Mapping[str, str | int | Sequence[str]]
ENDPOINT: Final = "https://api.smith.langchain.com"
TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_ATTEMPTS: Final = 6
_LONGEST_WAIT_S: Final = 300.0


class LangSmithNotFound(LoopError):
    """LangSmith holds nothing under this id or name."""


class LangSmithConflict(LoopError):
    """LangSmith holds this already."""


class ConnectionLost(Exception):
    """No reply: what was sent may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    retry_after_s: float | None
    data: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body. Raises TargetUnavailable if it is not JSON."""
        try:
            return orjson.loads(self.data)
        except ValueError:
            raise TargetUnavailable("LangSmith's reply is not JSON: check the endpoint") from None

    @property
    def reason(self) -> str:
        """Status and what the body says, for people."""
        try:
            said = orjson.loads(self.data)
            said = said.get("detail", said) if isinstance(said, dict) else said
        except ValueError:
            said = self.data.decode("utf-8", "replace")
        return f"{self.status}: {str(said)[:300]}"


class LangSmithApi:
    """One workspace. Methods may be called from several threads.

    `endpoint` is what LANGSMITH_ENDPOINT holds, with or without `/api/v1`.
    """

    def __init__(
        self, endpoint: str, api_key: str, *, timeout_s: float = 60.0, connections: int = 16
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._root = self.endpoint.removesuffix("/v1").removesuffix("/api")
        self._headers = {"x-api-key": api_key, "user-agent": "foliotrace"}
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            retries=False,  # each caller has its own one layer of retries
            timeout=urllib3.Timeout(connect=10.0, read=timeout_s),
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        parameters: Parameters | None = None,
    ) -> Reply:
        """One request without retry. Raises ConnectionLost."""
        url = self._url(path)
        if parameters:
            url += "?" + urlencode(parameters, doseq=True)
        headers = {**self._headers, "content-type": content_type}
        try:
            reply = self._pool.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionLost(f"{type(error).__name__}: {error}") from error
        wait = _retry_after_s(reply.headers.get("retry-after"), datetime.now(UTC))
        return Reply(reply.status, wait, reply.data)

    def call(
        self,
        method: str,
        path: str,
        value: object = None,
        *,
        parameters: Parameters | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - any JSON value
        """The JSON reply, after retries of what can be repeated.

        Raises LangSmithNotFound, LangSmithConflict, TargetUnavailable, LoopError if refused.
        """
        sent = body if body is not None or value is None else orjson.dumps(value)
        failure = ""
        for attempt in range(_ATTEMPTS):
            wait_s = None
            try:
                reply = self.send(
                    method, path, body=sent, content_type=content_type, parameters=parameters
                )
            except ConnectionLost as error:
                failure = str(error)
            else:
                if reply.status < 300:
                    return reply.json() if reply.data else None
                if reply.status not in TEMPORARY:
                    raise _refusal(reply, path)
                failure, wait_s = reply.reason, reply.retry_after_s
            if attempt + 1 < _ATTEMPTS:
                time.sleep(wait_s if wait_s is not None else backoff_s(attempt + 1))
        raise TargetUnavailable(f"LangSmith does not answer {path}: {failure}")

    def _url(self, path: str) -> str:
        """`/api/...` counts from the host, anything else from the endpoint, as in the SDK."""
        if path.startswith("/api/"):
            return self._root + path
        return self.endpoint + path


def backoff_s(attempt: int) -> float:
    """Full jitter over capped doubling: the wait before retry `attempt`, 1 being the first."""
    return random.random() * min(20.0, 0.25 * 2.0 ** min(attempt - 1, 16))  # noqa: S311 - jitter


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date."""
    if not text:
        return None
    try:
        wait = float(text)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(text) - now).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT_S) if wait == wait else None


def _refusal(reply: Reply, path: str) -> LoopError:
    if reply.status in (401, 403):
        return LoopError(f"LangSmith refuses the key: {reply.reason}. Check LANGSMITH_API_KEY")
    if reply.status == 404:
        return LangSmithNotFound(f"LangSmith has no {path}: {reply.reason}")
    if reply.status == 409:
        return LangSmithConflict(reply.reason)
    return LoopError(f"LangSmith refused {path}: {reply.reason}")
