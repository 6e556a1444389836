"""`POST /v1/query`: the same workflow as `/workflows/query/run`, in process; a stream is a run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from workflows.events import StartEvent

from foliotrace.model import Answer
from foliotrace_server.engine import Engine, answer_of
from foliotrace_server.http_guard import ConcurrencyLimit
from foliotrace_server.observing.trace_context import TraceLinks, sampled_trace_id
from foliotrace_server.problems import problem_of
from foliotrace_server.request_body import read_json, start_event
from foliotrace_server.sse import EventStream, event
from foliotrace_server.wire import answer_body, dumps

_SHOWN = {"AnswerDelta": "delta", "AnswerDegraded": "degraded", "AnswerReset": "reset"}


class Queries:
    """Questions over HTTP."""

    def __init__(self, engine: Engine, slots: ConcurrencyLimit) -> None:
        self._engine = engine
        self._workflow = engine.query
        self._kind = engine.query.start_event_class
        self._max_body_bytes = engine.settings.server.max_body_bytes
        self._slots = slots
        observing = engine.parts.observing
        self._links = observing.links if observing is not None else TraceLinks()

    async def ask(self, request: Request) -> Response:
        """Answer one question, whole or as a stream."""
        question = start_event(self._kind, await read_json(request, self._max_body_bytes))
        if getattr(question, "stream", False):
            self._slots.refuse_if_full()  # 429 while it can still be said
            return EventStream(self._streamed(question))
        async with self._slots.slot():
            answer = await self._engine.answer(question)
        return Response(
            dumps(self._body(answer)), media_type="application/json", headers=headers_of(answer)
        )

    async def _streamed(self, question: StartEvent) -> AsyncIterator[bytes]:
        """`start` with the trace, then `degraded`, `delta`, `reset` as they come, then `answer`.

        Or `problem`, when it ends so. `degraded` comes before the text that it is about.
        """
        trace_id = sampled_trace_id()
        yield event("start", {"trace_id": trace_id, "links": self._links.of(trace_id)})
        async with self._slots.slot():
            running = self._workflow.run(start_event=question)
            try:
                async for happened in running.stream_events():
                    name = _SHOWN.get(type(happened).__name__)
                    if name is not None:
                        yield event(name, happened.model_dump(mode="json"))
                yield event("answer", self._body(answer_of(await running.stop_event_result())))
            except Exception as error:  # noqa: BLE001 - the stream has begun: told inside it
                yield event("problem", problem_of(error).body())
            finally:
                if not running.is_done():  # the client hung up: spend nothing more on it
                    await running.cancel_run()
                    await asyncio.gather(running.stop_event_result(), return_exceptions=True)

    def _body(self, answer: Answer) -> dict[str, Any]:
        return answer_body(answer, self._links.of(answer.trace_id))


def headers_of(answer: Answer) -> dict[str, str]:
    """How good the answer is, whether it was kept, its run; the trace has headers of its own."""
    headers = {
        "X-Degradation-Level": str(int(answer.degradation.level)),
        "X-Run-Id": answer.run_id,
        "X-Cache": answer.cache.value,
    }
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(answer.retry_after_s)))
    return headers
