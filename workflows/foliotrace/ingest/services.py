"""What the ingest journey is given: its ports and its limits."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    Jobs,
    Library,
)
from foliotrace.route_policy import select
from foliotrace.settings import IngestSettings

Forget: TypeAlias = Callable[[str, str], Awaitable[None]]
"""(tenant, document id): drop what is kept of a document elsewhere, as caches and journals do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestServices:
    """The ports of the journey.

    `indexes` follow the library in this order; the keyword index comes first. An index that takes
    long (embedding) only starts its work when it is told to catch up. `forget` follows a deletion,
    `forget_answers` a replacement too. `arriving` counts the uploads under way that brought an
    original, by (tenant, content hash).
    """

    library: Library
    blobs: Blobs
    jobs: Jobs
    parser: ParserChain
    indexes: Sequence[IndexWriter]
    audit: AuditLog
    clock: Clock
    identify: Identify
    trace: CurrentTrace
    parsers: Mapping[ExecutionMode, ParserChain] = field(default_factory=dict)
    forget: Sequence[Forget] = ()
    forget_answers: Sequence[Forget] = ()
    settings: IngestSettings = field(default_factory=IngestSettings)
    arriving: Counter[tuple[str, str]] = field(default_factory=Counter)

    def parser_on(self, asked: ExecutionMode | None) -> ParserChain:
        """Who reads a file that asks for a path; `parsers` are those on offer.

        Raises PathNotOffered.
        """
        return select(asked, self.parser, self.parsers)
