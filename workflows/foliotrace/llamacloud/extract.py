"""`LlamaExtract`: files and a schema to typed records, every value cited or null."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, overload

from llama_index.core.llms import LLM
from pydantic import BaseModel

from foliotrace.errors import RecordInvalid
from foliotrace.extract.schema import schema_of
from foliotrace.extract.workflow import Extracted, ExtractRecord, ExtractWorkflow
from foliotrace.llamacloud.arguments import EXTRACT, translate, warn
from foliotrace.llamacloud.embedded import OWNER, ClientOptions, cloud_settings, execution_mode
from foliotrace.llamacloud.facade import (
    CONNECTION,
    Facade,
    Sources,
    as_list,
    contents,
    refuse_connection_without_key,
    run_in_loop,
    wait_for,
)
from foliotrace.model import Extraction, JsonObject

Record = TypeVar("Record", bound=BaseModel)


class LlamaExtract(Facade):
    """Extracts in this process, or with `api_key` at LlamaExtract.

    The order is the cloud, then `llm` if one is given, then the rules; with `fall_back` False only
    the first of them. `tier` and `version` are LlamaExtract's. `limit_s` is the time for one window
    of pages; by default the service's. Raises Misconfigured.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        llm: LLM | None = None,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float | None = None,
        tier: str | None = None,
        version: str | None = None,
        instructions: str | None = None,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        named = ("delete_after_use", *CONNECTION)
        arguments = {name: options.pop(name) for name in named if name in options}
        arguments.update(translate("LlamaExtract", options, EXTRACT))
        limit_s = arguments.pop("limit_s", limit_s)
        self._instructions: str | None = arguments.pop("instructions", instructions)
        self._fall_back = fall_back
        chosen = {"extract_tier": tier, "extract_version": version}
        arguments |= {name: value for name, value in chosen.items() if value is not None}
        refuse_connection_without_key(api_key, arguments)
        if api_key is None:
            for name in arguments:
                warn("LlamaExtract", name, "without a key everything is extracted here")
            arguments = {}
        if self._instructions and api_key is None and llm is None:
            warn("LlamaExtract", "instructions", "the rules follow the schema alone; pass llm")
        extraction = execution_mode(api_key, fall_back=fall_back)
        super().__init__(
            ClientOptions(
                api_key=api_key,
                llamacloud=cloud_settings("LlamaExtract", {**arguments, "extraction": extraction}),
                folder=Path(folder) if folder else None,
                limit_s=limit_s,
                llm=llm,
            )
        )

    # --- records ---------------------------------------------------------------------------

    @overload
    async def aextract(self, documents: Sources, schema: type[Record]) -> list[Record]: ...
    @overload
    async def aextract(self, documents: Sources, schema: JsonObject) -> list[JsonObject]: ...
    async def aextract(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Any]:
        """A record for each file: an instance of `schema`, or a dict for a JSON Schema.

        Raises RecordInvalid when a record does not satisfy the schema (`aextract_with_metadata`
        returns it all the same), InvalidSchema, FileRefused, ExtractorUnavailable.
        """
        return await run_in_loop(self._records(documents, schema))

    @overload
    def extract(self, documents: Sources, schema: type[Record]) -> list[Record]: ...
    @overload
    def extract(self, documents: Sources, schema: JsonObject) -> list[JsonObject]: ...
    def extract(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Any]:
        """`aextract` for synchronous code; inside a running loop it blocks the loop."""
        return wait_for(self._records(documents, schema))

    async def aextract_with_metadata(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Extraction]:
        """The whole extraction of each file: record, fields with citations, marks, usage."""
        return await run_in_loop(self._extractions(documents, schema))

    def extract_with_metadata(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Extraction]:
        """`aextract_with_metadata` for synchronous code."""
        return wait_for(self._extractions(documents, schema))

    async def _records(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Any]:
        extractions = await self._extractions(documents, schema)
        for extraction in extractions:
            if not extraction.valid:
                raise RecordInvalid(
                    f"a record does not satisfy the schema: {'; '.join(extraction.errors[:3])}"
                )
        if isinstance(schema, dict):
            return [extraction.record for extraction in extractions]
        return [schema.model_validate(extraction.record) for extraction in extractions]

    async def _extractions(
        self,
        documents: Sources,
        schema: type[BaseModel] | JsonObject,
    ) -> list[Extraction]:
        embedded = await self._opened()
        services = embedded.stack.extract
        if not self._fall_back:
            services = replace(services, rungs=services.rungs[:1])
        workflow = ExtractWorkflow(services)
        json_schema = schema if isinstance(schema, dict) else schema_of(schema)
        extractions = []
        for name, content in await contents(as_list(documents)):
            collection = f"x{sha256(content).hexdigest()[:24]}"
            accepted = await embedded.register(name, content, collection)
            start = ExtractRecord(
                document_id=accepted.document.id,
                schema=json_schema,
                instructions=self._instructions,
            )
            done: object = await workflow.run(start_event=start)
            assert isinstance(done, Extracted)  # noqa: S101 - the workflow has no other end
            extraction = await embedded.folder.jobs.extraction(OWNER.tenant, done.job_id)
            extractions.append(extraction[1])
        return extractions
