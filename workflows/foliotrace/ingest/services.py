"""Dependencies and limits of the ingest pipeline."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from foliotrace.model import ExecutionMode
from foliotrace.parse import ParserChain
from foliotrace.ports import (
    AuditLog,
    Blobs,
    Clock,
    CurrentTrace,
    Identify,
    IndexWriter,
    JobStore,
    Library,
    OutsideFiles,
)
from foliotrace.route_policy import select
from foliotrace.settings import IngestSettings

DocumentHook: TypeAlias = Callable[[str, str], Awaitable[None]]
"""(tenant, document id) -> None: remove what another store holds about the document."""


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestServices:
    """Dependencies and limits of the ingest pipeline.

    `indexes` are updated in this order, the keyword index first; `catch_up` of a slow index (one
    that embeds) only starts the work. `on_deleted` runs after a deletion, `evict_answers` after a
    deletion and after a replacement. `clear_memory` empties what holds text in memory: at a
    deletion, and at the compaction that follows it. `uploads_in_flight` counts the uploads that
    have stored an original but not yet its document, by (tenant, content hash). `cloud_jobs` names
    the jobs that were bought for (tenant, content hash); `preferred_parser_ready` tells whether
    reading degraded pages again may help.
    """

    library: Library
    blobs: Blobs
    jobs: JobStore
    parser: ParserChain
    indexes: Sequence[IndexWriter]
    audit: AuditLog
    clock: Clock
    identify: Identify
    trace: CurrentTrace
    outside_files: OutsideFiles
    parsers: Mapping[ExecutionMode, ParserChain] = field(default_factory=dict)
    on_deleted: Sequence[DocumentHook] = ()
    evict_answers: Sequence[DocumentHook] = ()
    clear_memory: Callable[[], Awaitable[None]] = _nothing
    settings: IngestSettings = field(default_factory=IngestSettings)
    max_cost_usd: Decimal | None = None
    preferred_parser_ready: Callable[[], bool] = lambda: False
    cloud_jobs: Callable[[str, str], Sequence[str]] = lambda tenant, content_hash: ()
    uploads_in_flight: Counter[tuple[str, str]] = field(default_factory=Counter)

    def parser_on(self, mode: ExecutionMode | None) -> ParserChain:
        """The parsers for a requested execution mode; None means the configured order.

        Raises PathNotOffered.
        """
        return select(mode, self.parser, self.parsers)
