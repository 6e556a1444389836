"""Finds the jobs that requests became whose replies were lost."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from llama_cloud import AsyncLlamaCloud

from foliotrace.adapters.llamacloud.client import translated_errors
from foliotrace.adapters.llamacloud.purchases.buy_once import ENDED_BADLY
from foliotrace.adapters.llamacloud.purchases.journal import Purchase

OPERATION: Final = "foliotrace_operation"
"""Key of a parse job's user metadata that names the purchase it came from."""

_CLOCK_SKEW: Final = timedelta(hours=1)
_PAGE_SIZE: Final = 100


class LostJobs:
    """Jobs in the cloud's listings. Raises CloudFailure."""

    def __init__(self, client: Callable[[], AsyncLlamaCloud], scope: Mapping[str, Any]) -> None:
        self._client = client
        self._scope = scope

    async def find(self, purchase: Purchase) -> str | None:
        """The id of the job that the request became, if it is listed."""
        if purchase.kind == "parse":
            async for key, job_id in self._parse_jobs(purchase.created_at):
                if key == purchase.key:  # newest first: mostly on the first page of the listing
                    return job_id
            return None
        with translated_errors("look for an extraction"):
            async for job in self._client().extract.list(
                file_input=purchase.order.source,
                configuration_id=purchase.order.configuration,
                **self._scope,
            ):
                if job.status not in ENDED_BADLY:
                    return job.id
        return None

    async def find_all(self, purchases: Sequence[Purchase]) -> dict[str, str]:
        """Key -> job id of those that are listed; parse jobs are listed once for all of them."""
        parses = [purchase for purchase in purchases if purchase.kind == "parse"]
        found: dict[str, str] = {}
        if parses:
            since = min(purchase.created_at for purchase in parses)
            found = {key: job_id async for key, job_id in self._parse_jobs(since)}
        for purchase in purchases:
            if purchase.kind != "parse" and (job_id := await self.find(purchase)) is not None:
                found[purchase.key] = job_id
        return found

    async def _parse_jobs(self, since: datetime) -> AsyncIterator[tuple[str, str]]:
        """Key and job id of our parse jobs since then, without those that failed."""
        with translated_errors("look for a parse job"):
            async for job in self._client().parsing.list(
                created_at_on_or_after=since - _CLOCK_SKEW, page_size=_PAGE_SIZE, **self._scope
            ):
                key = (job.user_metadata or {}).get(OPERATION)
                if key is not None and job.status not in ENDED_BADLY:
                    yield str(key), job.id
