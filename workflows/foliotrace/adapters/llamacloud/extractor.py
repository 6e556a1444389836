"""LlamaExtract behind the `Extractor` port; every value is grounded again in our own pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from llama_cloud.types import ExtractV2Job

from foliotrace.adapters.llamacloud.align import locate_on
from foliotrace.adapters.llamacloud.failures import (
    CloudFailure,
    as_port_error,
    in_our_words,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.errors import ExtractorUnavailable
from foliotrace.model import (
    Anchor,
    Citation,
    Deadline,
    Document,
    Extraction,
    ExtractionMethod,
    FieldResult,
    JsonObject,
    ParsedPage,
    SourceFile,
    Usage,
)
from foliotrace.ports import Blobs, ExtractionTask


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudExtractOptions:
    """How LlamaExtract shall work."""

    tier: str = "cost_effective"
    version: str = "latest"
    delete_after_use: bool = False

    def parameters(self, schema: JsonObject, instructions: str | None) -> dict[str, Any]:
        """The configuration that is saved once for each schema."""
        parameters: dict[str, Any] = {
            "product_type": "extract_v2",
            "data_schema": schema,
            "tier": self.tier,
            "version": self.version,
            "cite_sources": True,
            "confidence_scores": True,
        }
        if instructions:
            parameters["system_prompt"] = instructions
        return parameters


class CloudExtractor:
    """An `Extractor` that buys an extraction per document and schema."""

    def __init__(self, gateway: CloudGateway, blobs: Blobs, options: CloudExtractOptions) -> None:
        self._gateway = gateway
        self._blobs = blobs
        self._options = options
        self._configurations: dict[str, str] = {}

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """As the port says. A value that our pages do not hold becomes null, and is named."""
        tenant, document = task.principal.tenant, task.document
        try:
            configuration_id = await self._configuration(task)
            source = await self._source(tenant, document)
            file_id = await self._gateway.upload(tenant, source, deadline)
            key = f"extract-{document.content_hash[:32]}-{configuration_id}"
            job_id = await self._gateway.buy_extract(
                tenant,
                key,
                file_input=file_id,
                configuration_id=configuration_id,
                deadline=deadline,
                content_hash=document.content_hash,
            )
            job = await self._gateway.extracted(tenant, key, job_id, deadline)
            if self._options.delete_after_use:
                self._gateway.intents.unwanted(tenant, document.content_hash)
        except CloudFailure as failure:
            raise as_port_error(
                ExtractorUnavailable, failure, setting="llamacloud.extraction"
            ) from failure
        return to_extraction(job, document, pages)

    async def _configuration(self, task: ExtractionTask) -> str:
        """The saved configuration of this schema: with the file it identifies the purchase."""
        parameters = self._options.parameters(task.schema, task.instructions)
        digest = sha256(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]
        if digest not in self._configurations:
            with in_our_words("save an extraction configuration"):
                saved = await self._gateway.client.configurations.create(
                    name=f"foliotrace-{digest}",
                    parameters=parameters,  # type: ignore[arg-type]  # a TypedDict by its content
                    **self._gateway.scope,
                )
            self._configurations[digest] = saved.id
        return self._configurations[digest]

    async def _source(self, tenant: str, document: Document) -> SourceFile:
        return SourceFile(
            tenant=tenant,
            path=await self._blobs.path(tenant, document.content_hash),
            name=document.name,
            media_type=document.media_type,
            content_hash=document.content_hash,
            size_bytes=document.size_bytes,
        )


def to_extraction(job: ExtractV2Job, document: Document, pages: Sequence[ParsedPage]) -> Extraction:
    """The job's record, each value with its citation in our pages. Raises ExtractorUnavailable.

    `valid` says only that nothing was removed; the journey validates against the schema.
    """
    record = job.extract_result
    if not isinstance(record, dict):
        raise ExtractorUnavailable(
            "the extraction gave no record",
            reason="llamacloud_empty",
            lasting=True,
            answered=True,
        )
    told = _field_metadata(job)
    fields = [
        _field(pointer, value, _metadata_at(told, pointer), document, pages)
        for pointer, value in leaves(record)
    ]
    removed = [f.pointer for f in fields if f.value is None and f.citations == ()]
    lost = {
        pointer for pointer, value in leaves(record) if value is not None and pointer in removed
    }
    credits = job.usage.credits if job.usage and job.usage.credits else 0.0
    return Extraction(
        record=without(record, lost),
        fields=tuple(fields),
        valid=not lost,
        errors=tuple(f"not grounded: {pointer}" for pointer in sorted(lost)),
        usage=Usage(credits=credits),
    )


def leaves(value: object, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a record that is no object and no list, with its JSON pointer."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            escaped = str(name).replace("~", "~0").replace("/", "~1")
            yield from leaves(inner, f"{pointer}/{escaped}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


def without(value: Any, lost: set[str], pointer: str = "") -> Any:
    """A copy of the record in which the values at `lost` are null."""
    if isinstance(value, Mapping):
        return {
            name: without(
                inner, lost, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
            )
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without(inner, lost, f"{pointer}/{i}") for i, inner in enumerate(value)]
    return None if pointer in lost else value


def _field(
    pointer: str,
    value: Any,
    told: Mapping[str, Any],
    document: Document,
    pages: Sequence[ParsedPage],
) -> FieldResult:
    citation = None if value is None else _cite(value, told, document, pages)
    if citation is None:
        return FieldResult(pointer=pointer, value=None, method=ExtractionMethod.NONE)
    return FieldResult(
        pointer=pointer,
        value=value,
        confidence=_confidence(told),
        citations=(citation,),
        method=ExtractionMethod.CLOUD,
    )


def _cite(
    value: Any, told: Mapping[str, Any], document: Document, pages: Sequence[ParsedPage]
) -> Citation | None:
    """The first of the cloud's citations that our pages hold, else the value itself in them."""
    cited = [c for c in told.get("citation") or () if isinstance(c, Mapping)]
    tries = [(str(c.get("matching_text") or ""), c.get("page")) for c in cited]
    tries.append((str(value), cited[0].get("page") if cited else None))
    for words, page_number in tries:
        found = locate_on(pages, words, page_number=page_number) if words.strip() else None
        if found is None:
            continue
        page, start, end = found
        return Citation(
            marker=1,
            document_id=document.id,
            document_name=document.name,
            chunk_id="",
            quote=page.text[start:end],
            anchor=Anchor(
                kind=page.kind,
                page=page.number,
                start=start,
                end=end,
                label=page.label,
                boxes=page.words.boxes(start, end),
            ),
            score=_confidence(told) or 1.0,
        )
    return None


def _field_metadata(job: ExtractV2Job) -> Mapping[str, Any]:
    """The metadata by field, whichever of the documented nestings the reply has."""
    if job.extract_metadata is None or job.extract_metadata.field_metadata is None:
        return {}
    told = job.extract_metadata.field_metadata.model_dump()
    nested = told.get("document_metadata")
    return nested if isinstance(nested, dict) else told


def _metadata_at(told: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """What is told of the value at `pointer`; the metadata repeats the record's shape."""
    at: Any = told
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            at = at[int(part)] if part.isdigit() and int(part) < len(at) else None
        elif isinstance(at, Mapping):
            at = at.get(part)
    return at if isinstance(at, Mapping) else {}


def _confidence(told: Mapping[str, Any]) -> float | None:
    for name in ("confidence", "extraction_confidence", "extracted_confidence"):
        value = told.get(name)
        if isinstance(value, int | float):
            return float(value)
    return None
