"""`POST /v1/query`: the same workflow as `/workflows/query/run`, in process; a stream is a run."""

import asyncio
from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request
from starlette.responses import Response
from workflows.events import Event, StartEvent

from foliotrace.errors import TooBusy
from foliotrace.model import Answer, CacheState
from foliotrace.query.workflow import AnswerDegraded, AnswerDelta, AnswerReset, AskQuestion
from foliotrace_server.bodies import (
    AnswerBody,
    ProblemBody,
    StreamStart,
    answer_json,
    to_json,
)
from foliotrace_server.engine import Engine, answer_of
from foliotrace_server.http.overload import ConcurrencyLimit
from foliotrace_server.http.problems import problem_of
from foliotrace_server.http.request_body import read_json, start_event
from foliotrace_server.observing.trace_context import TraceLinks, sampled_trace_id
from foliotrace_server.routes.endpoint import DEGRADATION_HEADER, EventStream, endpoint, event

ANSWER_EVENTS = {
    "start": StreamStart,
    "degraded": AnswerDegraded,
    "delta": AnswerDelta,
    "reset": AnswerReset,
    "answer": AnswerBody,
    "problem": ProblemBody,
}
"""The server-sent events of a streamed answer, by name."""
_WORKFLOW_EVENTS = {  # by class name: a hosted workflow may bring events of its own
    kind.__name__: name for name, kind in ANSWER_EVENTS.items() if issubclass(kind, Event)
}
_HEADERS = {
    **DEGRADATION_HEADER,
    "X-Cache": {
        "description": "Whether the answer came from the cache.",
        "schema": {"type": "string", "enum": [state.value for state in CacheState]},
    },
    "X-Run-Id": {"description": "The id for `/v1/runs/{id}`.", "schema": {"type": "string"}},
    "X-Release": {"description": "The release that answered.", "schema": {"type": "string"}},
    "X-Trace-Id": {"description": "W3C trace id, if traced.", "schema": {"type": "string"}},
}


class Queries:
    """Questions over HTTP."""

    def __init__(self, engine: Engine, slots: ConcurrencyLimit) -> None:
        self._engine = engine
        self._workflow = engine.query
        self._kind = engine.query.start_event_class
        self._max_body_bytes = engine.settings.server.max_body_bytes
        self._slots = slots
        observability = engine.assembly.observability
        self._links = observability.links if observability is not None else TraceLinks()
        # builds the serializer, for which the first question would otherwise wait about 20 ms
        answer_json(Answer(text=""), {})

    @endpoint(
        "POST",
        "/v1/query",
        tag="query",
        request=AskQuestion,
        response=AnswerBody,
        events=ANSWER_EVENTS,
        headers=_HEADERS,
        problems=(400, 404, 408, 413, 415, 429, 503, 504),
    )
    async def ask(self, request: Request) -> Response:
        """Ask a question; with `stream`, the answer comes as server-sent events."""
        question = start_event(self._kind, await read_json(request, self._max_body_bytes))
        if getattr(question, "stream", False):
            self._slots.refuse_if_full()  # 429 must be sent before the stream begins
            return EventStream(self._streamed(question))
        async with self._slots.slot():
            answer = await self._engine.answer(question)
        return Response(
            self._body(answer), media_type="application/json", headers=headers_of(answer)
        )

    async def _streamed(self, question: StartEvent) -> AsyncGenerator[bytes, None]:
        """`start` with the trace; `degraded`, `delta`, `reset` as they come; `answer` or `problem`.

        `degraded` comes before the text that it is about.
        """
        trace_id = sampled_trace_id()
        start = StreamStart(trace_id=trace_id, links=self._links.of(trace_id))
        yield event("start", to_json(StreamStart, start))
        try:
            async with self._slots.slot():
                running = self._workflow.run(start_event=question)
                try:
                    async for published in running.stream_events():
                        name = _WORKFLOW_EVENTS.get(type(published).__name__)
                        if name is not None:
                            yield event(name, published.model_dump_json().encode())
                    yield event("answer", self._body(answer_of(await running.stop_event_result())))
                except Exception as error:  # noqa: BLE001 - the status is sent: report it in the stream
                    yield event("problem", orjson.dumps(problem_of(error).body()))
                finally:
                    if not running.is_done():  # the client hung up: spend nothing more on it
                        await running.cancel_run()
                        await asyncio.gather(running.stop_event_result(), return_exceptions=True)
        except TooBusy as error:  # no slot in time
            yield event("problem", orjson.dumps(problem_of(error).body()))

    def _body(self, answer: Answer) -> bytes:
        return answer_json(answer, self._links.of(answer.trace_id))


def headers_of(answer: Answer) -> dict[str, str]:
    """Degradation level, run id, release and cache state; the trace sets headers of its own."""
    headers = {
        "X-Degradation-Level": str(int(answer.degradation.level)),
        "X-Run-Id": answer.run_id,
        "X-Release": answer.release,
        "X-Cache": answer.cache.value,
    }
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(answer.retry_after_s)))
    return headers
