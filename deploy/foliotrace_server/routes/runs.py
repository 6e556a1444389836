"""`/v1/runs` and `/v1/feedback`: what was asked, how it ended, and what people say about it."""

import asyncio
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from foliotrace.errors import InvalidRequest
from foliotrace.events import FeedbackReceived, emit, stage
from foliotrace_loop.feedback import FeedbackView, feedback_of
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.http.request_body import parse_as, read_json
from foliotrace_server.loop.bodies import (
    FeedbackRequest,
    RunBody,
    RunsBody,
    RunStatsBody,
    run_body,
)
from foliotrace_server.loop.run_queries import RunQueries, Selection
from foliotrace_server.observing.trace_context import TraceLinks
from foliotrace_server.openapi.operation import paging, query_parameter
from foliotrace_server.routes.documents import whole_number
from foliotrace_server.routes.endpoint import endpoint

_TIME = {"type": "string", "format": "date-time"}
_SELECTION = (
    query_parameter(
        "filter",
        {"type": "string"},
        'LangSmith\'s grammar: `and(eq(user_id, "ada"), lt(feedback_score, 0.5))`.',
    ),
    query_parameter("since", _TIME, "Only runs from this time on."),
    query_parameter("until", _TIME, "Only runs before this time."),
)
_DAY_S = 86_400


class RunRoutes:
    """Runs and their feedback over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._store = engine.loop
        self._on_rated = engine.assembly.on_rated
        self._queries = RunQueries(engine.assembly.runs, engine.loop)
        self._max_body_bytes = engine.settings.server.max_body_bytes
        observability = engine.assembly.observability
        self._links = observability.links if observability is not None else TraceLinks()

    @endpoint(
        "GET",
        "/v1/runs",
        tag="runs",
        parameters=[*_SELECTION, *paging("The `next` of the page before: a run id.")],
        problems=(400, 404, 503),
    )
    async def list_runs(self, request: Request) -> RunsBody:
        """List runs, newest first: your own, or all of the tenant with the scope `admin`."""
        query = request.query_params
        limit = whole_number(query.get("limit"), "limit", default=100, least=1, most=1000)
        return await self._queries.page(_selection(request), limit=limit, after=query.get("after"))

    @endpoint(
        "GET",
        "/v1/runs/stats",
        tag="runs",
        parameters=[
            *_SELECTION,
            query_parameter(
                "window_s",
                {"type": "integer", "minimum": 1, "maximum": 366 * _DAY_S},
                "Width of the windows; without it, only the total is returned.",
            ),
        ],
        problems=(400, 503),
    )
    async def run_stats(self, request: Request) -> RunStatsBody:
        """Get latency percentiles, error rate, tokens and cost of the matching runs."""
        text = request.query_params.get("window_s")
        width_s = whole_number(text, "window_s", default=0, least=1, most=366 * _DAY_S)
        width = timedelta(seconds=width_s) if text is not None else None
        return await self._queries.stats(_selection(request), width)

    @endpoint("GET", "/v1/runs/{id}", tag="runs", problems=(404, 503))
    async def get_run(self, request: Request) -> RunBody:
        """Get the stored record of a question, by its run id or trace id."""
        run = await self._queries.run(request.path_params["id"])
        feedback = await asyncio.to_thread(self._store.feedback_of, run.tenant, run.id)
        return run_body(run, feedback, self._links.of(run.trace_id))

    @endpoint(
        "POST",
        "/v1/feedback",
        tag="runs",
        request=FeedbackRequest,
        problems=(400, 404, 408, 413, 415, 503),
    )
    async def give_feedback(self, request: Request) -> FeedbackView:
        """Rate a run.

        Idempotent: the same caller's feedback on the same run and key replaces the one before.
        """
        body = parse_as(FeedbackRequest, await read_json(request, self._max_body_bytes))
        named = body.run_id or body.trace_id
        if named is None:
            raise InvalidRequest("feedback names a run: `run_id` or `trace_id`")
        if body.score is None and body.value is None and body.comment is None:
            raise InvalidRequest("feedback holds a `score`, a `value` or a `comment`")
        run = await self._queries.run(named)
        if body.run_id and body.trace_id and run.trace_id != body.trace_id:
            raise InvalidRequest("`run_id` and `trace_id` name different runs")
        feedback = feedback_of(
            tenant=run.tenant,
            subject=caller().subject,
            run_id=run.id,
            trace_id=run.trace_id,
            key=body.key,
            score=body.score,
            value=body.value,
            comment=body.comment,
            source="api",
            now=datetime.now(UTC),
        )
        kept = await asyncio.to_thread(self._store.save_feedback, feedback)
        if kept.updated_at != feedback.updated_at:  # the same again: rated, measured already
            return kept
        self._on_rated(run, body.score)
        with stage("feedback"):
            emit(
                FeedbackReceived(
                    run_id=run.id, key=body.key, score=body.score, origin=run.traceparent
                )
            )
        return kept


def _selection(request: Request) -> Selection:
    query = request.query_params
    return Selection(
        filter=query.get("filter"),
        since=_moment(query.get("since"), "since"),
        until=_moment(query.get("until"), "until"),
    )


def _moment(text: str | None, name: str) -> datetime | None:
    """An ISO 8601 time; UTC where it names no zone. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"`{name}` is not an ISO 8601 time") from None
