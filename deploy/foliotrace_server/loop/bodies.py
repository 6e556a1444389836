"""The bodies of runs, feedback and annotation queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foliotrace.model import Run, RunView
from foliotrace_loop.agreement import Agreement
from foliotrace_loop.feedback import FEEDBACK_KEY, FeedbackView
from foliotrace_loop.queues import QUEUE_NAME, QueueItem, QueueRules, QueueView
from foliotrace_loop.runs.windows import WindowStats
from foliotrace_server.bodies import fields_of

REVIEWER = r"^[A-Za-z0-9_.@-]{1,64}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBody(RunView):
    """A run, its feedback, and where its trace opens."""

    feedback: tuple[FeedbackView, ...]
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsBody:
    """A page of runs, newest first, without texts. Pass `next` as `after` to get the next page."""

    runs: tuple[RunView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatsBody:
    """Figures of the matching runs: of the whole time, and of each window."""

    total: WindowStats
    windows: tuple[WindowStats, ...] = ()


class FeedbackRequest(BaseModel):
    """Feedback on a run, named by its id or by its trace."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    run_id: Annotated[str | None, Field(max_length=64)] = None
    trace_id: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32}$")] = None
    key: Annotated[str, Field(pattern=FEEDBACK_KEY)] = Field(
        description="What is rated, such as `user_score`."
    )
    score: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    value: Annotated[str | float | bool | None, Field()] = Field(
        default=None, description="A label or a corrected answer."
    )
    comment: Annotated[str | None, Field(max_length=4000)] = None


class QueueRequest(BaseModel):
    """An annotation queue."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Annotated[str, Field(pattern=rf"^{QUEUE_NAME.pattern}$")]
    reviewers: Annotated[int, Field(ge=1, le=20)] = Field(
        default=2, description="Reviews that each run needs."
    )
    rules: QueueRules = QueueRules()


class LeaseRequest(BaseModel):
    """A request for the next run to review."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reviewer: Annotated[str | None, Field(pattern=REVIEWER)] = Field(
        default=None, description="Who reviews; ignored where API keys say it."
    )
    lease_s: Annotated[int, Field(ge=1, le=86_400)] = 1800


class ReviewRequest(BaseModel):
    """A review of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    run_id: Annotated[str, Field(min_length=1, max_length=64)]
    label: Annotated[str, Field(pattern=REVIEWER)] = Field(description="Such as `good`, `bad`.")
    comment: Annotated[str | None, Field(max_length=4000)] = None
    reviewer: Annotated[str | None, Field(pattern=REVIEWER)] = Field(
        default=None, description="Who reviews; ignored where API keys say it."
    )


class AcceptedItemRequest(BaseModel):
    """A run that became a dataset row."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    run_id: Annotated[str, Field(min_length=1, max_length=64)]
    row_id: Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuesBody:
    """Annotation queues."""

    queues: tuple[QueueView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBody:
    """A queue with its items."""

    queue: QueueView
    items: tuple[QueueItem, ...]
    agreement: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledBody:
    """How many runs were added to a queue."""

    added: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBody:
    """The run to review, or null."""

    item: QueueItem | None


def run_body(run: Run, feedback: tuple[FeedbackView, ...], links: Mapping[str, str]) -> RunBody:
    """The body of a run."""
    names, read = fields_of(RunView)
    return RunBody(**dict(zip(names, read(run), strict=True)), feedback=feedback, links=links)
