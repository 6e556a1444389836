"""The durable extract workflow: resolve the schema, extract window by window, validate the record.

The fields found so far are saved with the job after each window, never in an event between steps:
the engine persists events, and values belong where a deletion removes them. The stop event holds
the record, for hosts that offer nothing else; a deletion removes it with the run. A resumed run
repeats the interrupted step, which adds nothing twice. An invalid record completes the job, with
its errors.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from workflows import Context, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.catalog import Reason
from foliotrace.errors import ExtractorUnavailable, NotFound, ParserUnavailable
from foliotrace.events import ExtractionCompleted, emit, stage
from foliotrace.extract.extract import (
    combine,
    empty_extraction,
    errors_of,
    extract_pages,
    merge,
    record_of,
)
from foliotrace.extract.schema import resolve
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.jobs import JobReporter, claim_job, document_of
from foliotrace.model import (
    Deadline,
    Degradation,
    Document,
    DocumentStatus,
    ExecutionMode,
    Extraction,
    Job,
    JobKind,
    JsonObject,
    Level,
    PageNumbers,
    ParsedPage,
    Principal,
    SourceFile,
    page_numbers,
)
from foliotrace.parse import wanted_pages
from foliotrace.ports import ExtractionTask
from foliotrace.schema_fields.plan import plan_of
from foliotrace.settings import (
    EXTRACT_PARSE_DEADLINE_S,
    EXTRACTION_OTHERS,
    INSPECT_DEADLINE_S,
    MAX_UNWINDOWED_PAGES,
)
from foliotrace.workflow_steps import JourneyWorkflow


class ExtractRecord(StartEvent):
    """Extract a record of `schema` from a document. Without `job_id`, a job is created."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    document_id: str
    record_schema: Annotated[JsonObject, Field(alias="schema")]
    instructions: Annotated[str | None, Field(max_length=2000)] = None
    job_id: str | None = None
    path: ExecutionMode | None = None

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - Event's own signature
        if "schema" in fields:  # LlamaIndex's events know no alias
            fields["record_schema"] = fields.pop("schema")
        super().__init__(**fields)


class Extracted(StopEvent):
    """The record, which is also saved with its job; `valid`: it satisfies the schema."""

    job_id: str
    document_id: str
    valid: bool
    fields: int
    found: int
    degradation_level: int
    record: JsonObject | None = None


class ExtractCursor(BaseModel):
    """How far an extraction is: the next page to extract from, counted among the pages read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str
    subject: str
    job_id: str
    document_id: str
    revision: str | None
    pages_total: int
    next_page: int = 1
    instructions: str | None = None
    path: ExecutionMode | None = None
    pages: str | None = None

    def numbers(self, most: int | None = None) -> PageNumbers:
        """The numbers of the next pages, at most so many."""
        left = page_numbers(self.pages, self.pages_total)[self.next_page - 1 :]
        return left if most is None else left[:most]


class ExtractWhole(Event):
    """Extract from the whole document in one call."""

    cursor: ExtractCursor


class ExtractWindow(Event):
    """Extract from the window of pages that starts at `cursor.next_page`."""

    cursor: ExtractCursor


class FieldsFound(Event):
    """Every page was searched; the record can be built."""

    cursor: ExtractCursor


class ExtractWorkflow(JourneyWorkflow):
    """Extracts one record; see the module's docstring."""

    def __init__(self, services: ExtractServices, **options: Any) -> None:  # noqa: ANN401 - Workflow's
        super().__init__(**{"timeout": None, **options})
        self._services = services

    @step
    async def begin(self, ctx: Context, ev: ExtractRecord) -> ExtractWhole | ExtractWindow:
        """Claim the job, resolve the schema, count the pages."""
        services = self._services
        principal = services.identify()
        document = await document_of(services.library, principal, ev.document_id)
        job = await claim_job(services, JobKind.EXTRACT, principal, document, ev.job_id)
        reporter = JobReporter(services, job.tenant, job.id)
        await reporter.received()
        async with self._reporting(reporter):
            rungs = services.rungs_on(ev.path)
            schema = resolve(ev.record_schema)
            await self._save_empty(job, schema)
            cursor = ExtractCursor(
                tenant=job.tenant,
                subject=job.subject,
                job_id=job.id,
                document_id=document.id,
                revision=document.revision,
                pages_total=await self._page_count(document, ev.path),
                instructions=ev.instructions,
                path=ev.path,
                pages=document.pages,
            )
            await self._report(ctx, reporter, cursor, "extract")
        whole = any(rung.window_for(document.media_type) is None for rung in rungs)
        return ExtractWhole(cursor=cursor) if whole else ExtractWindow(cursor=cursor)

    @step
    async def whole(self, ctx: Context, ev: ExtractWhole) -> ExtractWindow | FieldsFound:
        """Run the rungs that take the whole document; if they fail, go on with windows."""
        cursor = ev.cursor
        reporter = JobReporter(self._services, cursor.tenant, cursor.job_id)
        async with self._reporting(reporter):
            await reporter.job()
            rungs = await self._rungs(cursor, whole=True)
            if cursor.pages_total > MAX_UNWINDOWED_PAGES:
                mark = Degradation(level=Level.LOWER_PATH, reasons=(Reason.DOCUMENT_TOO_LONG,))
                await self._save_degradation(cursor, mark)
                return ExtractWindow(cursor=cursor)
            try:
                await self._extract(cursor, cursor.numbers(), rungs)
            except ExtractorUnavailable as error:
                mark = Degradation(level=Level.LOWER_PATH, reasons=(error.reason,))
                await self._save_degradation(cursor, mark)
                return ExtractWindow(cursor=cursor)
        return FieldsFound(cursor=cursor)

    @step
    async def window(self, ctx: Context, ev: ExtractWindow) -> ExtractWindow | FieldsFound:
        """Extract from one window of pages and save the fields found."""
        cursor = ev.cursor
        reporter = JobReporter(self._services, cursor.tenant, cursor.job_id)
        async with self._reporting(reporter):
            await reporter.job()
            rungs = await self._rungs(cursor, whole=False)
            numbers = cursor.numbers(self._services.window_pages)
            await self._extract(cursor, numbers, rungs)
            after = cursor.model_copy(update={"next_page": cursor.next_page + len(numbers)})
            await self._report(ctx, reporter, after, "extract")
        finished = after.next_page > after.pages_total
        return FieldsFound(cursor=after) if finished else ExtractWindow(cursor=after)

    @step
    async def validate_record(self, ctx: Context, ev: FieldsFound) -> Extracted:
        """Build the record, validate it against the schema, complete the job."""
        cursor = ev.cursor
        reporter = JobReporter(self._services, cursor.tenant, cursor.job_id)
        async with self._reporting(reporter):
            job = await reporter.job()
            schema, found = await self._services.jobs.extraction(cursor.tenant, cursor.job_id)
            with stage("validate", fields=found.fields) as call:
                record = record_of(schema, found.fields)
                errors = errors_of(schema, record)
                call.result = {"record": record, "errors": errors}
            extraction = replace(
                found, record=record, valid=not errors, errors=errors, usage=job.usage
            )
            await self._save(cursor.tenant, cursor.job_id, schema, extraction)
            await reporter.completed(extraction=extraction)
        mark, cost_usd = extraction.degradation, extraction.usage.cost_usd
        emit(
            ExtractionCompleted(
                valid=extraction.valid,
                level=int(mark.level),
                reasons=mark.reasons,
                cost_usd=float(cost_usd) if cost_usd else None,
            )
        )
        return Extracted(
            job_id=cursor.job_id,
            document_id=cursor.document_id,
            valid=extraction.valid,
            fields=len(extraction.fields),
            found=sum(1 for field in extraction.fields if field.value is not None),
            degradation_level=int(extraction.degradation.level),
            record=record,
        )

    @asynccontextmanager
    async def _reporting(self, reporter: JobReporter) -> AsyncIterator[None]:
        """Mark the job as failed when the step raises; a shutdown marks nothing."""
        try:
            async with reporter.spending(self._services.max_cost_usd):
                yield
        except Exception as error:
            with suppress(NotFound):  # deleted meanwhile
                await reporter.failed(error)
            raise

    async def _rungs(self, cursor: ExtractCursor, *, whole: bool) -> Sequence[Rung]:
        """The rungs that take this document whole, or those that take it in windows."""
        document = await self._services.library.document(cursor.tenant, cursor.document_id)
        return [
            rung
            for rung in self._services.rungs_on(cursor.path)
            if (rung.window_for(document.media_type) is None) is whole
        ]

    async def _others(self, document: Document) -> Sequence[str]:
        """The first pages of other documents of the collection: they tell how dates are written."""
        library = self._services.library
        beside = await library.documents(
            document.tenant, collection=document.collection, limit=EXTRACTION_OTHERS
        )
        texts: list[str] = []
        for other in beside:
            if other.id != document.id and other.status is DocumentStatus.READY:
                first = page_numbers(other.pages, other.pages_total)[:1]
                pages = await library.pages(other.tenant, other.id, first)
                texts += [page.text for page in pages]
        return texts

    async def _page_count(self, document: Document, path: ExecutionMode | None) -> int:
        """The number of pages: as ingested, or by inspecting the file now."""
        if document.status is DocumentStatus.READY and document.pages_total:
            return document.pages_total
        deadline = self._deadline(INSPECT_DEADLINE_S)
        source = await self._source(document)
        parser = self._services.parser_on(path)
        total = (await parser.inspect(source, deadline=deadline)).pages_total
        return len(wanted_pages(document, total))

    async def _source(self, document: Document) -> SourceFile:
        path = await self._services.blobs.path(document.tenant, document.content_hash)
        return document.source_file(path)

    def _deadline(self, limit_s: float) -> Deadline:
        return Deadline(self._services.clock.monotonic_s() + limit_s)

    async def _extract(
        self, cursor: ExtractCursor, numbers: PageNumbers, rungs: Sequence[Rung]
    ) -> None:
        """Extract from the pages `numbers` and merge the fields into the saved ones."""
        services = self._services
        schema, before = await services.jobs.extraction(cursor.tenant, cursor.job_id)
        document = await services.library.document(cursor.tenant, cursor.document_id)
        pages = await self._pages(cursor, document, numbers)
        plan = plan_of(schema)
        task = ExtractionTask(
            principal=Principal(tenant=cursor.tenant, subject=cursor.subject),
            document=document,
            schema=schema,
            instructions=cursor.instructions,
            pages_total=cursor.pages_total,
            others=await self._others(document),
        )
        with stage("extract", schema=schema, document=document.name, pages=len(pages)) as call:
            found = call.result = await extract_pages(services, rungs, plan, task, pages)
        await self._save(cursor.tenant, cursor.job_id, schema, merge(plan, before, found))

    async def _pages(
        self, cursor: ExtractCursor, document: Document, numbers: PageNumbers
    ) -> Sequence[ParsedPage]:
        """The pages as ingestion stored them, else parsed now."""
        stored = await self._services.library.pages(
            cursor.tenant, cursor.document_id, numbers, revision=cursor.revision
        )
        if len(stored) == len(numbers):
            return stored
        deadline = self._deadline(EXTRACT_PARSE_DEADLINE_S)
        source = await self._source(document)
        with stage("parse", document=document.name, pages=len(numbers)) as call:
            parser = self._services.parser_on(cursor.path)
            parsed = parser.parse(source, pages=numbers, deadline=deadline)
            pages = [page async for page in parsed]
            call.result = {"pages": len(pages)}
        if [page.number for page in pages] != list(numbers):
            raise ParserUnavailable(
                f"The parser left out pages of {document.name}.", reason=Reason.PAGES_MISSING
            )
        return pages

    async def _save_empty(self, job: Job, schema: JsonObject) -> None:
        """Save the schema with an empty record, unless an earlier run has done so."""
        try:
            await self._services.jobs.extraction(job.tenant, job.id)
        except NotFound:
            await self._save(job.tenant, job.id, schema, empty_extraction(plan_of(schema)))

    async def _save_degradation(self, cursor: ExtractCursor, mark: Degradation) -> None:
        schema, found = await self._services.jobs.extraction(cursor.tenant, cursor.job_id)
        marked = replace(found, degradation=combine(found.degradation, mark))
        await self._save(cursor.tenant, cursor.job_id, schema, marked)

    async def _save(
        self, tenant: str, job_id: str, schema: JsonObject, extraction: Extraction
    ) -> None:
        await self._services.jobs.save_extraction(
            tenant, job_id, schema=schema, extraction=extraction
        )

    async def _report(
        self, ctx: Context, reporter: JobReporter, cursor: ExtractCursor, stage: str
    ) -> None:
        done = cursor.next_page - 1
        ctx.write_event_to_stream(
            await reporter.progress(stage=stage, pages_done=done, pages_total=cursor.pages_total)
        )
