"""LangSmith's second read API of runs, and the `RunSource` over it.

The first (`/runs/query`, `/runs/{id}`) ends on 31 January 2027.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final
from uuid import UUID

from foliotrace_loop.langsmith.wire import LangSmithApi, LangSmithNotFound
from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Configuration, Outcome, RecordedContent, RecordedRun

PAGE: Final = 1000
_LONGEST_AGO: Final = timedelta(days=400)  # the service's default is one day
_LISTED: Final = (
    *("ID", "STATUS", "LATENCY_SECONDS", "ERROR", "METADATA", "TRACE_ID"),
    *("TOTAL_TOKENS", "TOTAL_COST", "FEEDBACK_STATS"),
)
_WHOLE: Final = (*_LISTED, "INPUTS", "OUTPUTS")


def project_id(langsmith: LangSmithApi, name: str) -> str | None:
    """The id of a project; None if there is none of this name. Raises LoopError, Unavailable."""
    try:
        found = langsmith.call("GET", "/sessions", parameters={"name": name, "limit": 1})
    except LangSmithNotFound:
        return None
    return next((str(each["id"]) for each in found or () if each.get("name") == name), None)


def query(
    langsmith: LangSmithApi,
    project: str,
    *,
    since: datetime,
    until: datetime,
    filter_: str | None = None,
    is_root: bool | None = None,
    selects: Sequence[str] = ("ID",),
    page_size: int = PAGE,
) -> Iterator[Mapping[str, Any]]:
    """Runs of the project with this id, newest first, page by page. Raises LoopError."""
    body: dict[str, Any] = {
        "project_ids": [project],
        "min_start_time": since.isoformat(),
        "max_start_time": until.isoformat(),
        "selects": list(selects),
        "page_size": page_size,
    }
    if filter_:
        body["filter"] = filter_
    if is_root is not None:
        body["is_root"] = is_root
    while True:
        page = langsmith.call("POST", "/api/v2/runs/query", body)
        yield from page.get("items") or ()
        body["cursor"] = page.get("next_cursor")
        if not body["cursor"]:
            return


class LangSmithRuns:
    """Reads recorded runs from one project of LangSmith."""

    def __init__(self, langsmith: LangSmithApi, project: str) -> None:
        self._langsmith = langsmith
        self._name = project
        self._id: str | None = None

    async def run(self, run_id: str) -> RecordedRun:
        """One run by its id, or the root of a trace by its W3C id. Raises LoopError."""
        try:
            id_ = str(UUID(run_id))
        except ValueError:
            raise LoopError(f"{run_id} is no run of LangSmith: its ids are UUIDs") from None
        return await asyncio.to_thread(self._read, id_)

    async def find(self, filter_: str | None, *, limit: int) -> Sequence[RecordedRun]:
        """Root runs, newest first, without their texts. Raises LoopError, Unavailable."""
        return await asyncio.to_thread(self._list, filter_, limit)

    def _read(self, id_: str) -> RecordedRun:
        try:
            found = self._langsmith.call(
                "GET",
                f"/api/v2/runs/{id_}",
                parameters={"project_id": self._project(), "selects": _WHOLE},
            )
        except LangSmithNotFound:
            raise LoopError(f"project {self._name} has no run {id_}") from None
        return _recorded(found)

    def _list(self, filter_: str | None, limit: int) -> Sequence[RecordedRun]:
        now = datetime.now(UTC)
        found = query(
            self._langsmith,
            self._project(),
            since=now - _LONGEST_AGO,
            until=now,
            filter_=filter_,
            is_root=True,
            selects=_LISTED,
            page_size=min(limit, PAGE),
        )
        return [_recorded(run) for run in islice(found, limit)]

    def _project(self) -> str:
        if self._id is None:
            self._id = project_id(self._langsmith, self._name)
            if self._id is None:
                raise LoopError(f"LangSmith has no project {self._name}")
        return self._id


def _recorded(run: Mapping[str, Any]) -> RecordedRun:
    metadata = run.get("metadata") or {}
    inputs, outputs = run.get("inputs") or {}, run.get("outputs") or {}
    question = next((inputs[n] for n in ("query", "question", "input") if n in inputs), None)
    answer = next((outputs[n] for n in ("answer", "output") if n in outputs), None)
    latency_s = run.get("latency_seconds")
    failed = str(run.get("status", "")).upper() == "ERROR"
    return RecordedRun(
        outcome=Outcome(
            id=str(run["id"]),
            inputs={**inputs, "query": question} if question is not None else inputs,
            outputs={**outputs, "answer": answer} if answer is not None else outputs,
            error=(run.get("error") or "error") if failed else None,
            elapsed_ms=float(latency_s) * 1000 if latency_s is not None else 0.0,
            cost_usd=Decimal(str(run.get("total_cost") or 0)),
            tokens=int(run.get("total_tokens") or 0),
            trace_id=run.get("trace_id"),
            configuration=Configuration(model=metadata.get("ls_model_name")),
        ),
        content=RecordedContent.WHOLE if inputs else RecordedContent.NONE,
        feedback=tuple(
            {"key": key, "score": each.get("avg"), "count": each.get("n")}
            for key, each in (run.get("feedback_stats") or {}).items()
            if isinstance(each, Mapping)
        ),
    )
