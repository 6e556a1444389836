"""The `query` workflow: one real step that takes a question through its stages.

One step, because each further one costs more than all our stages together
(docs/decisions/0003-one-real-step-for-a-question.md). Only names that llama-index-workflows 1.3.0
also has are imported from `workflows`, so that the classic host runs this source too.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from pydantic import ConfigDict, Field
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, InvalidRequest
from foliotrace.events import span
from foliotrace.model import DEFAULT_COLLECTION, Answer, ExecutionMode, Level, Scalar
from foliotrace.query.answer.redaction import SanitizedStream
from foliotrace.query.pipeline import Call, answer_question
from foliotrace.query.services import QueryServices
from foliotrace.query.validate import Ask
from foliotrace.settings import QuerySettings

__all__ = [
    "AnswerDegraded",
    "AnswerDelta",
    "AnswerReset",
    "Answered",
    "AskQuestion",
    "QueryServices",
    "QueryWorkflow",
]


class _Quiet(Event):
    """An event whose repr is its name: engines write it into summaries and logs."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __str__(self) -> str:
        return repr(self)


class AskQuestion(_Quiet, StartEvent):
    """A question. `filters` maps `document_ids` or a metadata field to one value or several."""

    model_config = ConfigDict(extra="forbid")

    query: str
    top_k: int = 5
    filters: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    stream: bool = False
    bypass_cache: bool = False
    path: ExecutionMode | None = Field(
        default=None,
        description="Who retrieves: less cloud than the settings allow, or the cloud alone.",
    )
    user_id: str | None = None
    session_id: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Scalar] = Field(default_factory=dict)


class AnswerDelta(_Quiet):
    """The next piece of a streamed answer's text: checked and fit to be shown."""

    text: str


class AnswerDegraded(Event):
    """The answer stands at `level` now, for `reasons`: told as soon as it is known.

    The last one agrees with the answer's own mark.
    """

    level: int
    reasons: list[str]


class AnswerReset(Event):
    """The pieces so far are void: the stream broke. The run ends with an error."""

    reason: str


class Answered(_Quiet, StopEvent):
    """The answer. A stream's pieces, joined, are `answer.text`."""

    answer: Answer


class QueryWorkflow(Workflow):
    """Answers questions with the services it is given; holds no state of a run."""

    _known_steps: tuple[int, dict[str, Any]] | None = None

    def __init__(self, services: QueryServices, **options: Any) -> None:  # noqa: ANN401 - Workflow's
        super().__init__(**{"timeout": None, **options})
        self.services = services

    def _get_steps(self) -> dict[str, Any]:
        """The engine's own answer, kept: it inspects the whole object for it, twice in each run.

        The one private name of the engine that is touched; tests/query holds that it is still the
        engine's and answers the same. An engine without it never calls this.
        """
        version = getattr(type(self), "_step_functions_version", 0)
        if self._known_steps is None or self._known_steps[0] != version:
            self._known_steps = (version, dict(super()._get_steps()))
        return self._known_steps[1]

    async def answered(self, ev: AskQuestion) -> Answer:
        """The answer to a question that is not streamed, by the same step in the caller's task.

        A run of one step needs no control loop, queues or handler; they cost as much as all our
        stages (docs/decisions/0003-one-real-step-for-a-question.md). Spans, audit records, limits
        and errors are those of `run`; there is no run to list, to stream or to cancel by its id.
        """
        run_id = {"llamaindex.run_id": uuid4().hex}
        kind = type(self).__name__
        with (
            instrument_tags({**active_instrument_tags.get(), **run_id}),
            span(f"{kind}.run", self),
            span(f"{kind}.answer"),
        ):
            return await self._whole(ev)

    async def _whole(self, ev: AskQuestion) -> Answer:
        call = Call(bypass_cache=ev.bypass_cache)
        return await answer_question(self.services, _ask(ev), call)

    @step
    async def answer(self, ctx: Context, ev: AskQuestion) -> Answered:
        """Take the question through its stages; each is a span under this step's."""
        if not ev.stream:
            return Answered(answer=await self._whole(ev))
        ask = _ask(ev)
        screen = _EventScreen(ctx, self.services.settings)
        call = Call(bypass_cache=ev.bypass_cache, screen=screen)
        try:
            answer = await answer_question(self.services, ask, call)
        except Exception as error:
            screen.reset(error)
            raise
        screen.finish()
        return Answered(answer=answer)


def _ask(ev: AskQuestion) -> Ask:
    unknown = sorted(ev.keys())  # `Event` keeps unknown fields aside instead of refusing them
    if unknown:
        raise InvalidRequest(
            f"The question has {len(unknown)} unknown fields.",
            hint=f"Known fields: {', '.join(AskQuestion.model_fields)}.",
        )
    return Ask(
        query=ev.query,
        top_k=ev.top_k,
        filters=ev.filters,
        collection=ev.collection,
        user_id=ev.user_id,
        session_id=ev.session_id,
        tags=ev.tags,
        metadata=ev.metadata,
        path=ev.path,
    )


class _EventScreen:
    """Writes the pieces of an answer to the run's event stream, sanitized."""

    def __init__(self, ctx: Context, settings: QuerySettings) -> None:
        self._ctx = ctx
        self._settings = settings
        self._stream = SanitizedStream(settings.redaction)
        self._level = Level.NONE
        self._reasons: tuple[str, ...] = ()
        self.shown = False

    def degraded(self, level: Level, reasons: Sequence[str]) -> None:
        self._level = max(self._level, level)
        self._reasons = tuple(dict.fromkeys((*self._reasons, *reasons)))
        told = AnswerDegraded(level=int(self._level), reasons=list(self._reasons))
        self._ctx.write_event_to_stream(told)

    def show(self, text: str) -> None:
        self._write(self._stream.feed(text))

    def finish(self) -> None:
        self._write(self._stream.finish())

    def discard(self) -> None:
        self._stream = SanitizedStream(self._settings.redaction)

    def reset(self, error: Exception) -> None:
        """Take back what was shown, if anything was."""
        if self.shown:
            reason = error.reason if isinstance(error, FoliotraceError) else ErrorCode.ERROR
            self._ctx.write_event_to_stream(AnswerReset(reason=reason))

    def _write(self, text: str) -> None:
        if text:
            self.shown = True
            self._ctx.write_event_to_stream(AnswerDelta(text=text))
