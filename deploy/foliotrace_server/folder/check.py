"""Reads a whole data folder back and reports every file that does not hold what was written.

The library is compared with the sums of its pages, originals with their names, which are their
hashes, the keyword index with the checksums inside its files; journals are read by SQLite and
parsed, the audit log is verified.
"""

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.files.left_behind import LIBRARY_FILE, refuse_lost_library
from foliotrace.adapters.local.sqlite.columns import DOCUMENT, JOB
from foliotrace.adapters.local.sqlite.database import schema_version
from foliotrace.adapters.local.sqlite.page_sums import damaged_pages
from foliotrace.adapters.local.sqlite.schema import MIGRATIONS
from foliotrace.errors import LibraryUnavailable
from foliotrace_audit import AuditError
from foliotrace_server.folder.problems import missing_keys
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.observing.audit_commands import verify_audit
from foliotrace_server.settings import Settings

KEYWORD_FOLDER: Final = "keyword"
JOURNALS: Final = ("intents.db", "handlers.db")
_FOOTER: Final = struct.Struct("<II")  # of a tantivy file: length of its JSON, magic number
_FOOTER_MAGIC: Final = 1337
_SEGMENT_PARTS: Final = (".idx", ".pos", ".term", ".store", ".fast", ".fieldnorm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that is missing or not as it was written. `area` decides how it is repaired."""

    area: str  # library, originals, tenants, index, journals, derived, audit
    file: str  # by path inside the data folder
    detail: str


def check_folder(settings: Settings) -> Sequence[Damage]:
    """Everything that is wrong. The folder may be in use. Raises OSError."""
    folder = settings.data_dir
    return [
        *_library(folder),
        *_originals(folder),
        *_tenants(folder),
        *(
            d
            for meta in folder.glob(f"{KEYWORD_FOLDER}/**/meta.json")
            for d in _index(folder, meta)
        ),
        *_other_databases(folder),
        *_audit(settings),
    ]


def _library(folder: Path) -> Iterator[Damage]:
    path = folder / LIBRARY_FILE
    try:
        refuse_lost_library(folder)
    except LibraryUnavailable as error:
        yield Damage(area="library", file=LIBRARY_FILE, detail=error.message)
        return
    if path.exists():
        damage = list(_database(path, "library"))
        yield from damage or _unreadable_rows(path)


def _unreadable_rows(path: Path) -> Iterator[Damage]:
    with closing(read_only(path)) as library:
        if schema_version(library) != len(MIGRATIONS):
            return  # an upgrade comes first
        for table, columns in (("documents", DOCUMENT), ("jobs", JOB)):
            for row in library.execute(f"SELECT {columns.listed()} FROM {table}"):  # noqa: S608 - columns
                try:
                    columns.read(row)
                except (ValueError, TypeError, KeyError):
                    detail = f"the row {row[0]} of {table} cannot be read"
                    yield Damage(area="library", file=path.name, detail=detail)


def _database(path: Path, area: str) -> Iterator[Damage]:
    """Pages that differ from their sums, then what SQLite finds."""
    for number in damaged_pages(path, in_use=WriterLease.holder(path.parent) is not None):
        yield Damage(area=area, file=path.name, detail=f"page {number} was changed")
    try:
        with closing(read_only(path)) as connection:
            for (found,) in connection.execute("PRAGMA integrity_check(20)"):
                if found != "ok":
                    yield Damage(area=area, file=path.name, detail=str(found).splitlines()[0])
    except sqlite3.DatabaseError as error:
        yield Damage(area=area, file=path.name, detail=str(error))


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, not even the write-ahead log when it closes."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _originals(folder: Path) -> Iterator[Damage]:
    blobs = FolderBlobs(folder)
    known = set()
    try:
        with closing(read_only(folder / LIBRARY_FILE)) as library:
            for row in library.execute("SELECT DISTINCT tenant, content_hash FROM documents"):
                known.add(blobs.location(*row))
    except sqlite3.DatabaseError:
        pass  # the damage of the library is reported as its own
    for path in sorted(known | set(folder.glob("blobs/*/*/*"))):
        name = path.relative_to(folder).as_posix()
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                    yield Damage(area="originals", file=name, detail="its content was changed")
        except FileNotFoundError:
            yield Damage(area="originals", file=name, detail="it is missing")


def _tenants(folder: Path) -> Iterator[Damage]:
    for name, tenant in FolderBlobs(folder).tenant_folders().items():
        if tenant is None:
            detail = "it does not name the tenant whose folder it is in"
            yield Damage(area="tenants", file=f"blobs/{name}/tenant", detail=detail)


def _index(root: Path, meta: Path) -> Iterator[Damage]:
    folder, name = meta.parent, meta.relative_to(root).as_posix()
    try:
        segments = [str(s["segment_id"]) for s in orjson.loads(meta.read_bytes())["segments"]]
    except (ValueError, KeyError, TypeError):
        yield Damage(area="index", file=name, detail="it cannot be read")
        return
    for segment in (segment.replace("-", "") for segment in segments):
        for file in (folder / f"{segment}{part}" for part in _SEGMENT_PARTS):
            if not file.exists():
                yield Damage(
                    area="index", file=file.relative_to(root).as_posix(), detail="it is missing"
                )
        for file in sorted(folder.glob(f"{segment}.*")):
            if not _is_whole(file.read_bytes()):
                detail = "its content was changed"
                yield Damage(area="index", file=file.relative_to(root).as_posix(), detail=detail)


def _is_whole(content: bytes) -> bool:
    """Whether a tantivy file matches the checksum in its footer."""
    if len(content) < _FOOTER.size:
        return False
    length, magic = _FOOTER.unpack(content[-_FOOTER.size :])
    end = len(content) - _FOOTER.size - length
    try:
        stated = orjson.loads(content[end : -_FOOTER.size])["crc"] if end >= 0 else None
    except (ValueError, KeyError, TypeError):
        return False
    return magic == _FOOTER_MAGIC and stated == zlib.crc32(content[:end])


def _other_databases(folder: Path) -> Iterator[Damage]:
    for path in sorted(folder.glob("*.db")):
        if path.name != LIBRARY_FILE:
            area = "journals" if path.name in JOURNALS else "derived"
            damage = list(_database(path, area))
            yield from damage or (_unreadable_runs(path) if path.name == JOURNALS[0] else ())


def _unreadable_runs(journal: Path) -> Iterator[Damage]:
    with closing(read_only(journal)) as connection:
        for handler_id, event in connection.execute("SELECT handler_id, start_event FROM intents"):
            try:
                orjson.loads(event)
            except ValueError:
                detail = f"the record of {handler_id} cannot be read"
                yield Damage(area="journals", file=journal.name, detail=detail)


def _audit(settings: Settings) -> Iterator[Damage]:
    log_folder, keys_folder = audit_folders(settings)
    for key in missing_keys(settings):
        yield Damage(area="audit", file=keys_folder.name, detail=f"the key {key} is missing")
    if not log_folder.is_dir() or not keys_folder.is_dir():
        return
    try:
        findings = verify_audit(settings).findings
    except AuditError as error:
        yield Damage(area="audit", file=keys_folder.name, detail=str(error))
        return
    for finding in findings:
        detail = f"{finding.kind.value}: {finding.detail}"
        yield Damage(area="audit", file=f"{log_folder.name}/{finding.stream}", detail=detail)


def pending_migrations(folder: Path) -> int:
    """How many migrations a start would apply to the library; negative if it is newer than we are.

    Raises LibraryUnavailable, sqlite3.DatabaseError.
    """
    refuse_lost_library(folder)
    path = folder / LIBRARY_FILE
    if not path.exists():
        return 0
    with closing(read_only(path)) as library:
        return len(MIGRATIONS) - schema_version(library)
