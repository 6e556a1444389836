"""Rows of a table as frozen dataclasses, with columns derived from their fields; SQL filters.

A field added to the model needs no change here, only a migration that adds its column.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints
from unicodedata import normalize

import orjson

from foliotrace.model import Chunk, Document, Filters, Identity, Job, Metadata, Scalar

Record = TypeVar("Record")


class Columns(Generic[Record]):
    """The columns of one dataclass: a column for each field, of the same name unless `renamed`.

    Dates are stored as ISO 8601 text, mappings as JSON, enums by value. A field that is a dataclass
    itself is spread over the columns of its own fields.
    """

    def __init__(self, record: type[Record], renamed: Mapping[str, str] | None = None) -> None:
        layout = _Layout(renamed or {})
        arguments = layout.arguments_of(record)
        self.names: Final = tuple(layout.names)
        self._values: Callable[[Record], tuple[Any, ...]] = attrgetter(*layout.paths)
        self._encoders = layout.encoders
        # Compiled like the `__init__` of a dataclass is: a loop over the fields takes a fifth more
        # CPU for each row of a question's passages.
        source = f"lambda row: record({arguments})"
        self.read: Callable[[Sequence[Any]], Record] = eval(  # noqa: S307 - field names only
            source, {**layout.namespace, "record": record}
        )
        """The record of a row that holds `names` in order."""

    def row(self, record: Record) -> list[Any]:
        """The values of `names` in order."""
        values = list(self._values(record))
        for index, encode in self._encoders:
            values[index] = None if values[index] is None else encode(values[index])
        return values

    def listed(self, alias: str = "") -> str:
        """`names` for a SELECT or an INSERT, each behind `alias`."""
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + name for name in self.names)


class _Layout:
    """Collects the columns of a dataclass and the source of the call that builds one from `row`."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._renamed = renamed
        self.names: list[str] = []
        self.paths: list[str] = []
        self.encoders: list[tuple[int, Callable[[Any], Any]]] = []
        self.namespace: dict[str, Any] = {}

    def arguments_of(self, record: type[Any], path: str = "") -> str:
        types = get_type_hints(record)
        arguments = []
        for field in fields(record):
            kind = _without_none(types[field.name])
            if isinstance(kind, type) and is_dataclass(kind):
                parts = self.arguments_of(kind, f"{path}{field.name}.")
                arguments.append(f"{field.name}={self._named(kind)}({parts})")
            else:
                arguments.append(f"{field.name}={self._column(field.name, kind, path)}")
        return ", ".join(arguments)

    def _column(self, name: str, kind: Any, path: str) -> str:
        index = len(self.names)
        self.names.append(self._renamed.get(name, name))
        self.paths.append(path + name)
        encode, decode = _codec(kind)
        if encode is not None:
            self.encoders.append((index, encode))
        if decode is None:
            return f"row[{index}]"
        return f"None if row[{index}] is None else {self._named(decode)}(row[{index}])"

    def _named(self, function: Callable[..., Any]) -> str:
        name = f"f{len(self.namespace)}"
        self.namespace[name] = function
        return name


def placeholders(values: Sequence[Any]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def assignments(names: Sequence[str]) -> str:
    """`names` for the SET of an UPDATE."""
    return ", ".join(f"{name} = ?" for name in names)


def json_text(value: Mapping[str, Any]) -> str:
    """A mapping as JSON text."""
    return orjson.dumps(dict(value)).decode()


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
    return kind


def _codec(kind: Any) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    """(encode, decode) of a column; None for what is stored as it is."""
    if get_origin(kind) is Mapping:
        return json_text, orjson.loads
    if kind is Decimal:
        return str, Decimal
    if kind is datetime:
        return datetime.isoformat, datetime.fromisoformat
    if issubclass(kind, Enum):
        return None, kind
    return None, None


DOCUMENT: Final = Columns(Document)
IDENTITY: Final = Columns(Identity)
CHUNK: Final = Columns(Chunk, renamed={"start": "start_offset", "end": "end_offset"})
JOB: Final = Columns(Job)


def comparable(value: Scalar) -> str:
    """The form in which filter values are compared: NFC, case folded, 1.0 as 1, True as true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return normalize("NFC", str(value).strip().casefold())


def caller_fields(name: str, media_type: str, metadata: Metadata) -> list[tuple[str, str]]:
    """(field, comparable value) of what the caller stated about a document."""
    stated = [("name", name), ("media_type", media_type), *metadata.items()]
    return [(field, comparable(value)) for field, value in stated]


def identity_fields(identity: Identity) -> list[tuple[str, str]]:
    """(field, comparable value) of what was read in the document itself."""
    return [(field, comparable(value)) for field, value in asdict(identity).items() if value]


def filter_condition(filters: Filters) -> tuple[str, list[str]]:
    """A condition on `documents` that holds for those which pass `filters`, and its parameters."""
    conditions: list[str] = []
    parameters: list[str] = []
    if filters.document_ids:
        conditions.append(f"id IN ({placeholders(filters.document_ids)})")
        parameters += filters.document_ids
    for field, values in filters.metadata.items():
        conditions.append(
            "id IN (SELECT document_id FROM document_fields"  # noqa: S608 - placeholders only
            f" WHERE field = ? AND value IN ({placeholders(values)}))"
        )
        parameters += [field, *(comparable(value) for value in values)]
    return " AND ".join(conditions) or "TRUE", parameters


def replace_filter_fields(
    connection: sqlite3.Connection,
    document_id: str,
    origin: str,
    fields: Iterable[tuple[str, str]],
) -> None:
    """Replace the document's filter fields of one origin: "own" (the caller's) or "read"."""
    connection.execute(
        "DELETE FROM document_fields WHERE document_id = ? AND origin = ?", (document_id, origin)
    )
    connection.executemany(
        "INSERT OR IGNORE INTO document_fields VALUES (?, ?, ?, ?)",
        [(document_id, field, value, origin) for field, value in fields],
    )
