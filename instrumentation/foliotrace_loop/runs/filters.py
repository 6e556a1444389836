"""LangSmith's filter grammar: `and(eq(user_id, "ada"), lt(feedback_score, 0.5))`.

A filter is a predicate over a record: a mapping of the names in `FIELDS`. Comparisons of
`feedback_key` with `feedback_score`, and of `metadata_key` with `metadata_value`, that stand in one
`and` speak of the same feedback and the same entry, as they do in LangSmith.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

Record: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Record], bool]

_TIMES: Final = frozenset({"start_time", "end_time"})
_LISTS: Final = frozenset({"tags", "reasons"})
_PAIRS: Final = {
    "feedback_key": "feedback",
    "feedback_score": "feedback",
    "feedback_value": "feedback",
    "metadata_key": "metadata",
    "metadata_value": "metadata",
}
"""Fields of the entries of a collection, by their collection."""
FIELDS: Final = frozenset(
    {"id", "trace_id", "name", "run_type", "is_root", "status", "error", "start_time", "end_time"}
    | {"latency", "total_tokens", "prompt_tokens", "completion_tokens", "total_cost", "metadata"}
    | {
        "user_id",
        "session_id",
        "project",
        "level",
        "model",
        "release",
        "answer_mode",
        "tags",
        "reasons",
    }
    | set(_PAIRS)
)
_OTHER_NAMES: Final = {"thread_id": "session_id"}
"""What LangSmith's client calls a field that has another name here."""
_COMPARISONS: Final = ("eq", "neq", "gt", "gte", "lt", "lte")
_MAX_LENGTH: Final = 10_000
_MAX_DEPTH: Final = 32
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<mark>[(),\[\]]))",
    re.DOTALL,
)
_WORDS: Final = {"true": True, "false": False, "null": None, "None": None}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class FilterError(ValueError):
    """The filter cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison; `holds` tests a single value."""

    field: str
    holds: Callable[[Any], bool]

    def __call__(self, record: Record) -> bool:
        if self.field in _PAIRS:
            return any(self.holds(entry.get(self.field)) for entry in _entries(self.field, record))
        return self.holds(record.get(self.field))


def parse_filter(text: str) -> Predicate:
    """The predicate that `text` describes. Raises FilterError."""
    if len(text) > _MAX_LENGTH:
        raise FilterError(f"a filter has at most {_MAX_LENGTH} characters")
    reader = _Reader(text)
    predicate = reader.expression(0)
    if reader.kind != "end":
        raise FilterError(f"unexpected {reader.lexeme!r} at position {reader.at}")
    return predicate


def fields_in(text: str) -> frozenset[str]:
    """The fields that a filter mentions: what a caller must load."""
    return frozenset(m["name"] for m in _TOKEN.finditer(text) if m["name"] in FIELDS)


class _Reader:
    """A recursive-descent reader of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._advance()

    def _advance(self) -> None:
        self.at = self._end
        if not self._text[self._end :].strip():
            self.kind, self.lexeme = "end", ""
            return
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            raise FilterError(f"unexpected character at position {self._end}")
        self.kind, self.lexeme, self._end = (
            str(match.lastgroup),
            match[str(match.lastgroup)],
            match.end(),
        )

    def _take(self, kind: str, token: str | None = None) -> str:
        if self.kind != kind or token not in (None, self.lexeme):
            wanted = token or f"a {kind}"
            raise FilterError(f"expected {wanted} at position {self.at}, found {self.lexeme!r}")
        taken = self.lexeme
        self._advance()
        return taken

    def expression(self, depth: int) -> Predicate:
        if depth > _MAX_DEPTH:
            raise FilterError(f"a filter nests at most {_MAX_DEPTH} deep")
        at, operator = self.at, self._take("name")
        self._take("mark", "(")
        if operator in ("and", "or", "not"):
            parts = [self.expression(depth + 1)]
            while self.kind == "mark" and self.lexeme == ",":
                self._advance()
                parts.append(self.expression(depth + 1))
            self._take("mark", ")")
            if operator == "not":
                if len(parts) != 1:
                    raise FilterError(f"`not` at position {at} takes one condition")
                return lambda record: not parts[0](record)
            return _all_of(parts) if operator == "and" else _any_of(parts)
        if operator not in (*_COMPARISONS, "has", "exists", "in"):
            raise FilterError(f"unknown operator `{operator}` at position {at}")
        field_at, field = self.at, self._take("name")
        field = _OTHER_NAMES.get(field, field)
        if field not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            raise FilterError(f"unknown field `{field}` at position {field_at}; known: {known}")
        self._take("mark", ",")
        predicate = self._condition(operator, field)
        self._take("mark", ")")
        return predicate

    def _condition(self, operator: str, field: str) -> Predicate:
        if operator == "in":
            self._take("mark", "[")
            values = [self._value(field)]
            while self.kind == "mark" and self.lexeme == ",":
                self._advance()
                values.append(self._value(field))
            self._take("mark", "]")
            return _Comparison(field, lambda found: any(_equal(found, v) for v in values))
        at, value = self.at, self._value(field)
        if operator == "has":
            return _has(field, value, at)
        if operator == "exists":
            if field != "metadata":
                raise FilterError(f"exists() takes metadata at position {at}")
            return lambda record: value in (record.get("metadata") or {})
        if field in _LISTS or field == "metadata":
            raise FilterError(f"use has({field}, ...) at position {at}")
        if field == "error" and isinstance(value, bool):  # as LangSmith's client says it
            failed = value is (operator == "eq")
            if operator not in ("eq", "neq"):
                raise FilterError(f"compare error with eq or neq at position {at}")
            return _Comparison(field, lambda found: (found is not None) is failed)
        return _Comparison(field, _compare(operator, value))

    def _value(self, field: str) -> Any:  # noqa: ANN401 - a literal of any type
        at, kind, token = self.at, self.kind, self.lexeme
        if kind not in ("string", "number", "name") or (kind == "name" and token not in _WORDS):
            raise FilterError(f"expected a value at position {at}, found {token!r}")
        self._advance()
        if kind == "name":
            return _WORDS[token]
        if kind == "number":
            return float(token) if set(token) & set(".eE") else int(token)
        text = re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
        if field in _TIMES:
            return _moment(text, at)
        if field == "latency":
            return _duration_s(text, at)
        return text


def _all_of(parts: list[Predicate]) -> Predicate:
    """All parts; the comparisons of one collection's entries hold for one entry together."""
    together: dict[str, list[_Comparison]] = {}
    alone: list[Predicate] = []
    for part in parts:
        if isinstance(part, _Comparison) and part.field in _PAIRS:
            together.setdefault(_PAIRS[part.field], []).append(part)
        else:
            alone.append(part)

    def holds(record: Record) -> bool:
        return all(part(record) for part in alone) and all(
            any(
                all(each.holds(entry.get(each.field)) for each in comparisons)
                for entry in _entries(comparisons[0].field, record)
            )
            for comparisons in together.values()
        )

    return holds


def _any_of(parts: list[Predicate]) -> Predicate:
    return lambda record: any(part(record) for part in parts)


def _entries(field: str, record: Record) -> Iterator[Mapping[str, Any]]:
    """The feedback or the metadata of a record, each entry with the names of its fields."""
    if _PAIRS[field] == "feedback":
        for each in record.get("feedback") or ():
            yield {f"feedback_{name}": each.get(name) for name in ("key", "score", "value")}
    else:
        for name, value in (record.get("metadata") or {}).items():
            yield {"metadata_key": name, "metadata_value": value}


def _has(field: str, value: object, at: int) -> Predicate:
    if field in _LISTS:
        return lambda record: value in (record.get(field) or ())
    if field == "metadata" and isinstance(value, str):
        wanted: object = value
        if value.lstrip().startswith("{"):
            try:
                wanted = json.loads(value)
            except ValueError:
                raise FilterError(f"the metadata at position {at} is not JSON") from None

        def holds(record: Record) -> bool:
            held = record.get("metadata") or {}
            if isinstance(wanted, dict):
                return all(k in held and _equal(held[k], v) for k, v in wanted.items())
            return wanted in held

        return holds
    raise FilterError(f"has() takes tags, reasons or metadata at position {at}")


def _compare(operator: str, value: object) -> Callable[[Any], bool]:
    if operator == "eq":
        return lambda found: _equal(found, value)
    if operator == "neq":
        return lambda found: not _equal(found, value)

    def ordered(found: object) -> bool:
        order = _order(found, value)
        if order is None:
            return False
        return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[operator]

    return ordered


def _equal(found: object, value: object) -> bool:
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if found is None or value is None:
        return found is value
    return _order(found, value) == 0


def _order(found: object, value: object) -> int | None:
    """-1, 0 or 1; None for values that cannot be compared, null among them."""
    if found is None or value is None:
        return None
    left: Any = found
    right: Any = value
    if isinstance(left, datetime) != isinstance(right, datetime):
        return None
    if isinstance(left, int | float | Decimal) or isinstance(right, int | float | Decimal):
        try:
            left, right = float(left), float(right)
        except (TypeError, ValueError):
            return None
    try:
        return int(left > right) - int(left < right)
    except TypeError:
        return None


def _moment(text: str, at: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(f"the time at position {at} is not ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _duration_s(text: str, at: int) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise FilterError(f"the latency at position {at} is no duration: write 1.5, 5s or 200ms")
    return float(match[1]) * _SECONDS[match[2]]
