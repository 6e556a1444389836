"""Lists of objects out of tables whose headers name the objects' properties. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.labels import best_likeness, words
from foliotrace.adapters.local.rules.pairs import column_labels
from foliotrace.adapters.local.rules.scalars import Candidate
from foliotrace.fields.leaves import Leaf, ListOf
from foliotrace.fields.values import read
from foliotrace.model import ParsedPage, Table, TableRow

_LEAST_LIKENESS = 0.5
_TRUST = 0.95
_SUMS = frozenset(("total", "subtotal", "sum", "totals", "summe", "gesamt", "carried"))


@dataclass(frozen=True, slots=True)
class _Match:
    page: ParsedPage
    body: tuple[TableRow, ...]
    columns: dict[str, tuple[int, float]]  # by the leaf's pointer: column, likeness
    score: float


def rows(wanted: ListOf, pages: Sequence[ParsedPage]) -> list[dict[str, Candidate]]:
    """The objects, by the pointers inside them, from all tables that fit as well as the best."""
    matches = [m for page in pages for table in page.tables if (m := _match(wanted, page, table))]
    if not matches:
        return []
    best = max(matches, key=lambda m: m.score)
    alike = [
        m for m in matches if set(m.columns) == set(best.columns) and m.score > best.score - 0.1
    ]
    found = [row for match in alike for row in _rows(wanted, match)]
    return [row for row in found if wanted.required <= row.keys()] if wanted.required else found


def _match(wanted: ListOf, page: ParsedPage, table: Table) -> _Match | None:
    headers = tuple(row for row in table.rows if row.is_header) or table.rows[:1]
    body = tuple(row for row in table.rows if row not in headers)
    columns = _columns(wanted.items, column_labels(page, headers))
    enough = max(2, (len(wanted.items) + 1) // 2) if len(wanted.items) > 1 else 1
    if not body or len(columns) < enough or not wanted.required <= columns.keys():
        return None
    return _Match(page, body, columns, sum(likeness for _, likeness in columns.values()))


def _columns(leaves: Sequence[Leaf], labels: dict[int, str]) -> dict[str, tuple[int, float]]:
    """Each leaf to the column that names it best; a column serves one leaf."""
    ranked = sorted(
        (
            (best_likeness(leaf.labels, label), -column, leaf.pointer)
            for leaf in leaves
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


def _rows(wanted: ListOf, match: _Match) -> Iterator[dict[str, Candidate]]:
    for row in match.body:
        found = {
            leaf.pointer: candidate
            for leaf in wanted.items
            if (candidate := _cell(leaf, row, match)) is not None
        }
        filled = 2 * len(found) >= len(match.columns)
        if filled and not _is_sum(row, match.page, complete=len(found) == len(match.columns)):
            yield found


def _cell(leaf: Leaf, row: TableRow, match: _Match) -> Candidate | None:
    column, likeness = match.columns.get(leaf.pointer, (-1, 0.0))
    for cell in row.cells:
        if cell.column == column:
            reading = read(match.page.text[cell.start : cell.end], leaf)
            if reading is None:
                return None
            start, end = cell.start + reading.start, cell.start + reading.end
            confidence = round(_TRUST * likeness * reading.fit, 3)
            return Candidate(match.page, reading, start, end, confidence)
    return None


def _is_sum(row: TableRow, page: ParsedPage, *, complete: bool) -> bool:
    first = words(page.text[row.cells[0].start : row.cells[0].end]) if row.cells else ()
    return not complete and bool(first) and first[0] in _SUMS
