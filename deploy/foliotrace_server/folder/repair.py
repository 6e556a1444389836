"""Makes a data folder whole again from what cannot be derived: originals and readable rows.

What is damaged is moved to `damaged/<time>` in the folder, never deleted. A new library gets the
documents that can still be read, each with a job that ingests its original at the next start, and
the originals that no readable document names. Indexes and caches are built again.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.files.left_behind import LIBRARY_FILE
from foliotrace.adapters.local.sqlite import writes
from foliotrace.adapters.local.sqlite.columns import DOCUMENT, JOB, placeholders
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import FileRefused
from foliotrace.model import Document, DocumentStatus, Job, JobKind, Principal
from foliotrace_server.folder.check import JOURNALS, KEYWORD_FOLDER, Damage

DAMAGED_FOLDER: Final = "damaged"
_DERIVED: Final = frozenset({"documents", "document_fields", "pages", "chunks", "changes", "state"})
_COLLECTION: Final = "default"


def repair(folder: Path, damage: Sequence[Damage]) -> Sequence[Damage]:
    """Repair what can be repaired, and return what cannot; the caller holds the writer lease.

    Originals and the audit log cannot: they are nobody's copy. Raises LibraryUnavailable, OSError.
    """
    aside = folder / DAMAGED_FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    areas = {each.area for each in damage}
    for name in {each.file for each in damage if each.area == "derived"}:
        _move(folder, name, aside)
    if "journals" in areas:
        for name in JOURNALS:
            _move(folder, name, aside)
    if areas & {"index", "library"}:
        _move(folder, KEYWORD_FOLDER, aside)
    if "tenants" in areas:
        _name_tenants(folder)
    if "library" in areas:
        _move(folder, LIBRARY_FILE, aside)
        _rebuild_library(folder, aside / LIBRARY_FILE)
    nameless = any(tenant is None for tenant in FolderBlobs(folder).tenant_folders().values())
    lost = ("originals", "audit", "tenants") if nameless else ("originals", "audit")
    return [each for each in damage if each.area in lost]


def _name_tenants(folder: Path) -> None:
    """Name the folders of originals again by what the library can still say of their tenants."""
    blobs, known = FolderBlobs(folder), {Principal().tenant}
    known |= {str(row[0]) for row in _rows(folder / LIBRARY_FILE, "documents", ("tenant",))}
    nameless = {name for name, tenant in blobs.tenant_folders().items() if tenant is None}
    for tenant in known:
        if blobs.folder_of(tenant).name in nameless:
            blobs.name_tenant(tenant)


def _move(folder: Path, name: str, aside: Path) -> None:
    aside.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in folder.glob(f"{name}*"):  # with -wal, -shm and -sums
        path.rename(aside / path.name)


def _rebuild_library(folder: Path, damaged: Path) -> None:
    library = SqliteLibrary.open(folder)
    blobs = FolderBlobs(folder)
    try:
        with closing(sqlite3.connect(folder / LIBRARY_FILE, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")  # tables are filled in any order
            connection.execute("BEGIN IMMEDIATE")
            documents = list(_readable_documents(damaged))
            named = {(document.tenant, document.content_hash) for document in documents}
            documents += [d for d in _unnamed(folder) if (d.tenant, d.content_hash) not in named]
            _copy_other_tables(connection, damaged)
            for document in documents:
                if blobs.holds(document.tenant, document.content_hash):
                    writes.insert(connection, document)
                    _insert_job(connection, document)
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("COMMIT")
    finally:
        library.close()


def _readable_documents(damaged: Path) -> Iterator[Document]:
    """The documents whose rows can be read, as if they had just been uploaded."""
    for row in _rows(damaged, "documents", DOCUMENT.names):
        with suppress(ValueError, TypeError, KeyError):
            document = DOCUMENT.read(row)
            yield replace(
                document,
                status=DocumentStatus.QUEUED,
                revision=None,
                pending_revision=None,
                pages_total=0,
                pages_stored=0,
                pages_unreadable=0,
                chunks=0,
                problem=None,
                problem_detail=None,
            )


def _unnamed(folder: Path) -> Iterator[Document]:
    """Every original as a document of its own, named by its hash; its real name is lost."""
    now = datetime.now(UTC)
    for folder_name, tenant in FolderBlobs(folder).tenant_folders().items():
        if tenant is None:
            continue  # whose they are is lost, and nobody else may have them
        for path in sorted((folder / "blobs" / folder_name).glob("*/*")):
            name = f"recovered-{path.name[:12]}"
            try:
                media_type = sniff(path, name)
            except FileRefused:
                continue  # it has no type without its name
            yield Document(
                id=f"doc_{uuid4().hex}",
                tenant=tenant,
                collection=_COLLECTION,
                name=name,
                content_hash=path.name,
                media_type=media_type,
                size_bytes=path.stat().st_size,
                status=DocumentStatus.QUEUED,
                created_at=now,
                updated_at=now,
            )


def _insert_job(connection: sqlite3.Connection, document: Document) -> None:
    now = datetime.now(UTC)
    job = Job(
        id=f"job_{uuid4().hex}",
        tenant=document.tenant,
        subject=Principal().subject,
        kind=JobKind.INGEST,
        document_id=document.id,
        created_at=now,
        updated_at=now,
    )
    connection.execute(
        f"INSERT INTO jobs ({JOB.listed()}) VALUES ({placeholders(JOB.names)})",  # noqa: S608 - columns
        JOB.row(job),
    )


def _copy_other_tables(connection: sqlite3.Connection, damaged: Path) -> None:
    """Copy the readable rows of jobs, runs and whatever else is not derived from originals."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in connection.execute(tables).fetchall():
        if table in _DERIVED:
            continue
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        insert = f"INSERT OR IGNORE INTO {table} VALUES ({placeholders(names)})"  # noqa: S608 - ours
        for row in _rows(damaged, table, names):
            with suppress(sqlite3.IntegrityError):  # a damaged value breaks a rule of the table
                connection.execute(insert, row)


def _rows(damaged: Path, table: str, names: Sequence[str]) -> Iterator[Sequence[Any]]:
    """The rows that can be read: from the first on, then from the last back, up to the damage."""
    if not damaged.exists():
        return
    with closing(sqlite3.connect(damaged)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        seen = set()
        for order in ("ASC", "DESC"):
            sql = f"SELECT {', '.join(names)} FROM {table} ORDER BY 1 {order}"  # noqa: S608 - ours
            try:
                for row in connection.execute(sql):
                    if row[0] not in seen:
                        seen.add(row[0])
                        yield row
            except sqlite3.DatabaseError:
                continue
