"""The one door to LlamaCloud: uploads, billed jobs bought once, waiting with a deadline, results.

No request is repeated here (that is the business of `resilient`), with one exception: a billed
request whose reply was lost is looked up, so that its job is found rather than bought again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

from llama_cloud import AsyncLlamaCloud
from llama_cloud.types import ExtractV2Job, ParsingGetResponse

from foliotrace.adapters.llamacloud.client import CloudAccess, connect
from foliotrace.adapters.llamacloud.failures import CloudFailure, CloudProblem, in_our_words
from foliotrace.adapters.llamacloud.hearing import Ears, WebhookAddress
from foliotrace.adapters.llamacloud.intents import Intent, IntentLog, IntentState, Order
from foliotrace.adapters.llamacloud.pacing import DOCUMENTED, Pacer
from foliotrace.adapters.llamacloud.purchases import ENDED_BADLY, Purchases, Sleep
from foliotrace.events import CloudCancelFailed, CloudJobFinished, emit
from foliotrace.model import Deadline, SourceFile
from foliotrace.ports import Clock

OPERATION: Final = "foliotrace_operation"
"""Key of a parse job's user metadata that names the intent it came from."""

_CLOCK_SKEW: Final = timedelta(hours=1)
_POLL_GROWTH: Final = 1.5
_WAITING: Final = frozenset({"PENDING", "RUNNING", "THROTTLED"})

IsWanted: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""(tenant, content hash): whether anything here still refers to these bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """Seconds between two questions for a job: the first pause and the longest."""

    first_s: float
    longest_s: float


ASKING: Final = Polling(first_s=0.5, longest_s=5.0)
TOLD: Final = Polling(first_s=5.0, longest_s=30.0)
"""Where webhooks are expected, asking is only for those that never come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a job ended."""

    status: str
    error_message: str | None
    credits: float


class CloudGateway:
    """LlamaCloud for one process. `client` may be injected; else it is made at first use."""

    def __init__(
        self,
        access: CloudAccess,
        intents: IntentLog,
        *,
        clock: Clock,
        pacer: Pacer | None = None,
        sleep: Sleep = asyncio.sleep,
        webhook: WebhookAddress | None = None,
        polling: Polling | None = None,
    ) -> None:
        self.intents = intents
        self._access = access
        self._clock = clock
        self._pacer = pacer or Pacer(DOCUMENTED, clock=clock)
        self._sleep = sleep
        self._client: AsyncLlamaCloud | None = None
        self._purchases = Purchases(intents, sleep)
        self._webhook = webhook
        self._polling = polling or (TOLD if webhook else ASKING)
        self._ears = Ears()
        self._leaving = self._closed = False

    @property
    def client(self) -> AsyncLlamaCloud:
        """The SDK's client, for the calls that are neither billed nor waited for."""
        if self._closed:  # a run that outlives its host waits in vain, and harms nothing
            raise CloudFailure(CloudProblem.UNREACHABLE, "the connections are closed")
        if self._client is None:
            self._client = connect(self._access)
        return self._client

    @property
    def scope(self) -> dict[str, Any]:
        """The project and organization that every call names."""
        given = {
            "project_id": self._access.project_id,
            "organization_id": self._access.organization_id,
        }
        return {name: value for name, value in given.items() if value is not None}

    async def aclose(self) -> None:
        """Close the connections for good."""
        self._closed = self._leaving = True
        if self._client is not None:
            await self._client.close()
            self._client = None

    # --- files -----------------------------------------------------------------------------

    async def upload(self, tenant: str, source: SourceFile, deadline: Deadline) -> str:
        """The file id of these bytes of this tenant; uploaded once. Raises CloudFailure."""
        external_id = f"{tenant}:{source.content_hash}"
        self.intents.copying(tenant, source.content_hash)
        with in_our_words("look up a file"):
            async for known in self.client.files.list(external_file_id=external_id, **self.scope):
                if known.expires_at is None or known.expires_at > self._clock.now():
                    return known.id
        await self._pace("upload", deadline)
        content = await asyncio.to_thread(source.path.read_bytes)
        with in_our_words("upload a file"):
            created = await self.client.files.create(
                file=(source.name, content, source.media_type),
                purpose="user_data",
                external_file_id=external_id,
                timeout=self._remaining_s(deadline),
                **self.scope,
            )
        return created.id

    async def forget(self, tenant: str, content_hash: str) -> None:
        """Delete the cloud's copies of these bytes and what its jobs made of them."""
        with in_our_words("delete a file"):
            async for known in self.client.files.list(
                external_file_id=f"{tenant}:{content_hash}", **self.scope
            ):
                await self.client.files.delete(known.id, **self.scope)
        for key, kind, job_id in self.intents.jobs_of(tenant, content_hash):
            await self._forget_job(kind, job_id)
            self.intents.forgotten_job(tenant, key)
        self.intents.forgotten(tenant, content_hash)

    async def _forget_job(self, kind: str, job_id: str) -> None:
        jobs = self.client.parsing if kind == "parse" else self.client.extract
        try:
            with in_our_words(f"delete the result of a {kind} job"):
                await jobs.delete(job_id, **self.scope)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise

    async def sweep(self, is_wanted: IsWanted) -> int:
        """Forget every copy that has served or that nobody refers to; how many there were.

        What cannot be deleted now stays noted for the next sweep. Raises CloudFailure.
        """
        count = 0
        for tenant, content_hash, unwanted in self.intents.copies():
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
    ) -> str:
        """The id of the parse job for `request`, placed at most once for `key`."""

        async def place() -> str:
            await self._pace("parse", deadline)
            with in_our_words("place a parse job"):
                job = await self.client.parsing.create(
                    **request,
                    **self._asks_to_be_told("parse"),
                    user_metadata={OPERATION: key},
                    **self.scope,
                )
            return job.id

        async def find(intent: Intent) -> str | None:
            since = intent.created_at - _CLOCK_SKEW
            with in_our_words("look for a parse job"):
                async for job in self.client.parsing.list(
                    created_at_on_or_after=since, **self.scope
                ):
                    ours = (job.user_metadata or {}).get(OPERATION) == key
                    if ours and job.status not in ENDED_BADLY:
                        return job.id
            return None

        order = Order(content_hash=content_hash, pages=pages, source=request.get("file_id"))
        return await self._purchases.buy(tenant, key, "parse", order, place, find)

    async def buy_extract(self, tenant: str, key: str, order: Order, deadline: Deadline) -> str:
        """The id of the extraction that `order` names, placed at most once for `key`.

        Its source is a file or a finished parse job, its configuration a saved one.
        """

        async def place() -> str:
            await self._pace("extract", deadline)
            with in_our_words("place an extraction"):
                job = await self.client.extract.create(
                    file_input=order.source or "",
                    configuration_id=order.configuration,
                    **self._asks_to_be_told("extract"),
                    **self.scope,
                )
            return job.id

        async def find(intent: Intent) -> str | None:
            with in_our_words("look for an extraction"):
                async for job in self.client.extract.list(
                    file_input=intent.order.source,
                    configuration_id=intent.order.configuration,
                    **self.scope,
                ):
                    if job.status not in ENDED_BADLY:
                        return job.id
            return None

        return await self._purchases.buy(tenant, key, "extract", order, place, find)

    def _asks_to_be_told(self, product: str) -> dict[str, Any]:
        return self._webhook.request(product) if self._webhook is not None else {}

    # --- waiting ---------------------------------------------------------------------------

    async def parsed(
        self, tenant: str, key: str, job_id: str, deadline: Deadline, *, expand: list[str]
    ) -> ParsingGetResponse:
        """The result of a parse job, when it has one. Raises CloudFailure."""

        async def status() -> Finished | None:
            with in_our_words("ask for a parse job"):
                reply = await self.client.parsing.get(job_id, expand=["usage"], **self.scope)
            job = reply.job
            credits = job.usage.credits if job.usage else None
            return _finished(job.status, job.error_message, credits)

        finished = await self._wait(tenant, key, job_id, status, self._cancel_parse, deadline)
        with in_our_words("fetch a parse result"):
            result = await self.client.parsing.get(job_id, expand=expand, **self.scope)
        self._settle(tenant, key, "parse", job_id, finished.credits)
        return result

    async def extracted(
        self, tenant: str, key: str, job_id: str, deadline: Deadline
    ) -> ExtractV2Job:
        """The result of an extraction with its metadata. Raises CloudFailure."""

        async def status() -> Finished | None:
            with in_our_words("ask for an extraction"):
                job = await self.client.extract.get(job_id, expand=["usage"], **self.scope)
            credits = job.usage.credits if job.usage else None
            return _finished(job.status, job.error_message, credits)

        finished = await self._wait(tenant, key, job_id, status, self._cancel_extract, deadline)
        with in_our_words("fetch an extraction"):
            result = await self.client.extract.get(
                job_id, expand=["extract_metadata", "usage"], **self.scope
            )
        self._settle(tenant, key, "extract", job_id, finished.credits)
        return result

    def told(self, job_id: str) -> None:
        """A webhook said that the job has ended: stop sleeping and ask."""
        self._ears.told(job_id)

    def leave(self) -> None:
        """The process ends: jobs under way are waited for by the next one, so leave them be."""
        self._leaving = True

    async def _wait(
        self,
        tenant: str,
        key: str,
        job_id: str,
        status: Callable[[], Awaitable[Finished | None]],
        cancel: Callable[[str], Awaitable[None]],
        deadline: Deadline,
    ) -> Finished:
        """Ask until the job has ended. A failing question is asked again until the deadline."""
        pause_s = self._polling.first_s
        try:
            with self._ears.listening(job_id) as ended:
                while True:
                    asked_to_wait_s = 0.0
                    try:
                        finished = await status()
                    except CloudFailure as failure:
                        if not failure.may_pass:
                            self._give_up(tenant, key, failure)
                            raise
                        finished, asked_to_wait_s = None, failure.retry_after_s or 0.0
                    if finished is not None:
                        return self._judge(tenant, key, job_id, finished)
                    if asked_to_wait_s >= self._remaining_s(deadline):
                        raise _too_long(job_id)
                    await self._pause(ended, job_id, max(pause_s, asked_to_wait_s), deadline)
                    pause_s = min(self._polling.longest_s, pause_s * _POLL_GROWTH)
        except asyncio.CancelledError:
            if not self._leaving:
                await asyncio.shield(self._cancel(tenant, key, job_id, cancel))
            raise

    async def _pause(
        self, ended: asyncio.Event, job_id: str, pause_s: float, deadline: Deadline
    ) -> None:
        """Sleep, or less when a webhook has come; the last question is asked near the deadline."""
        left_s = self._remaining_s(deadline) - ASKING.first_s
        if left_s <= 0:
            raise _too_long(job_id)
        sleeping = asyncio.ensure_future(self._sleep(min(pause_s, left_s)))
        told = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({sleeping, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            told.cancel()
            ended.clear()

    def _judge(self, tenant: str, key: str, job_id: str, finished: Finished) -> Finished:
        if finished.status == "COMPLETED":
            return finished
        problem = (
            CloudProblem.JOB_CANCELLED
            if finished.status == "CANCELLED"
            else CloudProblem.JOB_FAILED
        )
        self.intents.failed(tenant, key, credits=finished.credits)
        raise CloudFailure(problem, f"job {job_id} ended as {finished.status}")

    def _give_up(self, tenant: str, key: str, failure: CloudFailure) -> None:
        """A job the cloud no longer knows may be bought anew."""
        if failure.problem is CloudProblem.NOT_FOUND:
            self.intents.failed(tenant, key)

    def _settle(self, tenant: str, key: str, kind: str, job_id: str, credits: float) -> None:
        if self.intents.find(tenant, key).state is not IntentState.DONE:
            self.intents.done(tenant, key, credits=credits)
        emit(CloudJobFinished(kind=kind, job_id=job_id, credits=credits))

    async def _cancel(
        self, tenant: str, key: str, job_id: str, cancel: Callable[[str], Awaitable[None]]
    ) -> None:
        """Nobody waits any more. What was cancelled may be bought anew; else it is still there."""
        try:
            await cancel(job_id)
        except CloudFailure as failure:
            emit(CloudCancelFailed(reason=failure.reason))
        else:
            self.intents.failed(tenant, key)

    async def _cancel_parse(self, job_id: str) -> None:
        with in_our_words("cancel a parse job"):
            await self.client.parsing.cancel(job_id, **self.scope)

    async def _cancel_extract(self, job_id: str) -> None:
        with in_our_words("cancel an extraction"):
            await self.client.extract.cancel(job_id, **self.scope)

    async def _pace(self, endpoint: str, deadline: Deadline) -> None:
        if not await self._pacer.wait(endpoint, deadline):
            raise CloudFailure(CloudProblem.RATE_LIMITED, f"no turn for {endpoint} in time")

    def _remaining_s(self, deadline: Deadline) -> float:
        return deadline.remaining_s(self._clock.monotonic_s())


def _too_long(job_id: str) -> CloudFailure:
    return CloudFailure(CloudProblem.DEADLINE, f"job {job_id} takes too long")


def _finished(status: str, error_message: str | None, credits: float | None) -> Finished | None:
    """None while the job goes on. A status nobody knows is garbage, not an endless wait."""
    if status in _WAITING:
        return None
    if status not in ("COMPLETED", "FAILED", "CANCELLED"):
        raise CloudFailure(CloudProblem.GARBAGE, "a job's status is not understood")
    return Finished(status=status, error_message=error_message, credits=credits or 0.0)
