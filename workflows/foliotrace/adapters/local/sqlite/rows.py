"""Rows of the library's tables as the model's values, and conditions as SQL."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from unicodedata import normalize

import orjson

from foliotrace.model import (
    Chunk,
    Document,
    DocumentStatus,
    Filters,
    Identity,
    Metadata,
    Scalar,
)

DOCUMENT: Final = (
    "id, tenant, collection, name, content_hash, media_type, size_bytes, status, revision,"
    " pending_revision, pages_total, pages_stored, pages_unreadable, chunks, title, company,"
    " period, kind, metadata, problem, problem_detail, created_at, updated_at, stated_title"
)
CHUNK: Final = (
    "c.id, c.document_id, c.revision, c.ordinal, c.page, c.start_offset, c.end_offset, c.text,"
    " c.context"
)


def document_of(row: Sequence[Any]) -> Document:
    """A document from the columns of DOCUMENT."""
    return Document(
        id=row[0],
        tenant=row[1],
        collection=row[2],
        name=row[3],
        content_hash=row[4],
        media_type=row[5],
        size_bytes=row[6],
        status=DocumentStatus(row[7]),
        revision=row[8],
        pending_revision=row[9],
        pages_total=row[10],
        pages_stored=row[11],
        pages_unreadable=row[12],
        chunks=row[13],
        identity=Identity(title=row[14], company=row[15], period=row[16], kind=row[17]),
        metadata=orjson.loads(row[18]),
        problem=row[19],
        problem_detail=row[20],
        created_at=datetime.fromisoformat(row[21]),
        updated_at=datetime.fromisoformat(row[22]),
        stated_title=row[23],
    )


def chunk_of(row: Sequence[Any]) -> Chunk:
    """A chunk from the columns of CHUNK."""
    return Chunk(
        id=row[0],
        document_id=row[1],
        revision=row[2],
        ordinal=row[3],
        page=row[4],
        start=row[5],
        end=row[6],
        text=row[7],
        context=row[8],
    )


def comparable(value: Scalar) -> str:
    """The form in which filter values are compared: NFC, case folded, 1 as 1.0, True as true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return normalize("NFC", str(value).strip().casefold())


def own_fields(name: str, media_type: str, metadata: Metadata) -> list[tuple[str, str]]:
    """(field, comparable value) of what the caller gave."""
    given = [("name", name), ("media_type", media_type), *metadata.items()]
    return [(field, comparable(value)) for field, value in given]


def read_fields(identity: Identity) -> list[tuple[str, str]]:
    """(field, comparable value) of what was read in the document."""
    found = (
        ("title", identity.title),
        ("company", identity.company),
        ("period", identity.period),
        ("kind", identity.kind),
    )
    return [(field, comparable(value)) for field, value in found if value]


def admitted_by(filters: Filters) -> tuple[str, list[str]]:
    """A condition on `documents` that holds for what `filters` admits, and its parameters."""
    conditions: list[str] = []
    parameters: list[str] = []
    if filters.document_ids:
        conditions.append(f"id IN ({marks(filters.document_ids)})")
        parameters += filters.document_ids
    for field, values in filters.metadata.items():
        conditions.append(
            "id IN (SELECT document_id FROM document_fields"  # noqa: S608 - marks
            f" WHERE field = ? AND value IN ({marks(values)}))"
        )
        parameters += [field, *(comparable(value) for value in values)]
    return " AND ".join(conditions) or "TRUE", parameters


def marks(values: Sequence[Any]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def put_fields(
    connection: sqlite3.Connection,
    document_id: str,
    origin: str,
    fields: Iterable[tuple[str, str]],
) -> None:
    """Replace the document's filter fields of one origin ("own" or "read")."""
    connection.execute(
        "DELETE FROM document_fields WHERE document_id = ? AND origin = ?", (document_id, origin)
    )
    connection.executemany(
        "INSERT OR IGNORE INTO document_fields VALUES (?, ?, ?, ?)",
        [(document_id, field, value, origin) for field, value in fields],
    )
