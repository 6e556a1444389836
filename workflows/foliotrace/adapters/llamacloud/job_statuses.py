"""Asks for the states of many jobs in one request: one listing answers all who wait.

A batch of the vendor's cannot do this for jobs that are bought once: see
docs/decisions/0010-jobs-are-polled-together.md.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

from llama_cloud import AsyncLlamaCloud

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem, translated_errors
from foliotrace.ports import Clock

_TOGETHER_FROM: Final = 3
"""Fewer jobs are asked for one by one: that is as cheap, and does not depend on the listing."""

_A_LISTING: Final = 50
"""Job ids in one request: their query string of about 2.5 KB passes every proxy."""

_EVERY_S: Final = 1.0

_LISTING_UNUSABLE: Final = frozenset(
    {CloudProblem.GARBAGE, CloudProblem.REFUSED, CloudProblem.NOT_FOUND, CloudProblem.CONFLICT}
)
"""Failures of a listing that a request for a single job need not share."""


class JobStatuses:
    """States of the jobs of one kind that this process waits for, listed at most once a second."""

    def __init__(
        self,
        kind: Literal["parse", "extract"],
        client: Callable[[], AsyncLlamaCloud],
        scope: Mapping[str, Any],
        *,
        clock: Clock,
    ) -> None:
        self._kind = kind
        self._client = client
        self._scope = scope
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        self._listed: dict[str, str | None] = {}
        self._next_at_s = float("-inf")
        self._failure: CloudFailure | None = None
        self._turn = asyncio.Lock()

    @contextmanager
    def waiting(self, job_id: str) -> Iterator[None]:
        """Inside the block every listing asks for the job too."""
        self._waiting[job_id] += 1
        try:
            yield
        finally:
            self._waiting[job_id] -= 1
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def of(self, job_id: str) -> str | None:
        """The job's status, at most a second old; None if the job must be asked for by itself.

        A job that came after the latest listing counts as PENDING until the next one. Raises
        CloudFailure.
        """
        if len(self._waiting) < _TOGETHER_FROM:
            return None
        async with self._turn:
            if self._clock.monotonic_s() >= self._next_at_s:
                await self._list()
        failure = self._failure
        if failure is None:
            return self._listed.get(job_id, "PENDING")
        if failure.problem in _LISTING_UNUSABLE:
            return None
        left_s = max(0.0, self._next_at_s - self._clock.monotonic_s())
        raise CloudFailure(failure.problem, failure.message, retry_after_s=left_s)

    async def _list(self) -> None:
        """Ask for all jobs that are waited for. Those not listed yet have the status None."""
        self._next_at_s = self._clock.monotonic_s() + _EVERY_S  # also after a failure
        wanted = sorted(self._waiting)
        listed: dict[str, str | None] = dict.fromkeys(wanted)
        try:
            for at in range(0, len(wanted), _A_LISTING):
                ids = wanted[at : at + _A_LISTING]
                listed |= {i: status for i, status in await self._page(ids) if i in listed}
        except CloudFailure as failure:
            self._failure = failure
            self._next_at_s += max(0.0, (failure.retry_after_s or 0.0) - _EVERY_S)
        else:
            self._listed, self._failure = listed, None

    async def _page(self, ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(id, status) of those that the cloud lists. Raises CloudFailure."""
        wanted: dict[str, Any] = {"job_ids": ids, "page_size": len(ids), **self._scope}
        with translated_errors(f"list {self._kind} jobs"):
            if self._kind == "parse":
                parses = await self._client().parsing.list(**wanted)
                return [(job.id, job.status) for job in parses.items]
            extracts = await self._client().extract.list(**wanted)
            return [(job.id, job.status) for job in extracts.items]
