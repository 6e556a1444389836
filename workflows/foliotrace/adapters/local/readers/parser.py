"""The parsers of the default installation: one per format, each running in the worker pool."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from foliotrace.adapters.local.readers.encoded import checked
from foliotrace.adapters.local.readers.formats import MEDIA_TYPES
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.worker import page_from_frame
from foliotrace.adapters.local.readers.worker_pool import WorkerLost, WorkerPool
from foliotrace.catalog import ErrorCode, PageProblem, Reason
from foliotrace.errors import (
    DeadlineExceeded,
    FileRefused,
    ParserUnavailable,
    UnsupportedFile,
)
from foliotrace.model import (
    Deadline,
    Inspection,
    PageKind,
    PageNumbers,
    PageStatus,
    ParsedPage,
    SourceFile,
    runs_of,
)
from foliotrace.ports import Clock, WholeFile
from foliotrace.settings import (
    INSPECT_DEADLINE_S,
    PARSE_PAGE_DEADLINE_S,
    PARSE_PART_DEADLINE_S,
    PARSE_PART_PAGES,
)

_PAGES_OF_ANY_FILE = 1000  # that many, however small the file
_LEAST_PAGE_BYTES = 8  # of a file with more
_TEXT_READERS = frozenset({"text", "markdown", "csv", "json", "html"})
_GROUP_CPU_S = 5.0  # for many small files together
_READER_VERSION = "12"  # raise it when a reader's output changes: documents are then parsed again


def refusal(name: str, code: ErrorCode, why: str) -> FileRefused:
    """The error for the file called `name`; `why` completes the sentence and quotes no content."""
    kind = UnsupportedFile if code is ErrorCode.FILE_TYPE_UNSUPPORTED else FileRefused
    return kind(f"{name}: {why}.", name=name, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParser:
    """A `Parser` that runs one reader in killable worker processes.

    With `by_page`, pages can be read independently of each other: parts are read in parallel, and
    a part that hangs or crashes is read again page by page, so that a bad page costs one page.
    With `reads_whole`, small files are read many at a time; a worker that is lost over them reads
    none of them, and the hostile one among them is then found by reading each by itself.
    """

    engine: str
    reader: str
    media_types: frozenset[str]
    workers: WorkerPool
    options: ReadingOptions
    clock: Clock
    part_pages: int
    part_s: float
    page_s: float
    by_page: bool = False
    max_cpu_s: float = float("inf")
    reads_whole: bool = False

    def accepts(self, media_type: str) -> bool:
        return media_type in self.media_types

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        try:
            frames = await self._ask(source, "overview", deadline, INSPECT_DEADLINE_S)
        except WorkerLost as lost:
            self._check(deadline)
            raise refusal(
                source.name,
                ErrorCode.FILE_TOO_COMPLEX,
                f"parsing it {lost.reason.replace('_', ' ')}",
            ) from lost
        overview = frames[-1]
        pages_total = int(overview["pages_total"])
        if pages_total > max(_PAGES_OF_ANY_FILE, source.size_bytes // _LEAST_PAGE_BYTES):
            why = f"it states {pages_total} pages and is too small to hold them"
            raise refusal(source.name, ErrorCode.FILE_MALFORMED, why)
        if pages_total > self.options.limits.pages:
            why = f"it has more than {self.options.limits.pages} pages"
            raise refusal(source.name, ErrorCode.FILE_TOO_COMPLEX, why)
        return Inspection(
            media_type=source.media_type,
            pages_total=pages_total,
            title=overview["title"],
        )

    async def parse(
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        parts = deque(part for run in runs_of(pages) for part in _split(run, self.part_pages))
        running: deque[asyncio.Task[list[ParsedPage]]] = deque()

        def begin() -> None:
            while parts and len(running) < self._parallel_parts():
                part = parts.popleft()
                running.append(asyncio.create_task(self._part(source, part, deadline)))

        try:
            begin()
            while running:
                read = await running.popleft()
                begin()  # before yielding: the consumer may be slow
                for page in read:
                    yield page
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def read_whole(
        self, sources: Sequence[SourceFile], *, deadline: Deadline
    ) -> Sequence[WholeFile | None]:
        if not self.reads_whole:
            return [None] * len(sources)
        paths = [str(source.path.absolute()) for source in sources]
        request = {
            "do": "whole files",
            "reader": self.reader,
            "path": paths[0],
            "paths": paths,
            "options": asdict(self.options),
        }
        left_s = deadline.remaining_s(self.clock.monotonic_s())
        try:
            frames = await self.workers.ask(request, limit_s=_GROUP_CPU_S, deadline_s=left_s)
        except WorkerLost:  # one of them is hostile: each is read by itself
            return [None] * len(sources)
        files = frames[-1].get("files", ())
        if len(files) != len(sources):
            return [None] * len(sources)
        return [self._whole_file(each) for each in files]

    def _whole_file(self, frame: dict[str, Any] | None) -> WholeFile | None:
        if not isinstance(frame, dict) or not frame.get("pages"):
            return None
        pages = [self._page(each, number) for number, each in enumerate(frame["pages"], 1)]
        title = frame.get("title")
        if any(page.status is not PageStatus.OK for page in pages):
            return None
        return WholeFile(title=title if isinstance(title, str) else None, pages=pages)

    def _parallel_parts(self) -> int:
        return self.workers.size if self.by_page else 1

    async def _part(
        self, source: SourceFile, numbers: range, deadline: Deadline
    ) -> list[ParsedPage]:
        limit_s = self.part_s if len(numbers) > 1 else self.page_s
        try:
            frames = await self._ask(source, "pages", deadline, limit_s, numbers)
        except WorkerLost as lost:
            self._check(deadline)
            return await self._after_loss(source, numbers, deadline, lost)
        by_number = dict(zip(numbers, frames[:-1], strict=False))
        return [self._page(by_number.get(number, {}), number) for number in numbers]

    async def _after_loss(
        self, source: SourceFile, numbers: range, deadline: Deadline, lost: WorkerLost
    ) -> list[ParsedPage]:
        """The pages that arrived before the loss; the others one by one, if they can be."""
        pages = [
            self._page(frame, number) for number, frame in zip(numbers, lost.frames, strict=False)
        ]
        missing = numbers[len(pages) :]
        if len(numbers) == 1 or not self.by_page:
            return pages + [self._failed(number, lost.page_problem) for number in missing]
        for number in missing:
            pages += await self._part(source, range(number, number + 1), deadline)
        return pages

    async def _ask(
        self,
        source: SourceFile,
        what: str,
        deadline: Deadline,
        limit_s: float,
        numbers: range = range(0),
    ) -> list[dict[str, Any]]:
        self._check(deadline)
        if what == "pages" and self.workers.used_s(source.path) > self.max_cpu_s:
            why = f"parsing it takes more than {self.max_cpu_s:g} s of CPU time"
            raise refusal(source.name, ErrorCode.FILE_TOO_COMPLEX, why)
        request = {
            "do": what,
            "reader": self.reader,
            "path": str(source.path.absolute()),  # workers run in a folder of their own
            "start": numbers.start,
            "stop": numbers.stop,
            "options": asdict(self.options),
        }
        left_s = deadline.remaining_s(self.clock.monotonic_s())
        frames = await self.workers.ask(request, limit_s=limit_s, deadline_s=left_s)
        last = frames[-1]
        if last["is"] == "refused":
            raise refusal(source.name, ErrorCode.parse(last["code"]), last["why"])
        if last["is"] == "failed":
            raise ParserUnavailable(f"{self.engine} failed on {source.name}: {last['why']}")
        return frames

    def _check(self, deadline: Deadline) -> None:
        if not deadline.remaining_s(self.clock.monotonic_s()):
            raise DeadlineExceeded(reason=Reason.PARSE_DEADLINE)

    def _page(self, frame: dict[str, Any], number: int) -> ParsedPage:
        try:
            page = page_from_frame(frame)
        except (KeyError, TypeError, ValueError):
            return self._failed(number, PageProblem.PARSE_CRASHED)
        if page.number != number:
            return self._failed(number, PageProblem.PARSE_CRASHED)
        return replace(checked(page), engine=self.engine)

    def _failed(self, number: int, problem: PageProblem) -> ParsedPage:
        return ParsedPage(
            number=number,
            text="",
            kind=PageKind.PAGE,
            status=PageStatus.FAILED,
            problem=problem,
            engine=self.engine,
        )


def _split(pages: range, size: int) -> Sequence[range]:
    """Parts of `size` pages on a fixed grid: a window parsed again is cut in the same places."""
    cuts = [pages.start, *(n for n in pages if (n - 1) % size == 0 and n > pages.start), pages.stop]
    return [range(start, stop) for start, stop in pairwise(cuts) if start < stop]


def local_parsers(
    workers: WorkerPool,
    clock: Clock,
    *,
    options: ReadingOptions | None = None,
    max_cpu_s: float = float("inf"),
) -> tuple[WorkerParser, ...]:
    """A parser for every format of the default installation. The caller closes `workers`.

    Without `options.tessdata`, a folder of Tesseract models, scanned pages are marked `needs_ocr`.
    Nothing is ever downloaded.
    """
    chosen = options or ReadingOptions()
    ocr = f" ocr-{chosen.ocr_language}" if chosen.tessdata else ""

    def parser(reader: str, engine: str, *, by_page: bool = False) -> WorkerParser:
        return WorkerParser(
            engine=f"{engine} r{_READER_VERSION}{ocr if by_page else ''}",
            reader=reader,
            media_types=frozenset(MEDIA_TYPES[reader]),
            workers=workers,
            options=chosen,
            clock=clock,
            part_pages=PARSE_PART_PAGES,
            part_s=PARSE_PART_DEADLINE_S,
            page_s=PARSE_PAGE_DEADLINE_S,
            by_page=by_page,
            max_cpu_s=max_cpu_s,
            reads_whole=reader in _TEXT_READERS,
        )

    page_formats = ("pdf", "image")
    liteparse = f"liteparse {version('liteparse')}"
    return tuple(
        parser(name, liteparse, by_page=True)
        if name in page_formats
        else parser(name, f"foliotrace-{name}")
        for name in MEDIA_TYPES
    )
