"""Changes of the library: each function is the body of one transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

from foliotrace.adapters.local.page_codec import pack_page
from foliotrace.adapters.local.sqlite.columns import (
    CHUNK,
    DOCUMENT,
    IDENTITY,
    assignments,
    caller_fields,
    identity_fields,
    json_text,
    placeholders,
    replace_filter_fields,
)
from foliotrace.catalog import ErrorCode, PageProblem, Reason
from foliotrace.errors import Conflict, LibraryUnavailable, NotFound, NothingToIndex
from foliotrace.model import Chunk, Document, DocumentStatus, Identity, PageStatus, ParsedPage
from foliotrace.ports import DocumentDraft, Registration

_SELECT: Final = f"SELECT {DOCUMENT.listed()} FROM documents"  # noqa: S608 - columns
_INSERT: Final = (
    f"INSERT INTO documents ({DOCUMENT.listed()})"  # noqa: S608 - columns
    f" VALUES ({placeholders(DOCUMENT.names)})"
)
_INSERT_CHUNK: Final = (
    f"INSERT OR IGNORE INTO chunks (tenant, {CHUNK.listed()})"  # noqa: S608 - columns
    f" VALUES (?, {placeholders(CHUNK.names)})"
)


def find(connection: sqlite3.Connection, tenant: str, document_id: str) -> Document:
    """The tenant's document. Raises NotFound."""
    row = connection.execute(
        f"{_SELECT} WHERE id = ? AND tenant = ?", (document_id, tenant)
    ).fetchone()
    if row is None:
        raise NotFound(code=ErrorCode.DOCUMENT_NOT_FOUND)
    return DOCUMENT.read(row)


def register(
    connection: sqlite3.Connection, tenant: str, draft: DocumentDraft, now: datetime
) -> Registration:
    """Create the document of (tenant, collection, name), or find it and store its new hash."""
    row = connection.execute(
        f"{_SELECT} WHERE tenant = ? AND collection = ? AND name = ?",
        (tenant, draft.collection, draft.name),
    ).fetchone()
    if row is None:
        created = _create(connection, tenant, draft, now)
        return Registration(document=created, unchanged=False, is_new=True)
    known = DOCUMENT.read(row)
    _update_metadata(connection, known, draft, now)
    same = (known.content_hash, known.pages) == (draft.blob.content_hash, draft.pages)
    unchanged = same and known.status is DocumentStatus.READY
    if not same and known.pending_revision:
        _drop_pending(connection, known)
    if not unchanged:
        connection.execute(
            "UPDATE documents SET content_hash = ?, media_type = ?, size_bytes = ?, status = ?,"
            " pages = ?, problem = NULL, problem_detail = NULL, updated_at = ? WHERE id = ?",
            (
                draft.blob.content_hash,
                draft.blob.media_type,
                draft.blob.size_bytes,
                known.status if same and known.status is DocumentStatus.INGESTING else "queued",
                draft.pages,
                now.isoformat(),
                known.id,
            ),
        )
    return Registration(document=find(connection, tenant, known.id), unchanged=unchanged)


def _create(
    connection: sqlite3.Connection, tenant: str, draft: DocumentDraft, now: datetime
) -> Document:
    document = Document(
        id=f"doc_{uuid4().hex}",
        tenant=tenant,
        collection=draft.collection,
        name=draft.name,
        content_hash=draft.blob.content_hash,
        media_type=draft.blob.media_type,
        size_bytes=draft.blob.size_bytes,
        status=DocumentStatus.QUEUED,
        metadata=dict(draft.metadata),
        pages=draft.pages,
        created_at=now,
        updated_at=now,
    )
    insert(connection, document)
    return document


def insert(connection: sqlite3.Connection, document: Document) -> None:
    """Store a new document, with what filters select it by."""
    connection.execute(_INSERT, DOCUMENT.row(document))
    fields = caller_fields(document.name, document.media_type, document.metadata)
    replace_filter_fields(connection, document.id, "own", fields)


def _update_metadata(
    connection: sqlite3.Connection, known: Document, draft: DocumentDraft, now: datetime
) -> None:
    metadata = dict(draft.metadata) or dict(known.metadata)
    fields = caller_fields(known.name, draft.blob.media_type, metadata)
    replace_filter_fields(connection, known.id, "own", fields)
    if metadata == dict(known.metadata):
        return
    connection.execute(
        "UPDATE documents SET metadata = ?, updated_at = ? WHERE id = ?",
        (json_text(metadata), now.isoformat(), known.id),
    )
    if known.revision:  # filters now select other documents: cached answers must go
        record_change(connection, known, deleted=False)


def record_change(connection: sqlite3.Connection, document: Document, *, deleted: bool) -> int:
    """Raise the library version and log the document's change under it; the new version."""
    version = connection.execute(
        "UPDATE state SET value = value + 1 WHERE key = 'version' RETURNING value"
    ).fetchone()[0]
    connection.execute("DELETE FROM changes WHERE document_id = ?", (document.id,))
    connection.execute(
        "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
        (version, document.tenant, document.collection, document.id, deleted),
    )
    return int(version)


def begin(
    connection: sqlite3.Connection,
    document: Document,
    revision: str,
    pages_total: int,
    stated_title: str | None,
    now: datetime,
) -> int:
    """Make `revision` the pending one; returns how many of its first pages are stored."""
    previous = document.pending_revision
    stored = count_pages(connection, document.tenant, revision)
    connection.execute(
        "UPDATE documents SET pending_revision = ?, status = 'ingesting', pages_total = ?,"
        " pages_stored = ?, stated_title = ?, problem = NULL, problem_detail = NULL,"
        " updated_at = ? WHERE id = ?",
        (revision, pages_total, stored, stated_title, now.isoformat(), document.id),
    )
    if previous and previous not in (revision, document.revision):
        _drop_revision(connection, document, previous)
    return stored


def count_pages(connection: sqlite3.Connection, tenant: str, revision: str) -> int:
    """How many pages of the revision are stored; the first ones, because windows come in order."""
    row = connection.execute(
        "SELECT count(*) FROM pages WHERE tenant = ? AND revision = ?", (tenant, revision)
    ).fetchone()
    return int(row[0])


def _check_not_superseded(document: Document, revision: str) -> None:
    # A second ingestion of the same bytes may find its revision served already.
    if revision not in (document.pending_revision, document.revision):
        raise Conflict(code=ErrorCode.INGEST_SUPERSEDED)


def add_window(
    connection: sqlite3.Connection,
    document: Document,
    revision: str,
    packed: Sequence[tuple[ParsedPage, tuple[bytes, bytes]]],
    now: datetime,
) -> None:
    """Store pages, each once."""
    _check_not_superseded(document, revision)
    connection.executemany(
        "INSERT OR IGNORE INTO pages (tenant, revision, number, problem, page, words, degraded)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                document.tenant,
                revision,
                page.number,
                _problem(page),
                *blobs,
                bool(page.degraded_from),
            )
            for page, blobs in packed
        ],
    )
    connection.execute(
        "UPDATE documents SET pages_stored = ?, updated_at = ? WHERE id = ?",
        (count_pages(connection, document.tenant, revision), now.isoformat(), document.id),
    )


def packed_window(pages: Sequence[ParsedPage]) -> list[tuple[ParsedPage, tuple[bytes, bytes]]]:
    """Pages with their stored form."""
    return [(page, pack_page(page)) for page in pages]


def add_chunks(
    connection: sqlite3.Connection, document: Document, revision: str, chunks: Sequence[Chunk]
) -> None:
    """Store chunks, each once."""
    _check_not_superseded(document, revision)
    connection.executemany(_INSERT_CHUNK, [(document.tenant, *CHUNK.row(c)) for c in chunks])


def publish(
    connection: sqlite3.Connection,
    document: Document,
    revision: str,
    identity: Identity,
    now: datetime,
) -> int:
    """Serve `revision`, drop every other one of the document; the library version."""
    if (document.revision, document.pending_revision) == (revision, None):
        return _version(connection)  # a resumed run publishes again
    _check_not_superseded(document, revision)
    stored, chunks = _counts_if_complete(connection, document, revision)
    connection.execute(
        "UPDATE documents SET revision = ?, pending_revision = NULL,"  # noqa: S608 - columns
        " status = 'ready',"
        " pages_stored = ?, pages_unreadable = (SELECT count(*) FROM pages WHERE tenant = ?"
        " AND revision = ? AND problem IS NOT NULL),"
        " pages_degraded = (SELECT count(*) FROM pages WHERE tenant = ? AND revision = ?"
        " AND degraded), served_hash = content_hash, served_pages = pages, chunks = ?,"
        " problem = NULL, problem_detail = NULL, updated_at = ?,"
        f" {assignments(IDENTITY.names)} WHERE id = ?",
        (
            revision,
            stored,
            document.tenant,
            revision,
            document.tenant,
            revision,
            chunks,
            now.isoformat(),
            *IDENTITY.row(identity),
            document.id,
        ),
    )
    replace_filter_fields(connection, document.id, "read", identity_fields(identity))
    for old in {document.revision, document.pending_revision} - {revision, None}:
        _drop_revision(connection, document, str(old))
    return record_change(connection, document, deleted=False)


def _counts_if_complete(
    connection: sqlite3.Connection, document: Document, revision: str
) -> tuple[int, int]:
    """(pages, chunks) of a revision. Raises LibraryUnavailable, NothingToIndex if incomplete."""
    stored = count_pages(connection, document.tenant, revision)
    if stored != document.pages_total:
        raise LibraryUnavailable(
            f"{stored} of {document.pages_total} pages are stored; the document is not served.",
            reason=Reason.PAGES_MISSING,
        )
    chunks = connection.execute(
        "SELECT count(*) FROM chunks WHERE document_id = ? AND revision = ?",
        (document.id, revision),
    ).fetchone()[0]
    if not chunks:
        raise _nothing_to_index(connection, document, revision)
    return stored, int(chunks)


def _nothing_to_index(
    connection: sqlite3.Connection, document: Document, revision: str
) -> NothingToIndex:
    problems = connection.execute(
        "SELECT problem, count(*) FROM pages WHERE tenant = ? AND revision = ?"
        " AND problem IS NOT NULL GROUP BY problem ORDER BY problem",
        (document.tenant, revision),
    ).fetchall()
    why = ", ".join(f"{count} of {document.pages_total} pages: {code}" for code, count in problems)
    codes = {code for code, _ in problems}
    known = [problem.message for problem in PageProblem if problem in codes]
    cause = f"{document.name}: no readable text ({why or 'all pages are blank'})."
    return NothingToIndex(" ".join([cause, *known]))


def _problem(page: ParsedPage) -> str | None:
    return None if page.status is PageStatus.OK else page.problem or page.status.value


def _version(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM state WHERE key = 'version'").fetchone()
    return int(row[0])


def _drop_pending(connection: sqlite3.Connection, document: Document) -> None:
    """Drop what is stored of the pending revision; a run still storing it fails with Conflict."""
    connection.execute("UPDATE documents SET pending_revision = NULL WHERE id = ?", (document.id,))
    if document.pending_revision and document.pending_revision != document.revision:
        _drop_revision(connection, document, document.pending_revision)


def _drop_revision(connection: sqlite3.Connection, document: Document, revision: str) -> None:
    """Remove the document's chunks of `revision`, and its pages if no other document has it."""
    connection.execute(
        "DELETE FROM chunks WHERE document_id = ? AND revision = ?", (document.id, revision)
    )
    connection.execute(
        "DELETE FROM pages WHERE tenant = ? AND revision = ? AND NOT EXISTS"
        " (SELECT 1 FROM documents WHERE tenant = ?"
        " AND (revision = ? OR pending_revision = ?))",
        (document.tenant, revision, document.tenant, revision, revision),
    )


def fail(
    connection: sqlite3.Connection,
    document: Document,
    problem: str,
    detail: str,
    keep_pages: bool,
    now: datetime,
) -> None:
    """Record why ingestion ended; drop the pending chunks, and the pages unless `keep_pages`.

    A document whose bytes are served already stays as it was: only reading it again has failed.
    """
    if document.revision and _serves_its_bytes(connection, document):
        _drop_pending(connection, document)
        stored = count_pages(connection, document.tenant, document.revision)
        connection.execute(
            "UPDATE documents SET status = 'ready', problem = NULL, problem_detail = NULL,"
            " pages = served_pages, pages_total = ?, pages_stored = ?, updated_at = ? WHERE id = ?",
            (stored, stored, now.isoformat(), document.id),
        )
        return
    connection.execute(
        "UPDATE documents SET status = 'failed', problem = ?, problem_detail = ?,"
        " updated_at = ? WHERE id = ?",
        (problem, detail, now.isoformat(), document.id),
    )
    if not keep_pages:
        _drop_pending(connection, document)
    elif document.pending_revision != document.revision:
        connection.execute(
            "DELETE FROM chunks WHERE document_id = ? AND revision = ?",
            (document.id, document.pending_revision),
        )


def _serves_its_bytes(connection: sqlite3.Connection, document: Document) -> bool:
    row = connection.execute(
        "SELECT served_hash = content_hash FROM documents WHERE id = ?", (document.id,)
    ).fetchone()
    return bool(row[0])


def delete(connection: sqlite3.Connection, document: Document) -> Document:
    """Delete the document and everything derived from it: jobs, extractions and runs included."""
    connection.execute("DELETE FROM documents WHERE id = ?", (document.id,))
    for revision in {document.revision, document.pending_revision} - {None}:
        _drop_revision(connection, document, str(revision))
    connection.execute("DELETE FROM chunks WHERE document_id = ?", (document.id,))
    connection.execute(
        "DELETE FROM extractions WHERE tenant = ? AND document_id = ?",
        (document.tenant, document.id),
    )
    connection.execute(
        "DELETE FROM jobs WHERE tenant = ? AND document_id = ?", (document.tenant, document.id)
    )
    connection.execute(
        "DELETE FROM runs WHERE tenant = ? AND id IN"
        " (SELECT run_id FROM run_documents WHERE document_id = ?)",
        (document.tenant, document.id),
    )
    record_change(connection, document, deleted=True)
    return document
