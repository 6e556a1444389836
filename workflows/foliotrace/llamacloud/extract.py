"""`LlamaExtract`: files and a schema to typed records, every value cited or null."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, overload

from llama_index.core.llms import LLM
from pydantic import BaseModel

from foliotrace.adapters.llamacloud.extractor import (
    PAGED_TYPES,
    CloudExtractOptions,
    CloudExtractor,
)
from foliotrace.adapters.llamaindex.extractor import LLMExtractor
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.errors import RecordInvalid
from foliotrace.extract.schema import schema_of
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.extract.workflow import Extracted, ExtractRecord, ExtractWorkflow
from foliotrace.llamacloud.arguments import EXTRACT, translate, warn
from foliotrace.llamacloud.embedded import OWNER, Desk, NoAudit, Setup
from foliotrace.llamacloud.event_loop import hand_over, wait_for
from foliotrace.llamacloud.facade import Door, Given, access, as_list, contents
from foliotrace.model import Extraction, ExtractionMethod, JsonObject
from foliotrace.resilient import ResilientExtractor

Record = TypeVar("Record", bound=BaseModel)


class LlamaExtract(Door):
    """Extracts in this process, or with `api_key` at LlamaExtract.

    The order is the cloud, then `llm` if one is given, then the rules; with `fall_back` False the
    first of them alone. `tier` and `version` are LlamaExtract's. Raises Misconfigured.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        llm: LLM | None = None,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float = 600.0,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        super().__init__()
        named = ("tier", "version", "delete_after_use", "where", "project_id", "organization_id")
        today = {name: options.pop(name) for name in (*named, "instructions") if name in options}
        today.update(translate("LlamaExtract", options, EXTRACT))
        limit_s = today.pop("limit_s", limit_s)
        self._instructions: str | None = today.pop("instructions", None)
        reached = access(api_key, today)
        if reached is None:
            for name in today:
                warn("LlamaExtract", name, "without a key everything is extracted here")
        if self._instructions and reached is None and llm is None:
            warn("LlamaExtract", "instructions", "the rules follow the schema alone; pass llm")
        self._llm = llm
        self._options = CloudExtractOptions(**today) if reached else CloudExtractOptions()
        self._setup = Setup(
            access=reached,
            folder=Path(folder) if folder else None,
            fall_back=fall_back,
            limit_s=limit_s,
        )

    def _make(self) -> Desk:
        return Desk(self._setup)

    # --- records ---------------------------------------------------------------------------

    @overload
    async def aextract(
        self, documents: Given | Sequence[Given], schema: type[Record]
    ) -> list[Record]: ...
    @overload
    async def aextract(
        self, documents: Given | Sequence[Given], schema: JsonObject
    ) -> list[JsonObject]: ...
    async def aextract(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Any]:
        """A record for each file: an instance of `schema`, or a dict for a JSON Schema.

        Raises RecordInvalid when a record does not satisfy the schema (`aextract_with_metadata`
        returns it all the same), InvalidSchema, FileRefused, ExtractorUnavailable.
        """
        return await hand_over(self._records(documents, schema))

    @overload
    def extract(self, documents: Given | Sequence[Given], schema: type[Record]) -> list[Record]: ...
    @overload
    def extract(
        self, documents: Given | Sequence[Given], schema: JsonObject
    ) -> list[JsonObject]: ...
    def extract(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Any]:
        """As `aextract`, from plain code or inside a running loop (which it blocks)."""
        return wait_for(self._records(documents, schema))

    async def aextract_with_metadata(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Extraction]:
        """The whole extraction of each file: record, fields with citations, marks, usage."""
        return await hand_over(self._extractions(documents, schema))

    def extract_with_metadata(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Extraction]:
        """As `aextract_with_metadata`, from plain code."""
        return wait_for(self._extractions(documents, schema))

    async def _records(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Any]:
        found = await self._extractions(documents, schema)
        for extraction in found:
            if not extraction.valid:
                raise RecordInvalid(
                    f"a record does not satisfy the schema: {'; '.join(extraction.errors[:3])}"
                )
        if isinstance(schema, dict):
            return [extraction.record for extraction in found]
        return [schema.model_validate(extraction.record) for extraction in found]

    async def _extractions(
        self, documents: Given | Sequence[Given], schema: type[BaseModel] | JsonObject
    ) -> list[Extraction]:
        desk = await self._opened()
        wanted = schema if isinstance(schema, dict) else schema_of(schema)
        workflow = ExtractWorkflow(self._services(desk))
        found = []
        for name, content in await contents(as_list(documents)):
            shelf = f"x{sha256(content).hexdigest()[:24]}"
            accepted = await desk.register(name, content, shelf)
            start = ExtractRecord(
                document_id=accepted.document.id, schema=wanted, instructions=self._instructions
            )
            done: object = await workflow.run(start_event=start)
            assert isinstance(done, Extracted)  # noqa: S101 - the workflow has no other end
            found.append((await desk.jobs.extraction(OWNER.tenant, done.job_id))[1])
        return found

    def _services(self, desk: Desk) -> ExtractServices:
        rungs = []
        if desk.gateway is not None:
            cloud = CloudExtractor(desk.gateway, desk.blobs, self._options)
            guarded = ResilientExtractor(cloud, desk.guard("llamaextract"))
            first = Rung(method=ExtractionMethod.CLOUD, extractor=guarded, paged_types=PAGED_TYPES)
            rungs.append(first)
        if self._llm is not None:
            by_llm = LLMExtractor(desk.generator(self._llm))
            rungs.append(Rung(method=ExtractionMethod.LLM, extractor=by_llm))
        rungs.append(Rung(method=ExtractionMethod.RULES, extractor=RulesExtractor(desk.clock)))
        return ExtractServices(
            library=desk.library,
            blobs=desk.blobs,
            jobs=desk.jobs,
            parser=desk.parser,
            rungs=rungs if self._setup.fall_back else rungs[:1],
            audit=NoAudit(),
            clock=desk.clock,
            identify=lambda: OWNER,
            trace=lambda: None,
        )
