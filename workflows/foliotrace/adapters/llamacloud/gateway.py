"""The one door to LlamaCloud: uploads, billed jobs bought once, waiting with a deadline, results.

No request is repeated here (that is the business of `guarded`), with one exception: a billed
request whose reply was lost is looked up, so that its job is found rather than bought again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from llama_cloud import AsyncLlamaCloud
from llama_cloud.types import ExtractV2Job, ParsingGetResponse

from foliotrace.adapters.llamacloud.client import CloudAccess, connect
from foliotrace.adapters.llamacloud.failures import CloudFailure, CloudProblem, in_our_words
from foliotrace.adapters.llamacloud.intents import Intent, IntentLog, IntentState
from foliotrace.adapters.llamacloud.pacing import DOCUMENTED, Pacer
from foliotrace.events import tell
from foliotrace.model import Deadline, SourceFile
from foliotrace.ports import Clock

OPERATION: Final = "foliotrace_operation"
"""Key of a parse job's user metadata that names the intent it came from."""

_CLOCK_SKEW: Final = timedelta(minutes=5)
_FIRST_POLL_S: Final = 0.5
_POLL_GROWTH: Final = 1.5
_LONGEST_POLL_S: Final = 5.0
_WAITING: Final = frozenset({"PENDING", "RUNNING", "THROTTLED"})

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Find: TypeAlias = Callable[[datetime], Awaitable[str | None]]
IsWanted: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""(tenant, content hash): whether anything here still refers to these bytes."""

Place: TypeAlias = Callable[[], Awaitable[str]]


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
    ) -> None:
        self.intents = intents
        self._access = access
        self._clock = clock
        self._pacer = pacer or Pacer(DOCUMENTED, clock=clock)
        self._sleep = sleep
        self._client: AsyncLlamaCloud | None = None
        self._ended: dict[str, asyncio.Event] = {}

    @property
    def client(self) -> AsyncLlamaCloud:
        """The SDK's client, for the calls that are neither billed nor waited for."""
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
        """Close the connections."""
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
    ) -> str:
        """The id of the parse job for `request`, placed at most once for `key`."""

        async def place() -> str:
            await self._pace("parse", deadline)
            with in_our_words("place a parse job"):
                job = await self.client.parsing.create(
                    **request, user_metadata={OPERATION: key}, **self.scope
                )
            return job.id

        async def find(since: datetime) -> str | None:
            with in_our_words("look for a parse job"):
                async for job in self.client.parsing.list(
                    created_at_on_or_after=since, **self.scope
                ):
                    if (job.user_metadata or {}).get(OPERATION) == key:
                        return job.id
            return None

        intent, is_new = self.intents.mean(tenant, key, "parse", content_hash=content_hash)
        return await self._buy(intent, is_new, place, find)

    async def buy_extract(
        self,
        tenant: str,
        key: str,
        *,
        file_input: str,
        configuration_id: str,
        deadline: Deadline,
        content_hash: str | None = None,
    ) -> str:
        """The id of the extraction of a file by a saved configuration, placed at most once."""

        async def place() -> str:
            await self._pace("extract", deadline)
            with in_our_words("place an extraction"):
                job = await self.client.extract.create(
                    file_input=file_input, configuration_id=configuration_id, **self.scope
                )
            return job.id

        async def find(since: datetime) -> str | None:
            with in_our_words("look for an extraction"):
                async for job in self.client.extract.list(
                    file_input=file_input,
                    configuration_id=configuration_id,
                    created_at_on_or_after=since,
                    **self.scope,
                ):
                    return job.id
            return None

        intent, is_new = self.intents.mean(tenant, key, "extract", content_hash=content_hash)
        return await self._buy(intent, is_new, place, find)

    async def _buy(self, intent: Intent, is_new: bool, place: Place, find: Find) -> str:
        tenant, key = intent.tenant, intent.key
        if intent.job_id is not None:
            return intent.job_id
        since = intent.created_at - _CLOCK_SKEW
        if not is_new and (found := await find(since)) is not None:
            self.intents.placed(tenant, key, found)  # its reply was lost in an earlier life
            return found
        try:
            job_id = await place()
        except CloudFailure as failure:
            if not failure.outcome_unknown:
                self.intents.failed(tenant, key)
                raise
            found = await self._reconcile(find, since)
            if found is None:
                raise  # the intent stays: the next attempt looks again before it buys
            tell("foliotrace.cloud.reconciled", foliotrace__cloud__kind=intent.kind)
            job_id = found
        self.intents.placed(tenant, key, job_id)
        return job_id

    async def _reconcile(self, find: Find, since: datetime) -> str | None:
        """Look twice, a moment apart: a job may be listed a little after it was accepted."""
        try:
            found = await find(since)
            if found is None:
                await self._sleep(_FIRST_POLL_S)
                found = await find(since)
        except CloudFailure:
            return None
        return found

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
        event = self._ended.get(job_id)
        if event is not None:
            event.set()

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
        pause_s = _FIRST_POLL_S
        event = self._ended.setdefault(job_id, asyncio.Event())
        try:
            while True:
                try:
                    finished = await status()
                except CloudFailure as failure:
                    if not failure.may_pass:
                        self._give_up(tenant, key, failure)
                        raise
                    finished, pause_s = None, max(pause_s, failure.retry_after_s or 0.0)
                if finished is not None:
                    return self._judge(tenant, key, job_id, finished)
                if pause_s >= self._remaining_s(deadline):
                    raise CloudFailure(CloudProblem.DEADLINE, f"job {job_id} takes too long")
                await self._pause(event, pause_s)
                pause_s = min(_LONGEST_POLL_S, pause_s * _POLL_GROWTH)
        except asyncio.CancelledError:
            await asyncio.shield(self._cancel_quietly(cancel, job_id))
            raise
        finally:
            self._ended.pop(job_id, None)

    async def _pause(self, event: asyncio.Event, pause_s: float) -> None:
        """Sleep, or less when a webhook has come."""
        sleeping = asyncio.ensure_future(self._sleep(pause_s))
        told = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({sleeping, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            told.cancel()
            event.clear()

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
        tell(
            "foliotrace.cloud.job",
            foliotrace__cloud__kind=kind,
            foliotrace__cloud__job_id=job_id,
            foliotrace__cloud__credits=credits,
        )

    async def _cancel_quietly(self, cancel: Callable[[str], Awaitable[None]], job_id: str) -> None:
        try:
            await cancel(job_id)
        except CloudFailure as failure:
            tell("foliotrace.cloud.cancel_failed", error__type=failure.reason)

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


def _finished(status: str, error_message: str | None, credits: float | None) -> Finished | None:
    """None while the job goes on. A status nobody knows is garbage, not an endless wait."""
    if status in _WAITING:
        return None
    if status not in ("COMPLETED", "FAILED", "CANCELLED"):
        raise CloudFailure(CloudProblem.GARBAGE, "a job's status is not understood")
    return Finished(status=status, error_message=error_message, credits=credits or 0.0)
