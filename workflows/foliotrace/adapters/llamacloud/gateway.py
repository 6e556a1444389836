"""Billed jobs of LlamaCloud: each bought once, waited for, charged; their results.

`resilient` repeats requests, not this module. One exception: after a billed request whose reply was
lost, its job is looked up, so that it is found and not bought again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llama_cloud.types import ExtractV2Job, ParsingGetResponse

from foliotrace.adapters.llamacloud.client import (
    CloudAccess,
    CloudFailure,
    CloudProblem,
    RateLimiter,
    translated_errors,
)
from foliotrace.adapters.llamacloud.files import CloudFiles
from foliotrace.adapters.llamacloud.job_results import (
    RUNNING,
    Result,
    extract_credits,
    fetched,
    finished_of,
    parse_credits,
)
from foliotrace.adapters.llamacloud.job_statuses import JobStatuses
from foliotrace.adapters.llamacloud.job_waiting import (
    POLLING_ONLY,
    WITH_WEBHOOKS,
    Finished,
    JobWaiting,
    Polling,
)
from foliotrace.adapters.llamacloud.purchases.buy_once import (
    Place,
    PurchaseCoordinator,
    Sleep,
    may_be_listed_yet,
)
from foliotrace.adapters.llamacloud.purchases.credit_charges import CreditCharges
from foliotrace.adapters.llamacloud.purchases.journal import (
    Order,
    PurchaseJournal,
    PurchaseState,
)
from foliotrace.adapters.llamacloud.purchases.lost_jobs import OPERATION, LostJobs
from foliotrace.adapters.llamacloud.webhooks import WebhookTarget
from foliotrace.errors import BudgetExceeded, LedgerUnavailable
from foliotrace.events import CloudCancelFailed, CloudJobFinished, CloudPurchaseReconciled, emit
from foliotrace.model import Deadline, PageNumbers
from foliotrace.ports import BudgetLedger, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A placed job and the purchase it belongs to."""

    tenant: str
    key: str
    kind: str  # "parse" or "extract"
    id: str


class CloudGateway(CloudFiles):
    """Billed jobs of one process, and the files they work on."""

    def __init__(
        self,
        access: CloudAccess,
        journal: PurchaseJournal,
        *,
        clock: Clock,
        rate_limiter: RateLimiter | None = None,
        sleep: Sleep = asyncio.sleep,
        webhook: WebhookTarget | None = None,
        polling: Polling | None = None,
        charges: CreditCharges | None = None,
    ) -> None:
        super().__init__(access, journal, clock=clock, rate_limiter=rate_limiter)
        self._charges = charges or CreditCharges(
            journal, ledger=_no_ledger, usd_per_credit=Decimal(0)
        )
        self._lost = LostJobs(lambda: self.client, self.scope)
        self._purchases = PurchaseCoordinator(journal, sleep, clock)
        self._webhook = webhook
        pauses = polling or (WITH_WEBHOOKS if webhook else POLLING_ONLY)
        self._waiting = JobWaiting(pauses, clock=clock, sleep=sleep)
        self._parse_statuses = JobStatuses("parse", lambda: self.client, self.scope, clock=clock)
        self._extract_statuses = JobStatuses(
            "extract", lambda: self.client, self.scope, clock=clock
        )
        self._keeps_jobs = False

    async def aclose(self) -> None:
        """Close the connections for good."""
        self._keeps_jobs = True
        await super().aclose()

    async def buy_parse(
        self,
        tenant: str,
        key: str,
        request: Mapping[str, Any],
        deadline: Deadline,
        *,
        content_hash: str | None = None,
        pages: PageNumbers | None = None,
        worst_credits: float = 0.0,
    ) -> str:
        """The id of the parse job for `request`, placed at most once for `key`."""

        async def place() -> str:
            await self._take_turn("parse", deadline)
            self.journal.mark_sent(tenant, key)
            with translated_errors("place a parse job"):
                job = await self.client.parsing.create(
                    **request,
                    **self._webhook_request("parse"),
                    user_metadata={OPERATION: key},
                    **self.scope,
                )
            return job.id

        order = Order(
            content_hash=content_hash,
            pages=pages,
            source=request.get("file_id"),
            worst_credits=worst_credits,
        )
        return await self._buy(tenant, key, "parse", order, place)

    async def buy_extract(self, tenant: str, key: str, order: Order, deadline: Deadline) -> str:
        """The id of the extraction that `order` names, placed at most once for `key`.

        Its source is a file or a finished parse job, its configuration a saved one.
        """

        async def place() -> str:
            await self._take_turn("extract", deadline)
            self.journal.mark_sent(tenant, key)
            with translated_errors("place an extraction"):
                job = await self.client.extract.create(
                    file_input=order.source or "",
                    configuration_id=order.configuration,
                    **self._webhook_request("extract"),
                    **self.scope,
                )
            return job.id

        return await self._buy(tenant, key, "extract", order, place)

    async def _buy(self, tenant: str, key: str, kind: str, order: Order, place: Place) -> str:
        """Buy once; the worst case is reserved before the request. Raises BudgetExceeded too."""
        reserved = False

        async def charged() -> str:
            nonlocal reserved
            await self._charges.reserve(tenant, key, kind, order.worst_credits)
            reserved = True
            return await place()

        try:
            return await self._purchases.buy(tenant, key, kind, order, charged, self._lost.find)
        except (BudgetExceeded, LedgerUnavailable):
            self.journal.mark_failed(tenant, key)  # nothing was sent
            raise
        except CloudFailure as failure:
            if reserved:
                credits = None if failure.outcome_unknown else 0.0
                await self._charges.settle(tenant, key, kind, credits)
            raise
        except asyncio.CancelledError:  # in the middle of the request: it may have become a job
            if reserved:
                await asyncio.shield(self._charges.settle(tenant, key, kind, None))
            raise

    def _webhook_request(self, product: str) -> dict[str, Any]:
        return self._webhook.request(product) if self._webhook is not None else {}

    # --- waiting ---------------------------------------------------------------------------

    async def parsed(
        self, tenant: str, key: str, job_id: str, deadline: Deadline, *, expand: list[str]
    ) -> ParsingGetResponse:
        """The result of a parse job, when it has one. Raises CloudFailure."""

        async def status() -> Finished | None:
            listed = await self._parse_statuses.of(job_id)
            if listed == "COMPLETED":
                return Finished(status=listed, credits=None)  # they come with the result
            if listed in RUNNING:
                return None
            with translated_errors("ask for a parse job"):
                reply = await self.client.parsing.get(job_id, expand=["usage"], **self.scope)
            return finished_of(reply.job, parse_credits(reply))

        job = _Job(tenant=tenant, key=key, kind="parse", id=job_id)
        with self._parse_statuses.waiting(job_id):
            finished = await self._ended(job, status, deadline)
        result = await self._fetched(
            job,
            finished,
            lambda parts: self.client.parsing.get(job_id, expand=parts, **self.scope),
            [*expand, "usage"],
            "items",
        )
        if result.job.status != finished.status:  # the listing was ahead of the job
            raise CloudFailure(CloudProblem.GARBAGE, "a job that completed has no result")
        credits = parse_credits(result)
        await self._settle(job, finished.credits if credits is None else credits)
        return result

    async def extracted(
        self, tenant: str, key: str, job_id: str, deadline: Deadline
    ) -> ExtractV2Job:
        """The result of an extraction with its metadata. Raises CloudFailure."""

        async def status() -> Finished | None:
            listed = await self._extract_statuses.of(job_id)
            if listed == "COMPLETED":
                return Finished(status=listed, credits=None)  # they come with the result
            if listed in RUNNING:
                return None
            with translated_errors("ask for an extraction"):
                reply = await self.client.extract.get(job_id, expand=["usage"], **self.scope)
            return finished_of(reply, extract_credits(self.journal, tenant, key, reply))

        job = _Job(tenant=tenant, key=key, kind="extract", id=job_id)
        with self._extract_statuses.waiting(job_id):
            finished = await self._ended(job, status, deadline)
        result = await self._fetched(
            job,
            finished,
            lambda parts: self.client.extract.get(job_id, expand=parts, **self.scope),
            ["extract_metadata", "usage"],
            "extract_metadata",
        )
        if result.status != finished.status:  # the listing was ahead of the job
            raise CloudFailure(CloudProblem.GARBAGE, "a job that completed has no result")
        credits = extract_credits(self.journal, tenant, key, result)
        await self._settle(job, finished.credits if credits is None else credits)
        return result

    async def _fetched(
        self,
        job: _Job,
        finished: Finished,
        fetch: Callable[[list[str]], Awaitable[Result]],
        expand: list[str],
        optional: str,
    ) -> Result:
        """See `fetched`; a job whose result cannot be read is charged all the same."""
        try:
            return await fetched(job.kind, fetch, expand, optional)
        except CloudFailure as failure:
            if failure.problem is CloudProblem.GARBAGE:
                await self._charges.settle(job.tenant, job.key, job.kind, finished.credits)
            raise

    def notify(self, job_id: str) -> None:
        """A webhook reported the end of the job: request its status now."""
        self._waiting.notify(job_id)

    def keep_jobs(self) -> None:
        """The process ends: do not cancel running jobs, the next process waits for them."""
        self._keeps_jobs = True

    async def _ended(
        self, job: _Job, status: Callable[[], Awaitable[Finished | None]], deadline: Deadline
    ) -> Finished:
        """The end of a job that succeeded. A cancelled caller cancels the job."""
        try:
            return await self._judge(job, await self._waiting.until_ended(job.id, status, deadline))
        except CloudFailure as failure:
            if failure.problem is CloudProblem.NOT_FOUND:  # it may be bought again
                self.journal.mark_failed(job.tenant, job.key)
            if failure.problem in (CloudProblem.DEADLINE, CloudProblem.GARBAGE):  # it is billed
                await self._charges.settle(job.tenant, job.key, job.kind, None)
            raise
        except asyncio.CancelledError:
            if not self._keeps_jobs:
                await asyncio.shield(self._cancel(job))
            raise

    async def _judge(self, job: _Job, finished: Finished) -> Finished:
        if finished.status == "COMPLETED":
            return finished
        cancelled = finished.status == "CANCELLED"
        problem = CloudProblem.JOB_CANCELLED if cancelled else CloudProblem.JOB_FAILED
        credits = finished.credits or 0.0  # a failed job is not billed unless the cloud says so
        self.journal.mark_failed(job.tenant, job.key, credits=credits)
        await self._charges.settle(job.tenant, job.key, job.kind, credits)
        raise CloudFailure(problem, f"job {job.id} ended as {finished.status}")

    async def _settle(self, job: _Job, credits: float | None) -> None:
        if self.journal.find(job.tenant, job.key).state is not PurchaseState.DONE:
            self.journal.mark_done(job.tenant, job.key, credits=credits or 0.0)
        await self._charges.settle(job.tenant, job.key, job.kind, credits)
        emit(CloudJobFinished(kind=job.kind, job_id=job.id, credits=credits or 0.0))

    async def collect_late_credits(self) -> None:
        """Adopt the jobs of lost replies, and ask for credits that were not recorded in time.

        A job that is not listed after a while was not accepted, nor billed. Raises CloudFailure.
        """
        due = self.journal.without_credits()
        lost = [self.journal.find(tenant, key) for tenant, key, _, job_id in due if job_id is None]
        found = await self._lost.find_all(lost) if lost else {}
        for purchase in lost:
            tenant, key = purchase.tenant, purchase.key
            if key in found:
                self.journal.mark_placed(tenant, key, found[key])
                emit(CloudPurchaseReconciled(kind=purchase.kind))
            elif not may_be_listed_yet(purchase, self._clock.now()):
                await self._charges.settle(tenant, key, purchase.kind, 0.0)
        for tenant, key, kind, job_id in due:
            if job_id is None:
                continue
            with translated_errors(f"ask for the credits of a {kind} job"):
                if kind == "parse":
                    parsed = await self.client.parsing.get(job_id, expand=["usage"], **self.scope)
                    ended = finished_of(parsed.job, parse_credits(parsed))
                else:
                    job = await self.client.extract.get(job_id, expand=["usage"], **self.scope)
                    ended = finished_of(job, extract_credits(self.journal, tenant, key, job))
            if ended is None or (ended.credits is None and ended.status == "COMPLETED"):
                continue
            self.journal.add_credits(tenant, key, ended.credits or 0.0)
            await self._charges.settle(tenant, key, kind, ended.credits or 0.0)

    async def _cancel(self, job: _Job) -> None:
        """The caller was cancelled: cancel the job. If that works, it may be bought again."""
        jobs = self.client.parsing if job.kind == "parse" else self.client.extract
        try:
            with translated_errors(f"cancel a {job.kind} job"):
                await jobs.cancel(job.id, **self.scope)
        except CloudFailure as failure:
            emit(CloudCancelFailed(reason=failure.reason))
            await self._charges.settle(job.tenant, job.key, job.kind, None)
        else:
            self.journal.mark_failed(job.tenant, job.key)
            await self._charges.settle(job.tenant, job.key, job.kind, 0.0)


def _no_ledger() -> BudgetLedger:
    raise LedgerUnavailable("credits without a price need no ledger")
