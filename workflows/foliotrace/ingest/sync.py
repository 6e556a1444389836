"""A folder's files become documents; those that did not change are not even read.

A file is taken for unchanged when its size and modification time are those seen last, it was last
written well before it was seen, and its document is served or under way with the same bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os import stat_result
from pathlib import Path
from typing import Final

from foliotrace.errors import BadInput, FileRefused
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.upload import Accepted, Upload, accept
from foliotrace.model import DocumentStatus, Principal
from foliotrace.ports import SeenFile, SeenFiles

_PIECE_BYTES: Final = 1 << 20
_SETTLED: Final = timedelta(seconds=2)  # coarse clocks: a file written just now may change unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedFile:
    """What became of one file.

    `accepted` is None when the file was not read because it is unchanged, or was refused.
    """

    name: str
    accepted: Accepted | None = None
    refused: BadInput | None = None

    @property
    def unchanged(self) -> bool:
        """Whether its document is served, or being made, from the same bytes already."""
        if self.accepted is None:
            return self.refused is None
        return self.accepted.unchanged


async def sync_folder(
    services: IngestServices,
    seen: SeenFiles,
    principal: Principal,
    folder: Path,
    *,
    collection: str,
) -> AsyncIterator[SyncedFile]:
    """Accept every new or changed file under `folder`, in order of name; hidden ones are left out.

    A document's name is its path inside the folder. A refused file does not stop the others.
    Raises LibraryUnavailable.
    """
    for path in await asyncio.to_thread(lambda: list(_files(folder))):
        name = path.relative_to(folder).as_posix()
        try:
            yield await _sync_file(services, seen, principal, path, name, collection)
        except BadInput as error:
            yield SyncedFile(name=name, refused=error)


async def _sync_file(
    services: IngestServices,
    seen: SeenFiles,
    principal: Principal,
    path: Path,
    name: str,
    collection: str,
) -> SyncedFile:
    tenant = principal.tenant
    now = services.clock.now()
    status = _stat(path, name)
    known = await seen.seen(tenant, collection, name)
    if known and _same(known, status) and await _stands(services, tenant, collection, name, known):
        return SyncedFile(name=name)
    upload = Upload(name=name, content=_pieces(path, name), collection=collection)
    accepted = await accept(services, principal, upload)
    file = SeenFile(
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        content_hash=accepted.document.content_hash,
        seen_at=now,
    )
    await seen.remember(tenant, collection, name, file)
    return SyncedFile(name=name, accepted=accepted)


def _same(known: SeenFile, status: stat_result) -> bool:
    modified = datetime.fromtimestamp(status.st_mtime_ns / 1e9, UTC)
    return (known.size_bytes, known.modified_ns) == (
        status.st_size,
        status.st_mtime_ns,
    ) and known.seen_at - modified > _SETTLED


async def _stands(
    services: IngestServices, tenant: str, collection: str, name: str, known: SeenFile
) -> bool:
    """Whether the file's document has these bytes and did not fail."""
    found = await services.library.documents(tenant, collection=collection, name=name, limit=1)
    return any(
        document.content_hash == known.content_hash and document.status is not DocumentStatus.FAILED
        for document in found
    )


def _files(folder: Path) -> Iterator[Path]:
    """Regular files in order of name; nothing hidden, no link that leads out of the folder."""
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _stat(path: Path, name: str) -> stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(name) from error


async def _pieces(path: Path, name: str) -> AsyncIterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
    except OSError as error:
        raise _unreadable(name) from error


def _unreadable(name: str) -> FileRefused:
    return FileRefused(
        f"{name} cannot be read.",
        name=name,
        code="file_unreadable",
        hint="Check the file's permissions.",
    )
