"""What the cloud says about a job: whether it has ended, the credits that it cost, its result."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from llama_cloud.types import ExtractV2Job, ParsingGetResponse

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem, translated_errors
from foliotrace.adapters.llamacloud.job_waiting import Finished
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal

Result = TypeVar("Result", ParsingGetResponse, ExtractV2Job)
RUNNING: Final = frozenset({"PENDING", "RUNNING", "THROTTLED"})


def finished_of(job: Any, credits: float | None) -> Finished | None:  # a class for each kind of job
    """None while the job runs. An unknown status raises CloudFailure: it could mean anything."""
    if job.status in RUNNING:
        return None
    if job.status not in ("COMPLETED", "FAILED", "CANCELLED"):
        raise CloudFailure(CloudProblem.GARBAGE, "the status of a job is unknown")
    return Finished(status=job.status, credits=credits)


def parse_credits(reply: ParsingGetResponse) -> float | None:
    """What the parse job cost; None until billing has recorded it."""
    return _possible(reply.job.usage.credits if reply.job.usage else None)


def extract_credits(
    journal: PurchaseJournal, tenant: str, key: str, job: ExtractV2Job
) -> float | None:
    """What the extraction cost beyond our own parse job, whose credits `credits` repeats."""
    usage = job.usage
    credits = _possible(usage.credits) if usage is not None else None
    if usage is None or credits is None:
        return None
    own = journal.parse_credits(tenant, journal.find(tenant, key).order.source)
    if own is None:
        return credits
    if (extracted := _possible(usage.extract_credits)) is not None:
        return extracted
    return max(0.0, credits - (usage.parse_credits or own))


def _possible(credits: float | None) -> float | None:
    """Credits, unless no job can cost them."""
    return credits if credits is not None and 0 <= credits < float("inf") else None


async def fetched(
    kind: str,
    fetch: Callable[[list[str]], Awaitable[Result]],
    expand: list[str],
    optional: str,
) -> Result:
    """The result of a job; without the part `optional` if that has a form that we do not know.

    Raises CloudFailure.
    """
    try:
        with translated_errors(f"fetch the result of a {kind} job"):
            return await fetch(expand)
    except CloudFailure as failure:
        if failure.problem is not CloudProblem.GARBAGE or optional not in expand:
            raise
    with translated_errors(f"fetch the result of a {kind} job without {optional}"):
        return await fetch([part for part in expand if part != optional])
