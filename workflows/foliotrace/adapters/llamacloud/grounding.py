"""What LlamaExtract says, grounded: each value with its place in our own pages, or null. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llama_cloud.types import ExtractV2Job

from foliotrace.adapters.llamacloud.alignment import locate_on
from foliotrace.catalog import Reason
from foliotrace.errors import ExtractorUnavailable
from foliotrace.model import (
    Anchor,
    Citation,
    Document,
    Extraction,
    ExtractionMethod,
    FieldResult,
    ParsedPage,
    Usage,
)


def to_extraction(job: ExtractV2Job, document: Document, pages: Sequence[ParsedPage]) -> Extraction:
    """The job's record, each value with its citation in our pages. Raises ExtractorUnavailable.

    `valid` says only that nothing was removed; the journey validates against the schema.
    """
    record = job.extract_result
    if not isinstance(record, dict):
        raise ExtractorUnavailable(reason=Reason.LLAMACLOUD_EMPTY, lasting=True, answered=True)
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
