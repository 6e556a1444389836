"""Files named on the command line: found in folders, named as documents, hashed."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file and the name of its document."""

    path: Path
    name: str

    def size_bytes(self) -> int:
        """Raises OSError."""
        return self.path.stat().st_size

    def content_hash(self) -> str:
        """SHA-256 in hex, comparable with a document's `content_hash`. Raises OSError."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_files(paths: Sequence[Path], skipped_links: list[str] | None = None) -> list[LocalFile]:
    """The files in `paths`, named relative to the folder they were found in, sorted within it.

    Skips hidden files, and symbolic links to folders or out of the folder: their names are added
    to `skipped_links`. Raises BadInput `no_files`,
    `folder_unreadable`, `same_name` (two files would become one document).
    """
    by_name: dict[str, LocalFile] = {}
    links = [] if skipped_links is None else skipped_links
    for path in paths:
        files = (
            _files_in(path, links)
            if path.is_dir()
            else [LocalFile(path, _document_name(path.name))]
        )
        for file in files:
            other = by_name.setdefault(file.name, file)
            if other.path.resolve() != file.path.resolve():
                raise BadInput(
                    f"{other.path} and {file.path} would both become the document {file.name}",
                    code=ErrorCode.SAME_NAME,
                    hint="Ingest them into two collections, or pass the folder that holds both.",
                )
    if not by_name:
        raise BadInput(
            f"there are no files in {', '.join(map(str, paths))}",
            code=ErrorCode.NO_FILES,
            hint=f"Check the path; hidden files are skipped, and {_links(len(links))}.",
        )
    return list(by_name.values())


def _links(count: int) -> str:
    counted = "symbolic links" if not count else f"{count} symbolic link{'s' * (count > 1)}"
    return f"{counted} to folders or to files elsewhere"


def _files_in(folder: Path, links: list[str]) -> Iterator[LocalFile]:
    root = folder.resolve()
    for directory, subfolders, names in os.walk(folder, onerror=_raise_unreadable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in [*subfolders, *sorted(name for name in names if not name.startswith("."))]:
            path = Path(directory, name)
            named = path.relative_to(folder).as_posix()
            if path.is_file() and path.resolve().is_relative_to(root):
                yield LocalFile(path, _document_name(named))
            elif path.is_symlink():
                links.append(_document_name(named))


def _raise_unreadable(error: OSError) -> NoReturn:
    raise BadInput(
        f"{error.filename} cannot be read: {error.strerror}",
        code=ErrorCode.FOLDER_UNREADABLE,
        hint="Check the folder's permissions; nothing was done.",
    ) from error


def _document_name(name: str) -> str:
    """Normalised as the service does it, so that names compare equal."""
    return unicodedata.normalize("NFC", name).strip()
