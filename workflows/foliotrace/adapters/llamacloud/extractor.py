"""LlamaExtract as an `Extractor`; every value is grounded in the stored pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import orjson
from llama_cloud.types import ExtractV2Job

from foliotrace.adapters.llamacloud.client import (
    CloudFailure,
    CloudProblem,
    as_port_error,
    translated_errors,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.grounding import choices_of, to_extraction
from foliotrace.adapters.llamacloud.parser import CREDITS_PER_PAGE as PARSE_CREDITS_PER_PAGE
from foliotrace.adapters.llamacloud.parser import ENGINE, target_pages
from foliotrace.adapters.llamacloud.purchases.journal import Order, ParseJob
from foliotrace.errors import ExtractorUnavailable
from foliotrace.events import CloudParseJobExpired, emit
from foliotrace.model import (
    PAGED_TYPES,
    Deadline,
    Document,
    Extraction,
    JsonObject,
    PageNumbers,
    PageStatus,
    ParsedPage,
    SourceFile,
)
from foliotrace.ports import Blobs, ExtractionTask
from foliotrace.settings import LlamaCloudSettings

CREDITS_PER_PAGE: Final[Mapping[str, float]] = {
    "cost_effective": 5.0,
    "agentic": 15.0,
    "agentic_plus": 50.0,
    "turbo": 35.0,
}
"""The most that a page costs in each tier, its parsing aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extraction:
    """One extraction from the stored `pages`. `window` None: from the whole document."""

    task: ExtractionTask
    key: str
    window: PageNumbers | None
    pages: Sequence[ParsedPage]

    @property
    def numbers(self) -> PageNumbers:
        """The numbers of its pages."""
        return tuple(page.number for page in self.pages)


class CloudExtractor:
    """An `Extractor` that buys an extraction per document, schema and window of pages.

    What LlamaParse has read for us is extracted from there: nothing is uploaded or parsed again.
    """

    def __init__(self, gateway: CloudGateway, blobs: Blobs, settings: LlamaCloudSettings) -> None:
        self._gateway = gateway
        self._blobs = blobs
        self._settings = settings
        self._configurations: dict[str, str] = {}

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A value that is not on the pages becomes null, and `errors` names it."""
        tenant, document = task.principal.tenant, task.document
        try:
            job = await self._result(self._purchase(task, pages), deadline)
            if self._settings.delete_after_use:
                self._gateway.journal.mark_unneeded(tenant, document.content_hash)
        except CloudFailure as failure:
            raise as_port_error(
                ExtractorUnavailable, failure, setting="llamacloud.extraction"
            ) from failure
        return to_extraction(job, document, pages, choices=choices_of(task.schema))

    def _purchase(self, task: ExtractionTask, pages: Sequence[ParsedPage]) -> _Extraction:
        """The purchase: equal file, schema and window are the same one."""
        window = _window(task, pages)
        asked = _parameters(self._settings, task.schema, task.instructions, window)
        digest = sha256(task.document.content_hash.encode() + _canonical(asked)).hexdigest()
        return _Extraction(task=task, key=f"extract-{digest[:40]}", window=window, pages=pages)

    async def _result(self, purchase: _Extraction, deadline: Deadline) -> ExtractV2Job:
        """The result, of an earlier job while the cloud still has it."""
        tenant, key = purchase.task.principal.tenant, purchase.key
        known = self._gateway.journal.is_bought(tenant, key)
        if known:
            job_id = self._gateway.journal.find(tenant, key).job_id or ""
            try:
                return await self._gateway.extracted(tenant, key, job_id, deadline)
            except CloudFailure as failure:
                if failure.problem is not CloudProblem.NOT_FOUND:
                    raise
        job_id = await self._bought(purchase, deadline)
        return await self._gateway.extracted(tenant, key, job_id, deadline)

    async def _bought(self, purchase: _Extraction, deadline: Deadline) -> str:
        """The id of the job, which reads a parse job that is still in the cloud, else the file."""
        tenant, journal = purchase.task.principal.tenant, self._gateway.journal
        while (parsed := self._parse_job(purchase)) is not None:
            window = None if parsed.pages == purchase.numbers else purchase.numbers
            try:
                return await self._place(purchase, parsed.job_id, window, deadline, is_parsed=True)
            except CloudFailure as failure:
                if failure.problem is not CloudProblem.NOT_FOUND:
                    raise
                journal.mark_deleted(tenant, parsed.key)
                emit(CloudParseJobExpired())
        source = await self._source(purchase.task.document)
        file_id = await self._gateway.upload(tenant, source, deadline)
        try:
            return await self._place(purchase, file_id, purchase.window, deadline)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise
            self._configurations.clear()  # deleted over there: saved again, once
        return await self._place(purchase, file_id, purchase.window, deadline)

    def _parse_job(self, purchase: _Extraction) -> ParseJob | None:
        """The job that parsed these pages, if LlamaParse read every one of them."""
        if not purchase.pages or not all(
            page.status is PageStatus.OK and page.engine.startswith(ENGINE)
            for page in purchase.pages
        ):
            return None
        document = purchase.task.document
        tenant = purchase.task.principal.tenant
        return self._gateway.journal.parse_job(tenant, document.content_hash, purchase.numbers)

    async def _place(
        self,
        purchase: _Extraction,
        source: str,
        window: PageNumbers | None,
        deadline: Deadline,
        *,
        is_parsed: bool = False,
    ) -> str:
        task = purchase.task
        order = Order(
            content_hash=task.document.content_hash,
            source=source,
            configuration=await self._configuration(task, window),
            worst_credits=self._worst_credits(purchase, parses=not is_parsed),
        )
        return await self._gateway.buy_extract(task.principal.tenant, purchase.key, order, deadline)

    def _worst_credits(self, purchase: _Extraction, *, parses: bool) -> float:
        tier = self._settings.extract_tier
        a_page = CREDITS_PER_PAGE[tier]
        if parses:
            a_page += PARSE_CREDITS_PER_PAGE.get(tier, max(PARSE_CREDITS_PER_PAGE.values()))
        return max(1, len(purchase.pages)) * a_page

    async def _configuration(self, task: ExtractionTask, window: PageNumbers | None) -> str:
        """The id of the configuration of this schema and window, saved in the cloud by its name."""
        parameters = _parameters(self._settings, task.schema, task.instructions, window)
        digest = sha256(_canonical(parameters)).hexdigest()[:24]
        if digest not in self._configurations:
            with translated_errors("save an extraction configuration"):
                saved = await self._gateway.client.configurations.create(
                    name=f"foliotrace-{digest}",
                    parameters=parameters,  # type: ignore[arg-type]  # a TypedDict by its content
                    **self._gateway.scope,
                )
            self._configurations[digest] = saved.id
        return self._configurations[digest]

    async def _source(self, document: Document) -> SourceFile:
        path = await self._blobs.path(document.tenant, document.content_hash)
        return document.source_file(path)


def _parameters(
    settings: LlamaCloudSettings,
    schema: JsonObject,
    instructions: str | None,
    window: PageNumbers | None,
) -> dict[str, Any]:
    """The configuration that is saved once for each schema and window of pages."""
    parameters: dict[str, Any] = {
        "product_type": "extract_v2",
        "data_schema": schema,
        "tier": settings.extract_tier,
        "version": settings.extract_version,
        "cite_sources": True,
        "confidence_scores": True,
    }
    if instructions:
        parameters["system_prompt"] = instructions
    if window is not None:
        parameters["target_pages"] = target_pages(window)
    return parameters


def _window(task: ExtractionTask, pages: Sequence[ParsedPage]) -> PageNumbers | None:
    """The page range to request; None for the whole document and for types without pages."""
    numbers = tuple(page.number for page in pages)
    if task.document.media_type not in PAGED_TYPES or not numbers:
        return None
    whole = task.document.pages is None and len(numbers) == task.pages_total
    return None if whole else numbers


def _canonical(parameters: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS)
