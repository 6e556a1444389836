"""What the extract journey is given: its ports, its rungs and its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foliotrace.model import ExecutionMode, ExtractionMethod
from foliotrace.parse import ParserChain
from foliotrace.ports import (
    AuditLog,
    Blobs,
    Clock,
    CurrentTrace,
    Extractor,
    Identify,
    Jobs,
    LibraryReader,
)
from foliotrace.route_policy import select
from foliotrace.settings import EXTRACTION_WINDOW_PAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to a record, `window_pages` pages in a call; None: the whole document in one.

    `paged_types`: the types that it can take some pages of, every other one whole; None: all.
    """

    method: ExtractionMethod
    extractor: Extractor
    window_pages: int | None = EXTRACTION_WINDOW_PAGES
    paged_types: frozenset[str] | None = None

    def window_for(self, media_type: str) -> int | None:
        """The pages of one call; None for all."""
        whole = self.paged_types is not None and media_type not in self.paged_types
        return None if whole else self.window_pages


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractServices:
    """The ports of the journey. `rungs` in order of preference: cloud, LLM, rules."""

    library: LibraryReader
    blobs: Blobs
    jobs: Jobs
    parser: ParserChain
    rungs: Sequence[Rung]
    audit: AuditLog
    clock: Clock
    identify: Identify
    trace: CurrentTrace
    window_pages: int = EXTRACTION_WINDOW_PAGES
    rungs_by_mode: Mapping[ExecutionMode, Sequence[Rung]] = field(default_factory=dict)
    local_parser: ParserChain | None = None  # reads what is extracted here alone; None: `parser`

    def rungs_on(self, asked: ExecutionMode | None) -> Sequence[Rung]:
        """The rungs of a request that asks for a path. Raises PathNotOffered."""
        return select(asked, self.rungs, self.rungs_by_mode)

    def parser_on(self, asked: ExecutionMode | None) -> ParserChain:
        """Who reads pages that are not stored: nobody in the cloud, if that was asked."""
        local = self.local_parser if asked is ExecutionMode.LOCAL else None
        return local or self.parser
