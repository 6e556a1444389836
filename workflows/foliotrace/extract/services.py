"""Dependencies and limits of the extract pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from foliotrace.model import ExecutionMode, ExtractionMethod
from foliotrace.parse import ParserChain
from foliotrace.ports import (
    AuditLog,
    Blobs,
    Clock,
    CurrentTrace,
    Extractor,
    Identify,
    JobStore,
    LibraryReader,
)
from foliotrace.route_policy import select
from foliotrace.settings import EXTRACTION_WINDOW_PAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to extract, with `window_pages` pages per call; None: the whole document in one call.

    `paged_types`: the media types of which it can take single pages; it takes documents of any
    other type whole. None: all types.
    """

    method: ExtractionMethod
    extractor: Extractor
    window_pages: int | None = EXTRACTION_WINDOW_PAGES
    paged_types: frozenset[str] | None = None

    def window_for(self, media_type: str) -> int | None:
        """Pages per call for this media type; None for the whole document."""
        whole = self.paged_types is not None and media_type not in self.paged_types
        return None if whole else self.window_pages


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractServices:
    """Dependencies and limits of the extract pipeline.

    `rungs` in order of preference: cloud, LLM, rules. `rungs_by_mode` replaces them where a request
    chooses an execution mode. `local_parser` (None: `parser`) reads pages in local mode.
    """

    library: LibraryReader
    blobs: Blobs
    jobs: JobStore
    parser: ParserChain
    rungs: Sequence[Rung]
    audit: AuditLog
    clock: Clock
    identify: Identify
    trace: CurrentTrace
    window_pages: int = EXTRACTION_WINDOW_PAGES
    max_cost_usd: Decimal | None = None
    rungs_by_mode: Mapping[ExecutionMode, Sequence[Rung]] = field(default_factory=dict)
    local_parser: ParserChain | None = None

    def rungs_on(self, mode: ExecutionMode | None) -> Sequence[Rung]:
        """The rungs for a requested execution mode. Raises PathNotOffered."""
        return select(mode, self.rungs, self.rungs_by_mode)

    def parser_on(self, mode: ExecutionMode | None) -> ParserChain:
        """The parser of pages that are not stored; in local mode none of them goes to the cloud."""
        local = self.local_parser if mode is ExecutionMode.LOCAL else None
        return local or self.parser
