"""A question journey over a benchmark's library, and what the benchmarks put around it."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from bench.corpora import TENANT, SearchableLibrary, searchable_library
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline, Filters, Passage, Principal, Query, RetrievalMode, Run
from foliotrace.ports import AuditEntry
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.retrieve.paths import RetrievalPath, without_duplicates
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.query.subjects.subject_check import SubjectCheck
from foliotrace.query.workflow import QueryServices

NO_FILTERS = Filters()


class CountingAudit:
    """Counts the records it is given."""

    def __init__(self) -> None:
        self.count = 0

    async def append(self, entry: AuditEntry) -> None:
        self.count += 1


class ForgetfulRuns:
    """Keeps no run."""

    async def save(self, run: Run) -> None:
        pass

    async def run(self, tenant: str, run_id: str) -> Run:
        raise LookupError(run_id)

    async def expire(self, *, before: datetime) -> int:
        return 0


def keyed(tenant: str, text: str) -> tuple[str, str]:
    return "bench", hmac.digest(b"bench", f"{tenant}\0{text}".encode(), hashlib.sha256).hex()


def services_over(at: SearchableLibrary) -> QueryServices:
    """The default installation: keyword search with routing, quotes, no key."""
    identities = DocumentIdentities(at.library, at.index)
    routed = RoutedRetriever(at.index, identities)
    return QueryServices(
        library=at.library,
        vocabulary=at.index,
        paths=(RetrievalPath(RetrievalMode.KEYWORD, routed),),
        audit=CountingAudit(),
        runs=ForgetfulRuns(),
        clock=SystemClock(),
        identify=lambda: Principal(tenant=TENANT),
        hash_query=keyed,
        current_trace=lambda: None,
        subjects=SubjectCheck(identities, at.index, at.library),
    )


@asynccontextmanager
async def open_query_stack(folder: Path) -> AsyncIterator[tuple[SearchableLibrary, QueryServices]]:
    """Open a folder's library and what answers over it."""
    async with searchable_library(folder) as at:
        yield at, services_over(at)


async def passages(
    services: QueryServices,
    text: str,
    *,
    collection: str,
    top_k: int,
    filters: Filters = NO_FILTERS,
) -> Sequence[Passage]:
    """The passages the service would answer from."""
    query = Query(
        text=text,
        principal=Principal(tenant=TENANT),
        collection=collection,
        top_k=top_k,
        filters=filters,
    )
    (path,) = services.paths
    found = await path.retriever.retrieve(query, top_k=top_k + 3, deadline=Deadline(float("inf")))
    return without_duplicates(found)[:top_k]
