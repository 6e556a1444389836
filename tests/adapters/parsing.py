"""Files through the real parsers, as the journeys call them."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.reading_options import ReadingLimits, ReadingOptions
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.model import Deadline, ParsedPage, SourceFile
from foliotrace.parse import ParserChain

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
SAMPLES = SHARED / "sample-docs"
EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return monotonic()


def source_of(path: Path, name: str | None = None) -> SourceFile:
    content = path.read_bytes()
    return SourceFile(
        path=path.resolve(),
        name=name or path.name,
        media_type=sniff(path, name or path.name),
        content_hash=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def in_s(seconds: float) -> Deadline:
    return Deadline(monotonic() + seconds)


@dataclass
class Reading:
    order: ParserChain
    workers: WorkerPool

    async def read(self, path: Path, name: str | None = None) -> list[ParsedPage]:
        source = source_of(path, name)
        seen = await self.order.inspect(source, deadline=in_s(100))
        return await self.pages(path, range(1, seen.pages_total + 1), name)

    async def pages(self, path: Path, numbers: range, name: str | None = None) -> list[ParsedPage]:
        parsed = self.order.parse(source_of(path, name), pages=numbers, deadline=in_s(100))
        return [page async for page in parsed]


@asynccontextmanager
async def reading(
    *,
    tessdata: str | None = None,
    limits: dict[str, float] | None = None,
    reading_limits: ReadingLimits | None = None,
    size: int = 2,
) -> AsyncIterator[Reading]:
    workers = WorkerPool(size=size)
    options = ReadingOptions(tessdata=tessdata, limits=reading_limits or ReadingLimits())
    try:
        parsers = local_parsers(workers, RealClock(), options=options)
        order = ParserChain([replace(parser, **limits or {}) for parser in parsers])
        yield Reading(order, workers)
    finally:
        await workers.close()
