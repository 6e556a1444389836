"""Values for a JSON Schema's fields, found beside their labels in the parsed pages.

Nothing is invented: a field whose label is not on any page is null. Each value carries the words
it was read from, so that a citation's box can be checked against the page.
"""

import re
from dataclasses import dataclass
from typing import Any

from tests.fakes.llamacloud.content import Line, Page, Word, phrase, union

NUMBER = re.compile(r"\(?-?[$€£]?\d[\d,]*(?:\.\d+)?\)?%?")
DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}"
    r"|(?:\d{1,2} )?[A-Z][a-z]{2,8}\.? (?:\d{1,2}, )?\d{4}"
)
TRUE_WORDS, FALSE_WORDS = frozenset({"yes", "true", "x"}), frozenset({"no", "false"})
LABEL_END = ":#.-"


@dataclass(frozen=True)
class Found:
    """A value and the words it was read from."""

    value: Any
    page: Page
    words: tuple[Word, ...]

    def metadata(self, *, cite: bool, confidence: bool) -> dict[str, Any]:
        """The field's metadata entry, as the service nests it."""
        entry: dict[str, Any] = {}
        if cite:
            left, top, right, bottom = union(self.words)
            box = {"x": left, "y": top, "w": right - left, "h": bottom - top}
            size = {"width": self.page.width, "height": self.page.height}
            entry["citation"] = [
                {
                    "page": self.page.number,
                    "matching_text": phrase(self.words),
                    "bounding_boxes": [box],
                    "page_dimensions": size,
                }
            ]
        if confidence:
            entry |= {"confidence": 0.95, "extraction_confidence": 0.96, "parsing_confidence": 0.99}
        return entry


@dataclass(frozen=True)
class Options:
    """What the caller wants beside the values."""

    cite: bool
    confidence: bool


def extract(
    pages: tuple[Page, ...], schema: dict[str, Any], options: Options
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record and its per-field metadata, both shaped like `schema`'s properties."""
    defs = schema.get("$defs", {}) | schema.get("definitions", {})
    return _object(pages, schema, defs, options)


def rows(
    pages: tuple[Page, ...], schema: dict[str, Any], options: Options
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One record per row of the first table whose header names the schema's properties."""
    defs = schema.get("$defs", {}) | schema.get("definitions", {})
    return _table_rows(pages, schema, defs, options)


def _object(
    pages: tuple[Page, ...], schema: dict[str, Any], defs: dict[str, Any], options: Options
) -> tuple[dict[str, Any], dict[str, Any]]:
    record: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, declared in schema.get("properties", {}).items():
        field = resolved(declared, defs)
        if "object" in types_of(field):
            record[name], metadata[name] = _object(pages, field, defs, options)
        elif "array" in types_of(field):
            record[name], metadata[name] = _array(pages, name, field, defs, options)
        else:
            found = find(pages, name, field)
            record[name] = found.value if found else None
            if found:
                metadata[name] = found.metadata(cite=options.cite, confidence=options.confidence)
    return record, metadata


def _array(
    pages: tuple[Page, ...],
    name: str,
    field: dict[str, Any],
    defs: dict[str, Any],
    options: Options,
) -> tuple[list[Any], list[Any]]:
    item = resolved(field.get("items", {}), defs)
    if "object" in types_of(item):
        return _table_rows(pages, item, defs, options)
    found = find(pages, name, {"type": "string"} | titles(field))
    if not found:
        return [], []
    values = [part.strip() for part in re.split(r"[,;]", str(found.value)) if part.strip()]
    entry = found.metadata(cite=options.cite, confidence=options.confidence)
    return values, [entry for _ in values]


def resolved(field: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """The field with `$ref` followed and an optional type's null alternative dropped."""
    if "$ref" in field:
        return resolved(defs.get(str(field["$ref"]).rsplit("/", 1)[-1], {}), defs) | titles(field)
    for keyword in ("anyOf", "oneOf", "allOf"):
        choices = [c for c in field.get(keyword, ()) if c.get("type") != "null"]
        if choices:
            return resolved(choices[0], defs) | titles(field)
    return field


def titles(field: dict[str, Any]) -> dict[str, Any]:
    """What names the field."""
    return {key: field[key] for key in ("title", "description", "aliases") if key in field}


def types_of(field: dict[str, Any]) -> tuple[str, ...]:
    """The field's JSON types."""
    declared = field.get("type", "object" if "properties" in field else "string")
    return tuple(declared) if isinstance(declared, list) else (declared,)


def _labels(name: str, field: dict[str, Any]) -> list[list[str]]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-]+", " ", name)
    names = [*field.get("aliases", ()), field.get("title", ""), spaced]
    labels = [_folded(label.split()) for label in names if label]
    return sorted(labels, key=len, reverse=True)


def _folded(words: list[str]) -> list[str]:
    return [folded for word in words if (folded := re.sub(r"\W+", "", word).lower())]


def find(pages: tuple[Page, ...], name: str, field: dict[str, Any]) -> Found | None:
    """The first value of the field's type beside its longest label."""
    for label in _labels(name, field):
        for page in pages:
            for index, line in enumerate(page.lines):
                below = page.lines[index + 1] if index + 1 < len(page.lines) else None
                for words in _beside(line, below, label):
                    found = _value(words, name, field)
                    if found:
                        return Found(found[0], page, found[1])
    return None


def _beside(line: Line, below: Line | None, label: list[str]) -> list[tuple[Word, ...]]:
    """Where the label's value may stand: the rest of its cell, the next cell, the line below."""
    candidates: list[tuple[Word, ...]] = []
    cells = line.cells
    for position, cell in enumerate(cells):
        end = _label_end(cell, label)
        if end is None:
            continue
        rest = cell[end:]
        marked = cell[end - 1].text[-1] in LABEL_END
        if rest and (marked or position == 0 or len(cells) > 1):
            candidates.append(rest)
        elif not rest and position + 1 < len(cells):
            candidates.append(cells[position + 1])
        elif not rest and below is not None:
            candidates.append(below.words)
    return candidates


def _label_end(cell: tuple[Word, ...], label: list[str]) -> int | None:
    """The number of the cell's words that the label takes, when the cell starts with it."""
    taken: list[str] = []
    for index, word in enumerate(cell):
        taken += _folded([word.text])
        if taken == label:
            end = index + 1
            while end < len(cell) and not _folded([cell[end].text]):
                end += 1
            return end
        if taken != label[: len(taken)]:
            return None
    return None


def _value(
    words: tuple[Word, ...], name: str, field: dict[str, Any]
) -> tuple[Any, tuple[Word, ...]] | None:
    types = types_of(field)
    if "number" in types or "integer" in types:
        return _number(words, whole="number" not in types)
    if "boolean" in types:
        said = words[0].text.strip(".,").lower()
        if said in TRUE_WORDS | FALSE_WORDS:
            return said in TRUE_WORDS, words[:1]
        return None
    if field.get("enum"):
        said = phrase(words).lower()
        chosen = [choice for choice in field["enum"] if said.startswith(str(choice).lower())]
        return (chosen[0], words[: len(str(chosen[0]).split())]) if chosen else None
    if str(field.get("format", "")).startswith("date") or "date" in name.lower():
        match = DATE.search(phrase(words))
        return (match.group(), _covering(words, *match.span())) if match else None
    text = phrase(words).strip(" :")
    return (text, words) if text else None


def _number(words: tuple[Word, ...], *, whole: bool) -> tuple[Any, tuple[Word, ...]] | None:
    numbers = [word for word in words if NUMBER.fullmatch(word.text.strip(",;"))]
    if not numbers:
        return None
    plain = re.sub(r"[^\d.]", "", numbers[-1].text.strip(",;"))
    value = float(plain) * (-1 if numbers[-1].text.startswith(("(", "-")) else 1)
    if whole and not value.is_integer():
        return None
    return (int(value) if whole else value), (numbers[-1],)


def _covering(words: tuple[Word, ...], start: int, end: int) -> tuple[Word, ...]:
    chosen, at = [], 0
    for word in words:
        if at < end and at + len(word.text) > start:
            chosen.append(word)
        at += len(word.text) + 1
    return tuple(chosen)


def _table_rows(
    pages: tuple[Page, ...], item: dict[str, Any], defs: dict[str, Any], options: Options
) -> tuple[list[Any], list[Any]]:
    fields = {n: resolved(f, defs) for n, f in item.get("properties", {}).items()}
    records: list[Any] = []
    metadata: list[Any] = []
    for page in pages:
        header: dict[str, int] = {}
        for line in page.lines:
            named = _columns(line, fields)
            if len(named) >= 2:
                header = named
                continue
            if header and len(line.cells) <= max(header.values()):
                header = {}
            if header:
                record, entry = _row(page, line, header, fields, options)
                records.append(record)
                metadata.append(entry)
    return records, metadata


def _columns(line: Line, fields: dict[str, dict[str, Any]]) -> dict[str, int]:
    cells = [_folded(phrase(cell).split()) for cell in line.cells]
    named: dict[str, int] = {}
    for name, field in fields.items():
        for label in _labels(name, field):
            if label in cells:
                named.setdefault(name, cells.index(label))
    return named


def _row(
    page: Page,
    line: Line,
    header: dict[str, int],
    fields: dict[str, dict[str, Any]],
    options: Options,
) -> tuple[dict[str, Any], dict[str, Any]]:
    record: dict[str, Any] = dict.fromkeys(fields)
    entry: dict[str, Any] = {}
    for name, column in header.items():
        found = _value(line.cells[column], name, fields[name])
        if found:
            record[name] = found[0]
            cited = Found(found[0], page, found[1])
            entry[name] = cited.metadata(cite=options.cite, confidence=options.confidence)
    return record, entry
