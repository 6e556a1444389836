"""Grounds the values of LlamaExtract in the stored pages; others become null. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any, Final

from llama_cloud.types import ExtractV2Job
from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.catalog import Reason
from foliotrace.errors import ExtractorUnavailable, NotFound
from foliotrace.model import (
    Anchor,
    Citation,
    Document,
    Extraction,
    ExtractionMethod,
    FieldResult,
    PageSelection,
    ParsedPage,
    Passage,
    RetrievalMode,
    page_numbers,
)
from foliotrace.ports import LibraryReader
from foliotrace.schema_fields.values import numbers_in

_FEW_PAGES: Final = 20
"""In documents this short, every page is searched for the text of a hit."""
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MARKUP = re.compile(r"[*_`#|>]+|<[^>]{1,40}>")


def locate(text: str, words: str, *, near: int = 0) -> tuple[int, int] | None:
    """[start, end) of `words` in `text`, ignoring white space, case and markup.

    The first place at or behind `near`, else the first at all; None when it is not there.
    """
    tokens = _TOKEN.findall(_MARKUP.sub(" ", words))
    if not tokens:
        return None
    pattern = re.compile(r"[\s\-\u00ad|]*".join(map(re.escape, tokens)), re.IGNORECASE)
    found = pattern.search(text, near) or pattern.search(text)
    return found.span() if found else None


def locate_long(text: str, words: str, *, least: float = 0.6) -> tuple[int, int] | None:
    """`locate` for a chunk that may differ in places: from its first to its last line found.

    None unless lines with `least` of its characters stand in `text` in this order.
    """
    exact = locate(text, words)
    if exact is not None:
        return exact
    first: int | None = None
    last, known, total = 0, 0, 0
    for line in filter(None, (line.strip() for line in words.splitlines())):
        total += len(line)
        found = locate(text, line, near=last)
        if found is not None and found[0] >= last:
            first = found[0] if first is None else first
            last, known = found[1], known + len(line)
    if first is None or known < least * total:
        return None
    return first, last


def locate_on(
    pages: Sequence[ParsedPage], words: str, *, page_number: int | None = None
) -> tuple[ParsedPage, int, int] | None:
    """The page and span of `words`, on page `page_number` if possible, else on any."""
    order = sorted(pages, key=lambda page: page.number != page_number)
    for page in order:
        found = locate(page.text, words)
        if found is not None:
            return page, *found
    return None


async def passage_of(library: LibraryReader, tenant: str, result: Result) -> Passage | None:
    """The hit as a passage; None if its document is gone or has other content by now.

    Raises LibraryUnavailable.
    """
    document_id = str((result.metadata or {}).get("document_id") or "")
    try:
        document = await library.document(tenant, document_id)
    except NotFound:
        return None
    if (result.metadata or {}).get("content_hash", document.content_hash) != document.content_hash:
        return None
    static = result.static_fields
    named = (static.page_range_start if static else None) or 1
    last = (static.page_range_end if static else None) or named
    if document.pages is not None and not _is_selected(document, range(named, last + 1)):
        return None  # the managed index reads whole files
    aligned = await place_on_page(library, document, result.content, range(named, last + 1))
    page, start, end = aligned or (None, 0, 0)
    score = result.rerank_score if result.rerank_score is not None else result.score
    return Passage(
        chunk_id=f"{document_id}:{static.chunk_index if static else 0}",
        document_id=document_id,
        document_name=document.name,
        revision=document.revision or "",
        page=page.number if page else _page_of(document, named),
        start=start,
        end=end,
        text=page.text[start:end] if page else result.content,
        header=document.identity.header(),
        score=score or 0.0,
        path=RetrievalMode.MANAGED,
        exact=page is not None,
    )


async def place_on_page(
    library: LibraryReader, document: Document, content: str, named: range
) -> tuple[ParsedPage, int, int] | None:
    """The page and span of a hit: on the pages `named` or next to them; in few pages, on any."""
    numbers = page_numbers(document.pages, document.pages_total)
    if document.pages_total > _FEW_PAGES:
        numbers = [n for n in numbers if named.start - 1 <= n <= named.stop]
    pages = await library.pages(document.tenant, document.id, numbers)
    for page in sorted(pages, key=lambda p: p.number not in named):
        found = locate_long(page.text, content)
        if found is not None:
            return page, *found
    return None


def _page_of(document: Document, named: int) -> int:
    """The page `named`, or the last one that was read if there are not so many."""
    numbers = page_numbers(document.pages, document.pages_total)
    return min(named, numbers[-1]) if numbers else 1


def _is_selected(document: Document, named: range) -> bool:
    return PageSelection.parse(document.pages or "").overlaps(named)


def choices_of(schema: Any) -> frozenset[str]:
    """The values of every `enum` in the schema, as text: a document may word them differently."""
    if isinstance(schema, Mapping):
        named = schema.get("enum")
        own = frozenset(map(str, named)) if isinstance(named, list) else frozenset()
        return own.union(*map(choices_of, schema.values()))
    if isinstance(schema, list):
        return frozenset[str]().union(*map(choices_of, schema))
    return frozenset()


def states(text: str, value: Any) -> bool:
    """Whether the text states a number, date or words; true and false are inferred from it.

    Half of the words are enough: the cloud may shorten or reorder what is written.
    """
    if isinstance(value, bool):
        return True
    numbers = numbers_in(text)
    if isinstance(value, int | float):
        return any(isclose(number, value, rel_tol=1e-9) for number in numbers)
    if date := _ISO_DATE.match(str(value)):
        year, day = int(date[1]), int(date[3])
        found = {int(digits) for digits in re.findall(r"\d+", text)}
        return bool(found & {year, year % 100}) and day in found
    words = set(_words_of(str(value)))
    known = words & set(_words_of(text))
    return 2 * len(known) >= len(words) if words else bool(str(value).strip())


def _words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def to_extraction(
    job: ExtractV2Job,
    document: Document,
    pages: Sequence[ParsedPage],
    *,
    choices: frozenset[str] = frozenset(),
) -> Extraction:
    """The job's record with a citation for each value. Raises ExtractorUnavailable.

    A value that its citation does not state is removed, unless it is one of the `choices`.

    `valid` only says that no value was removed; the journey validates against the schema.
    """
    record = job.extract_result
    if not isinstance(record, dict):
        raise ExtractorUnavailable(reason=Reason.LLAMACLOUD_EMPTY, lasting=True, answered=True)
    metadata = _field_metadata(job)
    fields = [
        _field(pointer, value, _metadata_at(metadata, pointer), document, pages, choices)
        for pointer, value in leaves(record)
    ]
    empty = {field.pointer for field in fields if field.value is None}
    removed = {pointer for pointer, value in leaves(record) if value is not None} & empty
    return Extraction(
        record=without(record, removed),
        fields=tuple(fields),
        valid=not removed,
        errors=tuple(f"not grounded: {pointer}" for pointer in sorted(removed)),
    )


def leaves(value: object, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """(JSON pointer, value) of every value that is neither an object nor a list."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            escaped = str(name).replace("~", "~0").replace("/", "~1")
            yield from leaves(inner, f"{pointer}/{escaped}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


def without(value: Any, removed: set[str], pointer: str = "") -> Any:
    """A copy of the record in which the values at the pointers `removed` are null."""
    if isinstance(value, Mapping):
        return {
            name: without(
                inner, removed, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
            )
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without(inner, removed, f"{pointer}/{i}") for i, inner in enumerate(value)]
    return None if pointer in removed else value


def _field(
    pointer: str,
    value: Any,
    metadata: Mapping[str, Any],
    document: Document,
    pages: Sequence[ParsedPage],
    choices: frozenset[str],
) -> FieldResult:
    citation = None if value is None else _cite(value, metadata, document, pages)
    if citation is not None and str(value) not in choices and not states(citation.quote, value):
        citation = _cite(value, {}, document, pages)  # beside what the cloud cites
    if citation is None:
        return FieldResult(pointer=pointer, value=None, method=ExtractionMethod.NONE)
    return FieldResult(
        pointer=pointer,
        value=value,
        confidence=_confidence(metadata),
        citations=(citation,),
        method=ExtractionMethod.CLOUD,
    )


def _cite(
    value: Any, metadata: Mapping[str, Any], document: Document, pages: Sequence[ParsedPage]
) -> Citation | None:
    """The first of the cloud's citations that is on a stored page, else the value's own text."""
    cited = [c for c in metadata.get("citation") or () if isinstance(c, Mapping)]
    candidates = [(str(c.get("matching_text") or ""), c.get("page")) for c in cited]
    candidates.append((str(value), cited[0].get("page") if cited else None))
    for words, page_number in candidates:
        span = locate_on(pages, words, page_number=page_number) if words.strip() else None
        if span is None:
            continue
        page, start, end = span
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
            score=_confidence(metadata) or 1.0,
        )
    return None


def _field_metadata(job: ExtractV2Job) -> Mapping[str, Any]:
    """The metadata by field; the documentation shows it nested in two ways."""
    if job.extract_metadata is None or job.extract_metadata.field_metadata is None:
        return {}
    metadata = job.extract_metadata.field_metadata.model_dump()
    nested = metadata.get("document_metadata")
    return nested if isinstance(nested, dict) else metadata


def _metadata_at(metadata: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """The metadata of the value at `pointer`: it has the shape of the record."""
    at: Any = metadata
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            at = at[int(part)] if part.isdigit() and int(part) < len(at) else None
        elif isinstance(at, Mapping):
            at = at.get(part)
    return at if isinstance(at, Mapping) else {}


def _confidence(metadata: Mapping[str, Any]) -> float | None:
    for name in ("confidence", "extraction_confidence", "extracted_confidence"):
        value = metadata.get(name)
        if isinstance(value, int | float):
            return float(value)
    return None
