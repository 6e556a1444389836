"""Extracts fields from pages with the first rung that works, and marks the degradation."""

from collections.abc import Sequence
from dataclasses import replace

from foliotrace.catalog import ComposedReason, Reason, ReasonFamily
from foliotrace.errors import BudgetExceeded, ExtractorUnavailable, Unavailable
from foliotrace.events import ExtractionRungFailed, emit
from foliotrace.extract.merge import combine, empty_extraction, merge
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
    """The fields found in `pages` by the first of `rungs` that works.

    Raises ExtractorUnavailable if none does.
    """
    reasons: list[ComposedReason] = []
    for rung in rungs:
        try:
            found = await _by_rung(services, rung, plan, task, pages)
        except (Unavailable, BudgetExceeded) as error:
            reasons.append(ReasonFamily.METHOD_FAILED.of(rung.method.value, error.reason))
            emit(ExtractionRungFailed(reason=reasons[-1]))
            continue
        mark = _mark(rungs[0].method, rung.method, reasons)
        marked = combine(combine(found.degradation, mark), degradation_of(pages))
        return replace(found, degradation=marked)
    raise ExtractorUnavailable(
        Reason.NO_EXTRACTOR.message, reason=reasons[-1] if reasons else Reason.NO_EXTRACTOR
    )


async def _by_rung(
    services: ExtractServices,
    rung: Rung,
    plan: ExtractionPlan,
    task: ExtractionTask,
    pages: Sequence[ParsedPage],
) -> Extraction:
    """Run one rung over all `pages`, one call per window."""
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
    """The degradation of parsing: pages that a fallback parser read, or that none could read."""
    reasons: list[str] = []
    if any(page.degraded_from for page in pages):
        reasons.append(Reason.PAGES_DEGRADED)
    if any(page.status is not PageStatus.OK for page in pages):
        reasons.append(Reason.PAGES_UNREADABLE)
    level = Level.LOWER_PATH if reasons else Level.NONE
    return Degradation(level=level, reasons=tuple(reasons))
