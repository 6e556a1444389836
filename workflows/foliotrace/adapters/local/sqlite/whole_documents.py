"""Stores small documents whole: many in one transaction, each by itself."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from foliotrace.adapters.local.sqlite import writes
from foliotrace.catalog import ErrorCode
from foliotrace.errors import Conflict, NotFound, NothingToIndex
from foliotrace.model import Document, DocumentStatus, ParsedPage
from foliotrace.ports import WholeDocument

_WAITING = (DocumentStatus.QUEUED, DocumentStatus.INGESTING)

PackedDocument = tuple[WholeDocument, Sequence[tuple[ParsedPage, tuple[bytes, bytes]]]]


def packed(documents: Sequence[WholeDocument]) -> list[PackedDocument]:
    """Documents with the stored form of their pages."""
    return [(each, writes.packed_window(each.file.pages)) for each in documents]


def publish_all(
    connection: sqlite3.Connection,
    tenant: str,
    documents: Sequence[PackedDocument],
    now: datetime,
) -> list[Document | None]:
    """Publish each document; None, and nothing stored, for one that cannot be."""
    return [_published_alone(connection, tenant, each, now) for each in documents]


def _published_alone(
    connection: sqlite3.Connection, tenant: str, packed_document: PackedDocument, now: datetime
) -> Document | None:
    connection.execute("SAVEPOINT document")
    try:
        return _published(connection, tenant, packed_document, now)
    except (Conflict, NotFound, NothingToIndex):
        connection.execute("ROLLBACK TO document")
        return None
    finally:
        if connection.in_transaction:  # a failing disk may have ended it
            connection.execute("RELEASE document")


def _published(
    connection: sqlite3.Connection, tenant: str, packed_document: PackedDocument, now: datetime
) -> Document:
    whole, pages = packed_document
    document = writes.find(connection, tenant, whole.document_id)
    if document.content_hash != whole.content_hash or document.status not in _WAITING:
        raise Conflict(code=ErrorCode.INGEST_SUPERSEDED)
    revision = whole.revision
    writes.begin(connection, document, revision, len(pages), whole.file.title, now)
    pending = replace(document, pending_revision=revision, pages_total=len(pages))
    writes.add_window(connection, pending, revision, pages, now)
    writes.add_chunks(connection, pending, revision, whole.chunks)
    writes.publish(connection, pending, revision, whole.identity, now)
    return writes.find(connection, tenant, document.id)
