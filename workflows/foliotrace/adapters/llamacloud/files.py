"""One process's connection to LlamaCloud, and the files that it uploads and deletes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from llama_cloud import AsyncLlamaCloud

from foliotrace.adapters.llamacloud.client import (
    RATE_LIMITS,
    CloudAccess,
    CloudFailure,
    CloudProblem,
    RateLimiter,
    connect,
    translated_errors,
)
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.model import Deadline, SourceFile
from foliotrace.ports import Clock

IsWanted: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""(tenant, content hash): whether anything here still refers to these bytes."""


class CloudFiles:
    """Connects at first use. Files are uploaded once for each tenant and content."""

    def __init__(
        self,
        access: CloudAccess,
        journal: PurchaseJournal,
        *,
        clock: Clock,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        self.journal = journal
        self._access = access
        self._clock = clock
        self._rate_limiter = rate_limiter or RateLimiter(RATE_LIMITS, clock=clock)
        self._client: AsyncLlamaCloud | None = None
        self._closed = False

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
        self._closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None

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
                timeout=deadline.remaining_s(self._clock.monotonic_s()),
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

    async def _take_turn(self, endpoint: str, deadline: Deadline) -> None:
        if not await self._rate_limiter.wait(endpoint, deadline):
            raise CloudFailure(CloudProblem.RATE_LIMITED, f"rate limit of {endpoint}")
