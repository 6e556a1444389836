"""The requests of both clients, and how they read the responses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import httpx
import orjson
from pydantic import ValidationError

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError
from foliotrace.model import DEFAULT_COLLECTION, ExecutionMode, JsonObject, Metadata, Scalar
from foliotrace_loop.feedback import FeedbackView
from foliotrace_loop.queues import QueueRules, QueueView
from foliotrace_server import bodies

B = TypeVar("B")
DEFAULT_TOP_K = 5
File = Path | tuple[str, bytes | BinaryIO]
"""A file on disk, or a name and its bytes or an open file."""
Filters = Mapping[str, Scalar | Sequence[Scalar]]


class ServerProblem(FoliotraceError):
    """The server refused or failed; `error_code`, `hint` and `fields` are the server's."""

    code = ErrorCode.SERVER_PROBLEM

    def __init__(self, status: int, problem: bodies.ProblemBody) -> None:
        super().__init__(problem.title, hint=problem.detail)
        self.error_code = problem.code  # a newer server may know more codes than we do
        self.status = status
        self.fields = problem.errors


class Unreachable(FoliotraceError):
    """No foliotrace server answers at the URL."""

    code = ErrorCode.SERVER_UNREACHABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(Generic[B]):
    """One request, and the type of the body that answers it."""

    method: str
    path: str
    body_type: type[B]
    json: object = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, Any]] = ()
    form: Mapping[str, str] = field(default_factory=dict)
    opened: ExitStack = field(default_factory=ExitStack)  # files to close after sending

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of httpx' `request`."""
        headers = dict(self.headers)
        params = {name: each for name, each in self.params.items() if each is not None}
        arguments: dict[str, Any] = {"headers": headers, "params": params}
        if self.json is not None:
            arguments["content"] = orjson.dumps(self.json)
            headers["content-type"] = "application/json"
        if self.files:
            arguments["files"], arguments["data"] = list(self.files), dict(self.form)
        return arguments

    def read(self, response: httpx.Response) -> B:
        """The response body. Raises ServerProblem, Unreachable."""
        refuse(response)
        try:
            return bodies.from_json(self.body_type, response.content)
        except ValidationError as error:
            raise Unreachable("the response is not that of a foliotrace server") from error


def authorization(api_key: str | None) -> dict[str, str]:
    """The header that carries an API key."""
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def refuse(response: httpx.Response) -> None:
    """Raise ServerProblem for a problem of ours, Unreachable for any other error status."""
    if response.is_success or (response.status_code == 503 and _is_readiness(response)):
        return
    try:
        problem = bodies.from_json(bodies.ProblemBody, response.content)
    except ValidationError as error:
        raise Unreachable(f"status {response.status_code} from another kind of server") from error
    raise ServerProblem(response.status_code, problem)


def _is_readiness(response: httpx.Response) -> bool:
    return response.request.url.path.endswith("/readyz")


def ask(
    query: str,
    *,
    top_k: int,
    filters: Filters | None,
    collection: str,
    user_id: str | None,
    session_id: str | None,
    tags: Sequence[str],
    metadata: Metadata | None,
    stream: bool = False,
    path: ExecutionMode | str | None = None,
    bypass_cache: bool = False,
    history: Sequence[str] = (),
    max_cost_usd: Decimal | None = None,
) -> ApiRequest[bodies.AnswerBody]:
    """`POST /v1/query`."""
    optional = {
        "top_k": top_k if top_k != DEFAULT_TOP_K else None,
        "collection": collection if collection != DEFAULT_COLLECTION else None,
        "filters": dict(filters) if filters else None,
        "user_id": user_id,
        "session_id": session_id,
        "tags": list(tags) if tags else None,
        "metadata": dict(metadata) if metadata else None,
        "stream": stream or None,
        "path": path,
        "bypass_cache": bypass_cache or None,
        "history": list(history) or None,
        "max_cost_usd": str(max_cost_usd) if max_cost_usd is not None else None,
    }
    body = {"query": query} | {name: each for name, each in optional.items() if each is not None}
    return ApiRequest(method="POST", path="/v1/query", body_type=bodies.AnswerBody, json=body)


def upload(
    files: Sequence[File],
    *,
    collection: str = DEFAULT_COLLECTION,
    metadata: Metadata | None = None,
    idempotency_key: str | None = None,
    path: ExecutionMode | str | None = None,
    pages: str | None = None,
) -> ApiRequest[bodies.UploadBody]:
    """`POST /v1/documents`. A file on disk keeps its name and is read while it is sent."""
    with ExitStack() as opening:  # closes what is open where a later file cannot be opened
        parts = [
            (each.name, opening.enter_context(each.open("rb"))) if isinstance(each, Path) else each
            for each in files
        ]
        return ApiRequest(
            method="POST",
            path="/v1/documents",
            body_type=bodies.UploadBody,
            files=[("file", part) for part in parts],
            form={
                "collection": collection,
                "metadata": orjson.dumps(dict(metadata or {})).decode(),
                **({"path": str(path)} if path is not None else {}),
                **({"pages": pages} if pages is not None else {}),
            },
            headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
            opened=opening.pop_all(),
        )


def documents(
    *, collection: str | None, name: str | None, limit: int, after: str | None
) -> ApiRequest[bodies.DocumentsBody]:
    """`GET /v1/documents`."""
    params = {"collection": collection, "name": name, "limit": limit, "after": after}
    return ApiRequest(
        method="GET", path="/v1/documents", body_type=bodies.DocumentsBody, params=params
    )


def extract(
    document_id: str,
    schema: JsonObject,
    *,
    instructions: str | None,
    key: str | None,
    path: ExecutionMode | str | None = None,
) -> ApiRequest[bodies.ExtractionBody]:
    """`POST /v1/extractions`."""
    optional = {"instructions": instructions, "path": path}
    body = {"document_id": document_id, "schema": schema}
    body |= {name: each for name, each in optional.items() if each is not None}
    return ApiRequest(
        method="POST",
        path="/v1/extractions",
        body_type=bodies.ExtractionBody,
        json=body,
        headers={"Idempotency-Key": key} if key else {},
    )


def selection(
    filter_: str | None, since: datetime | None, until: datetime | None
) -> Mapping[str, str | None]:
    """The parameters that select runs."""
    return {
        "filter": filter_,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
    }


def erasure(
    *, user: str | None, collection: str | None, before: datetime | None
) -> ApiRequest[bodies.ErasureBody]:
    """`POST /v1/erasures`."""
    filters = {"user": user, "collection": collection}
    filters["before"] = before.isoformat() if before is not None else None
    body = {name: value for name, value in filters.items() if value is not None}
    path = "/v1/erasures"
    return ApiRequest(method="POST", path=path, body_type=bodies.ErasureBody, json=body)


def feedback(
    run_id: str,
    key: str,
    *,
    score: float | None,
    value: str | float | bool | None,
    comment: str | None,
) -> ApiRequest[FeedbackView]:
    """`POST /v1/feedback`."""
    body: dict[str, object] = {"run_id": run_id, "key": key}
    optional = {"score": score, "value": value, "comment": comment}
    body |= {name: each for name, each in optional.items() if each is not None}
    return ApiRequest(method="POST", path="/v1/feedback", body_type=FeedbackView, json=body)


def queue(name: str, *, reviewers: int, rules: QueueRules) -> ApiRequest[QueueView]:
    """`POST /v1/queues`."""
    body = {"name": name, "reviewers": reviewers, "rules": asdict(rules)}
    return ApiRequest(method="POST", path="/v1/queues", body_type=QueueView, json=body)


def post(path: str, body_type: type[B], **fields: object) -> ApiRequest[B]:
    """`POST path` with the fields that are set."""
    body = {name: each for name, each in fields.items() if each is not None}
    return ApiRequest(method="POST", path=path, body_type=body_type, json=body)


def get(path: str, body_type: type[B], **params: object) -> ApiRequest[B]:
    """`GET path`."""
    return ApiRequest(method="GET", path=path, body_type=body_type, params=params)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One server-sent event. `id` resumes behind it."""

    name: str
    value: dict[str, Any]
    id: str | None = None


class EventReader:
    """Turns the lines of an event stream into events."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Iterator[ServerEvent]:
        """The event that `line` ends, if it does."""
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            self._fields[name] = value
        elif not line and "data" in self._fields:
            fields, self._fields = self._fields, {}
            yield ServerEvent(
                name=fields.get("event", "message"),
                value=orjson.loads(fields["data"]),
                id=fields.get("id"),
            )


def problem_in(event: ServerEvent) -> ServerProblem:
    """The problem that ended a stream."""
    problem = bodies.from_value(bodies.ProblemBody, event.value)
    return ServerProblem(problem.status, problem)
