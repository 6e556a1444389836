"""Sends runs to a LangSmith project, and reads back which of them it holds."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import orjson

from foliotrace_loop.langsmith.forms import Part, form
from foliotrace_loop.langsmith.runs import project_id, query
from foliotrace_loop.langsmith.wire import TEMPORARY, ConnectionLost, LangSmithApi
from foliotrace_loop.ports import LoopError
from foliotrace_loop.traces.rewriting import RunJson
from foliotrace_loop.traces.upload import Delivery, UploadLimits, UploadOutcome

_RUNS: Final = 100
_BYTES: Final = 20_971_520


class LangSmithIngest:
    """The `Ingest` of one project."""

    def __init__(self, langsmith: LangSmithApi, project: str) -> None:
        self._langsmith = langsmith
        self._project = project
        self._head_end = b',"session_name":' + orjson.dumps(project) + b"}"

    def limits(self) -> UploadLimits:
        """What one request may hold, as the service says. Raises LoopError, Unavailable."""
        info = self._langsmith.call("GET", "/info")
        said = (info.get("batch_ingest_config") if isinstance(info, dict) else None) or {}
        return UploadLimits(
            runs=int(said.get("size_limit") or _RUNS),
            body_bytes=int(said.get("size_limit_bytes") or _BYTES),
        )

    def send(self, runs: Sequence[RunJson]) -> Delivery:
        """Create these runs, in one request and without retry."""
        body, content_type = form(part for run in runs for part in self._parts(run))
        try:
            reply = self._langsmith.send(
                "POST", "/runs/multipart", body=body, content_type=content_type
            )
        except ConnectionLost as error:
            return Delivery(UploadOutcome.UNKNOWN, str(error))
        if reply.status < 300 or reply.status == 409:  # 409: it holds them already
            return Delivery(UploadOutcome.ACCEPTED)
        if reply.status in TEMPORARY:
            return Delivery(UploadOutcome.BUSY, reply.reason, reply.retry_after_s)
        if reply.status == 413:
            return Delivery(UploadOutcome.TOO_LARGE, reply.reason)
        if reply.status in (400, 422):
            return Delivery(UploadOutcome.INVALID, reply.reason)
        return Delivery(UploadOutcome.DENIED, reply.reason)

    def held(self, since: datetime, until: datetime) -> Iterator[str]:
        """The ids of the project's runs that started in this time. Raises LoopError."""
        id_ = project_id(self._langsmith, self._project)
        if id_ is None:
            return
        for run in query(self._langsmith, id_, since=since, until=until):
            if not isinstance(run.get("id"), str):
                raise LoopError("LangSmith lists runs without id: check the endpoint")
            yield run["id"]

    def _parts(self, run: RunJson) -> Iterator[Part]:
        name = f"post.{run.id}"
        yield name, run.head[:-1] + self._head_end
        for field, content in run.fields:
            yield f"{name}.{field}", content
