"""Extracts fields with the first rung that works, merges windows and validates the record."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from foliotrace.catalog import ComposedReason, Reason, ReasonFamily
from foliotrace.errors import BudgetExceeded, ExtractorUnavailable, Unavailable
from foliotrace.events import ExtractionRungFailed, emit
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.model import (
    Deadline,
    Degradation,
    Extraction,
    ExtractionMethod,
    FieldResult,
    JsonObject,
    Level,
    PageStatus,
    ParsedPage,
)
from foliotrace.ports import ExtractionTask
from foliotrace.schema_fields.plan import ExtractionPlan, ListSpec, unescape
from foliotrace.settings import EXTRACTION_DEADLINE_S

Row = dict[str, FieldResult]  # by pointer inside the row


def merge(plan: ExtractionPlan, before: Extraction, window: Extraction) -> Extraction:
    """Keep the more confident value of each field, the earlier at a tie; append list rows."""
    old, new = _by_pointer(before.fields), _by_pointer(window.fields)
    fields = [
        _more_confident(old.get(spec.pointer), new.get(spec.pointer), spec.pointer)
        for spec in plan.fields
    ]
    for list_spec in plan.lists:
        rows = [*rows_of(list_spec, before.fields), *rows_of(list_spec, window.fields)]
        fields.extend(_numbered(list_spec, _without_repeats(rows)))
    return Extraction(
        record={},
        fields=tuple(fields),
        valid=False,
        degradation=combine(before.degradation, window.degradation),
    )


def empty_extraction(plan: ExtractionPlan) -> Extraction:
    """An extraction in which every field is null."""
    fields = tuple(FieldResult(pointer=spec.pointer, value=None) for spec in plan.fields)
    return Extraction(record={}, fields=fields, valid=False)


def rows_of(list_spec: ListSpec, fields: Iterable[FieldResult]) -> list[Row]:
    """The rows of one list among `fields`, in order."""
    rows: defaultdict[int, Row] = defaultdict(dict)
    for field in fields:
        head, _, inside = field.pointer.removeprefix(f"{list_spec.pointer}/").partition("/")
        if field.pointer.startswith(f"{list_spec.pointer}/") and head.isdigit():
            rows[int(head)][f"/{inside}"] = field
    return [rows[number] for number in sorted(rows)]


def combine(one: Degradation, other: Degradation) -> Degradation:
    """The higher level and the reasons of both."""
    return Degradation(
        level=Level(max(one.level, other.level)),
        reasons=tuple(dict.fromkeys((*one.reasons, *other.reasons))),
    )


def _by_pointer(fields: Iterable[FieldResult]) -> dict[str, FieldResult]:
    return {field.pointer: field for field in fields}


def _more_confident(
    one: FieldResult | None, other: FieldResult | None, pointer: str
) -> FieldResult:
    found = [field for field in (one, other) if field is not None and field.value is not None]
    if not found:
        return FieldResult(pointer=pointer, value=None, method=ExtractionMethod.NONE)
    return max(found, key=lambda field: field.confidence or 0.0)


def _without_repeats(rows: Sequence[Row]) -> list[Row]:
    """Drop rows whose values are cited from the same positions as an earlier row's."""
    seen: set[tuple[tuple[str, int, int], ...]] = set()
    kept: list[Row] = []
    for row in rows:
        places = tuple(
            (pointer, c.anchor.page, c.anchor.start)
            for pointer, field in sorted(row.items())
            for c in field.citations
        )
        if places not in seen or not places:
            kept.append(row)
            seen.add(places)
    return kept


def _numbered(list_spec: ListSpec, rows: Sequence[Row]) -> Iterable[FieldResult]:
    for number, row in enumerate(rows):
        for inside, field in row.items():
            yield FieldResult(
                pointer=f"{list_spec.pointer}/{number}{inside}",
                value=field.value,
                confidence=field.confidence,
                citations=field.citations,
                method=field.method,
            )


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


MAX_ERRORS = 50


def record_of(schema: JsonObject, fields: Sequence[FieldResult]) -> JsonObject:
    """The record: every property of `schema`, with its value from `fields` or null."""
    record = _empty(schema)
    for field in fields:
        if field.value is not None:
            _put(record, [unescape(part) for part in field.pointer.split("/")[1:]], field.value)
    return record


def errors_of(schema: JsonObject, record: JsonObject) -> tuple[str, ...]:
    """The validation errors as "pointer: message", at most MAX_ERRORS; they quote no values."""
    from jsonschema import Draft202012Validator  # slow to import: with the first record

    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = validator.iter_errors(_without_nulls(schema, record))
    messages = {_message(error.absolute_path, error.validator, error.message) for error in found}
    return tuple(sorted(messages)[:MAX_ERRORS])


def _message(path: Sequence[str | int], keyword: str, message: str) -> str:
    place = "/" + "/".join(str(part) for part in path)
    if keyword == "required":  # names the property, not a value
        return f"{place}: {message}"
    return f"{place}: `{keyword}` is not satisfied"


def _empty(schema: JsonObject) -> JsonObject:
    return {
        name: _empty(part) if "properties" in part else None
        for name, part in schema.get("properties", {}).items()
    }


def _put(record: JsonObject, path: list[str], value: Any) -> None:  # noqa: ANN401 - JSON
    here: Any = record
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        made: Any = value if last else [] if path[depth + 1].isdigit() else {}
        key: Any = part
        if isinstance(here, list):
            key = int(part)
            here.extend([None] * (key + 1 - len(here)))
        elif part not in here:
            here[part] = None
        if last or here[key] is None:
            here[key] = made
        here = here[key]


def _without_nulls(schema: JsonObject, value: Any) -> Any:  # noqa: ANN401 - JSON
    """`value` without the nulls that `schema` does not allow."""
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        kept = {k: _without_nulls(parts.get(k, {}), v) for k, v in value.items()}
        return {
            k: v
            for k, v in kept.items()
            if (v is not None or _allows_null(parts.get(k, {})))
            and not (v == {} and k not in schema.get("required", ()))
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_without_nulls(items, item) for item in value]
    return value


def _allows_null(schema: JsonObject) -> bool:
    types = schema.get("type", [])
    return "null" in ([types] if isinstance(types, str) else types)
