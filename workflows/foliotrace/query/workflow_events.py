"""Events of the `query` workflow: the question, the events of a stream, and the final answer."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

from pydantic import ConfigDict, Field
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.model import DEFAULT_COLLECTION, Answer, ExecutionMode, Scalar

FilterValues: TypeAlias = Mapping[str, Scalar | Sequence[Scalar]]


class _PrivateEvent(Event):
    """Its repr is its class name: engines write events into run summaries and logs."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __str__(self) -> str:
        return repr(self)


class AskQuestion(_PrivateEvent, StartEvent):
    """A question as a caller sends it: typed, not validated yet.

    `filters` maps `document_ids` or the name of a metadata field to one value or several.
    """

    model_config = ConfigDict(extra="forbid")

    query: str
    top_k: int = 5
    filters: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    stream: bool = False
    bypass_cache: bool = False
    path: ExecutionMode | None = Field(
        default=None,
        description="Where to run retrieval; without it, as the server is configured.",
    )
    user_id: str | None = None
    session_id: str | None = None
    history: list[str] = Field(
        default_factory=list,
        description="Earlier questions of this conversation, the oldest first; instead of "
        "`session_id` where runs keep no content.",
    )
    max_cost_usd: Decimal | None = Field(
        default=None,
        ge=0,
        description="What this answer may cost at most; it can only lower "
        "`budget.max_cost_per_query_usd`. Where it does not pay for a model, quotes are returned.",
    )
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Scalar] = Field(default_factory=dict)

    def trace_view(self) -> dict[str, object]:
        """What an observer that exports content may show; who asks is not among it."""
        return {
            "query": self.query,
            "top_k": self.top_k,
            "filters": self.filters,
            "collection": self.collection,
        }


class AnswerDelta(_PrivateEvent):
    """The next piece of a streamed answer: grounded and redacted."""

    text: str


class AnswerDegraded(Event):
    """The answer being streamed has dropped to `level`, for `reasons`.

    Each event holds all reasons so far; the last one agrees with the answer's own mark.
    """

    level: int
    reasons: list[str]


class AnswerReset(Event):
    """The stream broke: the pieces sent so far are void, and the run ends with an error."""

    reason: str


class Answered(_PrivateEvent, StopEvent):
    """The answer. The pieces of a stream, joined, are `answer.text`."""

    answer: Answer
