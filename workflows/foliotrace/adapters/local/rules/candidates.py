"""Chooses the value of a field among the candidates on the pages, and lists from tables. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.business_words import SUM_ROW
from foliotrace.adapters.local.rules.labels import (
    best_likeness,
    has_its_letters,
    is_vague,
    means_number,
    words,
)
from foliotrace.adapters.local.rules.pairs import START, Pair, column_labels
from foliotrace.adapters.local.rules.sentences import stated
from foliotrace.model import ParsedPage, Table, TableRow
from foliotrace.schema_fields.plan import FieldKind, FieldSpec, ListSpec
from foliotrace.schema_fields.values import TypedValue, parse_value

FLOOR = 0.45  # less confident values become null; calibrated with `python -m bench.extraction`
_LEAST_LIKENESS = 0.5
_CONTEXT_BONUS = 0.06
_ARTICLES = frozenset(("the", "a", "an", "our", "your", "this", "and", "der", "die", "das"))
_VERB = r"\s*(?:[:=.\-\u2013]|was|were|is|of|on|dated|amounted to|totall?ed|ist|am)?\s{0,3}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible value of a field, its span on the page, and the confidence (0 to 1).

    `more` are further spans of a value that does not stand in one piece in the text.
    """

    page: ParsedPage
    parsed: TypedValue
    start: int
    end: int
    confidence: float
    more: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PagePairs:
    """A page and its label/value pairs."""

    page: ParsedPage
    pairs: Sequence[Pair]


def choose(
    spec: FieldSpec, pages: Sequence[PagePairs], others: Sequence[FieldSpec]
) -> Candidate | None:
    """The most confident candidate, or None if none reaches FLOOR.

    A different value of nearly the same confidence lowers it; the same value found again raises it
    a little.
    """
    found = [c for page in pages for c in _candidates(spec, page, others)]
    if not found:
        return None
    best = max(found, key=lambda c: c.confidence)
    confidence = best.confidence
    rivals = [c for c in found if c.parsed.value != best.parsed.value]
    nearest = max((c.confidence for c in rivals), default=0.0)
    if nearest >= 0.97 * best.confidence:
        confidence *= 0.8
    elif nearest >= 0.85 * best.confidence:
        confidence *= 0.92
    agreeing = sum(1 for c in found if c.parsed.value == best.parsed.value)
    confidence = min(0.99, confidence + (0.02 if agreeing > 1 else 0.0))
    if confidence < FLOOR:
        return None
    return Candidate(best.page, best.parsed, best.start, best.end, round(confidence, 3))


def _candidates(
    spec: FieldSpec, page: PagePairs, others: Sequence[FieldSpec]
) -> Iterator[Candidate]:
    for pair in page.pairs:
        likeness = best_likeness(spec.labels, pair.label)
        if likeness < _LEAST_LIKENESS:
            continue
        text = page.page.text[pair.start : pair.end]
        if spec.kind is FieldKind.STRING:
            text = _before_other_label(text, others)
        parsed = parse_value(text, spec)
        if parsed is None or _is_label(text, others):
            continue
        confidence = likeness * pair.weight * parsed.fit * _plausibility(spec, parsed)
        confidence = min(0.99, confidence + _context(spec, pair.heading))
        yield _at(page.page, pair.start, parsed, confidence)
    yield from _after_label(spec, page.page)
    for found in stated(spec, page.page):
        yield _at(page.page, found.offset, found.parsed, found.confidence)


def _before_other_label(text: str, others: Sequence[FieldSpec]) -> str:
    """The text up to the label of another field, if two fields were printed on one line."""
    end = len(text)
    for label in (label for spec in others for label in spec.labels if " " in label):
        pattern = r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, label.split())) + r"\s*[:.=]\s"
        match = re.search(pattern, text, re.IGNORECASE)
        if match and match.start() > 0:
            end = min(end, match.start())
    return text[:end]


def _at(page: ParsedPage, offset: int, parsed: TypedValue, confidence: float) -> Candidate:
    return Candidate(page, parsed, offset + parsed.start, offset + parsed.end, confidence)


def _is_label(text: str, others: Iterable[FieldSpec]) -> bool:
    """Whether the text is the label of another field instead of a value."""
    return any(best_likeness(spec.labels, text) >= 0.95 for spec in others)


def _plausibility(spec: FieldSpec, parsed: TypedValue) -> float:
    """A factor for the confidence: an identifier without a digit is unlikely to be one."""
    is_text = spec.kind is FieldKind.STRING and isinstance(parsed.value, str)
    if is_text and not has_its_letters(spec.labels, str(parsed.value)):
        return 0.3
    if is_text and means_number(spec.labels) and not any(c.isdigit() for c in parsed.value):
        return 0.3
    return 1.0


def _context(spec: FieldSpec, heading: str) -> float:
    return _CONTEXT_BONUS if heading and spec.context & set(words(heading)) else 0.0


def _after_label(spec: FieldSpec, page: ParsedPage) -> Iterator[Candidate]:
    """Values right after their label, in a sentence or at the start of a line.

    Free text is left out: nothing would say where such a value ends.
    """
    is_text = spec.kind in (FieldKind.STRING, FieldKind.ENUM, FieldKind.BOOLEAN)
    if spec.is_list or (spec.kind is FieldKind.STRING and not means_number(spec.labels)):
        return
    for label in spec.labels:
        pattern = r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, label.split())) + r"(?!\w)" + _VERB
        for match in re.finditer(pattern, page.text, re.IGNORECASE):
            start = match.end()
            if is_vague(label) and _is_qualified(page.text, match.start()):
                continue
            text = re.split(r"[\n\t]", page.text[start : start + 40], maxsplit=1)[0]
            text = text.split(" ", 1)[0].rstrip(".,;") if is_text else text
            parsed = parse_value(text, spec)
            if parsed is None or parsed.start > 1 or _is_part_of_label(spec, text, parsed):
                continue
            leads = match.start() == 0 or page.text[match.start() - 1] in "\n\t"
            weight = START if leads else 0.55
            yield _at(page, start, parsed, weight * min(1.0, parsed.fit + 0.2))


def _is_qualified(text: str, start: int) -> bool:
    """Whether a word before the label changes its meaning, as in "delivery date"."""
    before = re.search(r"([^\W\d_]+)[ ]$", text[max(0, start - 40) : start])
    return before is not None and before[1].lower() not in _ARTICLES


def _is_part_of_label(spec: FieldSpec, text: str, parsed: TypedValue) -> bool:
    """Whether the value belongs to the label ("VAT 19%:"), or is a word instead of an id."""
    if spec.kind is FieldKind.STRING:
        return not any(c.isdigit() for c in str(parsed.value))
    return text[parsed.end :].lstrip(" %)").startswith(":")


_TRUST = 0.95
_SUM_ROW = re.compile(rf"(?:{SUM_ROW})[\s:.]*(?:\(?\s*[\d.,]*\s*%?\s*\)?)[\s:.]*", re.I)


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
    marked = tuple(row for row in table.rows if row.is_header)
    headers = marked or (() if table.continued_header else table.rows[:1])
    body = tuple(row for row in table.rows if row not in headers)
    labels = column_labels(page, headers) if headers else _continued(table.continued_header or "")
    columns = _columns(list_spec.items, labels)
    enough = max(2, (len(list_spec.items) + 1) // 2) if len(list_spec.items) > 1 else 1
    if not body or len(columns) < enough or not list_spec.required <= columns.keys():
        return None
    return _Match(page, body, columns, sum(likeness for _, likeness in columns.values()))


def _continued(header: str) -> dict[int, str]:
    """The labels of the columns of a table that goes on from the page before."""
    labels: dict[int, str] = {}
    for line in header.split("\n"):
        for column, text in enumerate(line.split("\t")):
            labels[column] = " ".join(filter(None, (labels.get(column), text)))
    return {column: text for column, text in labels.items() if text}


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
    """Whether the row sums up others: its first cell says so, or another cell of a short row."""
    texts = [page.text[cell.start : cell.end].strip() for cell in row.cells]
    labels = texts[:1] if complete else texts
    return any(_SUM_ROW.fullmatch(text) for text in labels)
