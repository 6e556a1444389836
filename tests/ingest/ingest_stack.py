"""The ingest pipeline on real embedded stores; its parser splits pages at form feeds."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.ingest.pages import bytes_of

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.outside_files import AllowedFiles
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode
from foliotrace.errors import FileRefused
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.ingest.workflow import IngestDocument, Ingested, IngestWorkflow
from foliotrace.model import (
    Deadline,
    Inspection,
    Metadata,
    PageStatus,
    ParsedPage,
    Passage,
    Principal,
    Query,
    SourceFile,
)
from foliotrace.parse import ParserChain
from foliotrace.ports import AuditEntry
from foliotrace.settings import IngestSettings, OutsideFileSettings

OWNER = Principal(tenant="t1", subject="ann")
UNREADABLE = "(scan)"


@dataclass
class FormFeedParser:
    """Text pages parted by form feeds; a page "(scan)" needs OCR, a file "%broken" is refused."""

    calls: list[range] = field(default_factory=list)
    engine: str = "form-feed 1"
    before: dict[int, Callable[[], Awaitable[object]]] = field(default_factory=dict)

    def accepts(self, media_type: str) -> bool:
        return media_type == "text/plain"

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        text = source.path.read_text()
        if text.startswith("%broken"):
            raise FileRefused(
                f"{source.name} is malformed.",
                name=source.name,
                code=ErrorCode.FILE_MALFORMED,
                hint="Mend it.",
            )
        return Inspection(media_type=source.media_type, pages_total=text.count("\f") + 1)

    async def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        self.calls.append(pages)
        texts = source.path.read_text().split("\f")
        for number in pages:
            if number in self.before:
                await self.before.pop(number)()
            text = texts[number - 1]
            if text == UNREADABLE:
                yield ParsedPage(
                    number=number, text="", status=PageStatus.NEEDS_OCR, problem="needs_ocr"
                )
            else:
                yield ParsedPage(number=number, text=text, engine=self.engine)


@dataclass
class AuditList:
    entries: list[AuditEntry] = field(default_factory=list)

    async def append(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class IngestStack:
    """A data folder with everything that ingestion needs, and a way to ask what was indexed."""

    def __init__(self, folder: Path, *, window_pages: int = 2, upload_bytes: int = 10_000) -> None:
        self.folder = folder
        self.parser = FormFeedParser()
        self.library = SqliteLibrary.open(folder)
        self.jobs = SqliteJobs(self.library)
        self.index = KeywordIndex(folder, self.library)
        self.blobs = FolderBlobs(folder, lambda path, name: "text/plain")
        self.audit = AuditList()
        self.forgotten: list[tuple[str, str]] = []
        self.services = IngestServices(
            library=self.library,
            blobs=self.blobs,
            jobs=self.jobs,
            parser=ParserChain((self.parser,)),
            indexes=(self.index,),
            audit=self.audit,
            clock=SystemClock(),
            identify=lambda: OWNER,
            trace=lambda: None,
            outside_files=AllowedFiles(OutsideFileSettings()),
            on_deleted=(self._forget,),
            settings=IngestSettings(window_pages=window_pages, max_file_bytes=upload_bytes),
        )

    def use_parser(self, parser: FormFeedParser) -> None:
        """Parse with another one from now on."""
        self.parser = parser
        self.services = replace(self.services, parser=ParserChain((parser,)))

    async def _forget(self, tenant: str, document_id: str) -> None:
        self.forgotten.append((tenant, document_id))

    async def upload(
        self,
        name: str,
        *pages: str,
        key: str | None = None,
        metadata: Metadata | None = None,
        collection: str = "default",
    ) -> Accepted:
        content = bytes_of("\f".join(pages).encode())
        upload = Upload(
            name=name,
            content=content,
            idempotency_key=key,
            metadata=metadata or {},
            collection=collection,
        )
        return await accept(self.services, OWNER, upload)

    async def run(self, accepted: Accepted) -> Ingested:
        start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
        done = await IngestWorkflow(self.services).run(start_event=start)
        assert isinstance(done, Ingested)
        return done

    async def ingest(self, name: str, *pages: str) -> Ingested:
        return await self.run(await self.upload(name, *pages))

    async def ask(self, text: str) -> Sequence[Passage]:
        query = Query(text=text, principal=OWNER)
        return await self.index.retrieve(query, top_k=5, deadline=Deadline(float("inf")))

    def close(self) -> None:
        self.index.close()
        self.library.close()
