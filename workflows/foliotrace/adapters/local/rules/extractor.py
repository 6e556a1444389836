"""Records without a language model: labels, tables and types of the schema. It never invents."""

import asyncio
from collections.abc import Iterator, Sequence

from foliotrace.adapters.local.rules.lists import rows
from foliotrace.adapters.local.rules.pairs import pairs
from foliotrace.adapters.local.rules.scalars import Candidate, PagePairs, choose
from foliotrace.errors import DeadlineExceeded
from foliotrace.fields.leaves import Wanted, wanted
from foliotrace.fields.places import cite
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


class RulesExtractor:
    """The Extractor that needs no key. `record` and `valid` are left to the journey."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A cited value or null for every field; CPU work in a thread. Raises DeadlineExceeded."""
        if not deadline.remaining_s(self._clock.monotonic_s()):
            raise DeadlineExceeded("The time for extracting ran out.", reason="extract_deadline")
        readable = [page for page in pages if page.status is PageStatus.OK]
        asked = wanted(task.schema)
        fields = await asyncio.to_thread(lambda: tuple(_fields(asked, readable, task.document)))
        return Extraction(record={}, fields=fields, valid=False)


def _fields(
    asked: Wanted, pages: Sequence[ParsedPage], document: Document
) -> Iterator[FieldResult]:
    paired = [PagePairs(page, pairs(page)) for page in pages]
    for leaf in asked.leaves:
        others = [other for other in asked.leaves if other is not leaf]
        candidate = choose(leaf, paired, others)
        yield _field(leaf.pointer, candidate, document)
    for wanted_list in asked.lists:
        for number, row in enumerate(rows(wanted_list, pages)):
            for leaf in wanted_list.items:
                pointer = f"{wanted_list.pointer}/{number}{leaf.pointer}"
                yield _field(pointer, row.get(leaf.pointer), document)


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
        value=candidate.reading.value,
        confidence=candidate.confidence,
        citations=(citation,),
        method=ExtractionMethod.RULES,
    )
