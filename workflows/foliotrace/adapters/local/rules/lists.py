"""Extracts lists of objects from tables whose headers name the objects' properties. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.candidates import Candidate
from foliotrace.adapters.local.rules.labels import best_likeness, words
from foliotrace.adapters.local.rules.pairs import column_labels
from foliotrace.model import ParsedPage, Table, TableRow
from foliotrace.schema_fields.plan import FieldSpec, ListSpec
from foliotrace.schema_fields.values import parse_value

_LEAST_LIKENESS = 0.5
_TRUST = 0.95
_TOTALS = frozenset(("total", "subtotal", "sum", "totals", "summe", "gesamt", "carried"))


@dataclass(frozen=True, slots=True)
class _Match:
    page: ParsedPage
    body: tuple[TableRow, ...]
    columns: dict[str, tuple[int, float]]  # by the field's pointer: column, likeness
    score: float


def rows(list_spec: ListSpec, pages: Sequence[ParsedPage]) -> list[dict[str, Candidate]]:
    """The objects, as candidates by pointer, from every table that fits about as well as the best.

    A list that goes on over several pages is several tables with the same columns.
    """
    matches = [
        m for page in pages for table in page.tables if (m := _match(list_spec, page, table))
    ]
    if not matches:
        return []
    best = max(matches, key=lambda m: m.score)
    similar = [
        m for m in matches if set(m.columns) == set(best.columns) and m.score > best.score - 0.1
    ]
    found = [row for match in similar for row in _rows(list_spec, match)]
    return (
        [row for row in found if list_spec.required <= row.keys()] if list_spec.required else found
    )


def _match(list_spec: ListSpec, page: ParsedPage, table: Table) -> _Match | None:
    headers = tuple(row for row in table.rows if row.is_header) or table.rows[:1]
    body = tuple(row for row in table.rows if row not in headers)
    columns = _columns(list_spec.items, column_labels(page, headers))
    enough = max(2, (len(list_spec.items) + 1) // 2) if len(list_spec.items) > 1 else 1
    if not body or len(columns) < enough or not list_spec.required <= columns.keys():
        return None
    return _Match(page, body, columns, sum(likeness for _, likeness in columns.values()))


def _columns(fields: Sequence[FieldSpec], labels: dict[int, str]) -> dict[str, tuple[int, float]]:
    """Assign each field the column whose label fits best; a column serves one field."""
    ranked = sorted(
        (
            (best_likeness(spec.labels, label), -column, spec.pointer)
            for spec in fields
            for column, label in labels.items()
        ),
        reverse=True,
    )
    taken: set[int] = set()
    columns: dict[str, tuple[int, float]] = {}
    for likeness, column, pointer in ranked:
        if likeness >= _LEAST_LIKENESS and pointer not in columns and -column not in taken:
            columns[pointer] = (-column, likeness)
            taken.add(-column)
    return columns


def _rows(list_spec: ListSpec, match: _Match) -> Iterator[dict[str, Candidate]]:
    for row in match.body:
        found = {
            spec.pointer: candidate
            for spec in list_spec.items
            if (candidate := _cell(spec, row, match)) is not None
        }
        filled = 2 * len(found) >= len(match.columns)
        if filled and not _is_total(row, match.page, complete=len(found) == len(match.columns)):
            yield found


def _cell(spec: FieldSpec, row: TableRow, match: _Match) -> Candidate | None:
    column, likeness = match.columns.get(spec.pointer, (-1, 0.0))
    for cell in row.cells:
        if cell.column == column:
            parsed = parse_value(match.page.text[cell.start : cell.end], spec)
            if parsed is None:
                return None
            start, end = cell.start + parsed.start, cell.start + parsed.end
            confidence = round(_TRUST * likeness * parsed.fit, 3)
            return Candidate(match.page, parsed, start, end, confidence)
    return None


def _is_total(row: TableRow, page: ParsedPage, *, complete: bool) -> bool:
    first = words(page.text[row.cells[0].start : row.cells[0].end]) if row.cells else ()
    return not complete and bool(first) and first[0] in _TOTALS
