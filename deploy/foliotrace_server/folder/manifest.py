"""The manifest of a backup: every file with its size and SHA-256. It is written last.

A folder without one is no backup: it was interrupted.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from pydantic import TypeAdapter, ValidationError

from foliotrace.adapters.local.files.blobs import sync_folder
from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput

MANIFEST: Final = "backup.json"
_FORMAT: Final = 1
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUpFile:
    """A file of a backup."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds. `schemas` are the schema versions of its SQLite files."""

    created_at: str
    foliotrace: str
    files: Mapping[str, BackedUpFile]  # by path inside the backup
    schemas: Mapping[str, int]
    format: int = _FORMAT

    def write(self, backup: Path) -> None:
        """Complete the backup; on return it is on the disk. Raises OSError."""
        partial = backup / f"{MANIFEST}.partial"
        with partial.open("xb") as file:
            file.write(orjson.dumps(self, option=orjson.OPT_INDENT_2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(backup / MANIFEST)
        sync_folder(backup)

    @classmethod
    def read(cls, backup: Path) -> "Manifest":
        """The manifest of a complete backup. Raises BadInput `backup_invalid`."""
        try:
            manifest = _manifest.validate_json((backup / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise invalid(f"{backup} holds no {MANIFEST}: it is not a complete backup") from None
        except (OSError, ValidationError):
            raise invalid(f"{backup / MANIFEST} cannot be read") from None
        if manifest.format != _FORMAT:
            raise invalid(
                f"the backup has format {manifest.format}, this foliotrace reads {_FORMAT}"
            )
        return manifest

    def differences(self, folder: Path) -> list[str]:
        """The files of `folder` that are missing or do not hold what was backed up."""
        return [
            name
            for name, stated in self.files.items()
            if not is_inside(name) or file_of(folder / name) != stated
        ]


_manifest: Final = TypeAdapter(Manifest)


def is_inside(name: str) -> bool:
    """Whether a path of a manifest stays inside the folder it is taken from."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def invalid(message: str) -> BadInput:
    """The error for a backup that cannot be restored."""
    return BadInput(message, code=ErrorCode.BACKUP_INVALID)


def file_of(path: Path) -> BackedUpFile | None:
    """Size and SHA-256 of a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return BackedUpFile(size_bytes=file.tell(), sha256=digest)
    except OSError:
        return None


def copy_synced(source: Path, target: Path, *, size_bytes: int | None = None) -> BackedUpFile:
    """Copy a file, or its first `size_bytes`, to the disk; what was written. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    written = 0
    with source.open("rb") as reading, os.fdopen(_create(target), "wb") as writing:
        while piece := reading.read(
            _PIECE if size_bytes is None else min(_PIECE, size_bytes - written)
        ):
            writing.write(piece)
            digest.update(piece)
            written += len(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return BackedUpFile(size_bytes=written, sha256=digest.hexdigest())


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
