"""Generated documents, extractors with scripted results, and the extract pipeline around them."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import GeneratorUnavailable
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.extract.workflow import Extracted, ExtractRecord, ExtractWorkflow
from foliotrace.model import (
    Deadline,
    Document,
    DocumentStatus,
    Extraction,
    Inspection,
    JsonObject,
    PageKind,
    PageStatus,
    ParsedPage,
    Principal,
    SourceFile,
    Table,
    TableCell,
    TableRow,
    Usage,
)
from foliotrace.parse import ParserChain
from foliotrace.ports import (
    AuditEntry,
    Delta,
    DocumentDraft,
    ExtractionTask,
    Extractor,
    Generation,
    Prompt,
)

OWNER = Principal(tenant="t1", subject="ann")


def document(name: str = "invoice.txt") -> Document:
    now = datetime.now(UTC)
    return Document(
        id="doc_1",
        tenant="t1",
        collection="default",
        name=name,
        content_hash="0" * 64,
        media_type="text/plain",
        size_bytes=1,
        status=DocumentStatus.READY,
        created_at=now,
        updated_at=now,
    )


def page(text: str, number: int = 1, status: PageStatus = PageStatus.OK) -> ParsedPage:
    """A page of text; lines with tabs are the rows of one table, the first its header."""
    rows: list[TableRow] = []
    at = 0
    several = text.count("\t") > 1
    for line in text.split("\n"):
        if "\t" in line:
            rows.append(_row(line, at, is_header=several and not rows))
        at += len(line) + 1
    tables = (Table(start=rows[0].start, end=rows[-1].end, rows=tuple(rows)),) if rows else ()
    return ParsedPage(number=number, text=text, kind=PageKind.SECTION, tables=tables, status=status)


def _row(line: str, start: int, *, is_header: bool) -> TableRow:
    cells: list[TableCell] = []
    at = start
    for column, text in enumerate(line.split("\t")):
        if text:
            cells.append(TableCell(start=at, end=at + len(text), column=column))
        at += len(text) + 1
    return TableRow(start=start, end=start + len(line), cells=tuple(cells), is_header=is_header)


def task(schema: JsonObject) -> ExtractionTask:
    return ExtractionTask(principal=OWNER, document=document(), schema=schema)


@dataclass
class Parrot:
    """A TextGenerator that says what it was told to say, or is away."""

    ready = True

    answers: list[object]
    prompts: list[Prompt] = field(default_factory=list)
    model: str = "parrot-1"

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        self.prompts.append(prompt)
        answer = self.answers.pop(0) if self.answers else {"findings": []}
        if answer == "away":
            raise GeneratorUnavailable("the model is away", reason="llm_down")
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return Generation(text=text, model=self.model, usage=Usage(prompt_tokens=10, llm_calls=1))

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        yield Delta(done=await self.generate(prompt, max_tokens=max_tokens, deadline=deadline))


def finding(pointer: str, value: object, quote: str, page_number: int = 1) -> dict[str, object]:
    return {"pointer": pointer, "value": value, "quote": quote, "page": page_number}


@dataclass
class FormFeeds:
    """A parser of text whose pages are parted by form feeds; "(scan)" needs OCR."""

    engine: str = "form-feed 1"
    calls: int = 0

    def accepts(self, media_type: str) -> bool:
        return media_type == "text/plain"

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        count = source.path.read_text().count("\f") + 1
        return Inspection(media_type=source.media_type, pages_total=count)

    async def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        self.calls += 1
        texts = source.path.read_text().split("\f")
        for number in pages:
            text = texts[number - 1]
            scan = text == "(scan)"
            status = PageStatus.NEEDS_OCR if scan else PageStatus.OK
            yield page("" if scan else text, number, status)


@dataclass
class AuditList:
    entries: list[AuditEntry] = field(default_factory=list)

    async def append(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class ExtractStack:
    """A data folder and the extract journey over it."""

    def __init__(self, folder: Path, rungs: Sequence[Rung], *, window_pages: int = 2) -> None:
        self.library = SqliteLibrary.open(folder)
        self.jobs = SqliteJobs(self.library)
        self.blobs = FolderBlobs(folder, lambda path, name: "text/plain")
        self.audit = AuditList()
        self.parser = FormFeeds()
        self.services = ExtractServices(
            library=self.library,
            blobs=self.blobs,
            jobs=self.jobs,
            parser=ParserChain((self.parser,)),
            rungs=tuple(rungs),
            audit=self.audit,
            clock=SystemClock(),
            identify=lambda: OWNER,
            trace=lambda: None,
            window_pages=window_pages,
        )

    async def add(self, *pages: str) -> Document:
        async def content() -> AsyncIterator[bytes]:
            yield "\f".join(pages).encode()

        blob = await self.blobs.put("t1", "a.txt", content(), limit_bytes=1_000_000)
        draft = DocumentDraft(collection="default", name="a.txt", blob=blob)
        return (await self.library.register("t1", draft)).document

    async def run(self, document: Document, schema: JsonObject, job_id: str = "job_1") -> Extracted:
        start = ExtractRecord(document_id=document.id, record_schema=schema, job_id=job_id)
        done = await ExtractWorkflow(self.services).run(start_event=start)
        assert isinstance(done, Extracted)
        return done

    async def extract(self, schema: JsonObject, *pages: str) -> Extraction:
        done = await self.run(await self.add(*pages), schema)
        return (await self.jobs.extraction("t1", done.job_id))[1]

    def close(self) -> None:
        self.library.close()


@dataclass
class Spy:
    """An extractor that notes the pages it is given, does `before`, and passes on."""

    inner: Extractor
    before: Callable[[Sequence[ParsedPage]], None] = lambda pages: None
    seen: list[list[int]] = field(default_factory=list)

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        self.seen.append([page.number for page in pages])
        self.before(pages)
        return await self.inner.extract(task, pages, deadline=deadline)
