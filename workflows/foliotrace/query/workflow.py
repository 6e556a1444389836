"""The `query` workflow: one real step that takes a question through its stages.

One step, because each further one costs more than all our stages together
(docs/decisions/0003-one-real-step-for-a-question.md). Only names that llama-index-workflows 1.3.0
also has are imported from `workflows`, so that the classic host runs this source too.
"""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import uuid4

from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from workflows import Context, step

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError
from foliotrace.events import span
from foliotrace.model import Answer, Level
from foliotrace.query.answer.redaction import RedactedStream
from foliotrace.query.answer.synthesis import AnswerStream
from foliotrace.query.pipeline import answer_question
from foliotrace.query.services import QueryServices
from foliotrace.query.workflow_events import (
    AnswerDegraded,
    AnswerDelta,
    Answered,
    AnswerReset,
    AskQuestion,
)
from foliotrace.settings import RedactionSettings
from foliotrace.workflow_steps import JourneyWorkflow

__all__ = [
    "AnswerDegraded",
    "AnswerDelta",
    "AnswerReset",
    "Answered",
    "AskQuestion",
    "QueryServices",
    "QueryWorkflow",
    "Releases",
]


class Releases(Protocol):
    """Several configurations over one library, of which each question is answered by one."""

    def services_for(self, question: AskQuestion) -> QueryServices:
        """What answers this question."""
        ...

    def ended(
        self,
        question: AskQuestion,
        release: str,
        outcome: Answer | BaseException,
        elapsed_ms: float,
    ) -> None:
        """Called after the last work on a question; returns at once and never raises."""
        ...


class QueryWorkflow(JourneyWorkflow):
    """Answers questions with its services; holds no state of a run."""

    def __init__(
        self,
        services: QueryServices,
        *,
        releases: Releases | None = None,
        **options: Any,  # noqa: ANN401 - Workflow's
    ) -> None:
        super().__init__(**{"timeout": None, **options})
        self.services = services
        self._releases = releases

    async def answer_directly(self, question: AskQuestion) -> Answer:
        """The answer to a question that is not streamed, in the caller's task.

        A run of one step needs no control loop, queues or handler; they cost as much as all our
        stages (docs/decisions/0003-one-real-step-for-a-question.md). Spans, audit records, limits
        and errors are those of `run`; the run cannot be listed, streamed or cancelled by its id.
        """
        run_id = {"llamaindex.run_id": uuid4().hex}
        kind = type(self).__name__
        with (
            instrument_tags({**active_instrument_tags.get(), **run_id}),
            span(f"{kind}.run", self, start_event=question) as run,
            span(f"{kind}.answer"),
        ):
            run.result = answer = await self._answer(question)
            return answer

    @step
    async def answer(self, ctx: Context, ev: AskQuestion) -> Answered:
        """Take the question through its stages; each is a span under this step's."""
        if not ev.stream:
            return Answered(answer=await self._answer(ev))
        stream = _EventStream(ctx, self.services.settings.redaction)
        try:
            answer = await self._answer(ev, stream)
        except Exception as error:
            stream.reset(error)
            raise
        stream.finish()
        return Answered(answer=answer)

    async def _answer(self, question: AskQuestion, stream: AnswerStream | None = None) -> Answer:
        if self._releases is None:
            return await answer_question(self.services, question, stream)
        services = self._releases.services_for(question)
        started_s = services.clock.monotonic_s()
        outcome: Answer | BaseException | None = None
        try:
            outcome = answer = await answer_question(services, question, stream)
            return answer
        except BaseException as error:
            outcome = error
            raise
        finally:
            if outcome is not None:
                elapsed_ms = (services.clock.monotonic_s() - started_s) * 1000
                self._releases.ended(question, services.release, outcome, elapsed_ms)


class _EventStream:
    """Writes the redacted pieces of an answer to the run's event stream."""

    def __init__(self, ctx: Context, redaction: RedactionSettings) -> None:
        self._ctx = ctx
        self._redaction = redaction
        self._pending = RedactedStream(redaction)
        self._level = Level.NONE
        self._reasons: tuple[str, ...] = ()
        self.started = False

    def degraded(self, level: Level, reasons: Sequence[str]) -> None:
        self._level = max(self._level, level)
        self._reasons = tuple(dict.fromkeys((*self._reasons, *reasons)))
        event = AnswerDegraded(level=int(self._level), reasons=list(self._reasons))
        self._ctx.write_event_to_stream(event)

    def send(self, text: str) -> None:
        self._write(self._pending.feed(text))

    def finish(self) -> None:
        self._write(self._pending.finish())

    def discard_unsent(self) -> None:
        self._pending = RedactedStream(self._redaction)

    def reset(self, error: Exception) -> None:
        """Declare the pieces sent so far void, if there are any."""
        if self.started:
            reason = error.reason if isinstance(error, FoliotraceError) else ErrorCode.ERROR
            self._ctx.write_event_to_stream(AnswerReset(reason=reason))

    def _write(self, text: str) -> None:
        if text:
            self.started = True
            self._ctx.write_event_to_stream(AnswerDelta(text=text))
