"""All calls to LlamaCloud: uploads, billed jobs (each bought once), polling, results, deletion.

`resilient` repeats requests, not this module. One exception: after a billed request whose reply was
lost, its job is looked up, so that it is found and not bought again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from llama_cloud import AsyncLlamaCloud
from llama_cloud.types import ExtractV2Job, ParsingGetResponse

from foliotrace.adapters.llamacloud.buy_once import (
    ENDED_BADLY,
    Place,
    PurchaseCoordinator,
    Sleep,
)
from foliotrace.adapters.llamacloud.client import (
    RATE_LIMITS,
    CloudAccess,
    CloudFailure,
    CloudProblem,
    RateLimiter,
    connect,
    translated_errors,
)
from foliotrace.adapters.llamacloud.credit_charges import CreditCharges
from foliotrace.adapters.llamacloud.purchase_journal import (
    Order,
    Purchase,
    PurchaseJournal,
    PurchaseState,
)
from foliotrace.adapters.llamacloud.webhooks import JobWaiters, WebhookTarget
from foliotrace.errors import BudgetExceeded, LedgerUnavailable
from foliotrace.events import CloudCancelFailed, CloudJobFinished, emit
from foliotrace.model import Deadline, SourceFile
from foliotrace.ports import BudgetLedger, Clock

OPERATION: Final = "foliotrace_operation"
"""Key of a parse job's user metadata that names the purchase it came from."""

_CLOCK_SKEW: Final = timedelta(hours=1)
_LISTED_WITHIN: Final = timedelta(minutes=5)  # a job that was accepted is listed by then
_POLL_GROWTH: Final = 1.5
_WAITING: Final = frozenset({"PENDING", "RUNNING", "THROTTLED"})

IsWanted: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""(tenant, content hash): whether anything here still refers to these bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """Seconds between two status requests for a job: the first pause and the longest."""

    first_s: float
    longest_s: float


POLLING_ONLY: Final = Polling(first_s=0.5, longest_s=5.0)
WITH_WEBHOOKS: Final = Polling(first_s=5.0, longest_s=30.0)
"""Webhooks report most ends; polling only catches those that are lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a job ended; `credits` is None until billing has recorded them."""

    status: str
    credits: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A placed job and the purchase it belongs to."""

    tenant: str
    key: str
    kind: str  # "parse" or "extract"
    id: str


class CloudGateway:
    """LlamaCloud for one process; it connects at first use."""

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
        self.journal = journal
        self._charges = charges or CreditCharges(
            journal, ledger=_no_ledger, usd_per_credit=Decimal(0)
        )
        self._access = access
        self._clock = clock
        self._rate_limiter = rate_limiter or RateLimiter(RATE_LIMITS, clock=clock)
        self._sleep = sleep
        self._client: AsyncLlamaCloud | None = None
        self._purchases = PurchaseCoordinator(journal, sleep)
        self._webhook = webhook
        self._polling = polling or (WITH_WEBHOOKS if webhook else POLLING_ONLY)
        self._waiters = JobWaiters()
        self._keeps_jobs = self._closed = False

    @property
    def client(self) -> AsyncLlamaCloud:
        """The SDK's client, for calls that are neither billed nor polled."""
        if self._closed:  # a run that outlives its host must not reconnect
            raise CloudFailure(CloudProblem.UNREACHABLE, "the connections are closed")
        if self._client is None:
            self._client = connect(self._access)
        return self._client

    @property
    def scope(self) -> dict[str, Any]:
        """The project and organization that every call names."""
        ids = {
            "project_id": self._access.settings.project_id,
            "organization_id": self._access.settings.organization_id,
        }
        return {name: value for name, value in ids.items() if value is not None}

    async def aclose(self) -> None:
        """Close the connections for good."""
        self._closed = self._keeps_jobs = True
        if self._client is not None:
            await self._client.close()
            self._client = None

    # --- files -----------------------------------------------------------------------------

    async def upload(self, tenant: str, source: SourceFile, deadline: Deadline) -> str:
        """The file id of the tenant's file; it is uploaded only once. Raises CloudFailure."""
        external_id = f"{tenant}:{source.content_hash}"
        self.journal.record_upload(tenant, source.content_hash)
        with translated_errors("look up a file"):
            async for known in self.client.files.list(external_file_id=external_id, **self.scope):
                if known.expires_at is None or known.expires_at > self._clock.now():
                    return known.id
        await self._take_turn("upload", deadline)
        content = await asyncio.to_thread(source.path.read_bytes)
        with translated_errors("upload a file"):
            created = await self.client.files.create(
                file=(source.name, content, source.media_type),
                purpose="user_data",
                external_file_id=external_id,
                timeout=self._remaining_s(deadline),
                **self.scope,
            )
        return created.id

    async def forget(self, tenant: str, content_hash: str) -> None:
        """Delete the cloud's copies of the file and the results of its jobs."""
        with translated_errors("delete a file"):
            async for known in self.client.files.list(
                external_file_id=f"{tenant}:{content_hash}", **self.scope
            ):
                await self.client.files.delete(known.id, **self.scope)
        for key, kind, job_id in self.journal.jobs_of(tenant, content_hash):
            await self._forget_job(kind, job_id)
            self.journal.mark_deleted(tenant, key)
        self.journal.drop_copy(tenant, content_hash)

    async def _forget_job(self, kind: str, job_id: str) -> None:
        jobs = self.client.parsing if kind == "parse" else self.client.extract
        try:
            with translated_errors(f"delete the result of a {kind} job"):
                await jobs.delete(job_id, **self.scope)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise

    async def sweep(self, is_wanted: IsWanted) -> int:
        """Delete every copy that is used up or that no document refers to; returns how many.

        What cannot be deleted now is tried again by the next sweep. Raises CloudFailure.
        """
        count = 0
        for tenant, content_hash, unwanted in self.journal.copies():
            if unwanted or not await is_wanted(tenant, content_hash):
                await self.forget(tenant, content_hash)
                count += 1
        return count

    # --- billed jobs -----------------------------------------------------------------------

    async def buy_parse(
        self,
        tenant: str,
        key: str,
        request: Mapping[str, Any],
        deadline: Deadline,
        *,
        content_hash: str | None = None,
        pages: range | None = None,
        worst_credits: float = 0.0,
    ) -> str:
        """The id of the parse job for `request`, placed at most once for `key`."""

        async def place() -> str:
            await self._take_turn("parse", deadline)
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
            with translated_errors("place an extraction"):
                job = await self.client.extract.create(
                    file_input=order.source or "",
                    configuration_id=order.configuration,
                    **self._webhook_request("extract"),
                    **self.scope,
                )
            return job.id

        return await self._buy(tenant, key, "extract", order, place)

    async def _find(self, purchase: Purchase) -> str | None:
        """The id of the job that a request whose reply was lost became, if it is listed."""
        if purchase.kind == "parse":
            since = purchase.created_at - _CLOCK_SKEW
            with translated_errors("look for a parse job"):
                async for parse in self.client.parsing.list(
                    created_at_on_or_after=since, **self.scope
                ):
                    ours = (parse.user_metadata or {}).get(OPERATION) == purchase.key
                    if ours and parse.status not in ENDED_BADLY:
                        return parse.id
            return None
        with translated_errors("look for an extraction"):
            async for job in self.client.extract.list(
                file_input=purchase.order.source,
                configuration_id=purchase.order.configuration,
                **self.scope,
            ):
                if job.status not in ENDED_BADLY:
                    return job.id
        return None

    async def _buy(self, tenant: str, key: str, kind: str, order: Order, place: Place) -> str:
        """Buy once; the worst case is reserved before the request. Raises BudgetExceeded too."""
        reserved = False

        async def charged() -> str:
            nonlocal reserved
            await self._charges.reserve(tenant, key, kind, order.worst_credits)
            reserved = True
            return await place()

        try:
            return await self._purchases.buy(tenant, key, kind, order, charged, self._find)
        except (BudgetExceeded, LedgerUnavailable):
            self.journal.mark_failed(tenant, key)  # nothing was sent
            raise
        except CloudFailure as failure:
            if reserved:
                credits = None if failure.outcome_unknown else 0.0
                await self._charges.settle(tenant, key, kind, credits)
            raise

    def _webhook_request(self, product: str) -> dict[str, Any]:
        return self._webhook.request(product) if self._webhook is not None else {}

    # --- waiting ---------------------------------------------------------------------------

    async def parsed(
        self, tenant: str, key: str, job_id: str, deadline: Deadline, *, expand: list[str]
    ) -> ParsingGetResponse:
        """The result of a parse job, when it has one. Raises CloudFailure."""

        async def status() -> Finished | None:
            with translated_errors("ask for a parse job"):
                reply = await self.client.parsing.get(job_id, expand=["usage"], **self.scope)
            return _finished(reply.job, _parse_credits(reply))

        job = _Job(tenant=tenant, key=key, kind="parse", id=job_id)
        finished = await self._wait(job, status, deadline)
        with translated_errors("fetch a parse result"):
            result = await self.client.parsing.get(job_id, expand=expand, **self.scope)
        await self._settle(job, finished.credits)
        return result

    async def extracted(
        self, tenant: str, key: str, job_id: str, deadline: Deadline
    ) -> ExtractV2Job:
        """The result of an extraction with its metadata. Raises CloudFailure."""

        async def status() -> Finished | None:
            with translated_errors("ask for an extraction"):
                reply = await self.client.extract.get(job_id, expand=["usage"], **self.scope)
            return _finished(reply, self._extract_credits(tenant, key, reply))

        job = _Job(tenant=tenant, key=key, kind="extract", id=job_id)
        finished = await self._wait(job, status, deadline)
        with translated_errors("fetch an extraction"):
            result = await self.client.extract.get(
                job_id, expand=["extract_metadata", "usage"], **self.scope
            )
        await self._settle(job, finished.credits)
        return result

    def notify(self, job_id: str) -> None:
        """A webhook reported the end of the job: request its status now."""
        self._waiters.notify(job_id)

    def keep_jobs(self) -> None:
        """The process ends: do not cancel running jobs, the next process waits for them."""
        self._keeps_jobs = True

    async def _wait(
        self, job: _Job, status: Callable[[], Awaitable[Finished | None]], deadline: Deadline
    ) -> Finished:
        """Poll until the job has ended. A failed status request is repeated until the deadline."""
        pause_s = self._polling.first_s
        try:
            with self._waiters.waiting(job.id) as ended:
                while True:
                    retry_after_s = 0.0
                    try:
                        finished = await status()
                    except CloudFailure as failure:
                        if not failure.may_pass:
                            self._give_up(job, failure)
                            raise
                        finished, retry_after_s = None, failure.retry_after_s or 0.0
                    if finished is not None:
                        return await self._judge(job, finished)
                    if retry_after_s >= self._remaining_s(deadline):
                        raise _too_long(job.id)
                    await self._pause(ended, job.id, max(pause_s, retry_after_s), deadline)
                    pause_s = min(self._polling.longest_s, pause_s * _POLL_GROWTH)
        except CloudFailure as failure:
            if failure.problem is CloudProblem.DEADLINE:  # it goes on, and will be billed
                await self._charges.settle(job.tenant, job.key, job.kind, None)
            raise
        except asyncio.CancelledError:
            if not self._keeps_jobs:
                await asyncio.shield(self._cancel(job))
            raise

    async def _pause(
        self, ended: asyncio.Event, job_id: str, pause_s: float, deadline: Deadline
    ) -> None:
        """Sleep until the next status request, a webhook, or shortly before the deadline."""
        left_s = self._remaining_s(deadline) - POLLING_ONLY.first_s
        if left_s <= 0:
            raise _too_long(job_id)
        sleeping = asyncio.ensure_future(self._sleep(min(pause_s, left_s)))
        webhook = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({sleeping, webhook}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            webhook.cancel()
            ended.clear()

    async def _judge(self, job: _Job, finished: Finished) -> Finished:
        if finished.status == "COMPLETED":
            return finished
        cancelled = finished.status == "CANCELLED"
        problem = CloudProblem.JOB_CANCELLED if cancelled else CloudProblem.JOB_FAILED
        credits = finished.credits or 0.0  # a failed job is not billed unless the cloud says so
        self.journal.mark_failed(job.tenant, job.key, credits=credits)
        await self._charges.settle(job.tenant, job.key, job.kind, credits)
        raise CloudFailure(problem, f"job {job.id} ended as {finished.status}")

    def _give_up(self, job: _Job, failure: CloudFailure) -> None:
        """A job that the cloud no longer knows may be bought again."""
        if failure.problem is CloudProblem.NOT_FOUND:
            self.journal.mark_failed(job.tenant, job.key)

    async def _settle(self, job: _Job, credits: float | None) -> None:
        if self.journal.find(job.tenant, job.key).state is not PurchaseState.DONE:
            self.journal.mark_done(job.tenant, job.key, credits=credits or 0.0)
        await self._charges.settle(job.tenant, job.key, job.kind, credits)
        emit(CloudJobFinished(kind=job.kind, job_id=job.id, credits=credits or 0.0))

    def _extract_credits(self, tenant: str, key: str, job: ExtractV2Job) -> float | None:
        """What the extraction cost beyond our own parse job, whose credits `credits` repeats."""
        usage = job.usage
        if usage is None or usage.credits is None:
            return None
        own = self.journal.parse_credits(tenant, self.journal.find(tenant, key).order.source)
        if own is None:
            return usage.credits
        if usage.extract_credits is not None:
            return usage.extract_credits
        return max(0.0, usage.credits - (usage.parse_credits or own))

    async def _look_for_a_lost_job(self, tenant: str, key: str, kind: str) -> None:
        """Adopt the job of a lost reply; one that is never listed was not accepted, nor billed."""
        purchase = self.journal.find(tenant, key)
        found = await self._find(purchase)
        if found is not None:
            self.journal.mark_placed(tenant, key, found)
        elif self._clock.now() - purchase.created_at > _LISTED_WITHIN:
            await self._charges.settle(tenant, key, kind, 0.0)

    async def collect_late_credits(self) -> None:
        """Ask for credits that were not recorded when their jobs ended. Raises CloudFailure."""
        for tenant, key, kind, job_id in self.journal.without_credits():
            if job_id is None:
                await self._look_for_a_lost_job(tenant, key, kind)
                continue
            with translated_errors(f"ask for the credits of a {kind} job"):
                if kind == "parse":
                    parsed = await self.client.parsing.get(job_id, expand=["usage"], **self.scope)
                    ended = _finished(parsed.job, _parse_credits(parsed))
                else:
                    job = await self.client.extract.get(job_id, expand=["usage"], **self.scope)
                    ended = _finished(job, self._extract_credits(tenant, key, job))
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

    async def _take_turn(self, endpoint: str, deadline: Deadline) -> None:
        if not await self._rate_limiter.wait(endpoint, deadline):
            raise CloudFailure(CloudProblem.RATE_LIMITED, f"rate limit of {endpoint}")

    def _remaining_s(self, deadline: Deadline) -> float:
        return deadline.remaining_s(self._clock.monotonic_s())


def _too_long(job_id: str) -> CloudFailure:
    return CloudFailure(CloudProblem.DEADLINE, f"job {job_id} did not end in time")


def _no_ledger() -> BudgetLedger:
    raise LedgerUnavailable("credits without a price need no ledger")


def _parse_credits(reply: ParsingGetResponse) -> float | None:
    return reply.job.usage.credits if reply.job.usage else None


def _finished(job: Any, credits: float | None) -> Finished | None:  # a class for each kind of job
    """None while the job runs. An unknown status raises CloudFailure: it could mean anything."""
    if job.status in _WAITING:
        return None
    if job.status not in ("COMPLETED", "FAILED", "CANCELLED"):
        raise CloudFailure(CloudProblem.GARBAGE, "the status of a job is unknown")
    return Finished(status=job.status, credits=credits)
