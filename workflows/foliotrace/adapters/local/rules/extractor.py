"""Extracts records without a language model, by the schema's labels and types.

Every value is quoted from a page; a field without a confident value is null.
"""

import asyncio
from collections.abc import Iterator, Sequence

from foliotrace.adapters.local.rules.candidates import Candidate, PagePairs, choose, rows
from foliotrace.adapters.local.rules.pairs import pairs
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
        fields = await asyncio.to_thread(lambda: tuple(_fields(plan, readable, task.document)))
        return Extraction(record={}, fields=fields, valid=False)


def _fields(
    plan: ExtractionPlan, pages: Sequence[ParsedPage], document: Document
) -> Iterator[FieldResult]:
    paired = [PagePairs(page, pairs(page)) for page in pages]
    for spec in plan.fields:
        others = [other for other in plan.fields if other is not spec]
        candidate = choose(spec, paired, others)
        yield _field(spec.pointer, candidate, document)
    for list_spec in plan.lists:
        for number, row in enumerate(rows(list_spec, pages)):
            for spec in list_spec.items:
                pointer = f"{list_spec.pointer}/{number}{spec.pointer}"
                yield _field(pointer, row.get(spec.pointer), document)


def _field(pointer: str, candidate: Candidate | None, document: Document) -> FieldResult:
    if candidate is None:
        return FieldResult(pointer=pointer, value=None)
    citation = cite(
        candidate.page,
        candidate.start,
        candidate.end,
        document=document,
        score=candidate.confidence,
    )
    return FieldResult(
        pointer=pointer,
        value=candidate.parsed.value,
        confidence=candidate.confidence,
        citations=(citation,),
        method=ExtractionMethod.RULES,
    )
