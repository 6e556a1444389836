"""Backs up a data folder, also while it is served, and restores it.

SQLite files are copied from snapshots that are opened together, the library's first: what is in the
library at that moment is what the backup holds. Originals never change, so they are copied before
and after; those that no document of the snapshot uses are left out. What derives from the library
(the keyword index) is built again after a restore.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.files.blobs import FolderBlobs, sync_folder
from foliotrace.adapters.local.files.left_behind import LIBRARY_FILE
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.database import schema_version, unavailable
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import BadInput, LibraryUnavailable
from foliotrace_audit.files import CHECKPOINT_FILE
from foliotrace_server.folder.manifest import (
    BackedUpFile,
    Manifest,
    copy_synced,
    file_of,
    invalid,
)
from foliotrace_server.observing.audit import CHECKPOINTS_FOLDER

_RUNS: Final = ("intents.db", "handlers.db")
_AUDIT: Final = ("audit", "audit-keys")
_ATTEMPTS: Final = 5
_UNFINISHED: Final = (
    "SELECT id FROM jobs WHERE kind = 'extract'"
    " AND status NOT IN ('completed', 'failed', 'cancelled')"
)


def back_up(folder: Path, target: Path, *, since: Path | None = None) -> Manifest:
    """Copy the data folder to `target`, a new or empty folder.

    Originals that the backup `since` holds, and still holds unchanged, are linked instead of
    copied; each backup is complete by itself. Raises BadInput `backup_folder_not_empty`,
    `backup_invalid`, LibraryUnavailable.
    """
    earlier = Manifest.read(since).files if since is not None else {}
    if not (folder / LIBRARY_FILE).is_file():
        raise LibraryUnavailable(reason=Reason.LIBRARY_MISSING)
    _refuse_inside(folder, target)
    _make_empty(target)
    with _translated(target):
        originals = _link_originals(folder, target, since, earlier) if since is not None else {}
        originals |= _copy_originals(folder, target, originals)
        files, schemas = _copy_databases(folder, target)
        originals |= _copy_originals(folder, target, originals)
        files |= _only_used(target, originals)
        files |= _copy_audit(folder, target)
        for each in sorted({target, *((target / name).parent for name in files)}):
            sync_folder(each)
        manifest = Manifest(
            created_at=datetime.now(UTC).isoformat(),
            foliotrace=version("foliotrace"),
            files=dict(sorted(files.items())),
            schemas=schemas,
        )
        manifest.write(target)
    return manifest


def restore(backup: Path, folder: Path) -> Manifest:
    """Verify the backup and copy it to `folder`, a new or empty one; the library comes last.

    Raises BadInput `backup_invalid`, `backup_folder_not_empty`, LibraryUnavailable.
    """
    manifest = Manifest.read(backup)
    if wrong := manifest.differences(backup):
        raise invalid(f"{len(wrong)} files of the backup are missing or changed: {wrong[0]}")
    if LIBRARY_FILE not in manifest.files:
        raise invalid("the backup holds no library")
    _refuse_inside(backup, folder)
    _make_empty(folder)
    with _translated(folder):
        # Without its library a folder is refused, so a restore that was cut off is never served.
        for name in sorted(manifest.files, key=lambda name: (name == LIBRARY_FILE, name)):
            if copy_synced(backup / name, folder / name) != manifest.files[name]:
                raise invalid(f"{name} changed while it was restored")
        for each in sorted({folder, *((folder / name).parent for name in manifest.files)}):
            sync_folder(each)
    asyncio.run(_build_index(folder))
    return manifest


async def _build_index(folder: Path) -> None:
    """Build what derives from the library, so that the first question finds it."""
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    try:
        await index.catch_up()
    finally:
        index.close()
        library.close()


def _refuse_inside(source: Path, target: Path) -> None:
    if target.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{target} is inside {source}.", code=ErrorCode.BACKUP_FOLDER_NOT_EMPTY)


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise BadInput(f"{folder} is not empty.", code=ErrorCode.BACKUP_FOLDER_NOT_EMPTY)
    except OSError as error:
        raise unavailable(error) from error


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(error) from error


def _databases(folder: Path) -> list[str]:
    """Paths of the SQLite files, the library first, then the journals of runs."""
    first = [name for name in (LIBRARY_FILE, *_RUNS) if (folder / name).is_file()]
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*.db"))
    return [*first, *sorted(set(found) - set(first))]


def _copy_databases(
    folder: Path, target: Path
) -> tuple[dict[str, BackedUpFile], Mapping[str, int]]:
    files: dict[str, BackedUpFile] = {}
    schemas: dict[str, int] = {}
    with _snapshots(folder) as snapshots:
        for name, source in snapshots.items():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(sqlite3.connect(copy)) as writing:
                source.backup(writing)
                writing.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it
                schemas[name] = schema_version(writing)
            copy.chmod(0o600)
            _sync(copy)
            written = file_of(copy)
            assert written is not None  # noqa: S101 - it was just written
            files[name] = written
    return files, schemas


@contextmanager
def _snapshots(folder: Path) -> Iterator[Mapping[str, sqlite3.Connection]]:
    """A read transaction on every SQLite file, all begun within moments of each other.

    An extraction is in the library after its run is in the journal, and unfinished there until the
    run has ended. One that the library knows and the journal does not ended in between: begin anew.
    """
    for attempt in range(_ATTEMPTS):
        with ExitStack() as opened:
            snapshots = {}
            for name in _databases(folder):
                uri = f"{(folder / name).absolute().as_uri()}?mode=ro"
                source = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)
                opened.enter_context(closing(source))
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # begins to read
                snapshots[name] = source
            if attempt + 1 < _ATTEMPTS and not _agree(snapshots):
                continue
            yield snapshots
            return


def _agree(snapshots: Mapping[str, sqlite3.Connection]) -> bool:
    library, journal = snapshots[LIBRARY_FILE], snapshots.get(_RUNS[0])
    unfinished = {row[0] for row in library.execute(_UNFINISHED)}
    if not unfinished or journal is None:
        return True
    return unfinished <= {row[0] for row in journal.execute("SELECT handler_id FROM intents")}


def _link_originals(
    folder: Path, target: Path, since: Path, earlier: Mapping[str, BackedUpFile]
) -> dict[str, BackedUpFile]:
    """Link the present originals from an earlier backup, after reading them back."""
    linked = {}
    for path in folder.glob("blobs/*/*/*"):
        name = path.relative_to(folder).as_posix()
        stated = earlier.get(name)
        if stated is None or file_of(since / name) != stated:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(OSError):  # another disk: it is copied
            os.link(since / name, target / name)
            linked[name] = stated
    return linked


def _copy_originals(
    folder: Path, target: Path, known: Mapping[str, BackedUpFile] | None = None
) -> dict[str, BackedUpFile]:
    """Copy the originals that are not `known`. One that is deleted meanwhile is skipped."""
    copied: dict[str, BackedUpFile] = {}
    for path in [*folder.glob("blobs/*/*/*"), *folder.glob("blobs/*/tenant")]:
        name = path.relative_to(folder).as_posix()
        if name in (known or {}):
            continue
        try:
            copied[name] = copy_synced(path, target / name)
        except FileNotFoundError:
            (target / name).unlink(missing_ok=True)
    return copied


def _only_used(target: Path, copied: Mapping[str, BackedUpFile]) -> dict[str, BackedUpFile]:
    """The copied originals without those that no document in the copied library uses."""
    blobs = FolderBlobs(target)
    with closing(sqlite3.connect(target / LIBRARY_FILE)) as library:
        rows = library.execute("SELECT DISTINCT tenant, content_hash FROM documents").fetchall()
    used = {blobs.location(*row).relative_to(target).as_posix() for row in rows}
    kept = {}
    for name, file in copied.items():
        if name in used or name.endswith("/tenant"):
            kept[name] = file
        else:
            (target / name).unlink()
    return kept


def _copy_audit(folder: Path, target: Path) -> dict[str, BackedUpFile]:
    """Copy the audit log, whole lines only; checkpoints first: none may be ahead of its records."""
    paths = [path for name in _AUDIT for path in (folder / name).rglob("*") if path.is_file()]
    copied: dict[str, BackedUpFile] = {}
    for path in sorted(paths, key=lambda path: (not _is_checkpoints(path), path)):
        name = path.relative_to(folder).as_posix()
        size_bytes = _whole_lines(path) if path.suffix == ".jsonl" else None
        copied[name] = copy_synced(path, target / name, size_bytes=size_bytes)
    return copied


def _is_checkpoints(path: Path) -> bool:
    return path.name == CHECKPOINT_FILE or path.parent.name == CHECKPOINTS_FOLDER


def _whole_lines(path: Path) -> int:
    """Bytes up to the last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                return start + last + 1
            end = start
    return 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
