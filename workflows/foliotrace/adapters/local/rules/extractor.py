"""Extracts records without a language model, by the schema's labels and types.

Every value is quoted from a page; a field without a confident value is null.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from foliotrace.adapters.local.rules.candidates import Candidate, PagePairs, choose, rows
from foliotrace.adapters.local.rules.pairs import pairs
from foliotrace.adapters.local.rules.unlabelled.fields import SeenPages
from foliotrace.catalog import Reason
from foliotrace.errors import DeadlineExceeded
from foliotrace.model import (
    Deadline,
    Document,
    Extraction,
    ExtractionMethod,
    FieldResult,
    PageStatus,
    ParsedPage,
)
from foliotrace.ports import Clock, ExtractionTask
from foliotrace.schema_fields.plan import ExtractionPlan, plan_of
from foliotrace.schema_fields.values import cite


class RulesExtractor:
    """An `Extractor` that needs no key; the pipeline fills in `record` and `valid`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A cited value or null for every field; CPU work in a thread. Raises DeadlineExceeded."""
        if not deadline.remaining_s(self._clock.monotonic_s()):
            raise DeadlineExceeded(reason=Reason.EXTRACT_DEADLINE)
        readable = [page for page in pages if page.status is PageStatus.OK]
        plan = plan_of(task.schema)
        fields = await asyncio.to_thread(lambda: tuple(_fields(plan, readable, task)))
        return Extraction(record={}, fields=fields, valid=False)


def _fields(
    plan: ExtractionPlan, pages: Sequence[ParsedPage], task: ExtractionTask
) -> Iterator[FieldResult]:
    document = task.document
    seen = SeenPages.of(pages, plan.fields, task.others)
    specs = [seen.prepared(spec) for spec in plan.fields]
    paired = [PagePairs(page, pairs(page)) for page in pages]
    for spec in specs:
        others = [other for other in specs if other is not spec]
        labelled = choose(spec, paired, others)
        yield _field(spec.pointer, seen.better(spec, labelled), document)
    for list_spec in plan.lists:
        items = tuple(replace(item, day_first=seen.day_first) for item in list_spec.items)
        for number, row in enumerate(rows(replace(list_spec, items=items), pages)):
            for spec in list_spec.items:
                pointer = f"{list_spec.pointer}/{number}{spec.pointer}"
                yield _field(pointer, row.get(spec.pointer), document)


def _field(pointer: str, candidate: Candidate | None, document: Document) -> FieldResult:
    if candidate is None:
        return FieldResult(pointer=pointer, value=None)
    spans = ((candidate.start, candidate.end), *candidate.more)
    citations = tuple(
        replace(
            cite(candidate.page, start, end, document=document, score=candidate.confidence),
            marker=marker,
        )
        for marker, (start, end) in enumerate(spans, 1)
    )
    return FieldResult(
        pointer=pointer,
        value=candidate.parsed.value,
        confidence=candidate.confidence,
        citations=citations,
        method=ExtractionMethod.RULES,
    )
