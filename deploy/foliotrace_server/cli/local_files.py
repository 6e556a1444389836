"""The files a command line names: found, named as documents, hashed."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from foliotrace.errors import BadInput


@dataclass(frozen=True, slots=True)
class Found:
    """A file and the name its document has."""

    path: Path
    name: str

    def size_bytes(self) -> int:
        """Raises OSError."""
        return self.path.stat().st_size

    def content_hash(self) -> str:
        """SHA-256 in hex, as documents have it. Raises OSError."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find(paths: Sequence[Path]) -> list[Found]:
    """The files of `paths`, named by their place in the folder that was given, in order.

    Hidden files and links that lead out of the folder are left out. Raises BadInput `no_files`,
    `folder_unreadable`, `same_name` (two files would be one document).
    """
    by_name: dict[str, Found] = {}
    for path in paths:
        for file in _inside(path) if path.is_dir() else [Found(path, _spelled(path.name))]:
            other = by_name.setdefault(file.name, file)
            if other.path.resolve() != file.path.resolve():
                raise BadInput(
                    f"{other.path} and {file.path} would both be the document {file.name}",
                    code="same_name",
                    hint="Ingest them into two collections, or name the folder that holds both.",
                )
    if not by_name:
        raise BadInput(
            f"there is no file in {', '.join(map(str, paths))}",
            code="no_files",
            hint="Check the path; hidden files are left out.",
        )
    return list(by_name.values())


def _inside(folder: Path) -> Iterator[Found]:
    root = folder.resolve()
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(place, name)
            if path.is_file() and path.resolve().is_relative_to(root):
                yield Found(path, _spelled(path.relative_to(folder).as_posix()))


def _unreadable(error: OSError) -> NoReturn:
    raise BadInput(
        f"{error.filename} cannot be read: {error.strerror}",
        code="folder_unreadable",
        hint="Check the folder's permissions; nothing was done.",
    ) from error


def _spelled(name: str) -> str:
    """As the service spells names."""
    return unicodedata.normalize("NFC", name).strip()
