"""Writes to every store, and names in a file what each has promised to keep.

`python -m tests.torture.stores ROOT [MUTATION]` does it once, under the recorder;
`python -m tests.torture.stores ROOT --faults EVERY` once for each failing call.
"""

import asyncio
import ctypes
import errno
import hashlib
import os
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.ingest.pages import serve
from tests.torture.disk import ACKNOWLEDGED

from foliotrace.adapters.local.files import blobs
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite import database
from foliotrace.adapters.local.sqlite.database import translated
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import FoliotraceError
from foliotrace_audit import AuditError, AuditKeys, AuditWriter, Durability, Entry, open_keys
from foliotrace_audit import files as audit_files
from foliotrace_audit.settings import AuditWriterSettings
from foliotrace_audit.verify.search import RecordFilter, find_records
from foliotrace_server.host import run_journal
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal

ROUNDS = 2


async def _text(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def write_everything(root: Path, keys: AuditKeys, promise: Callable[[str], None]) -> None:
    """Two rounds over library, originals, journal, audit log and index."""
    library = SqliteLibrary.open(root)
    index = KeywordIndex(root, library)
    with translated():  # as `DurableHost` does
        journal = RunJournal(root / "intents.db")
    originals = FolderBlobs(root, lambda path, name: "text/plain")
    audit = AuditWriter.open(
        root / "audit", keys, replace(AuditWriterSettings(), durability=Durability.STRICT)
    )
    try:
        for number in range(ROUNDS):
            content = f"original {number}".encode() * 100
            blob = await originals.put("t1", "a.txt", _text(content), limit_bytes=10_000)
            promise(f"original:{blob.content_hash}")
            await serve(library, f"All of word{number}.", name=f"word{number}")
            promise(f"document:word{number}")
            run = AcceptedRun(
                handler_id=f"job{number}", tenant="t1", workflow="ingest", start_event="{}"
            )
            with translated():
                is_new = await journal.add(run)
            if is_new:
                promise(f"run:job{number}")
            entry = Entry(event="ingest_received", run_id=f"audited{number}", tenant="t1")
            await audit.write(entry)
            promise(f"audit:audited{number}")
            await index.catch_up()
    finally:
        with suppress(AuditError):
            audit.close()
        with suppress(FoliotraceError):
            index.close()
        library.close()
        with suppress(sqlite3.Error, OSError):
            journal.close(cleanly=False)


async def kept(root: Path) -> set[str]:
    """What the stores of a disk hold. Raises what they raise."""
    library = SqliteLibrary.open(root)
    index = KeywordIndex(root, library)
    try:
        assert library.database.rows("PRAGMA integrity_check") == [("ok",)]
        found = {f"document:{d.name}" for d in await library.documents("t1") if d.revision}
        await index.catch_up()
    finally:
        index.close()
        library.close()
    journal = RunJournal(root / "intents.db")
    found |= {f"run:{run.handler_id}" for run in journal.all()}
    journal.close(cleanly=False)
    originals = FolderBlobs(root)
    for name in await originals.hashes("t1"):
        if hashlib.sha256((await originals.path("t1", name)).read_bytes()).hexdigest() == name:
            found.add(f"original:{name}")
    found |= {
        f"audit:{record['run_id']}" for record in find_records(root / "audit", RecordFilter())
    }
    return found


def _nothing(*_: object) -> None:
    """In place of a sync."""


class _Unsynced(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *parameters)


class _Lazy:
    """A module in which syncing does nothing."""

    def __init__(self, module: Any, **replaced: object) -> None:
        self._module, self._replaced = module, replaced

    def __getattr__(self, name: str) -> object:
        return self._replaced.get(name, getattr(self._module, name))


def mutate(mutation: str) -> None:
    """Skip one kind of sync, as a careless change would."""
    unsynced: Any = _Lazy(
        sqlite3, connect=lambda *args, **more: sqlite3.connect(*args, factory=_Unsynced, **more)
    )
    if mutation == "original":
        blobs.os = _Lazy(os, fsync=_skip_files)  # type: ignore[attr-defined] # replaced on purpose
    elif mutation == "folder of originals":
        blobs.os = _Lazy(os, fsync=_skip_folders)  # type: ignore[attr-defined] # replaced on purpose
    elif mutation == "journal":
        run_journal.sqlite3 = unsynced  # type: ignore[attr-defined] # replaced on purpose
    elif mutation == "library":
        database.sqlite3 = unsynced  # type: ignore[attr-defined] # replaced on purpose
    elif mutation == "audit":
        audit_files._sync_to_disk = _nothing  # type: ignore[assignment] # replaced on purpose
    else:
        raise ValueError(mutation)


def _is_folder(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").is_dir()


def _skip_files(descriptor: int) -> None:
    if _is_folder(descriptor):
        os.fsync(descriptor)


def _skip_folders(descriptor: int) -> None:
    if not _is_folder(descriptor):
        os.fsync(descriptor)


async def faults(root: Path, every: int) -> Iterable[str]:
    """Fail each `every`-th change once with EIO and once with ENOSPC; what went wrong."""
    recorder = ctypes.CDLL(None)
    recorder.torture_fail.argtypes = [ctypes.c_long, ctypes.c_int]
    recorder.torture_fail.restype = ctypes.c_long
    keys = open_keys(root.with_name("keys"))
    recorder.torture_fail(0, 0)
    await write_everything(root / "count", keys, _nothing)
    changes = recorder.torture_fail(0, 0)
    wrong, failed = [], 0
    for code in (errno.EIO, errno.ENOSPC):
        for n in range(1 + (code == errno.EIO), changes, every):
            folder, promised = root / f"{code}-{n}", list[str]()
            recorder.torture_fail(n, code)
            try:
                await write_everything(folder, keys, promised.append)
            except (FoliotraceError, AuditError):
                failed += 1
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                place = traceback.extract_tb(error.__traceback__)[-1]
                wrong.append(f"{errno.errorcode[code]} at change {n}: {error!r} at {place}")
            finally:
                recorder.torture_fail(0, 0)
            lost = set(promised) - await kept(folder)
            if lost:
                wrong.append(f"{errno.errorcode[code]} at change {n} lost {lost}")
    print(f"{changes} changes, {failed} typed failures")
    return wrong


def main() -> None:
    root = Path(sys.argv[1])
    root.mkdir(parents=True, exist_ok=True)
    if sys.argv[2:3] == ["--faults"]:
        wrong = asyncio.run(faults(root, int(sys.argv[3])))
        sys.exit("\n".join(wrong) if wrong else 0)
    if sys.argv[2:]:
        mutate(sys.argv[2])
    promises = os.open(root / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    keys = open_keys(root.with_name("keys"))
    asyncio.run(
        write_everything(root, keys, lambda name: os.write(promises, f"{name}\n".encode()) and None)
    )


if __name__ == "__main__":
    main()
