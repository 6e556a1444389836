"""Originals in a folder, by tenant and content hash; no part of a path comes from a file name.

A blob is written to a temporary file, fsynced and renamed to its hash, and the folder is fsynced:
when a `StoredBlob` exists, its bytes are on the disk.
"""

import asyncio
import errno
import hashlib
import os
import re
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import BinaryIO, Final, TypeAlias
from uuid import uuid4

from foliotrace.adapters.local.files import filetype
from foliotrace.adapters.local.files.filetype import is_archive
from foliotrace.adapters.local.grouped_calls import GroupedCalls
from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import FileRefused, LibraryUnavailable, NotFound
from foliotrace.ports import StoredBlob

Sniff: TypeAlias = Callable[[Path, str], str]
"""(path, name) -> media type, by content. May raise FileRefused."""

SniffElsewhere: TypeAlias = Callable[[Path, str], Awaitable[str]]
"""As `Sniff`, in another process."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PARTIAL: Final = ".partial"
_TENANT_FILE: Final = "tenant"  # holds the tenant's name; the folder is named by its hash
_ABANDONED_S: Final = 3600.0  # an upload in progress writes more often than that


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A file with all its bytes, not yet under its hash. `file` is open; None: it is synced."""

    partial: Path
    tenant: str
    digest: str
    name: str
    file: BinaryIO | None


class FolderBlobs:
    """A `Blobs` in `folder`/blobs."""

    def __init__(
        self,
        folder: Path,
        sniff: Sniff = filetype.sniff,
        sniff_archive: SniffElsewhere | None = None,
        own_suffixes: Collection[str] = (),
    ) -> None:
        """Files whose names end in one of `own_suffixes` get their type by that."""
        self.root = folder / "blobs"
        self._own_suffixes = frozenset(own_suffixes)
        self._sniff, self._sniff_archive = sniff, sniff_archive
        self._commits = GroupedCalls(self._commit, name="write-originals")

    def close(self) -> None:
        """Finish what is being stored and end the thread."""
        self._commits.close()

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        folder = self.folder_of(tenant)
        partial = folder / f"{uuid4().hex}{_PARTIAL}"
        try:
            with _disk():
                folder.mkdir(parents=True, exist_ok=True)
                file = partial.open("wb")
            try:
                digest, size_bytes = await _spool(file, name, content, limit_bytes)
            except BaseException:
                with _disk():  # closing writes again what a full disk refused
                    file.close()
                raise
            with _disk():
                spooled = _Spooled(partial, tenant, digest, name, file)
                media_type: str = await self._commits.call(spooled)
                if self._sniff_archive is not None and not media_type:
                    media_type = await self._sniff_archive(partial, name)
                    await self._commits.call(replace(spooled, file=None))
        finally:
            with suppress(OSError):  # what stays is deleted with other abandoned uploads
                partial.unlink(missing_ok=True)
        return StoredBlob(content_hash=digest, size_bytes=size_bytes, media_type=media_type)

    def _commit(self, spooled: Sequence[_Spooled]) -> list[str | Exception]:
        """Bring files to the disk under their hashes; the media type of each, or its exception.

        Files that arrive together share the syncs of their folders. An archive stays as it is, and
        its type empty: another process opens it first, because its directory alone can fill the
        memory.
        """
        outcomes: list[str | Exception] = []
        folders: dict[Path, list[int]] = {}
        for number, each in enumerate(spooled):
            try:
                media_type = "" if each.file is None else self._sync(each.file, each)
                if media_type or each.file is None:
                    for folder in self._rename(each):
                        folders.setdefault(folder, []).append(number)
                outcomes.append(media_type)
            except Exception as error:  # noqa: BLE001 - whoever waits for it must get it
                outcomes.append(error)
        # Without these a power cut can lose the new names, though the bytes are on the disk.
        for folder, numbers in folders.items():
            try:
                sync_folder(folder)
            except OSError as error:
                for number in numbers:
                    outcomes[number] = error
        return outcomes

    def _sync(self, file: BinaryIO, spooled: _Spooled) -> str:
        """Bring the bytes to the disk; their media type, empty for an archive."""
        with file:
            file.flush()
            os.fsync(file.fileno())
        suffix = PurePath(spooled.name).suffix.lower()
        if suffix in self._own_suffixes:
            return filetype.own_type(suffix)
        if self._sniff_archive is not None and is_archive(spooled.partial):
            return ""
        return self._sniff(spooled.partial, spooled.name)

    def _rename(self, spooled: _Spooled) -> tuple[Path, Path]:
        """Give a file its name; the folders to be synced."""
        _write_tenant_name(self.folder_of(spooled.tenant), spooled.tenant)
        target = self.location(spooled.tenant, spooled.digest)
        target.parent.mkdir(exist_ok=True)
        spooled.partial.replace(target)
        return target.parent, target.parent.parent

    async def path(self, tenant: str, content_hash: str) -> Path:
        path = self.location(tenant, content_hash)
        if not path.is_file():
            raise NotFound(code=ErrorCode.ORIGINAL_NOT_FOUND)
        return path

    def holds(self, tenant: str, content_hash: str) -> bool:
        """Whether the original is there."""
        return self.location(tenant, content_hash).is_file()

    async def delete(self, tenant: str, content_hash: str) -> None:
        with _disk():
            self.location(tenant, content_hash).unlink(missing_ok=True)

    async def hashes(self, tenant: str) -> Collection[str]:
        """Also deletes the temporary files of abandoned uploads."""
        return await asyncio.to_thread(self._hashes, self.folder_of(tenant))

    async def tenants(self) -> Collection[str]:
        return await asyncio.to_thread(self._tenants)

    def _tenants(self) -> list[str]:
        with _disk():
            return [path.read_text("utf-8") for path in sorted(self.root.glob(f"*/{_TENANT_FILE}"))]

    def tenant_folders(self) -> Mapping[str, str | None]:
        """The tenants of the folders with originals, by folder name; None where that is lost."""
        with _disk():
            return {
                folder.name: _read_tenant_name(folder)
                for folder in sorted(self.root.glob("*"))
                if folder.is_dir() and next(folder.glob("*/*"), None)
            }

    def name_tenant(self, tenant: str) -> None:
        """Write the name of a tenant into its folder again."""
        folder = self.folder_of(tenant)
        with _disk():
            (folder / _TENANT_FILE).unlink(missing_ok=True)
            _write_tenant_name(folder, tenant)

    def _hashes(self, folder: Path) -> list[str]:
        with _disk():
            for partial in folder.glob(f"*{_PARTIAL}"):
                if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                    partial.unlink(missing_ok=True)
            return [path.name for path in folder.glob("*/*") if _HASH.fullmatch(path.name)]

    def folder_of(self, tenant: str) -> Path:
        """The folder of a tenant's originals."""
        return self.root / _folder_name(tenant)

    def location(self, tenant: str, content_hash: str) -> Path:
        """Where the original is or would be. Raises NotFound for what is no hash."""
        if not _HASH.fullmatch(content_hash):
            raise NotFound(code=ErrorCode.ORIGINAL_NOT_FOUND)
        return self.folder_of(tenant) / content_hash[:2] / content_hash


def _folder_name(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


def _read_tenant_name(folder: Path) -> str | None:
    """The tenant that a folder names, if it is the folder of that tenant."""
    try:
        tenant = (folder / _TENANT_FILE).read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return tenant if _folder_name(tenant) == folder.name else None


def _write_tenant_name(folder: Path, tenant: str) -> None:
    if not (folder / _TENANT_FILE).exists():
        partial = folder / f"{uuid4().hex}{_PARTIAL}"
        partial.write_text(tenant, "utf-8")
        partial.replace(folder / _TENANT_FILE)


async def _spool(
    file: BinaryIO, name: str, content: AsyncIterator[bytes], limit_bytes: int
) -> tuple[str, int]:
    """Write the content as it arrives; returns (sha256, size in bytes).

    Errors of the content's own source pass through.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    async for piece in content:
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise FileRefused(
                f"{name} is larger than {limit_bytes} bytes.",
                name=name,
                code=ErrorCode.FILE_TOO_LARGE,
                hint="Split the file, or raise the upload limit.",
            )
        digest.update(piece)
        with _disk():
            file.write(piece)
    if not size_bytes:
        raise FileRefused(
            f"{name} is empty.",
            name=name,
            code=ErrorCode.FILE_EMPTY,
            hint="Check that the upload was complete.",
        )
    return digest.hexdigest(), size_bytes


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk() -> Iterator[None]:
    """Turn failures of the file system into LibraryUnavailable."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise LibraryUnavailable(
            reason=Reason.BLOBS_DISK_FULL if full else Reason.BLOBS_UNAVAILABLE,
        ) from error
