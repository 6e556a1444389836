"""Values out of pages by the first rung that works; what is lower than the first is marked."""

from collections.abc import Sequence
from dataclasses import replace

from foliotrace.catalog import ComposedReason, Reason, ReasonFamily
from foliotrace.errors import BudgetExceeded, ExtractorUnavailable, Unavailable
from foliotrace.events import ExtractionRungFailed, emit
from foliotrace.extract.merge import empty_extraction, merge, worse
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.model import (
    Deadline,
    Degradation,
    Extraction,
    ExtractionMethod,
    Level,
    PageStatus,
    ParsedPage,
)
from foliotrace.ports import ExtractionTask
from foliotrace.schema_fields.plan import ExtractionPlan
from foliotrace.settings import EXTRACTION_DEADLINE_S


async def extract_pages(
    services: ExtractServices,
    rungs: Sequence[Rung],
    plan: ExtractionPlan,
    task: ExtractionTask,
    pages: Sequence[ParsedPage],
) -> Extraction:
    """The fields that `pages` state, by the first of `rungs` that works.

    Raises ExtractorUnavailable when none does.
    """
    reasons: list[ComposedReason] = []
    for rung in rungs:
        try:
            found = await _by(services, rung, plan, task, pages)
        except (Unavailable, BudgetExceeded) as error:
            reasons.append(ReasonFamily.METHOD_FAILED.of(rung.method.value, error.reason))
            emit(ExtractionRungFailed(reason=reasons[-1]))
            continue
        mark = _mark(rungs[0].method, rung.method, reasons)
        marked = worse(worse(found.degradation, mark), degradation_of(pages))
        return replace(found, degradation=marked)
    raise ExtractorUnavailable(
        Reason.NO_EXTRACTOR.message, reason=reasons[-1] if reasons else Reason.NO_EXTRACTOR
    )


async def _by(
    services: ExtractServices,
    rung: Rung,
    plan: ExtractionPlan,
    task: ExtractionTask,
    pages: Sequence[ParsedPage],
) -> Extraction:
    """One rung over all `pages`, in as many calls as its windows need."""
    size = rung.window_for(task.document.media_type) or max(len(pages), 1)
    found = empty_extraction(plan)
    for start in range(0, max(len(pages), 1), size):
        deadline = Deadline(services.clock.monotonic_s() + EXTRACTION_DEADLINE_S)
        window = await rung.extractor.extract(task, pages[start : start + size], deadline=deadline)
        found = merge(plan, found, window)
    return found


def _mark(first: ExtractionMethod, used: ExtractionMethod, reasons: Sequence[str]) -> Degradation:
    if not reasons:
        return Degradation()
    level = Level.OTHER_LLM if first is used else Level.LOWER_PATH
    return Degradation(level=level, reasons=tuple(reasons))


def degradation_of(pages: Sequence[ParsedPage]) -> Degradation:
    """What parsing lost: pages that a lower parser read, or nobody could."""
    reasons: list[str] = []
    if any(page.degraded_from for page in pages):
        reasons.append(Reason.PAGES_DEGRADED)
    if any(page.status is not PageStatus.OK for page in pages):
        reasons.append(Reason.PAGES_UNREADABLE)
    level = Level.LOWER_PATH if reasons else Level.NONE
    return Degradation(level=level, reasons=tuple(reasons))
