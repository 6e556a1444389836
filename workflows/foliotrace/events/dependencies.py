"""What happens in calls to other services: retries, breakers, cost, LlamaCloud jobs.

`span_attributes` and `measurements` are a public contract: dashboards, collector and alert rules
read these names.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Final

from foliotrace.events import instruments
from foliotrace.events.dispatch import DomainEvent
from foliotrace.events.instruments import Measurement

_ERROR: Final = {"reason": "error_type"}


class CallRetried(DomainEvent):
    """A call failed and is repeated after `wait_s`; `attempt` is the number of the failed one.

    Why it failed stands on the span of the call.
    """

    span_attributes: ClassVar = {
        "dependency": "foliotrace.retry.dependency",
        "attempt": "foliotrace.retry.attempt",
        "wait_s": "foliotrace.retry.wait_s",
    }
    recorded_as: ClassVar = "event"

    dependency: str
    attempt: int
    wait_s: float
    reason: str | None = None

    def measurements(self) -> Iterable[Measurement]:
        """One retry."""
        yield instruments.RETRIES.measured(1, self.dependency, self.reason or "")


class BreakerChanged(DomainEvent):
    """A circuit breaker changed its state to `status`."""

    span_attributes: ClassVar = {
        "dependency": "foliotrace.breaker.dependency",
        "status": "foliotrace.breaker.status",
    }
    recorded_as: ClassVar = "event"

    dependency: str
    status: str

    def measurements(self) -> Iterable[Measurement]:
        """The transition, and the state it leads to."""
        yield instruments.BREAKER_TRANSITIONS.measured(1, self.dependency, self.status)
        yield instruments.BREAKER_OPEN.measured(self.status == "open", self.dependency)


class ModelCallPaid(DomainEvent):
    """A call is an entry of the run's ledger with this cost; `outcome` as in `CallOutcome`."""

    span_attributes: ClassVar = {
        "model": "foliotrace.cost.model",
        "cost": "foliotrace.cost.usd",
        "outcome": "foliotrace.cost.outcome",
    }
    recorded_as: ClassVar = "event"

    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    outcome: str = "answered"

    @property
    def cost(self) -> float:
        """The cost in USD as spans and metrics take it."""
        return float(self.cost_usd)

    def measurements(self) -> Iterable[Measurement]:
        """The money."""
        yield instruments.COST.measured(self.cost, self.model)


class CallRefusedByBudget(DomainEvent):
    """A call was not sent, since it could exceed a cap.

    `cap`: "run", "tenant_day", "unknown_price" or "ledger" (it failed).
    """

    span_attributes: ClassVar = {
        "model": "foliotrace.cost.model",
        "cap": "foliotrace.budget.refused_by",
    }
    recorded_as: ClassVar = "event"

    model: str
    cap: str

    def measurements(self) -> Iterable[Measurement]:
        """One refusal."""
        yield instruments.BUDGET_REFUSALS.measured(1, self.cap)


class ReservationNotSettled(DomainEvent):
    """The ledger failed after a paid call; the worst case stays reserved there."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class CloudJobFinished(DomainEvent):
    """A LlamaCloud job of `kind` ended and cost `credits`."""

    span_attributes: ClassVar = {
        "kind": "foliotrace.cloud.kind",
        "job_id": "foliotrace.cloud.job_id",
        "credits": "foliotrace.cloud.credits",
    }
    recorded_as: ClassVar = "event"

    kind: str
    job_id: str
    credits: float


class ManagedIndexSynced(DomainEvent):
    """A sync of the managed index ended; it does not find `skipped` of the placed documents."""

    span_attributes: ClassVar = {"skipped": "foliotrace.cloud.skipped_files"}
    recorded_as: ClassVar = "event"

    skipped: int

    def measurements(self) -> Iterable[Measurement]:
        """The files that are served from the local index alone."""
        yield instruments.SKIPPED_FILES.measured(self.skipped)


class CloudPurchaseReconciled(DomainEvent):
    """A LlamaCloud job whose acknowledgement was lost was found again instead of bought twice."""

    span_attributes: ClassVar = {"kind": "foliotrace.cloud.kind"}
    recorded_as: ClassVar = "event"

    kind: str


class CloudParseJobExpired(DomainEvent):
    """LlamaCloud no longer knows a parse job; the file is uploaded again."""

    recorded_as: ClassVar = "event"


class CloudCancelFailed(DomainEvent):
    """A LlamaCloud job without a waiting caller could not be cancelled."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str
