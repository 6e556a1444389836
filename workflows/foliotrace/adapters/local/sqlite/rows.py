"""The rows of documents, chunks and jobs, and the filters on documents as SQL conditions."""

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final
from unicodedata import normalize

from foliotrace.adapters.local.sqlite.columns import Columns, placeholders
from foliotrace.model import Chunk, Document, Filters, Identity, Job, Metadata, Scalar

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
