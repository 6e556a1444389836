"""Runs that match a filter, and their figures. A caller sees its own; an admin all of a tenant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from foliotrace.catalog import ErrorCode
from foliotrace.errors import InvalidRequest, NotFound
from foliotrace.model import Run, RunView
from foliotrace.ports import Runs
from foliotrace_loop.feedback import FeedbackView
from foliotrace_loop.runs.filters import FilterError, Predicate, fields_in, parse_filter
from foliotrace_loop.runs.windows import Measured, WindowStats, stats, windows
from foliotrace_loop.store import LoopStore
from foliotrace_server.http.identity import caller, may
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.loop.bodies import RunsBody, RunStatsBody

_EVERYTHING = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which runs. `until` is excluded."""

    filter: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RunQueries:
    """Reads runs on behalf of the caller of the request."""

    def __init__(self, runs: Runs, store: LoopStore) -> None:
        self._runs = runs
        self._store = store

    async def run(self, run_id: str) -> Run:
        """A run by its id or trace id. Raises NotFound, also for another caller's."""
        run = await self._runs.run(caller().tenant, run_id)
        if not _may_read(run):
            raise NotFound(code=ErrorCode.RUN_NOT_FOUND)
        return run

    async def page(self, selection: Selection, *, limit: int, after: str | None) -> RunsBody:
        """One page, newest first. Raises InvalidRequest, NotFound."""
        found: list[RunView] = []

        def take(run: Run) -> bool:
            found.append(run)
            return len(found) < limit

        await self._visit(selection, take, after)
        return RunsBody(runs=tuple(found), next=found[-1].id if len(found) == limit else None)

    async def stats(self, selection: Selection, width: timedelta | None) -> RunStatsBody:
        """Figures of all matching runs, in windows if `width` is given. Raises InvalidRequest."""
        measured: list[Measured] = []

        def measure(run: Run) -> bool:
            measured.append(_measured(run))
            return True

        await self._visit(selection, measure, None)
        moments = [each.at for each in measured]
        since = selection.since or min(moments, default=_EVERYTHING)
        until = selection.until or max(moments, default=since) + timedelta(microseconds=1)
        each: Sequence[WindowStats] = ()
        if width is not None:
            try:
                each = windows(measured, since, until, width) if measured else ()
            except ValueError as error:
                raise InvalidRequest(str(error)) from None
        return RunStatsBody(total=stats(measured, since, until), windows=tuple(each))

    async def _visit(
        self, selection: Selection, take: Callable[[Run], bool], after: str | None
    ) -> None:
        tenant, subject, sees_all = caller().tenant, caller().subject, may(Scope.ADMIN)
        matches, ratings = self._predicate(tenant, selection.filter)

        def visit(run: Run) -> bool:
            if not sees_all and run.subject != subject:
                return True
            if matches is not None and not matches(record_of(run, ratings.get(run.id, ()))):
                return True
            return take(run)

        await self._runs.visit(
            tenant, visit, since=selection.since, until=selection.until, after=after
        )

    def _predicate(
        self, tenant: str, text: str | None
    ) -> tuple[Predicate | None, Mapping[str, Sequence[FeedbackView]]]:
        """The filter, and the feedback by run if the filter asks for it."""
        if not text:
            return None, {}
        try:
            predicate = parse_filter(text)
        except FilterError as error:
            raise InvalidRequest(f"`filter`: {error}") from None
        rated = any(name.startswith("feedback_") for name in fields_in(text))
        return predicate, self._store.feedback_by_run(tenant) if rated else {}


def record_of(run: Run, feedback: Sequence[FeedbackView] = ()) -> Mapping[str, Any]:
    """A run under the names of the filter grammar."""
    return {
        "id": run.id,
        "trace_id": run.trace_id,
        "name": run.workflow,
        "run_type": "chain",
        "is_root": True,
        "status": "success" if run.error is None else "error",
        "error": run.error,
        "start_time": run.created_at - timedelta(milliseconds=run.elapsed_ms),
        "end_time": run.created_at,
        "latency": run.elapsed_ms / 1000,
        "total_tokens": run.usage.total_tokens,
        "prompt_tokens": run.usage.prompt_tokens,
        "completion_tokens": run.usage.completion_tokens,
        "total_cost": run.usage.cost_usd,
        "metadata": run.metadata,
        "user_id": run.user_id,
        "session_id": run.session_id,
        "project": run.project,
        "level": int(run.degradation.level),
        "model": run.versions.model,
        "release": run.versions.release,
        "answer_mode": run.degradation.answer.value,
        "tags": run.tags,
        "reasons": run.degradation.reasons,
        "feedback": [
            {"key": each.key, "score": each.score, "value": each.value} for each in feedback
        ],
    }


def _measured(run: Run) -> Measured:
    return Measured(
        at=run.created_at,
        elapsed_ms=run.elapsed_ms,
        failed=run.error is not None,
        degraded=run.degradation.level > 0,
        tokens=run.usage.total_tokens,
        cost_usd=run.usage.cost_usd,
    )


def _may_read(run: Run) -> bool:
    return run.subject == caller().subject or may(Scope.ADMIN)
